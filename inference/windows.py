"""Long texts as overlapping windows of tokens, so that nothing is cut off unseen."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from zhenyan.inference.normalise import INVISIBLE, normalise

OVERLAP = 32  # tokens that two neighbouring windows share
MAX_CHARS = 100_000  # a text that is longer, as it stands or normalised, is read up to here and reported as truncated
# Combining marks in a row that are read: normalising takes time that grows with the square of their number, and
# Unicode's stream-safe text has at most 30 (UAX #15, section 13).
MAX_MARKS = 64
_MADE_OF_MARKS = "\u0f73\u0f75\u0f81\uff9e\uff9f"  # no marks themselves, but normalising makes nothing else of them


class Reading(NamedTuple):
    """What is read of a text: the part it stands in, that part normalised, and whether this is all of the text."""

    part: str
    plain: str
    whole: bool


def split_windows(ids: Sequence[int], size: int, overlap: int = OVERLAP) -> list[Sequence[int]]:
    """Slices of at most `size` tokens, the final one ending the text.

    Neighbours share `overlap` tokens, at most half a window.
    """
    if len(ids) <= size:
        return [ids]
    overlap = min(overlap, size // 2)
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
