"""Which arithmetic trains faster here: bfloat16 or float."""

from __future__ import annotations

import time
from functools import cache

import torch
from zhenyan.training.config import OptimConfig

_ROWS, _WIDTH = 1024, 768  # tokens of a small batch, and the width of BERT-base
_TRIES = 5


def uses_bf16(config: OptimConfig) -> bool:
    """Whether to train and predict in bfloat16: asked for, or automatic where it is faster."""
    return bf16_is_faster() if config.precision == "auto" else config.precision == "bf16"


@cache
def bf16_is_faster() -> bool:
    """Whether products in bfloat16 are faster here than in float; on CPUs both are timed once in a process.

    The instructions alone don't tell. Measured on two cores: AVX-512 BF16 more than doubles the speed of an AMD EPYC, AMX
    makes an Intel Xeon nine times as fast, and AVX-512 BF16 without AMX halves it.
    """
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return product_seconds(torch.bfloat16) < product_seconds(torch.float32)


def product_seconds(dtype: torch.dtype) -> float:
    """Seconds of one product of (1024, 768) and (768, 768) matrices on the CPU, the best of five."""
    tokens, weights = torch.ones(_ROWS, _WIDTH, dtype=dtype), torch.ones(_WIDTH, _WIDTH, dtype=dtype)
    torch.nn.functional.linear(tokens, weights)  # the first one also compiles
    seconds = []
    for _ in range(_TRIES):
        start = time.perf_counter()
        torch.nn.functional.linear(tokens, weights)
        seconds.append(time.perf_counter() - start)
    return min(seconds)
