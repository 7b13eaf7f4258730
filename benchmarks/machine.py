"""What the machine can do at best, measured: multiplications a second and memory bandwidth."""

from __future__ import annotations

import time
from collections.abc import Callable

BYTES = {"fp32": 4, "bf16": 2, "int8": 1}  # of a weight


def _best(run: Callable[[], object], passes: int = 30) -> float:
    """Seconds of the quickest pass."""
    run()
    best = float("inf")
    for _ in range(passes):
        started = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - started)
    return best


def limits(threads: int) -> dict[str, float]:
    """Billions of operations a second in fp32, bf16 and int8 on an encoder's own shape, and GB/s of reading memory.

    The shape is the feed-forward product of a batch: 2,048 tokens, 384 wide.
    """
    import numpy as np
    import torch

    torch.set_num_threads(threads)
    rows, inner, outer = 2048, 384, 1536
    work = 2 * rows * inner * outer / 1e9
    a, b = torch.randn(rows, inner), torch.randn(inner, outer)
    half_a, half_b = a.bfloat16(), b.bfloat16()
    byte_a, byte_b = (torch.randint(-128, 127, shape, dtype=torch.int8) for shape in ((rows, inner), (inner, outer)))
    big = np.ones(64 * 2**20 // 8)
    return {
        "fp32": work / _best(lambda: a @ b), "bf16": work / _best(lambda: half_a @ half_b),
        "int8": work / _best(lambda: torch._int_mm(byte_a, byte_b)),
        "memory_gb_per_s": big.nbytes / 1e9 / _best(big.sum, 10),
    }  # fmt: skip


def giga_operations(layers: int, hidden: int, tokens: float) -> float:
    """Billions of operations of one token through an encoder: projections, feed-forward (4 × hidden), attention."""
    return layers * (2 * 12 * hidden**2 + 4 * hidden * tokens) / 1e9


def lines_limit(layers: int, hidden: int, tokens: float, per_second: float) -> float:
    """Lines of `tokens` tokens a second that `per_second` billion operations a second allow."""
    return per_second / (giga_operations(layers, hidden, tokens) * tokens)


def line_floor_ms(layers: int, hidden: int, tokens: float, precision: str, limit: dict[str, float]) -> float:
    """Milliseconds below which a single line can't come: its operations, or reading every weight once."""
    compute = 1 / lines_limit(layers, hidden, tokens, limit[precision])
    reading = layers * 12 * hidden**2 * BYTES[precision] / 1e9 / limit["memory_gb_per_s"]
    return 1000 * max(compute, reading)
