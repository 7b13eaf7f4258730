"""Long texts as overlapping windows of tokens, so that nothing is cut off unseen."""

from __future__ import annotations

from collections.abc import Sequence

from zhenyan.inference.normalise import normalise

OVERLAP = 32  # tokens that two neighbouring windows share
MAX_CHARS = 100_000  # a text that is longer, as it stands or normalised, is read up to here and reported as truncated


def split_windows(ids: Sequence[int], size: int, overlap: int = OVERLAP) -> list[Sequence[int]]:
    """Slices of at most `size` tokens, each starting `size - overlap` after the last; the final one ends the text."""
    if len(ids) <= size:
        return [ids]
    step = max(1, size - overlap)
    starts = range(0, len(ids) - overlap, step)
    return [ids[start : start + size] for start in starts]


def readable(text: str) -> tuple[str, str]:
    """The part of `text` that is read, and its normalised form, neither over MAX_CHARS (one character may become eighteen)."""
    part = text[:MAX_CHARS]
    while len(plain := normalise(part)) > MAX_CHARS:
        part = part[: len(part) * MAX_CHARS // len(plain)]
    return part, plain
