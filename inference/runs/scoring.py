"""Scoring one part: a pure function of its items, so that any engine, at any time, writes the same bytes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from zhenyan.inference.classifier import Classifier, Prediction
from zhenyan.inference.io.items import Item, Reject
from zhenyan.inference.io.jsonlines import dump_line
from zhenyan.inference.runs.inputs import Placed, Work

DIGITS = 5  # decimals of a score: what is the same in any batch
MAX_GAP = 20.0  # seconds between two cues that are still one train of thought
MAX_PAIR = 240  # characters of two neighbours read together
SUSPICION = 0.2  # a pair is read when one of its lines reaches this share of a threshold


def score_part(classifier: Classifier, work: Work, context: bool) -> bytes:
    """JSON lines of a part: each row or reject in order, then the hits that only neighbouring lines show together."""
    classifier.clear_cache()
    items = [p for p in work.items if isinstance(p.item, Item)]
    predictions = iter(classifier.predict([p.item.text for p in items])) if items else iter(())
    lines, scored = [], []
    for placed in work.items:
        if isinstance(placed.item, Reject):
            lines.append(dump_line(_reject(placed)))
        else:
            prediction = next(predictions)
            scored.append((placed, prediction))
            lines.append(dump_line(_row(placed, prediction, classifier.bundle.id)))
    if context:
        lines += [dump_line(hit) for hit in context_hits(classifier, work.before, scored)]
    return b"".join(lines)


def _reject(placed: Placed) -> dict[str, Any]:
    reject = placed.item
    return {
        "kind": "reject",
        "file": placed.file,
        "place": reject.place,
        "reason": reject.reason,
        "value": reject.value,
    }


def prediction_fields(prediction: Prediction, model: str) -> dict[str, Any]:
    """The fields that scoring adds to a row."""
    fields: dict[str, Any] = {
        "labels": list(prediction.labels),
        "scores": {label: round(score, DIGITS) for label, score in prediction.scores.items()},
        "evidence": [{"start": e.start, "end": e.end, "text": e.text, "label": e.label} for e in prediction.evidence],
        "model": model,
    }
    return fields | ({"truncated": True} if prediction.truncated else {})


def _row(placed: Placed, prediction: Prediction, model: str) -> dict[str, Any]:
    row = {**placed.item.record, **prediction_fields(prediction, model)}
    return {"kind": "row", "file": placed.file, "place": placed.item.place, "row": row}


def neighbours(before: Placed, after: Placed) -> bool:
    """Whether two items follow each other in one stream closely enough to be read together."""
    if not (isinstance(before.item, Item) and isinstance(after.item, Item)) or before.file != after.file:
        return False
    first, second = before.item.record, after.item.record
    if "stream" not in first or first["stream"] != second.get("stream"):
        return False
    if isinstance(first.get("end"), float) and isinstance(second.get("start"), float):
        return 0 <= second["start"] - first["end"] + 1 <= MAX_GAP + 1
    return True


def _suspicious(scores: dict[str, float], thresholds: np.ndarray) -> bool:
    return bool((np.array(list(scores.values())) >= SUSPICION * thresholds).any())


def context_hits(
    classifier: Classifier, before: Placed | None, scored: Sequence[tuple[Placed, Prediction]]
) -> Iterator[dict[str, Any]]:
    """Labels that two neighbouring lines carry together and neither carries alone (LABELS: symptom here, goods there)."""
    if before is not None and isinstance(before.item, Item) and scored and neighbours(before, scored[0][0]):
        scored = [(before, classifier.predict([before.item.text])[0]), *scored]
    pairs = [
        (first, second)
        for first, second in itertools.pairwise(scored)
        if neighbours(first[0], second[0])
        and len(first[1].text) + len(second[1].text) <= MAX_PAIR
        and (
            _suspicious(first[1].scores, classifier.thresholds) or _suspicious(second[1].scores, classifier.thresholds)
        )
    ]
    joined = classifier.predict([f"{a[1].text} {b[1].text}" for a, b in pairs]) if pairs else []
    for (first, second), together in zip(pairs, joined, strict=True):
        new = [label for label in together.labels if label not in first[1].labels + second[1].labels]
        if new:
            yield {
                "kind": "context", "file": second[0].file, "places": [first[0].item.place, second[0].item.place],
                "labels": new, "scores": {label: round(together.scores[label], DIGITS) for label in new},
                "text": together.text,
                "evidence": [vars(e) for e in together.evidence if e.label in new],
                "stream": second[0].item.record["stream"],
                **{k: r[k] for k, r in (("start", first[0].item.record), ("end", second[0].item.record)) if k in r},
            }  # fmt: skip
