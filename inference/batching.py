"""Cutting texts into groups, and packing their token sequences into few, well-filled, padded arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

CHARS = 500_000  # characters that are read together
PAD_MULTIPLE = 8  # widths are rounded up to this, so that a runtime meets few shapes


def groups(texts: Iterable[str], chars: int, rows: int) -> Iterator[list[str]]:
    """Runs of texts with at most `chars` characters (a longer text alone) and `rows` texts, which are given at once."""
    group: list[str] = []
    room = chars
    for text in texts:
        if group and len(text) > room:
            yield group
            group, room = [], chars
        group.append(text)
        room -= len(text)
        if len(group) == rows:
            yield group
            group, room = [], chars
    if group:
        yield group


def padded_width(length: int) -> int:
    """Smallest multiple of PAD_MULTIPLE that holds `length` tokens."""
    return -(-length // PAD_MULTIPLE) * PAD_MULTIPLE


def plan_batches(lengths: Sequence[int], token_budget: int) -> Iterator[list[int]]:
    """Group indices so that rows × padded width stays within `token_budget` (a longer row travels alone).

    Rows of one batch have one padded width, the narrowest that holds each of them. So a row meets the same shapes whoever
    it travels with: runtimes pick kernels, and the order they add up in, by width, and a wider padding would move its score.
    """
    by_width: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        by_width.setdefault(padded_width(length), []).append(index)
    for width, members in sorted(by_width.items(), reverse=True):
        rows = max(1, token_budget // width)
        for start in range(0, len(members), rows):
            yield members[start : start + rows]


def pad(sequences: Sequence[Sequence[int]], pad_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Right-pad to one width; returns (input_ids, attention_mask), both int64 of shape (rows, width)."""
    width = padded_width(max(map(len, sequences)))
    ids = np.full((len(sequences), width), pad_id, dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
        mask[row, : len(sequence)] = 1
    return ids, mask
