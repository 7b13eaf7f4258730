"""The errors worth reading: the most confident ones of each label, what carried them, and what training said alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from zhenyan.inference.classifier import Classifier
from zhenyan.inference.normalise import normalise
from zhenyan.training.baselines import ngram_vectorizer
from zhenyan.training.evaluate import Labelled, bundle_columns, judged
from zhenyan.training.nearest import NEAREST, nearest
from zhenyan.training.rows import Row
from zhenyan.training.schema import Schema

MISSED, FALSE_ALARM = "missed", "false alarm"


@dataclass(frozen=True)
class Mistake:
    """One wrong cell; `margin` in (0, 1] is how far the score lies beyond the threshold: 1 is as wrong as can be."""

    row: int
    column: int
    kind: str
    score: float
    threshold: float
    margin: float


def hardest(data: Labelled, scores: np.ndarray, thresholds: np.ndarray, limit: int) -> list[Mistake]:
    """The `limit` most confident misses and as many false alarms of each label, worst first.

    Arrays are (rows, labels) and (labels,); a label with an infinite threshold is left out.
    """
    found = []
    for column in np.flatnonzero(np.isfinite(thresholds)).tolist():
        threshold = float(thresholds[column])
        for kind, wrong, margins in _margins(data, scores[:, column], threshold, column):
            rows = np.flatnonzero(wrong)
            for row in rows[np.argsort(-margins[rows], kind="stable")][:limit].tolist():
                score = float(scores[row, column])
                found.append(Mistake(row, column, kind, score, threshold, float(margins[row])))
    return found


def _margins(
    data: Labelled, scores: np.ndarray, threshold: float, column: int
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Kind, where it happened (rows,) and how far scores lie beyond the threshold (rows,)."""
    truth, decided = data.truth[:, column], scores >= np.float32(threshold)
    yield MISSED, truth & ~decided, (threshold - scores) / max(threshold, 1e-6)
    yield FALSE_ALARM, ~truth & decided & data.seen[:, column], (scores - threshold) / max(1 - threshold, 1e-6)


def nearest_rows(texts: Sequence[str], known: Sequence[Row], count: int = NEAREST) -> Iterator[list[tuple[int, float]]]:
    """For each text its `count` closest rows in wording: (number in `known`, cosine of TF-IDF vectors), closest first."""
    vectorizer = ngram_vectorizer(min_texts=1)
    rows = vectorizer.fit_transform([normalise(row.text) for row in known])
    if texts:  # scikit-learn refuses to transform none
        yield from nearest(vectorizer.transform([normalise(text) for text in texts]), rows, count)


def error_records(
    classifier: Classifier,
    data: Labelled,
    raw: np.ndarray,
    schema: Schema,
    train: Sequence[Row],
    limit: int,
) -> list[dict[str, Any]]:
    """The hardest errors of a bundle: text, true and decided labels, evidence for the label in question, nearest rows.

    Evidence of a miss is what spoke for the label most, though not enough. `raw`: the bundle's scores of the rows. Labels are
    named as the schema does, whose `changes` tell what the bundle calls them.
    """
    labels = schema.ids
    scores, decided = judged(classifier, raw, labels, schema.changes)
    columns = bundle_columns(classifier, labels, schema.changes)
    thresholds = np.array([np.inf if there is None else classifier.thresholds[there] for there in columns])
    found = hardest(data, scores, thresholds, limit)
    texts = [data.rows[one.row].text for one in found]
    own = [
        [classifier.bundle.label_ids[there] for there in [columns[one.column]] if there is not None] for one in found
    ]
    evidence = classifier.find_evidence(texts, own, raw[[one.row for one in found]])
    records = []
    for one, spans, near in zip(found, evidence, nearest_rows(texts, train), strict=True):
        row = data.rows[one.row]
        records.append({
            "label": labels[one.column], "kind": one.kind, "score": round(one.score, 4),
            "threshold": round(one.threshold, 4), "margin": round(one.margin, 4), "text": row.text,
            "true": _names(data.truth[one.row], labels), "decided": _names(decided[one.row], labels),
            "origin": row.origin, "contested": row.contested,
            "evidence": [asdict(span) | {"label": labels[one.column]} for span in spans],
            "nearest": [_nearest(train[i], cosine) for i, cosine in near],
        })  # fmt: skip
    return records


def _names(cells: np.ndarray, labels: list[str]) -> list[str]:
    return [label for label, holds in zip(labels, cells, strict=True) if holds]


def _nearest(row: Row, cosine: float) -> dict[str, Any]:
    return {"text": row.text, "labels": list(row.labels), "origin": row.origin, "cosine": round(cosine, 3)}
