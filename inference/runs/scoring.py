"""Scoring one part: a pure function of its items, so that any engine, at any time, writes the same bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from zhenyan.inference.classifier import Classifier, Prediction
from zhenyan.inference.context import ContextHit, Line, close, explained, pair_hits, unexplained
from zhenyan.inference.io.items import Item, Reject, keep_aside, recording_of
from zhenyan.inference.io.jsonlines import dump_line
from zhenyan.inference.io.times import FIRST_DATE
from zhenyan.inference.runs.inputs import Placed, Work

DIGITS = 5  # decimals of a score: what is the same in any batch
_ADDED = frozenset(("labels", "scores", "evidence", "model", "truncated"))
_BUNDLE_ID = re.compile("[^ ]+-[0-9a-f]{12}")  # another model's judgement is the row's own
_SCORE = "score."  # what begins the names of scores in tables


@dataclass(frozen=True)
class RunOptions:
    """What changes a run's result."""

    min_score: float | None = None
    labels: tuple[str, ...] | None = None
    evidence: bool = True
    context: bool = True
    runtime: str = "onnxruntime"
    thresholds: Mapping[str, float] | None = field(default=None, hash=False)


def open_classifier(folder: Path | str | None, options: RunOptions, threads: int | None = None) -> Classifier:
    """The classifier that decides as the options say."""
    classifier = Classifier.load(folder, runtime=options.runtime, threads=threads, explain=options.evidence)
    return classifier.with_thresholds(min_score=options.min_score, labels=options.labels, thresholds=options.thresholds)


def score_part(classifier: Classifier, work: Work, context: bool) -> bytes:
    """JSON lines of a part: each row or reject in order, hits that only neighbouring lines show together, its streams."""
    classifier.clear_cache()
    found = predict_distinct(classifier, [p.item.text for p in work.items if isinstance(p.item, Item)])
    added = {text: _added(prediction, classifier.bundle.id) for text, prediction in found.items()}
    names = _ADDED.union(f"{_SCORE}{label}" for label in classifier.bundle.label_ids)
    lines, scored = [], []
    for placed in work.items:
        if isinstance(placed.item, Reject):
            lines.append(dump_line(_reject(placed.item, placed.file)))
        else:
            text = placed.item.text
            scored.append((placed, found[text]))
            own = own_fields(placed.item.record, names)
            lines.append(_row(placed, "hit" if found[text].labels else "row", own, added[text]))
    if context:
        lines += [dump_line(hit) for hit in context_hits(classifier, work.before, scored)]
    return b"".join([*lines, dump_line(_streams(scored))])


def _streams(scored: Sequence[tuple[Placed, Prediction]]) -> dict[str, Any]:
    """How much of each stream is in a part; `first` and `last` are places among the part's rows, from 1."""
    streams: dict[tuple[int, Any], dict[str, Any]] = {}
    for number, (placed, prediction) in enumerate(scored, 1):
        own = placed.row.record
        named = {"stream": own["stream"]} if own.get("stream") else {}
        known = streams.setdefault(
            (placed.file, str(named)), {"file": placed.file, **named, "lines": 0, "hits": 0, "first": number}
        )
        known["lines"] += 1
        known["hits"] += bool(prediction.labels)
        known["last"] = number
        start, end = (own[key] if isinstance(own.get(key), int | float) else None for key in ("start", "end"))
        for key, choose, time in (("start", min, start), ("end", max, start if end is None else end)):
            if time is not None:  # a row with a start alone goes on until then at least
                known[key] = choose(known.get(key, time), time)
    return {"kind": "part", "rows": len(scored), "streams": list(streams.values())}


def predict_distinct(classifier: Classifier, texts: Sequence[str]) -> dict[str, Prediction]:
    """A prediction for each distinct text: hosts repeat themselves, and a repeat's evidence needn't be sought again."""
    found = unexplained(classifier, texts)
    return found | explained(classifier, [text for text, p in found.items() if p.labels])


def _reject(reject: Reject, file: int) -> dict[str, Any]:
    return {
        "kind": "reject",
        "file": file,
        "place": reject.place,
        "reason": reject.reason,
        "reason_zh": reject.reason_zh or reject.reason,
        "value": reject.value,
    }


