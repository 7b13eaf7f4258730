"""Precision, recall, F1 with bootstrap intervals, calibration, confusion, over arrays of shape (rows, labels).

Where nobody looked for a label, truth and decision must both be False: the cell then counts in no precision, recall or
F1. Functions that also look at scores take `seen`, bool (rows, labels), False for such cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve

RESAMPLES = 1000
FEW_GROUPS = 10  # whose rows are resampled within them as well
SUMMARY = {"any_violation": "any violation", "core_micro": "core labels, micro", "micro": "all labels, micro"}
ENOUGH = 20  # rows that have a label, from which its calibration is reported
_BINS = 10  # of probability, in which calibration is measured
CURVE_POINTS = 100  # of a precision-recall curve that are kept


@dataclass(frozen=True)
class Score:
    """Counts and rates of one label (or of several pooled); `low` and `high` bound F1 at 95 percent (`interval`)."""

    precision: float
    recall: float
    f1: float
    low: float | None
    high: float | None
    positives: int
    predicted: int


def f1_from_counts(
    tp: np.ndarray | float, predicted: np.ndarray | float, positives: np.ndarray | float
) -> np.ndarray | float:
    """F1 of counts of one shape: 2·TP / (predicted + positives), 0 where both are 0."""
    total = np.asarray(predicted) + np.asarray(positives)
    return np.where(total > 0, 2 * np.asarray(tp) / np.maximum(total, 1), 0.0)


def f1_score(truth: np.ndarray, decided: np.ndarray) -> float:
    """F1 of boolean arrays of any equal shape, pooled; 0 where nothing is true or decided."""
    return float(f1_from_counts((truth & decided).sum(), decided.sum(), truth.sum()))


def f1_samples(tp: np.ndarray, predicted: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """F1 of each bootstrap sample; NaN where it holds neither a positive nor a decision, so that nothing is right or wrong."""
    return np.where(predicted + positives > 0, f1_from_counts(tp, predicted, positives), np.nan)


def interval(samples: np.ndarray) -> tuple[float, float] | tuple[None, None]:
    """The bounds of 95 percent of the samples that are defined; None where none is."""
    defined = samples[~np.isnan(samples)]
    if not len(defined):
        return None, None
    low, high = np.quantile(defined, [0.025, 0.975])
    return float(low), float(high)


def bounds(score: Mapping[str, Any], between: str) -> str:
    """The interval of a score's record as it is printed; - where F1 is undefined in every sample."""
    return "-" if score["low"] is None else f"{score['low']:.2f}{between}{score['high']:.2f}"


def resamples(groups: np.ndarray | None, rows: int, seed: int) -> np.ndarray:
    """How often each row stands in each bootstrap sample, int (RESAMPLES, rows).

    Groups are drawn whole. Of fewer than FEW_GROUPS their rows are drawn anew within them as well (Davison & Hinkley
    1997, section 3.8): whole groups alone then err to the narrow side (three make ten samples, one makes a single one),
    both stages to the wide side.
    """
    rng = np.random.default_rng(seed)
    names, units = np.unique(np.arange(rows) if groups is None else groups, return_inverse=True)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
    if len(names) >= FEW_GROUPS:
        return draws[:, units]
    weights = np.zeros((RESAMPLES, rows), dtype=draws.dtype)
    for group in range(len(names)):
        inside = np.flatnonzero(units == group)
        weights[:, inside] = rng.multinomial(draws[:, group] * len(inside), np.full(len(inside), 1 / len(inside)))
    return weights


def score(truth: np.ndarray, decided: np.ndarray, groups: np.ndarray | None = None, seed: int = 0) -> Score:
    """Score of boolean arrays of any equal shape, pooled; the first axis is the row that is resampled.

    With `groups`, whole groups (rooms, authors) are resampled (`resamples`): rows of one room are not independent.
    """
    truth, decided = (np.asarray(a, dtype=bool).reshape(len(truth), -1 if len(truth) else 1) for a in (truth, decided))
    tp, predicted, positives = (a.sum(1) for a in (truth & decided, decided, truth))
    samples = np.zeros(0)
    if len(truth):
        weights = resamples(groups, len(truth), seed)
        samples = f1_samples(weights @ tp, weights @ predicted, weights @ positives)
    low, high = interval(samples)
    return Score(
        precision=float(tp.sum() / max(predicted.sum(), 1)),
        recall=float(tp.sum() / max(positives.sum(), 1)),
        f1=f1_score(truth, decided),
        low=low,
        high=high,
        positives=int(positives.sum()),
        predicted=int(predicted.sum()),
    )


def report(
    truth: np.ndarray,
    decided: np.ndarray,
    labels: list[str],
    core: list[str],
    groups: np.ndarray | None = None,
    told: np.ndarray | None = None,
) -> dict[str, Any]:
    """Scores for any violation, the core labels pooled (micro), all labels pooled, macro averages and each label.

    Where the schema has no core labels nothing is said of them: 0 would look like a failure.

    `told` (rows,): the rows that count for any violation, in which somebody looked for one (None: all).
    """
    each = {label: score(truth[:, [i]], decided[:, [i]], groups) for i, label in enumerate(labels)}
    return {
        **brief_report(truth, decided, [labels.index(label) for label in core], groups, told),
        "micro": asdict(score(truth, decided, groups)),
        **({"core_macro_f1": _macro([each[label] for label in core])} if core else {}),
        "macro_f1": _macro(list(each.values())),
        "labels": {label: asdict(value) for label, value in each.items()},
    }


