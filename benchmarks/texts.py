"""Texts of real lengths: the length histogram of 8,000 real utterances is committed, the texts are our own."""

from __future__ import annotations

import json
import random
from pathlib import Path

HISTOGRAM = Path(__file__).with_name("lengths.json")


def histogram(lengths: list[int], width: int = 5) -> dict[str, int]:
    """Counts of lengths in steps of `width` characters."""
    counts: dict[str, int] = {}
    for length in lengths:
        key = str(length // width * width)
        counts[key] = counts.get(key, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: int(item[0])))


def make(count: int, source: list[str], seed: int = 0) -> list[str]:
    """`count` different texts whose lengths follow the histogram, cut from the running text of `source`."""
    rng = random.Random(seed)
    counts = json.loads(HISTOGRAM.read_text(encoding="utf-8"))["counts"]
    running = "，".join(source)
    starts = rng.sample(range(len(running) - 200), k=count)
    lengths = rng.choices([int(k) for k in counts], weights=list(counts.values()), k=count)
    return [running[at : at + max(4, length + rng.randrange(5))] for at, length in zip(starts, lengths, strict=True)]
