"""Decisions out again: corpus rows and a table. Label Studio's format is in labelstudio.py."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias

import sqlalchemy as sa
from zhenyan.inference.bundle import Label
from zhenyan.inference.io.times import beijing_day, beijing_time
from zhenyan.inference.normalise import plain_text
from zhenyan.inference.report.table import COLUMNS, table_row
from zhenyan.inference.review.database import Database
from zhenyan.inference.review.intake import Run
from zhenyan.inference.review.outcome import MODEL, REVIEWER, STATE_NAMES, WITHDRAWN
from zhenyan.inference.review.schema import finding, reading, reviewer, skipped

# Columns of `table_rows`, each with its width
TABLE = {**COLUMNS, "决定": 10, "决定类别": 20, "审查人": 14, "备注": 40, "决定时间": 20, "跳过": 14, "发现者": 10}
_KEPT = ("id", "text", "label", "stream", "place")  # what of a record a row of the corpus is made of
_Line: TypeAlias = tuple[str, str, str]  # file, place in it, text


@dataclass(frozen=True)
class Look:
    """One reviewer's decision on a finding. `labels` is None where it was skipped."""

    reviewer: str
    labels: tuple[str, ...] | None
    at: datetime
    settles: bool = False
    seconds: float | None = None
    note: str | None = None
    number: int | None = None  # the reading's in the database, for a skip its reviewer's below zero


@dataclass(frozen=True)
class Reviewed:
    """A finding as the run wrote it, with what was decided."""

    record: Mapping[str, Any]
    state: str
    labels: tuple[str, ...] | None
    decided: datetime | None
    looks: tuple[Look, ...]
    found_by: str = MODEL

    @property
    def deciders(self) -> list[str]:
        """Who decided: the lead who settled it, else everyone who read it."""
        done = [look for look in self.looks if look.labels is not None]
        return sorted({look.reviewer for look in done if look.settles} or {look.reviewer for look in done})


@dataclass
class Held:
    """How many rows there are, and how many lines were held back, by reason."""

    given: int = 0
    undecided: int = 0
    contradictory: int = 0

    def __str__(self) -> str:
        parts = [
            f"{_counted(self.undecided)} held back: not every finding on them is decided" if self.undecided else "",
            f"{_counted(self.contradictory)} held back: the decisions on their text contradict one another"
            if self.contradictory
            else "",
        ]
        return "\n".join(part for part in parts if part)


def _counted(count: int) -> str:
    return f"{count:,} line{'s' * (count != 1)}"


def reviewed(database: Database, run: Run) -> Iterator[Reviewed]:
    """Every finding of the run in its order."""
    looks = _looks(database, run)
    query = (
        sa.select(finding).where(finding.c.run_id == run.id, finding.c.state != WITHDRAWN).order_by(finding.c.position)
    )
    with database.read() as connection:
        for row in connection.execution_options(yield_per=500).execute(query):
            labels = None if row.labels is None else tuple(row.labels)
            yield Reviewed(row.record, row.state, labels, row.decided, tuple(looks.get(row.id, ())), row.origin)


def _looks(database: Database, run: Run) -> dict[int, list[Look]]:
    done = sa.select(reading, reviewer.c.name).join(finding, reading.c.finding_id == finding.c.id).join(
        reviewer, reading.c.reviewer_id == reviewer.c.id
    ).where(finding.c.run_id == run.id, reading.c.state == "done").order_by(reading.c.number)  # fmt: skip
    passed = sa.select(skipped, reviewer.c.name).join(finding).join(reviewer).where(finding.c.run_id == run.id)
    found: dict[int, list[Look]] = defaultdict(list)
    with database.read() as connection:
        for row in connection.execute(done):
            seconds = (row.decided - row.leased).total_seconds() if row.leased else None
            found[row.finding_id].append(
                Look(row.name, tuple(row.labels), row.decided, row.kind == "settle", seconds, row.note, row.id)
            )  # fmt: skip
        for row in connection.execute(passed):
            if all(look.reviewer != row.name for look in found[row.finding_id]):
                found[row.finding_id].append(Look(row.name, None, row.at, number=-row.reviewer_id))
    return found


