"""What the machine can do at best, measured: multiplications a second and memory bandwidth."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

_SIZE = (2048, 384, 1536)  # rows, in, out: the encoder's own feed-forward shape


def _best(run: Callable[[], object], passes: int = 30) -> float:
    run()
    best = float("inf")
    for _ in range(passes):
        started = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - started)
    return best


def limits(threads: int) -> dict[str, float]:
    """GFLOP/s in fp32, bf16 and int8 on the encoder's shape, and GB/s of reading memory."""
    torch.set_num_threads(threads)
    rows, inner, outer = _SIZE
    work = 2 * rows * inner * outer / 1e9
    found = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = torch.randn(rows, inner).to(dtype), torch.randn(inner, outer).to(dtype)
        found[f"{name}_gflops"] = work / _best(lambda a=a, b=b: a @ b)
    a = torch.randint(-128, 127, (rows, inner), dtype=torch.int8)
    b = torch.randint(-128, 127, (inner, outer), dtype=torch.int8)
    found["int8_gops"] = work / _best(lambda: torch._int_mm(a, b))
    big = np.ones(64 * 2**20 // 8)
    found["memory_gb_per_s"] = big.nbytes / 1e9 / _best(big.sum, 10)
    return found


def flops_per_token(layers: int, hidden: int, feed_forward: int, width: float) -> float:
    """GFLOP of one token through an encoder: projections, feed-forward and attention over `width` tokens."""
    return layers * (2 * (4 * hidden**2 + 2 * hidden * feed_forward) + 4 * hidden * width) / 1e9
