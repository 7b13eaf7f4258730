"""The loss: binary cross-entropy over labels, masked and weighted, with optional teachers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from zhenyan.training.config import LossConfig


def positive_weights(target: Tensor, mask: Tensor, config: LossConfig) -> Tensor:
    """(labels,): (negatives / positives) ** power, between 1 and the cap; a label without positives gets 1."""
    positives = (target * mask).sum(0)
    negatives = mask.sum(0) - positives
    ratio = torch.where(positives > 0, negatives / positives.clamp(min=1), torch.ones_like(positives))
    return ratio.pow(config.pos_weight_power).clamp(1.0, config.pos_weight_cap)


def label_loss(
    logits: Tensor, target: Tensor, mask: Tensor, weight: Tensor, pos_weight: Tensor, config: LossConfig,
    share: Tensor | float = 1.0,
) -> Tensor:  # fmt: skip
    """Mean over rows of the weighted loss over annotated labels, of which a row gives its `share` (rows,).

    gamma_negative > 0 lets easy negatives fade (asymmetric loss, Ridnik et al. 2021).
    """
    smooth = target * (1 - 2 * config.label_smoothing) + config.label_smoothing
    cells = F.binary_cross_entropy_with_logits(logits, smooth, pos_weight=pos_weight, reduction="none")
    if config.gamma_negative:
        fade = torch.sigmoid(logits.detach()).pow(config.gamma_negative)
        cells = torch.where(target > 0.5, cells, cells * fade)
    return ((cells * mask).mean(1) * weight * share).sum() / weight.sum().clamp(min=1e-6)


def teacher_loss(
    logits: Tensor, pooled: Tensor, answers: Tensor, states: Tensor, hidden_weight: float, share: Tensor
) -> Tensor:
    """Cross-entropy to the teachers' probabilities, and distance of pooled states (rows, hidden) to the first teacher's.

    Mean over rows, of which each gives its `share` (rows,).
    """
    loss = F.binary_cross_entropy_with_logits(logits, answers, reduction="none").mean(1)
    if hidden_weight:
        loss = loss + hidden_weight * (1 - F.cosine_similarity(pooled, states, dim=-1))
    return (loss * share).mean()
