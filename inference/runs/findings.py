"""Findings: what a reviewer decides on. The same claim repeated in a stream is one finding with all its times."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zhenyan.inference.bundle import Bundle
from zhenyan.inference.io.jsonlines import dump_line
from zhenyan.inference.runs.store import RunFolder

_LIKE = 0.6  # overlap of character trigrams from which two claims are the same
_OPEN_STREAMS = 64  # streams whose findings are still compared with what comes
_OPEN_FINDINGS = 200  # most recent findings of a stream that are compared
_TIMES = 500  # repeats listed for one finding


@dataclass
class Finding:
    """One claim under one label in one stream."""

    stream: str
    label: str
    score: float
    text: str
    evidence: list[dict[str, Any]]
    place: dict[str, Any]
    context: bool
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    times: list[dict[str, Any]] = field(default_factory=list)
    count: int = 1
    grams: frozenset[str] = frozenset()

    def record(self, threshold: float) -> dict[str, Any]:
        """As written to findings.jsonl."""
        return {
            "stream": self.stream, "label": self.label, "score": self.score, "threshold": round(threshold, 5),
            "risk": round(risk(self.score, self.count), 5), "count": self.count, "text": self.text,
            "evidence": self.evidence, "context": self.context, "place": self.place, "times": self.times,
            "before": self.before, "after": self.after,
        }  # fmt: skip


def risk(score: float, count: int) -> float:
    """What findings are sorted by: the chance that the claim stands, a little higher the more often it is repeated."""
    return 1 - (1 - score) ** (1 + 0.25 * min(count - 1, 8))


def trigrams(text: str) -> frozenset[str]:
    """Character trigrams without punctuation and spaces."""
    plain = "".join(c for c in text if c.isalnum())
    return frozenset(plain[i : i + 3] for i in range(max(1, len(plain) - 2)))


def alike(a: frozenset[str], b: frozenset[str]) -> bool:
    """Whether two claims are the same but for a few words."""
    return len(a & b) >= _LIKE * min(len(a), len(b)) and min(len(a), len(b)) >= 0.5 * max(len(a), len(b))


class _Merger:
    """Merges hits as they come; memory is bounded by the number of open streams."""

    def __init__(self, close: Any) -> None:
        self.close = close
        self.open: OrderedDict[str, list[Finding]] = OrderedDict()

    def add(self, hit: Finding) -> None:
        findings = self.open.setdefault(hit.stream, [])
        self.open.move_to_end(hit.stream)
        hit.grams = trigrams(hit.text)
        for known in reversed(findings):
            if known.label == hit.label and alike(known.grams, hit.grams):
                self._merge(known, hit)
                return
        findings.append(hit)
        if len(findings) > _OPEN_FINDINGS:
            self.close(findings.pop(0))
        if len(self.open) > _OPEN_STREAMS:
            self._end(next(iter(self.open)))

    def _merge(self, known: Finding, hit: Finding) -> None:
        if hit.score > known.score and known.context >= hit.context:
            for name in ("score", "text", "evidence", "place", "context", "before", "after"):
                setattr(known, name, getattr(hit, name))
        known.count += 1
        known.times += hit.times[: max(0, _TIMES - len(known.times))]

    def _end(self, stream: str) -> None:
        for finding in self.open.pop(stream):
            self.close(finding)

    def finish(self) -> None:
        for stream in list(self.open):
            self._end(stream)


def collect(folder: RunFolder, bundle: Bundle) -> Iterator[bytes]:
    """Lines of findings.jsonl, by falling risk; sorted on disk, so that memory stays small."""
    thresholds = dict(zip(bundle.label_ids, bundle.thresholds, strict=True))
    with tempfile.TemporaryDirectory(dir=folder.path) as scratch:
        store = sqlite3.connect(Path(scratch) / "sort.db")
        store.execute("PRAGMA journal_mode=OFF")
        store.execute("CREATE TABLE finding (risk REAL, number INTEGER PRIMARY KEY, line BLOB)")
        count = 0

        def keep(finding: Finding) -> None:
            nonlocal count
            record = finding.record(thresholds[finding.label])
            store.execute("INSERT INTO finding VALUES (?, ?, ?)", (record["risk"], count, json.dumps(record)))
            count += 1

        merger = _Merger(keep)
        for hit in hits(folder.entries(), folder.manifest["inputs"]):
            merger.add(hit)
        merger.finish()
        for number, (line,) in enumerate(store.execute("SELECT line FROM finding ORDER BY risk DESC, number"), 1):
            yield dump_line({"id": f"f{number:06d}", **json.loads(line)})
        store.close()


def hits(entries: Iterable[Mapping[str, Any]], inputs: list[Mapping[str, Any]]) -> Iterator[Finding]:
    """Every hit with its neighbouring lines (two before, two after, in the same stream)."""
    window: list[Mapping[str, Any]] = []  # up to two rows before the current one, and two after
    current = 0
    for entry in entries:
        if entry["kind"] == "context":
            yield from _context_hits(entry, inputs)
        elif entry["kind"] == "row":
            window.append(entry)
            if len(window) - current > 2:
                yield from _hits_of(window, current, inputs)
                window, current = (window[1:], 2) if current == 2 else (window, current + 1)
    for at in range(current, len(window)):
        yield from _hits_of(window, at, inputs)


def stream_of(entry: Mapping[str, Any], inputs: list[Mapping[str, Any]]) -> str:
    """The stream a row belongs to: its own field, else its file."""
    own = entry["row"].get("stream") if "row" in entry else None
    return str(own or Path(inputs[entry["file"]]["path"]).name)


def _hits_of(window: list[Mapping[str, Any]], at: int, inputs: list[Mapping[str, Any]]) -> Iterator[Finding]:
    entry = window[at]
    row, stream = entry["row"], stream_of(entry, inputs)
    for label in row["labels"]:
        yield Finding(
            stream, label, row["scores"][label], row["text"],
            [e for e in row["evidence"] if e["label"] == label], _place(entry, inputs), False,
            before=[w["row"]["text"] for w in window[max(0, at - 2) : at] if stream_of(w, inputs) == stream],
            after=[w["row"]["text"] for w in window[at + 1 : at + 3] if stream_of(w, inputs) == stream],
            times=[_time(row, entry["place"])],
        )  # fmt: skip


def _time(row: Mapping[str, Any], place: str) -> dict[str, Any]:
    return {"place": place} | {key: row[key] for key in ("start", "end") if isinstance(row.get(key), int | float)}


def _place(entry: Mapping[str, Any], inputs: list[Mapping[str, Any]]) -> dict[str, Any]:
    row = entry["row"]
    place = {"file": inputs[entry["file"]]["path"], **_time(row, entry["place"])}
    return place | ({"id": row["id"]} if row.get("id") else {})


def _context_hits(entry: Mapping[str, Any], inputs: list[Mapping[str, Any]]) -> Iterator[Finding]:
    place = {"file": inputs[entry["file"]]["path"], "place": " + ".join(entry["places"])}
    for label in entry["labels"]:
        yield Finding(
            entry["stream"], label, entry["scores"][label], entry["text"],
            [e for e in entry["evidence"] if e["label"] == label], place, True,
            times=[{"place": place["place"]} | {k: entry[k] for k in ("start", "end") if k in entry}],
        )  # fmt: skip
