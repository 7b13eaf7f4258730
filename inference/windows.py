"""Long texts as overlapping windows of tokens, so that nothing is cut off unseen, and as runs of clauses, so that nothing is drowned."""

from __future__ import annotations

import bisect
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from zhenyan.inference.normalise import INVISIBLE, normalise

OVERLAP = 32  # tokens that two neighbouring windows share
LONG = 64  # characters: of a longer text runs of whole clauses are read by themselves, too
RUN = 48  # characters of such a run at most
RUN_MARGIN = 2.0  # log-odds by which a run has to be surer than a whole text: it lacks what stands around it
MAX_CHARS = 100_000  # a text that is longer, as it stands or normalised, is read up to here and reported as truncated
# Combining marks in a row that are read: normalising takes time that grows with the square of their number, and
# Unicode's stream-safe text has at most 30 (UAX #15, section 13).
MAX_MARKS = 64
_CLAUSE_END = re.compile(r"(?:[，。！？；、：…!?;\s]|(?<!\d)[,.:]|[,.:](?!\d))+")  # not within a number: 1,299 or 3.8
_MADE_OF_MARKS = "\u0f73\u0f75\u0f81\uff9e\uff9f"  # no marks themselves, but normalising makes nothing else of them


class Reading(NamedTuple):
    """What is read of a text: the part it stands in, that part normalised, and whether this is all of the text."""

    part: str
    plain: str
    whole: bool


class Readings(NamedTuple):
    """What is read of several texts: each whole, then the runs of the long ones."""

    texts: list[str]
    owners: list[int]  # the number of the text that each is, or is a run of
    margins: np.ndarray  # (readings,) float32: what is taken from the logits of each

    def highest(self, logits: np.ndarray) -> np.ndarray:
        """Logits (texts, labels), float32, from those of the readings (readings, labels)."""
        result = np.full((max(self.owners, default=-1) + 1, logits.shape[1]), -np.inf, np.float32)
        np.maximum.at(result, self.owners, logits - self.margins[:, None])
        return result


def readings_of(plain: Sequence[str]) -> Readings:
    """Normalised texts, and runs of clauses of those that are longer than LONG.

    A network that takes the mean of its tokens loses one violating clause among lawful ones: see
    docs/experiments/evidence-and-long-texts.md, "Long texts".
    """
    runs = [(owner, text[start:end].strip()) for owner, text in enumerate(plain) for start, end in clause_runs(text)]
    margins = np.repeat(np.array([0.0, RUN_MARGIN], np.float32), [len(plain), len(runs)])
    return Readings([*plain, *(run for _, run in runs)], [*range(len(plain)), *(owner for owner, _ in runs)], margins)


def clause_runs(text: str) -> list[tuple[int, int]]:
    """Where runs of whole clauses stand in a long text: they cover it, and each is of at most RUN characters.

    Each begins, where a clause ends there, in the middle of the one before. None in a text that isn't longer than LONG. A clause longer than RUN is cut.
    """
    if len(text) <= LONG:
        return []
    cuts = list(_cuts(text))
    runs: list[tuple[int, int]] = []
    start, end = 0, 0
    while end < len(text):
        end = cuts[bisect.bisect_right(cuts, start + RUN) - 1]
        if not runs or end > runs[-1][1]:  # none that lies in the one before
            runs.append((start, end))
        start = cuts[bisect.bisect_left(cuts, (start + end) / 2)]
    return runs


def _cuts(text: str) -> Iterator[int]:
    """Where a text may be cut, in order: behind each clause, and within one so often that no two places lie farther apart than a run."""
    at = 0
    for end in (*(match.end() for match in _CLAUSE_END.finditer(text)), len(text)):
        while end - at > RUN:
            yield (at := at + RUN // 2)
        if end > at:
            yield (at := end)


def split_windows(ids: Sequence[int], size: int) -> list[Sequence[int]]:
    """Slices of at most `size` tokens, the final one ending the text.

    Neighbours share OVERLAP tokens, at most half a window.
    """
    if len(ids) <= size:
        return [ids]
    overlap = min(OVERLAP, size // 2)
    starts = range(0, len(ids) - overlap, size - overlap)
    return [ids[start : start + size] for start in starts]


def readable(text: str) -> Reading:
    """What is read of `text`: at most MAX_CHARS, also normalised (one character may become eighteen), and MAX_MARKS in a row."""
    part = text[:MAX_CHARS]
    shown = _without_stacks(part)
    whole = len(shown) == len(part) == len(text)
    while len(plain := normalise(shown)) > MAX_CHARS:
        part = part[: len(part) * MAX_CHARS // len(plain)]
        shown, whole = _without_stacks(part), False
    return Reading(part, plain, whole)


def has_stacked_marks(text: str) -> bool:
    """Whether more than MAX_MARKS combining marks stand in a row, as `normalise` will see them."""
    return not text.isascii() and _stacked().search(INVISIBLE.sub("", text)) is not None


def _without_stacks(text: str) -> str:
    """`text` as it is, or, where marks are stacked, with MAX_MARKS of each run and nothing invisible."""
    return _stacked().sub(r"\1", INVISIBLE.sub("", text)) if has_stacked_marks(text) else text


@lru_cache(maxsize=1)
def _stacked() -> re.Pattern[str]:
    """MAX_MARKS combining marks and those too many."""
    marks = "".join(chr(code) for code in range(0x300, 0x20000) if unicodedata.combining(chr(code)))
    return re.compile(f"([{marks}{_MADE_OF_MARKS}]{{{MAX_MARKS}}})[{marks}{_MADE_OF_MARKS}]+")
