"""Findings as a table on the terminal."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text
from zhenyan.inference.bundle import Bundle
from zhenyan.inference.evidence import joined
from zhenyan.inference.runs.store import RunFolder


def printable(text: str, kept: str = "\n") -> str:
    """The text with a space for each character that could steer a terminal or reorder its line, but for those `kept`."""
    return "".join(c if c.isprintable() or c in kept else " " for c in text)


def marked(text: str, evidence: list[Mapping[str, Any]]) -> Text:
    """The text with its evidence in bold red."""
    result = Text(printable(text, kept=""))
    for span in evidence:
        result.stylize("bold red underline", span["start"], span["end"])
    return result


def bracketed(text: str, evidence: list[Mapping[str, Any]]) -> Text:
    """The text with its evidence in 【】, for where nothing can be bold or red."""
    shown, end = "", 0
    for start, stop in joined(sorted((span["start"], span["end"]) for span in evidence)):
        shown, end = f"{shown}{text[end:start]}【{text[start:stop]}】", stop
    return Text(printable(shown + text[end:], kept=""))


def findings_table(folder: RunFolder, bundle: Bundle, limit: int, styled: bool = True) -> Table:
    """The riskiest findings: where, what with the deciding words marked, label, score, article.

    `styled`: whether it is shown where text can be bold and red, as on a terminal.
    """
    from zhenyan.inference.report import own_time  # not where nothing is shown: it takes a quarter of a start

    names = {label.id: label for label in bundle.labels}
    mark, table = marked if styled else bracketed, Table(show_lines=True)
    for heading in ("where", "text (deciding words marked)", "label", "score", "article of law"):
        table.add_column(heading, overflow="fold")  # an ellipsis would hide words that decide
    for finding in itertools.islice(folder.findings(), limit):
        label = names[finding["label"]]
        when = own_time(finding)[1]
        repeats = f"\n×{finding['count']}" if finding["count"] > 1 else ""
        table.add_row(
            Text(f"{printable(finding['stream'], '')}\n{printable(when, '')}{repeats}"), mark(finding["text"], finding["evidence"]),
            f"{label.name_zh}\n{label.name_en}", f"{finding['score']:.2f}", label.citation,
        )  # fmt: skip
    return table