def brief_report(
    truth: np.ndarray, decided: np.ndarray, core: list[int], groups: np.ndarray | None, told: np.ndarray | None
) -> dict[str, Any]:
    """The head of `report`: scores for any violation and for the core labels, given by their columns, pooled (micro)."""
    known = np.ones(len(truth), dtype=bool) if told is None else told
    of_known = None if groups is None else groups[known]
    return {
        "rows": len(truth),
        "any_violation": asdict(score(truth[known].any(1), decided[known].any(1), of_known)),
        **({"core_micro": asdict(score(truth[:, core], decided[:, core], groups))} if core else {}),
    }


def _macro(scores: list[Score]) -> float:
    """Mean F1 of the labels that are there."""
    return float(np.mean([one.f1 for one in scores if one.positives] or [0.0]))


def summarised(found: Mapping[str, Any]) -> dict[str, str]:
    """The pooled scores that a report holds, with what they are called."""
    return {key: words for key, words in SUMMARY.items() if key in found}


def macro_words(found: Mapping[str, Any]) -> str:
    """The macro averages in a report as they are printed, of core labels where it has any."""
    names = {"core_macro_f1": "core macro F1", "macro_f1": "macro F1"}
    return ", ".join(f"{words} {found[key]:.3f}" for key, words in names.items() if key in found)


def reliability(truth: np.ndarray, probabilities: np.ndarray) -> dict[str, list[float]]:
    """Ten equal-width bins of probability over all cells given: `count`, mean `probability`, `share` that held.

    Arrays of one shape; empty bins are left out.
    """
    p, y = np.asarray(probabilities).reshape(-1), np.asarray(truth, dtype=float).reshape(-1)
    bin_of = np.minimum((p * _BINS).astype(int), _BINS - 1)
    count = np.bincount(bin_of, minlength=_BINS)
    full = count > 0
    means = [np.bincount(bin_of, values, _BINS)[full] / count[full] for values in (p, y)]
    return {"count": count[full].tolist(), "probability": means[0].tolist(), "share": means[1].tolist()}


def calibration_error(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Expected calibration error over all cells given, ten equal-width bins (Guo et al. 2017)."""
    found = reliability(truth, probabilities)
    gaps = np.abs(np.subtract(found["probability"], found["share"]))
    return float((gaps * found["count"]).sum() / max(np.size(truth), 1))


def calibration(
    truth: np.ndarray, probabilities: np.ndarray, seen: np.ndarray, least: int = ENOUGH
) -> dict[str, float]:
    """Calibration errors of arrays (rows, labels): of any violation, of the labels on average, and of all cells pooled.

    Nearly all cells are easy compliant ones, which hide in the pooled one what is wrong with the others. The probability of any
    violation is the highest of a row's labels. The mean is left out where no label has `least` rows.
    """
    told = seen.any(1)
    found = {
        "calibration_error": calibration_error(truth[seen], probabilities[seen]),
        "calibration_error_any_violation": calibration_error(
            (truth & seen)[told].any(1), np.where(seen, probabilities, 0.0)[told].max(1, initial=0.0)
        ),
    }
    each = label_errors(truth, probabilities, seen, least)
    return found | ({"calibration_error_labels": float(np.mean(list(each.values())))} if each else {})


def label_errors(truth: np.ndarray, probabilities: np.ndarray, seen: np.ndarray, least: int) -> dict[int, float]:
    """Calibration error of each label, by its column, that at least `least` rows have."""
    columns = np.flatnonzero((truth & seen).sum(0) >= least).tolist()
    return {i: calibration_error(truth[seen[:, i], i], probabilities[seen[:, i], i]) for i in columns}


def calibration_words(found: Mapping[str, Any]) -> str:
    """The calibration errors in a report as they are printed; old reports hold the pooled one alone."""
    names = {"_any_violation": "any violation", "_labels": "mean over labels", "": "all decisions pooled"}
    parts = {words: found.get(f"calibration_error{key}") for key, words in names.items()}
    return ", ".join(f"{words} {value:.3f}" for words, value in parts.items() if value is not None)


def average_precision(
    truth: np.ndarray, probabilities: np.ndarray, labels: list[str], seen: np.ndarray | None = None
) -> dict[str, float]:
    """Area under each label's precision-recall curve; labels without positives are left out."""
    seen = np.ones(truth.shape, dtype=bool) if seen is None else seen
    return {
        label: float(average_precision_score(truth[seen[:, i], i], probabilities[seen[:, i], i]))
        for i, label in enumerate(labels)
        if truth[:, i].any()
    }


def precision_recall(truth: np.ndarray, probabilities: np.ndarray) -> dict[str, list[float]]:
    """Curve of one label from (rows,) arrays with a positive: `recall` rising, `precision`, at most CURVE_POINTS each."""
    precision, recall, _ = precision_recall_curve(truth, probabilities)
    kept = np.unique(np.linspace(0, len(recall) - 1, CURVE_POINTS).astype(int))[::-1]
    return {"recall": recall[kept].round(4).tolist(), "precision": precision[kept].round(4).tolist()}


def confusion(truth: np.ndarray, decided: np.ndarray) -> np.ndarray:
    """(labels + 1, labels + 1): row = a true label, column = a decided one; the diagonal counts what was found.

    A missed label counts under each label that was decided wrongly in its row, in the last column where there is none;
    a wrong one beside no missed label counts in the last row. The corner counts compliant rows that were left alone.
    """
    missed, wrong = truth & ~decided, decided & ~truth
    only_missed, only_wrong = missed[~wrong.any(1)].sum(0), wrong[~missed.any(1)].sum(0)
    table = np.zeros((truth.shape[1] + 1, truth.shape[1] + 1), dtype=int)
    table[:-1, :-1] = missed.T.astype(int) @ wrong.astype(int) + np.diag((truth & decided).sum(0))
    table[:-1, -1], table[-1, :-1] = only_missed, only_wrong
    table[-1, -1] = (~(truth | decided)).all(1).sum()
    return table
