"""Findings as rows of a spreadsheet, for `zhenyan score --findings` and the review's export."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zhenyan.inference.bundle import Bundle, Label
from zhenyan.inference.io.notes import Note, chinese_place
from zhenyan.inference.io.writing import write_table
from zhenyan.inference.law import citation
from zhenyan.inference.report import when
from zhenyan.inference.runs.beside import check_own_table, note_own
from zhenyan.inference.runs.store import RunFolder

COLUMNS = {  # of `table_row`, each with its width in a workbook, in characters
    "编号": 10, "直播间": 18, "时间": 12, "原话": 60, "触发词语": 24, "类别": 16, "依据（视事实适用其一）": 40, "评分": 9, "阈值": 9,
    "风险": 9, "次数": 7, "各次时间": 24, "前后语句": 50, "文件": 24, "位置": 14, "模型": 24,
}  # fmt: skip


def table_row(finding: Mapping[str, Any], labels: Mapping[str, Label], model: str) -> dict[str, Any]:
    """The row of a finding; `labels`: the bundle's by id, `model`: the bundle's id."""
    label, place, text = labels[finding["label"]], finding["place"], finding["text"]
    at = {key: value for key, value in place.items() if key != "file"}  # which has a column of its own
    more = " …" if finding["count"] > len(finding["times"]) else ""
    return dict(zip(COLUMNS, (
        finding["id"], finding["stream"], when([at])[0], text,
        " … ".join(text[span["start"] : span["end"]] for span in finding["evidence"]),
        label.name_zh, citation(label.articles)[0], finding["score"], finding["threshold"], finding["risk"],
        finding["count"], when(finding["times"])[0] + more if finding["count"] > 1 else None, _near(finding),
        place.get("file"), chinese_place(place["place"]), model,
    ), strict=True))  # fmt: skip


def _near(finding: Mapping[str, Any]) -> str:
    """The neighbouring lines as the report marks them, one below the other."""
    joined = ["合并相邻语句判断"] if finding["context"] else []
    return "\n".join(
        [*joined, *(f"↑ {line}" for line in finding["before"]), *(f"↓ {line}" for line in finding["after"])]
    )


def write_findings(folder: RunFolder, bundle: Bundle, path: Path) -> list[Note]:
    """Write the findings of a finished run as a table, atomically; InputError as of `check_own_table`.

    Notes of what the format couldn't hold come back, each with its place.
    """
    check_own_table(path, folder)
    labels = {label.id: label for label in bundle.labels}
    notes = write_table(path, COLUMNS, (table_row(finding, labels, bundle.id) for finding in folder.findings()))
    note_own(path, folder)
    return notes
