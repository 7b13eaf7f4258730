"""Streams: how much was said in each, what was found, and how soon a person should look at it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from zhenyan.inference.io.jsonlines import dump_line
from zhenyan.inference.io.note_kinds import TWO_CLOCKS
from zhenyan.inference.io.notes import Note, Words
from zhenyan.inference.io.times import FIRST_DATE
from zhenyan.inference.runs.naming import StreamNames
from zhenyan.inference.runs.scratch import scratch
from zhenyan.inference.runs.store import PART, RunFolder

HIGH, MEDIUM = 0.8, 0.5  # risk of a stream's riskiest finding from which it is looked at first, and second
VERDICTS = ("high", "medium", "low", "none")

_TABLES = """
CREATE TABLE stream (name BLOB PRIMARY KEY, lines, hits, first, last, "start", "end");
CREATE TABLE finding (name BLOB, label, risk);
"""
# Scalar min and max give NULL when one side is NULL, so a part without times must not wipe out those of another.
_ADD = """
INSERT INTO stream VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET
  lines = lines + excluded.lines, hits = hits + excluded.hits, last = excluded.last,
  "start" = min(coalesce("start", excluded."start"), coalesce(excluded."start", "start")),
  "end" = max(coalesce("end", excluded."end"), coalesce(excluded."end", "end"))
"""
_READ = """
SELECT stream.*, coalesce(found.number, 0), coalesce(found.risk, 0) FROM stream
LEFT JOIN (SELECT name, count(*) AS number, max(risk) AS risk FROM finding GROUP BY name) AS found USING (name)
ORDER BY found.risk DESC NULLS LAST, found.number DESC, first
"""
_LABELS = "SELECT label, count(*) FROM finding WHERE name = ? GROUP BY label ORDER BY count(*) DESC, label"


def verdict(findings: int, risk: float) -> str:
    """How soon a stream should be looked at, by the number of its findings and the risk of the riskiest."""
    if not findings:
        return "none"
    return "high" if risk >= HIGH else "medium" if risk >= MEDIUM else "low"


def stream_lines(folder: RunFolder, note: Callable[[Note], None]) -> Iterator[bytes]:
    """Lines of streams.jsonl, by falling risk; the findings must be written already.

    A stream with time codes in some rows and dates in others has no range of times, which is noted.
    """
    with scratch(folder.path / "streams.db") as store:
        store.executescript(_TABLES)
        store.executemany(_ADD, _spoken(folder))
        found = ((_key(f["stream"]), f["label"], f["risk"]) for f in folder.findings())
        store.executemany("INSERT INTO finding VALUES (?, ?, ?)", found)
        store.execute("CREATE INDEX by_name ON finding (name)")
        for row in store.execute(_READ):
            record = _record(row, store)
            if record.get("start", FIRST_DATE) < FIRST_DATE <= record.get("end", 0):
                name = record["stream"]
                note(TWO_CLOCKS.of(Words(f"stream {name}", f"直播“{name}”")))
                del record["start"], record["end"]
            yield dump_line(record)


def _key(name: str) -> bytes:
    """A name as SQLite can hold it, whatever it is."""
    return name.encode("utf-8", "surrogatepass")


def _spoken(folder: RunFolder) -> Iterator[tuple[Any, ...]]:
    """One row for each stream in each part; places are rows of the output, from 1."""
    names, before = StreamNames(folder.manifest["inputs"]), 0
    for line in folder.lines():
        if line.startswith(PART):
            part = json.loads(line)
            for one in part["streams"]:
                name = _key(names.of(one, one["file"]))
                yield (name, one["lines"], one["hits"], before + one["first"], before + one["last"],
                       one.get("start"), one.get("end"))  # fmt: skip
            before += part["rows"]


def _record(row: tuple[Any, ...], store: sqlite3.Connection) -> dict[str, Any]:
    """As written to streams.jsonl."""
    name, lines, hits, first, last, start, end, findings, risk = row
    times = {"start": start, "end": end}
    return {
        "stream": name.decode("utf-8", "surrogatepass"), "verdict": verdict(findings, risk), "risk": risk,
        "findings": findings, "labels": dict(store.execute(_LABELS, (name,))), "lines": lines, "hits": hits,
        "first": first, "last": last, **{key: time for key, time in times.items() if time is not None},
    }  # fmt: skip
