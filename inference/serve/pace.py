"""What a text costs to score, and how fast texts were scored lately."""

from __future__ import annotations

import functools
import math
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_DECOMPOSED = 0x30000  # characters below it may become others
_OVERHEAD = 8  # characters that a text costs beyond its own
_MEMORY = 2.0  # seconds of scoring that the measured pace looks back on


def length(text: str) -> int:
    """Characters of `text` with compatibility characters written out, as `normalise` does: one can become 18.

    Looked up one by one: normalising a text whole takes time that grows with the square of its combining marks, and all other
    requests wait while this one is measured.
    """
    if text.isascii():
        return len(text)
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return int(_lengths()[codes].sum())


@functools.cache
def _lengths() -> np.ndarray:
    """What each character becomes, in characters; above the third plane none becomes anything else."""
    lengths = np.ones(sys.maxunicode + 1, np.uint8)
    lengths[:_DECOMPOSED] = [len(unicodedata.normalize("NFKC", chr(code))) for code in range(_DECOMPOSED)]
    return lengths


def cost(texts: Sequence[str]) -> int:
    """What scoring `texts` costs, in characters."""
    return sum(map(length, texts)) + _OVERHEAD * len(texts)


@dataclass
class Pace:
    """Characters a second lately, weighted by time: neither tiny batches nor remembered texts distort it."""

    chars: float = 200.0
    seconds: float = 0.1

    def add(self, chars: int, seconds: float) -> None:
        """Count a scored batch."""
        keep = math.exp(-seconds / _MEMORY)
        share = _MEMORY / max(seconds, _MEMORY)  # a stall is no pace that lasts: it counts as so long at most
        self.chars, self.seconds = keep * self.chars + share * chars, keep * self.seconds + share * seconds

    def seconds_for(self, chars: float) -> float:
        """Seconds that `chars` characters take at this pace."""
        return chars * self.seconds / self.chars
