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


def find_evidence(
    texts: Sequence[str], decided: Sequence[Sequence[tuple[str, int]]], given: np.ndarray, score: Score
) -> list[tuple[Evidence, ...]]:
    """Evidence for each text, by position.

    `decided`: for each text its labels with their columns in the scores; `given`: the texts' probabilities,
    (texts, labels). All probes of all texts are scored in one call.
    """
    spans = [pieces(text) for text in texts]
    probes = [text[:start] + text[end:] for text, cut in zip(texts, spans, strict=True) for start, end in cut]
    without = _logit(score(probes)) if probes else np.zeros((0, given.shape[1]))
    found, at = [], 0
    for text, cut, labels, scores in zip(texts, spans, decided, _logit(given), strict=True):
        drops = scores[None, :] - without[at : at + len(cut)]
        at += len(cut)
        found.append(tuple(sorted((
            Evidence(start, end, text[start:end], label)
            for label, column in labels
            for start, end in (_merge(cut, drops[:, column]) if cut else ())
        ), key=lambda e: (e.start, e.end, e.label))))  # fmt: skip
    return found


def _logit(probabilities: np.ndarray) -> np.ndarray:
    p = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


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
