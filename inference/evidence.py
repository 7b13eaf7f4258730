"""Which words carried a decision: spans whose removal lowers a label's score most (occlusion).

Zeiler & Fergus 2014, applied to text: model-agnostic, needs only scores, offsets are those of the original text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Score = Callable[[Sequence[str]], np.ndarray]  # texts -> probabilities (texts, labels)

_CLAUSE = re.compile(r"[^，。！？；、：,.!?;:\s]+")
_PIECE = 4  # characters in the finest piece that is removed
_MAX_PIECES = 48  # a longer text is cut into coarser pieces, so that the work stays bounded
_KEEP = 0.5  # pieces that matter at least this share of the most important one


@dataclass(frozen=True)
class Evidence:
    """Characters [start, end) of the original text that carried `label`."""

    start: int
    end: int
    text: str
    label: str


def pieces(text: str) -> list[tuple[int, int]]:
    """Cut `text` at punctuation, then into runs of a few characters; spans in order, gaps are punctuation."""
    clauses = [match.span() for match in _CLAUSE.finditer(text)]
    length = sum(end - start for start, end in clauses)
    size = max(_PIECE, -(-length // _MAX_PIECES))
    spans = [(at, min(at + size, end)) for start, end in clauses for at in range(start, end, size)]
    return spans[: 2 * _MAX_PIECES]


def find_evidence(text: str, labels: Sequence[str], columns: Sequence[int], score: Score) -> list[Evidence]:
    """Evidence for each decided label (`columns` are their places in the scores), in order of position."""
    spans = pieces(text)
    if not columns or not spans:
        return []
    probes = [text[:start] + text[end:] for start, end in spans]
    probabilities = score([text, *probes])
    eps = 1e-6
    logits = np.log(np.clip(probabilities, eps, 1 - eps) / np.clip(1 - probabilities, eps, 1 - eps))
    drops = logits[0][None, :] - logits[1:]
    found = [
        Evidence(start, end, text[start:end], label)
        for label, column in zip(labels, columns, strict=True)
        for start, end in _merge(spans, drops[:, column])
    ]
    return sorted(found, key=lambda e: (e.start, e.end, e.label))


def _merge(spans: Sequence[tuple[int, int]], drops: np.ndarray) -> list[tuple[int, int]]:
    """Spans that matter, neighbours joined; the single most important one when none lowers the score."""
    best = float(drops.max())
    keep = [span for span, drop in zip(spans, drops, strict=True) if drop >= _KEEP * best and drop > 0]
    merged: list[tuple[int, int]] = []
    for start, end in keep or [spans[int(drops.argmax())]]:
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged
