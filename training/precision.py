"""Which arithmetic a run computes in: bfloat16, half precision or float."""

from __future__ import annotations

import torch
from zhenyan.inference.cpu import multiplies_bf16_faster
from zhenyan.training.config import OptimConfig


def arithmetic(config: OptimConfig) -> str:
    """bf16, fp16 or fp32: the one asked for; of `auto` bf16 where it is faster, else fp32."""
    if config.precision != "auto":
        return config.precision
    return "bf16" if bf16_is_faster() else "fp32"


def uses_bf16(config: OptimConfig) -> bool:
    """Whether to train and predict in bfloat16: asked for, or automatic where it is faster."""
    return arithmetic(config) == "bf16"


def bf16_is_faster() -> bool:
    """Whether products in bfloat16 are faster here than in float; a machine always gives the same answer."""
    return torch.cuda.is_bf16_supported() if torch.cuda.is_available() else multiplies_bf16_faster()
