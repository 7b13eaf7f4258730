"""Plots of a run: precision-recall curves, calibration, confusion between labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def validation_plots(folder: Path, drawn: dict[str, Any]) -> None:
    """Write the three plots of `evaluate.curves` as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    _save(_precision_recall(drawn["precision_recall"]), folder / "precision_recall.png")
    _save(_calibration(drawn["reliability"]), folder / "calibration.png")
    _save(_confusion(drawn["confusion"]), folder / "confusion.png")


def _save(figure: plt.Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _precision_recall(curves: dict[str, Any]) -> plt.Figure:
    figure, axes = plt.subplots(figsize=(7.5, 6))
    for label, curve in curves.items():
        axes.plot(curve["recall"], curve["precision"], label=f"{label} ({curve['positives']})")
    axes.set(xlabel="recall", ylabel="precision", title="Precision and recall on validation rows (positives)")
    axes.legend(fontsize=7)
    axes.grid(alpha=0.3)
    return figure


def _calibration(bins: dict[str, list[float]]) -> plt.Figure:
    figure, axes = plt.subplots(figsize=(5, 5))
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    axes.plot(bins["probability"], bins["share"], marker="o")
    axes.set(
        xlabel="probability given", ylabel="share that held", title="Calibration, all labels", xlim=(0, 1), ylim=(0, 1)
    )
    axes.grid(alpha=0.3)
    return figure


def _confusion(confusion: dict[str, Any]) -> plt.Figure:
    table, names = np.array(confusion["table"]), confusion["names"]
    figure, axes = plt.subplots(figsize=(9, 8))
    axes.imshow(np.log1p(table), cmap="Blues")
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    for i, j in zip(*np.nonzero(table), strict=True):
        axes.text(j, i, table[i, j], ha="center", va="center", fontsize=7)
    axes.set(xlabel="decided", ylabel="true", title="Confusion (log colour)")
    return figure
