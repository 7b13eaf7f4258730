"""Precision, recall, F1 with bootstrap intervals, and calibration, over boolean arrays of shape (rows, labels)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

RESAMPLES = 1000


@dataclass(frozen=True)
class Score:
    """Counts and rates of one label (or of several pooled); `low` and `high` bound F1 at 95 percent."""

    precision: float
    recall: float
    f1: float
    low: float
    high: float
    positives: int
    predicted: int


def f1(tp: np.ndarray | float, predicted: np.ndarray | float, positives: np.ndarray | float) -> np.ndarray | float:
    """2·TP / (predicted + positives), 0 where both are 0."""
    total = np.asarray(predicted) + np.asarray(positives)
    return np.where(total > 0, 2 * np.asarray(tp) / np.maximum(total, 1), 0.0)


def resamples(groups: np.ndarray | None, rows: int, seed: int) -> np.ndarray:
    """How often each row stands in each bootstrap sample, int (RESAMPLES, rows); groups are drawn whole if given."""
    rng = np.random.default_rng(seed)
    units = np.arange(rows) if groups is None else np.unique(groups, return_inverse=True)[1]
    count = int(units.max()) + 1 if rows else 0
    draws = rng.multinomial(count, np.full(count, 1 / max(count, 1)), size=RESAMPLES)
    return draws[:, units]


def score(truth: np.ndarray, decided: np.ndarray, groups: np.ndarray | None = None, seed: int = 0) -> Score:
    """Score of boolean arrays of any equal shape, pooled; the first axis is the row that is resampled.

    With `groups`, whole groups (rooms, authors) are resampled, as rows of one room are not independent.
    """
    truth, decided = (np.asarray(a, dtype=bool).reshape(len(truth), -1) for a in (truth, decided))
    tp, predicted, positives = (a.sum(1) for a in (truth & decided, decided, truth))
    weights = resamples(groups, len(truth), seed)
    samples = f1(weights @ tp, weights @ predicted, weights @ positives) if len(truth) else np.zeros(1)
    low, high = np.quantile(samples, [0.025, 0.975])
    return Score(
        precision=float(tp.sum() / max(predicted.sum(), 1)),
        recall=float(tp.sum() / max(positives.sum(), 1)),
        f1=float(f1(tp.sum(), predicted.sum(), positives.sum())),
        low=float(low),
        high=float(high),
        positives=int(positives.sum()),
        predicted=int(predicted.sum()),
    )


def report(
    truth: np.ndarray, decided: np.ndarray, labels: list[str], core: list[str], groups: np.ndarray | None = None
) -> dict[str, Any]:
    """Scores for any violation, the core labels pooled (micro), all labels pooled, macro averages and each label."""
    columns = [labels.index(label) for label in core]
    each = {label: score(truth[:, [i]], decided[:, [i]], groups) for i, label in enumerate(labels)}
    seen = [label for label in labels if each[label].positives]
    return {
        "rows": len(truth),
        "any_violation": asdict(score(truth.any(1), decided.any(1), groups)),
        "core_micro": asdict(score(truth[:, columns], decided[:, columns], groups)),
        "micro": asdict(score(truth, decided, groups)),
        "core_macro_f1": float(np.mean([each[label].f1 for label in core if each[label].positives] or [0.0])),
        "macro_f1": float(np.mean([each[label].f1 for label in seen] or [0.0])),
        "labels": {label: asdict(value) for label, value in each.items()},
    }


def calibration_error(truth: np.ndarray, probabilities: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error over all (row, label) cells, equal-width bins (Guo et al. 2017)."""
    p, y = probabilities.reshape(-1), np.asarray(truth, dtype=float).reshape(-1)
    place = np.minimum((p * bins).astype(int), bins - 1)
    sizes = np.bincount(place, minlength=bins)
    gaps = np.abs(np.bincount(place, p, bins) - np.bincount(place, y, bins))
    return float(gaps.sum() / max(sizes.sum(), 1))


def average_precision(truth: np.ndarray, probabilities: np.ndarray, labels: list[str]) -> dict[str, float]:
    """Area under each label's precision-recall curve; labels without positives are left out."""
    return {
        label: float(average_precision_score(truth[:, i], probabilities[:, i]))
        for i, label in enumerate(labels)
        if truth[:, i].any()
    }
