"""Each label's decision threshold, chosen on validation rows for a stated policy, with how it was chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.table import Column, Table
from zhenyan.training.config import ThresholdConfig
from zhenyan.training.metrics import f1_from_counts


def _curve(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Candidate thresholds (falling) with true positives and predicted positives at each."""
    order = np.argsort(-scores, kind="stable")
    tp = np.cumsum(truth[order])
    last = np.append(scores[order][1:] != scores[order][:-1], True)  # only between distinct scores
    return scores[order][last], tp[last], np.arange(1, len(order) + 1)[last]


def _midpoint(cuts: np.ndarray, best: int) -> float:
    """Halfway to the next lower score: a threshold on the score itself would flip at the slightest rounding.

    Between two neighbouring numbers, as float32 scores close to 1 may be, there is nothing: then the score itself.
    """
    below = cuts[best + 1] if best + 1 < len(cuts) else cuts.dtype.type(0)
    halfway = (cuts[best] + below) / 2
    return float(halfway if halfway > below else cuts[best])


def _no_choice(positives: int, scores: np.ndarray, config: ThresholdConfig) -> str:
    """Why validation rows, of which so many carry the label, can't tell one threshold from another; nothing where they can."""
    if positives < config.min_positives:
        return f"{positives} validation positives, fewer than {config.min_positives}"
    if positives == len(scores):
        return "every validation row that was read for it carries it"
    return "the model scores every validation row alike" if (scores == scores[0]).all() else ""


def choose(truth: np.ndarray, scores: np.ndarray, config: ThresholdConfig) -> dict[str, Any]:
    """Threshold of one label from boolean `truth` and `scores` in [0, 1], with its precision, recall and review load.

    policy f1: the lowest threshold whose F1, smoothed over neighbouring cuts, is within the margin of the best one's; precision:
    the lowest threshold that keeps the floor; recall: the highest that reaches the goal. Too few positives: the fallback,
    said so in `chosen_by`.
    """
    positives = int(truth.sum())
    if reason := _no_choice(positives, scores, config):
        return {"threshold": config.fallback, "positives": positives, "chosen_by": f"fallback: {reason}"}
    cuts, tp, predicted = _curve(truth, scores)
    precision, recall = tp / predicted, tp / positives
    chosen_by = f"policy {config.policy}, " + (
        f"margin {config.margin:g}" if config.policy == "f1" else f"target {config.target}"
    )
    if config.policy == "f1":
        values = np.asarray(f1_from_counts(tp, predicted, positives))
        width = max(1, positives // 20)
        smooth = np.convolve(np.pad(values, width, mode="edge"), np.full(2 * width + 1, 1 / (2 * width + 1)), "valid")
        best = int(np.flatnonzero(smooth >= smooth.max() - config.margin)[-1])
    elif config.policy == "precision":
        meets = np.flatnonzero(precision >= config.target)
        best = int(meets[-1]) if len(meets) else int(precision.argmax())
        chosen_by += "" if len(meets) else ", out of reach: the highest precision"
    else:
        best = int(np.flatnonzero(recall >= config.target)[0])
    return {
        "threshold": _midpoint(cuts, best),
        "positives": positives,
        "chosen_by": chosen_by,
        "precision": float(precision[best]),
        "recall": float(recall[best]),
        "review_load": float(predicted[best] / len(truth)),  # share of rows a reviewer would be shown
    }


def choose_all(
    truth: np.ndarray, scores: np.ndarray, labels: list[str], config: ThresholdConfig, seen: np.ndarray | None = None
) -> dict[str, dict[str, Any]]:
    """`choose` for every label; arrays are (rows, labels), `seen` is False where nobody looked for the label."""
    seen = np.ones(truth.shape, dtype=bool) if seen is None else seen
    return {label: choose(truth[seen[:, i], i], scores[seen[:, i], i], config) for i, label in enumerate(labels)}


def thresholds_table(chosen: dict[str, dict[str, Any]]) -> Table:
    """Every label's threshold, and what it gives on the rows it was chosen on; nothing where the fallback stands."""
    table = Table(Column("label", no_wrap=True), "threshold", "precision", "recall", "review load", "chosen by")
    for label, one in chosen.items():
        found = [f"{one[name]:.3f}" if name in one else "" for name in ("precision", "recall", "review_load")]
        table.add_row(label, f"{one['threshold']:.4f}", *found, one["chosen_by"])
    return table
