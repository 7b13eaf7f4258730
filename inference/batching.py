"""Packing token sequences into few, well-filled, padded arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

PAD_MULTIPLE = 8  # widths are rounded up to this, so that a runtime meets few shapes


def padded_width(length: int) -> int:
    """Smallest multiple of PAD_MULTIPLE that holds `length` tokens."""
    return -(-length // PAD_MULTIPLE) * PAD_MULTIPLE


def plan_batches(lengths: Sequence[int], token_budget: int) -> Iterator[list[int]]:
    """Group indices so that rows × padded width stays within `token_budget` (a longer row travels alone).

    Rows are taken longest first, so each batch holds rows of nearly one length and padding is small.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    start = 0
    while start < len(order):
        width = padded_width(lengths[order[start]])
        rows = max(1, token_budget // width)
        yield order[start : start + rows]
        start += rows


def pad(sequences: Sequence[Sequence[int]], pad_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Right-pad to one width; returns (input_ids, attention_mask), both int64 of shape (rows, width)."""
    width = padded_width(max(map(len, sequences)))
    ids = np.full((len(sequences), width), pad_id, dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
        mask[row, : len(sequence)] = 1
    return ids, mask