def _added(prediction: Prediction, model: str) -> bytes:
    """The fields that scoring adds to a row, as the tail of a JSON object."""
    fields: dict[str, Any] = {
        "labels": list(prediction.labels),
        "scores": {label: round(score, DIGITS) for label, score in prediction.scores.items()},
        "evidence": [asdict(span) for span in prediction.evidence],
        "model": model,
    }
    return dump_line(fields | ({"truncated": True} if prediction.truncated else {}))[1:-1]


def _row(placed: Placed, kind: str, own: Mapping[str, Any], added: bytes) -> bytes:
    """{"kind", "file", "place", "row": {own fields, added fields}}, joined as text: the tail is shared by repeats."""
    head = dump_line({"kind": kind, "file": placed.file, "place": placed.item.place, "row": own})
    return b"%b,%b}\n" % (head[:-3], added)


def own_fields(record: Mapping[str, Any], names: frozenset[str] = _ADDED) -> Mapping[str, Any]:
    """A row's fields without an earlier run's judgement; its own that are called like those added get another name.

    `names`: of what scoring adds, in tables too (`score.LABEL`).
    """
    if names.isdisjoint(record):
        return record
    scores = isinstance(record.get("scores"), dict) or any(key.startswith(_SCORE) for key in record)
    if scores and _BUNDLE_ID.fullmatch(str(record.get("model"))):
        judged = _ADDED | ({"source"} if "input.source" in record else set())  # else it may be the row's own
        return {key: value for key, value in record.items() if key not in judged and not key.startswith(_SCORE)}
    return keep_aside(record, names)


def neighbours(before: Placed, after: Placed) -> bool:
    """Whether two items follow each other in one stream closely enough to be read together."""
    if not (isinstance(before.item, Item) and isinstance(after.item, Item)) or before.file != after.file:
        return False
    first, second = before.item.record, after.item.record
    if stream_of(first) is None or stream_of(first) != stream_of(second):
        return False
    told = close(_line(first), _line(second))
    return not (before.item.mistimed or after.item.mistimed) if told is None else told


def _line(own: Mapping[str, Any]) -> Line:
    return Line(str(own["text"]), own.get("start"), own.get("end"))


def stream_of(own: Mapping[str, Any]) -> str | None:
    """What tells a row's stream inside its file: its name, or time codes alone; None for rows in no order, such as copy.

    Dates alone don't: a table of dated rows may tell of many rooms.
    """
    if own.get("stream"):
        return str(own["stream"])
    return "" if "start" in own and own["start"] < FIRST_DATE else None


def context_hits(
    classifier: Classifier, before: Placed | None, scored: Sequence[tuple[Placed, Prediction]]
) -> Iterator[dict[str, Any]]:
    """Labels that two neighbouring lines carry together and neither carries alone."""
    earlier = 0
    if before is not None and scored and neighbours(before, scored[0][0]):
        scored, earlier = [(before, classifier.predict([before.row.text], explain=False)[0]), *scored], 1
    placed = [one for one, _ in scored]
    predictions = [prediction for _, prediction in scored]
    found = pair_hits(classifier, predictions, lambda i: neighbours(placed[i], placed[i + 1]))
    for i, hit in found.items():
        yield _context_hit(placed[i], placed[i + 1], hit) | {"index": i + 2 - earlier}


def _context_hit(first: Placed, second: Placed, hit: ContextHit) -> dict[str, Any]:
    """A hit of two lines; `index`, added by the caller, is the second one's place among the part's rows, from 1."""
    before, after = first.row.record, second.row.record
    recording = recording_of(after)
    return {
        "kind": "context", "file": second.file, "places": [first.item.place, second.item.place],
        "labels": list(hit.labels), "scores": {label: round(score, DIGITS) for label, score in hit.scores.items()},
        "text": hit.text, "evidence": [asdict(span) for span in hit.evidence],
        **{key: after[key] for key in ("stream", "channel") if key in after}, **({"recording": recording} if recording else {}),
        **{key: record[key] for key, record in (("start", before), ("end", after)) if key in record},
    }  # fmt: skip