def corpus_rows(run: Run, findings: Iterable[Reviewed], held: Held | None = None) -> Iterator[dict[str, Any]]:
    """Rows of the corpus contract, one for each text of lines whose findings are all decided; `held` counts the others.

    `annotated` names the labels that reviewers looked at: denying one label says nothing of the others.
    """
    held = Held() if held is None else held
    whole: dict[str, list[list[Reviewed]]] = defaultdict(list)
    partly: dict[str, list[Reviewed]] = defaultdict(list)  # decided in lines with open findings: these may contradict
    for line in _lines(findings):
        text = plain_text(line[0].record["text"])
        decided = [one for one in line if one.labels is not None]
        if len(decided) == len(line):
            whole[text].append(line)
        else:
            partly[text] += decided
            held.undecided += any(one.deciders for one in line)
    for text, lines in whole.items():
        group = list({one.record["id"]: one for line in lines for one in line}.values())
        if _contradict([*group, *partly.get(text, ())]):
            held.contradictory += len(lines)
            continue
        held.given += 1
        yield _row(run, group)


def _lines(findings: Iterable[Reviewed]) -> Iterable[list[Reviewed]]:
    """The findings by the line they are of, in the order of its first: those that show it, then those that repeat it.

    A claim is one finding with the times of all its wordings: it is of each line that stands there, under any label.
    """
    lines: dict[_Line, list[Reviewed]] = defaultdict(list)
    repeats: list[tuple[Reviewed, array[int]]] = []
    for one in findings:
        kept = {name: one.record[name] for name in _KEPT}  # all lines wait until the last finding is seen
        own = _line(one.record, one.record["place"])
        lines[own].append(replace(one, record=kept))
        # Hashes, for there may be millions, of which few are lines that a finding shows
        if others := {hash(_line(one.record, time)) for time in one.record["times"]} - {hash(own)}:
            repeats.append((lines[own][-1], array("q", others)))
    shown = {hash(line): line for line in lines}
    for repeated, others_of in repeats:
        for line in filter(None, map(shown.get, others_of)):
            lines[line].append(repeated)
    return lines.values()


def _line(record: Mapping[str, Any], time: Mapping[str, Any]) -> _Line:
    """The line in which a finding stands at one of its times: file and text are the finding's where the time names none."""
    return time.get("file", record["place"]["file"]), time["place"], time.get("text", record["text"])


def _verdicts(group: Iterable[Reviewed]) -> tuple[set[str], set[str]]:
    """The labels that were given, and those that were denied."""
    given = {label for one in group for label in one.labels or ()}
    return given, {one.record["label"] for one in group if one.record["label"] not in (one.labels or ())}


def _contradict(group: Sequence[Reviewed]) -> bool:
    """Whether a label was both given and denied, or findings under one label were decided in several ways."""
    given, denied = _verdicts(group)
    ways = {(one.record["label"], one.labels) for one in group}
    return bool(given & denied) or len(ways) > len({label for label, _ in ways})


def _row(run: Run, group: Sequence[Reviewed]) -> dict[str, Any]:
    given, denied = _verdicts(group)
    first = group[0].record
    place = first["place"]
    row = {
        "id": f"{run.digest[:8]}-{first['id']}", "text": first["text"],  # files number their rows alike: not theirs
        "labels": sorted(given), "annotated": sorted(given | denied), "channel": place.get("channel") or ("live" if "start" in place else "copy"),
        "stream": first["stream"], "room": first["stream"],
        "reviewer": ", ".join(sorted({name for one in group for name in one.deciders})), "model": run.bundle,
        "decided": beijing_day(max(one.decided for one in group if one.decided)),
        "findings": [one.record["id"] for one in group],
    }  # fmt: skip
    if place.get("id") is not None:
        row["source_id"] = str(place["id"])
    if notes := [look.note for one in group for look in one.looks if look.note]:
        row["notes"] = notes
    if missed := {label for one in group if one.found_by == REVIEWER for label in one.labels or ()}:
        row["missed"] = sorted(missed)  # by the model
    return row | {key: place[key] for key in ("start", "end") if key in place}


def table_rows(run: Run, findings: Iterable[Reviewed], labels: Sequence[Label]) -> Iterator[dict[str, Any]]:
    """One flat row for each finding, decided or not, for a spreadsheet: what `zhenyan score --findings` writes, and what was decided.

    `labels`: the bundle's, all of the run's among them. 决定时间 is Beijing's time.
    """
    known = {label.id: label for label in labels}
    for one in findings:
        yield table_row(one.record, known, run.bundle) | {
            "决定": STATE_NAMES[one.state][0],
            "决定类别": "、".join(known[label].name_zh if label in known else label for label in one.labels or ()),
            "审查人": "、".join(one.deciders),
            "备注": "；".join(f"{look.reviewer}：{look.note}" for look in one.looks if look.note),
            "决定时间": beijing_time(one.decided) if one.decided else None,
            "跳过": "、".join(look.reviewer for look in one.looks if look.labels is None),
            "发现者": "模型" if one.found_by == MODEL else "审查员",
        }  # fmt: skip
