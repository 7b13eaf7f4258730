"""Which words carried a decision: spans whose removal lowers a label's score most (occlusion).

Zeiler & Fergus 2014, applied to text: model-agnostic, needs only scores, offsets are those of the original text.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from zhenyan.inference.normalise import SPACED, SPACERS

Score = Callable[[Sequence[str]], np.ndarray]  # texts -> probabilities (texts, labels)
Words = Callable[[str], Sequence[int]]  # text -> places in it, in order, at which words end

_CLAUSE = re.compile(rf"{SPACED.pattern}|[^，。！？；、：,.!?;:\s]+")  # 高 血 压, which the model reads as one, is one
_PIECE = 4  # characters in the finest piece that is removed
_MAX_PIECES = 48  # a longer text is cut into coarser pieces, so that the work stays bounded
_PART = 192  # characters: of a longer text only the part that carries the label most is probed
_OVERLAP = 32  # characters that neighbouring parts share
_KEEP = 0.5  # pieces that matter at least this share of the most important one
# Between two characters of a number (its point, separators and percent sign, too) or of a word in Latin letters.
_LATIN = "A-Za-zÀ-ÖØ-öø-ɏＡ-Ｚａ-ｚ"
_INSIDE = re.compile(rf"(?<=[\d{_LATIN}])(?=[\d{_LATIN}])|(?<=\d)(?=[%％‰]|[.,．]\d)|(?<=\d[.,．])(?=\d)")


@dataclass(frozen=True)
class Evidence:
    """Characters [start, end) of the original text that carried `label`."""

    start: int
    end: int
    text: str
    label: str


@dataclass(frozen=True)
class _Part:
    """A text or part of one, from character `base` on, to be probed for `labels`."""

    owner: int
    base: int
    text: str
    labels: Sequence[tuple[str, int]]
    given: np.ndarray


def pieces(text: str, ends: Sequence[int] | None = None) -> list[tuple[int, int]]:
    """Cut `text` at punctuation, then into runs of a few characters; spans in order, gaps are punctuation.

    `ends`: the places, in order, at which words end; a run is one of whole words then.
    """
    clauses = [match.span() for match in _CLAUSE.finditer(text)]
    length = sum(end - start for start, end in clauses)
    size = max(_PIECE, -(-length // _MAX_PIECES))
    places = range(len(text) + 1) if ends is None else ends
    spans = []
    for start, end in clauses:
        while (nearest := bisect.bisect_left(places, start + size)) < len(places) and places[nearest] < end:
            spans.append((start, places[nearest]))
            start = places[nearest]
        spans.append((start, end))
    return spans[: 2 * _MAX_PIECES]


def find_evidence(
    texts: Sequence[str],
    decided: Sequence[Sequence[tuple[str, int]]],
    given: np.ndarray,
    score: Score,
    words: Words | None = None,
) -> list[tuple[Evidence, ...]]:
    """Evidence for each text, by position.

    `decided`: for each text its labels with their columns in the scores; `given`: the texts' probabilities,
    (texts, labels); `words`: where a text's words end, so that none is cut. All probes of all texts are scored in one
    call; their number does not grow with a text's length.
    """
    parts = _parts(texts, decided, given, score)
    spans = [pieces(part.text, words(part.text) if words else None) for part in parts]
    probes = [part.text[:start] + part.text[end:] for part, cut in zip(parts, spans, strict=True) for start, end in cut]
    without = _logit(score(probes)) if probes else np.zeros((0, given.shape[1]))
    found: list[list[Evidence]] = [[] for _ in texts]
    at = 0
    for part, cut in zip(parts, spans, strict=True):
        drops = _logit(part.given)[None, :] - without[at : at + len(cut)]
        at += len(cut)
        for label, column in part.labels if cut else ():
            text = texts[part.owner]
            spans_found = [(part.base + start, part.base + end) for start, end in _merge(cut, drops[:, column])]
            for start, end in _trimmed(text, _whole_words(text, spans_found)):
                found[part.owner].append(Evidence(start, end, text[start:end], label))
    return [tuple(sorted(each, key=lambda e: (e.start, e.end, e.label))) for each in found]


def _whole_words(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, widened so that none cuts a number or a word in Latin letters; those that meet then are joined."""
    wide: list[tuple[int, int]] = []
    for start, end in spans:
        if wide and end <= wide[-1][1]:
            continue  # within the word before; a run of letters may be as long as the text
        while _INSIDE.match(text, start) and not (wide and start <= wide[-1][1]):
            start -= 1
        while _INSIDE.match(text, end):
            end += 1
        wide.append((start, end))
    return _joined(wide)


def _trimmed(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans without what stands between single characters (SPACERS) at their ends, where anything else is in them."""
    trimmed = []
    for start, end in spans:
        words = text[start:end]
        left, kept = len(words) - len(words.lstrip(SPACERS)), len(words.strip(SPACERS))
        trimmed.append((start + left, start + left + kept) if kept else (start, end))
    return trimmed


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, those that touch or overlap as one."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _parts(
    texts: Sequence[str], decided: Sequence[Sequence[tuple[str, int]]], given: np.ndarray, score: Score
) -> list[_Part]:
    """What to probe: short texts whole; of long ones, for each label, the part that scores highest by itself."""
    whole = [_Part(i, 0, t, decided[i], given[i]) for i, t in enumerate(texts) if len(t) <= _PART]
    cut = [
        (i, base)
        for i, text in enumerate(texts) if len(text) > _PART
        for base in range(0, len(text) - _OVERLAP, _PART - _OVERLAP)
    ]  # fmt: skip
    if not cut:
        return whole
    scores = score([texts[i][base : base + _PART] for i, base in cut])
    chosen: dict[int, list[tuple[str, int]]] = {}
    for owner in dict.fromkeys(i for i, _ in cut):
        rows = [row for row, (i, _) in enumerate(cut) if i == owner]
        for label, column in decided[owner]:
            chosen.setdefault(max(rows, key=lambda row: scores[row, column]), []).append((label, column))
    return whole + [
        _Part(cut[row][0], cut[row][1], texts[cut[row][0]][cut[row][1] : cut[row][1] + _PART], labels, scores[row])
        for row, labels in chosen.items()
    ]


def _logit(probabilities: np.ndarray) -> np.ndarray:
    p = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def _merge(spans: Sequence[tuple[int, int]], drops: np.ndarray) -> list[tuple[int, int]]:
    """Spans that matter, neighbours joined; the single most important one when none lowers the score."""
    best = float(drops.max())
    keep = [span for span, drop in zip(spans, drops, strict=True) if drop >= _KEEP * best and drop > 0]
    return _joined(keep or [spans[int(drops.argmax())]])
