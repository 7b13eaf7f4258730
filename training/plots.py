"""Plots of a run: precision-recall curves, calibration, confusion between labels."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from sklearn.metrics import precision_recall_curve

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def validation_plots(
    folder: Path, truth: np.ndarray, scores: np.ndarray, decided: np.ndarray, labels: list[str]
) -> None:
    """Write the three plots as PNG; arrays are (rows, labels)."""
    folder.mkdir(parents=True, exist_ok=True)
    _save(_precision_recall(truth, scores, labels), folder / "precision_recall.png")
    _save(_calibration(truth, scores), folder / "calibration.png")
    _save(_confusion(truth, decided, labels), folder / "confusion.png")


def _save(figure: plt.Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _precision_recall(truth: np.ndarray, scores: np.ndarray, labels: list[str]) -> plt.Figure:
    figure, axes = plt.subplots(figsize=(7.5, 6))
    for i, label in enumerate(labels):
        if truth[:, i].any():
            precision, recall, _ = precision_recall_curve(truth[:, i], scores[:, i])
            axes.plot(recall, precision, label=f"{label} ({int(truth[:, i].sum())})")
    axes.set(xlabel="recall", ylabel="precision", title="Precision and recall on validation rows (positives)")
    axes.legend(fontsize=7)
    axes.grid(alpha=0.3)
    return figure


def _calibration(truth: np.ndarray, scores: np.ndarray, bins: int = 10) -> plt.Figure:
    p, y = scores.reshape(-1), truth.reshape(-1).astype(float)
    place = np.minimum((p * bins).astype(int), bins - 1)
    count = np.maximum(np.bincount(place, minlength=bins), 1)
    figure, axes = plt.subplots(figsize=(5, 5))
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    axes.plot(np.bincount(place, p, bins) / count, np.bincount(place, y, bins) / count, marker="o")
    axes.set(
        xlabel="probability given", ylabel="share that held", title="Calibration, all labels", xlim=(0, 1), ylim=(0, 1)
    )
    axes.grid(alpha=0.3)
    return figure


def confusion(truth: np.ndarray, decided: np.ndarray) -> np.ndarray:
    """(labels + 1, labels + 1): row = a true label (last: none), column = a decided label (last: none).

    A decided label that is also true counts on the diagonal; each wrong one counts against the true labels of its row.
    """
    none = lambda a: np.concatenate([a, ~a.any(1, keepdims=True)], axis=1)  # noqa: E731
    want, got = none(truth), none(decided)
    hits = (want & got).sum(0)
    missed, wrong = want & ~got, got & ~want
    table = missed.T.astype(int) @ wrong.astype(int)
    np.fill_diagonal(table, hits)
    return table


def _confusion(truth: np.ndarray, decided: np.ndarray, labels: list[str]) -> plt.Figure:
    table = confusion(truth, decided)
    names = [*labels, "none"]
    figure, axes = plt.subplots(figsize=(9, 8))
    axes.imshow(np.log1p(table), cmap="Blues")
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    for i, j in zip(*np.nonzero(table), strict=True):
        axes.text(j, i, table[i, j], ha="center", va="center", fontsize=7)
    axes.set(xlabel="decided", ylabel="true", title="Confusion (log colour)")
    return figure
