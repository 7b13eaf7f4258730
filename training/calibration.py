"""Platt scaling for each label: probabilities that mean what they say (Platt 1999; Guo et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from zhenyan.training.modelling import MultiLabelClassifier

_FLATTEST = 0.05  # least slope: a score must never turn round


@dataclass(frozen=True)
class Scaling:
    """Calibrated logit = slope * logit + offset; arrays of shape (labels,)."""

    slope: np.ndarray
    offset: np.ndarray


def fit_scaling(truth: np.ndarray, logits: np.ndarray, min_positives: int, seen: np.ndarray | None = None) -> Scaling:
    """Fit on validation rows; a label with too few positives, or no negative, gets the pooled fit over all labels.

    Arrays are (rows, labels); `seen` is False where nobody looked for the label, and truth is False there.
    """
    seen = np.ones(truth.shape, dtype=bool) if seen is None else seen
    pooled = _fit(truth[seen], logits[seen], otherwise=(1.0, 0.0))
    pairs = [
        _fit(truth[seen[:, i], i], logits[seen[:, i], i], pooled) if truth[:, i].sum() >= min_positives else pooled
        for i in range(truth.shape[1])
    ]
    slope, offset = np.array(pairs, dtype=np.float32).T
    return Scaling(slope, offset)


def _fit(truth: np.ndarray, logits: np.ndarray, otherwise: tuple[float, float]) -> tuple[float, float]:
    """Slope and offset; `otherwise` where all rows have the same answer, as those of a label just added may have.

    Where the logits say nothing, or the contrary, the mean probability is the share that was seen all the same.
    """
    if truth.all() or not truth.any():
        return otherwise
    model = LogisticRegression(C=1.0).fit(logits.reshape(-1, 1), truth)
    if (slope := float(model.coef_[0, 0])) >= _FLATTEST:
        return slope, float(model.intercept_[0])
    share = float(truth.mean())
    return _FLATTEST, float(logit(share)) - _FLATTEST * float(logits.mean())


def fold_into_head(model: MultiLabelClassifier, scaling: Scaling) -> None:
    """Put the scaling into the head's weights, in place: the model then gives calibrated logits by itself."""
    slope = torch.from_numpy(scaling.slope).to(model.head.weight)
    offset = torch.from_numpy(scaling.offset).to(model.head.bias)
    with torch.no_grad():
        model.head.weight.mul_(slope[:, None])
        model.head.bias.mul_(slope).add_(offset)
        if model.pairs is not None:
            model.pairs.scaled(slope)
