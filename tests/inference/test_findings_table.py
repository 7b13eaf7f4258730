"""`zhenyan score --findings` and the review's table: findings for who works in a spreadsheet."""

import csv

import openpyxl
import pytest
from review_helpers import decide, finding, make_site
from zhenyan.inference.bundle import load_bundle
from zhenyan.inference.errors import InputError
from zhenyan.inference.io import writing
from zhenyan.inference.law import citation
from zhenyan.inference.report.table import COLUMNS, table_row, write_findings
from zhenyan.inference.review.exports import write_export

CUES = (
    "1\n00:00:01,000 --> 00:00:03,000\n晚上睡不着的扣一\n\n"
    "2\n00:00:04,000 --> 00:00:07,000\n二号链接这个软糖 今天就是给你们准备的\n"
)


def rows_of(path):
    """The header and the rows of a table."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.reader(file))
    return [list(row) for row in openpyxl.load_workbook(path).active.iter_rows(values_only=True)]


@pytest.fixture
def room(tmp_path):
    path = tmp_path / "room.srt"
    path.write_text(CUES, encoding="utf-8")
    return path


@pytest.mark.parametrize("ending", [".csv", ".xlsx"])
def test_a_finding_of_two_neighbouring_lines_is_a_row_in_chinese(tmp_path, room, command, ending):
    out, table = tmp_path / "out.csv", tmp_path / f"findings{ending}"
    words = ("score", room, "-o", out, "--findings", table, "--threads", 1)
    code, told = command(*words)
    assert code == 0 and f"findings: {table}" in told
    assert {row["labels"] for row in csv.DictReader(out.open(encoding="utf-8-sig"))} == {""}  # of neither line alone
    header, values = rows_of(table)
    row = dict(zip(header, values, strict=True))
    assert header == list(COLUMNS)
    told = ("编号", "直播间", "时间", "原话", "触发词语", "类别", "前后语句", "文件", "位置")
    assert [row[name] for name in told] == [
        "f000001", "room", "0:00:01", "晚上睡不着的扣一 二号链接这个软糖 今天就是给你们准备的", "晚上睡不着的扣一",
        "食品安全违法宣称", "合并相邻语句判断", str(room), "第1段 + 第2段",
    ]  # fmt: skip
    label = next(label for label in load_bundle().labels if label.name_zh == row["类别"])
    assert row["依据（视事实适用其一）"] == citation(label.articles)[0]
    assert 0.9 < float(row["评分"]) < 1
    before = rows_of(table)
    table.unlink()
    assert command(*words)[0] == 0 and rows_of(table) == before
    assert command(*words)[0] == 0 and rows_of(table) == before  # over its own


def test_a_workbook_is_laid_out_to_be_read(tmp_path):
    site = make_site(tmp_path, [finding(1, "=HYPERLINK(1)"), finding(2, count=2)])
    write_findings(site.folder, site.bundle, tmp_path / "f.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "f.xlsx").active
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", "A1:P3")
    widths = {
        sheet.cell(1, at).value: sheet.column_dimensions[sheet.cell(1, at).column_letter].width for at in range(1, 17)
    }
    assert widths == COLUMNS
    assert all(cell.alignment.wrap_text for row in sheet for cell in row)
    text = sheet.cell(2, 4)
    assert (text.value, text.data_type) == ("'=HYPERLINK(1)", "s")
    near = sheet.cell(2, list(COLUMNS).index("前后语句") + 1)
    assert near.value == "↑ 前一句\n↓ 后一句"
    assert sheet.cell(3, list(COLUMNS).index("各次时间") + 1).value == "0:00:10 …"


def test_a_table_without_findings_has_its_header(tmp_path):
    site = make_site(tmp_path)
    (site.folder.path / "findings.jsonl").write_bytes(b"")
    for name in ("f.csv", "f.xlsx"):
        write_findings(site.folder, site.bundle, tmp_path / name)
        assert rows_of(tmp_path / name) == [list(COLUMNS)]


def test_a_sheet_that_is_too_short_names_the_other_ending(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "_XLSX_ROWS", 5)
    site = make_site(tmp_path)
    with pytest.raises(InputError, match=r"this table has more; write it as \.csv"):
        write_findings(site.folder, site.bundle, tmp_path / "f.xlsx")
    assert not (tmp_path / "f.xlsx").exists()


def test_all_times_are_told_with_what_was_worded_otherwise(tmp_path):
    times = [{"place": "line 1", "start": 5.0}, {"place": "line 9", "start": 3600.0, "text": "喝了就降糖"}]
    row = table_row(finding(1, count=2, times=times), {"food_safety": make_site(tmp_path).bundle.labels[1]}, "m")
    assert (row["次数"], row["各次时间"]) == (2, "0:00:05, 1:00:00 “喝了就降糖”")


@pytest.mark.parametrize("restart", [[], ["--restart"]])
def test_remarks_in_a_table_are_not_written_over(tmp_path, room, command, restart):
    table = tmp_path / "findings.csv"
    words = ("score", room, "-o", tmp_path / "out.jsonl", "--findings", table, "--threads", 1)
    assert command(*words)[0] == 0
    table.write_bytes(table.read_bytes() + "已核实\n".encode())
    edited = table.read_bytes()
    code, told = command(*words, *restart)
    assert code == 2 and "isn't as this run wrote it, so that remarks may stand in it; move it away" in " ".join(
        told.split()
    )
    assert table.read_bytes() == edited
    table.rename(tmp_path / "mine.csv")
    assert command(*words, *restart)[0] == 0 and edited.startswith(table.read_bytes())


@pytest.mark.parametrize(
    ("inputs", "table", "said"),
    [
        ("room.srt", "f.html", "ending '.html' is no output format"),
        ("room.srt", "f.jsonl", "ending '.jsonl' is no table's; name it .csv or .xlsx"),
        ("room.srt", "none/f.csv", "make the folder, or name a file"),
        ("room.srt", "out.csv", "belongs to the run"),
        (".", "f.csv", "lies in ., which is scored, and would be read as rows there the next time"),
        ("rows.csv", "rows.csv", "isn't as this run wrote it"),
    ],
)
def test_where_no_table_can_be_is_told_before_anything_is_scored(
    tmp_path, room, command, monkeypatch, inputs, table, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("text\n喝了三高就降\n", encoding="utf-8")
    code, told = command("score", inputs, "-o", "out.csv", "--findings", table)
    assert code == 2 and said in " ".join(told.split())
    assert not (tmp_path / "out.csv.run").exists()
    assert (tmp_path / "rows.csv").read_text(encoding="utf-8") == "text\n喝了三高就降\n"


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_the_reviews_table_is_the_same_with_what_was_decided(tmp_path, clock, kind):
    site = make_site(tmp_path, clock=clock)
    decide(site, "f000001", None)
    decide(site, "f000002", ["price_fraud", "false_propaganda"], "ben")
    decide(site, "f000003", [])
    assert write_export(site.database, site.run, kind, tmp_path / f"d.{kind}", site.bundle.labels) == []
    write_findings(site.folder, site.bundle, tmp_path / f"f.{kind}")
    decided, found = rows_of(tmp_path / f"d.{kind}"), rows_of(tmp_path / f"f.{kind}")
    assert [row[: len(COLUMNS)] for row in decided] == found
    empty = "" if kind == "csv" else None
    at = "2026-11-24 17:00:00"
    assert [[value or empty for value in row[len(COLUMNS) :]] for row in decided[:5]] == [
        ["决定", "决定类别", "审查人", "备注", "决定时间", "跳过", "发现者"],
        ["已接受", "类别1", "ann", empty, at, empty, "模型"],
        ["已改类", "类别0、类别2", "ben", empty, at, empty, "模型"],
        ["已驳回", empty, "ann", empty, at, empty, "模型"],
        ["待审查", empty, empty, empty, empty, empty, "模型"],
    ]


def test_a_label_that_was_decided_and_no_bundle_names_is_told_by_its_id(tmp_path):
    site = make_site(tmp_path)
    decide(site, "f000001", ["price_fraud"])
    known = [label for label in site.bundle.labels if label.id != "price_fraud"]
    write_export(site.database, site.run, "csv", tmp_path / "d.csv", known)
    assert rows_of(tmp_path / "d.csv")[1][len(COLUMNS) + 1] == "price_fraud"
