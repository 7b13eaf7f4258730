"""Texts of real lengths: the histogram of 8,000 real utterances, in steps of five characters, is committed; the texts are our own."""

from __future__ import annotations

import json
import random
from pathlib import Path

HISTOGRAM = Path(__file__).with_name("lengths.json")


def make(count: int, source: list[str], seed: int = 0) -> list[str]:
    """`count` different texts whose lengths follow the histogram, cut from the running text of `source`."""
    rng = random.Random(seed)
    counts = json.loads(HISTOGRAM.read_text(encoding="utf-8"))["counts"]
    running = "，".join(source)
    starts = rng.sample(range(len(running) - 200), k=count)
    lengths = rng.choices([int(k) for k in counts], weights=list(counts.values()), k=count)
    return [running[at : at + max(4, length + rng.randrange(5))] for at, length in zip(starts, lengths, strict=True)]
