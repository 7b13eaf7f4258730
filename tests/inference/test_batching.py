"""Packing: every row once, budgets kept, padding right."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from zhenyan.inference.batching import PAD_MULTIPLE, pad, padded_width, plan_batches
from zhenyan.inference.windows import split_windows


@given(st.lists(st.integers(1, 300), max_size=200), st.integers(64, 4096))
def test_every_row_once_within_budget(lengths, budget):
    batches = list(plan_batches(lengths, budget))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        (width,) = {padded_width(lengths[i]) for i in batch}  # a row's padding doesn't depend on its neighbours
        assert len(batch) == 1 or len(batch) * width <= budget
        assert width % PAD_MULTIPLE == 0


def test_pad():
    ids, mask = pad([[5, 6, 7], [8]], pad_id=1)
    assert ids.shape == (2, 8)
    assert ids.tolist() == [[5, 6, 7, 1, 1, 1, 1, 1], [8, 1, 1, 1, 1, 1, 1, 1]]
    assert mask.sum() == 4 and ids.dtype == np.int64


@given(st.integers(1, 2000), st.integers(40, 128))
def test_windows_cover_all_and_overlap(count, size):
    ids = list(range(count))
    windows = split_windows(ids, size)
    assert set().union(*windows) == set(ids)
    assert all(len(w) <= size for w in windows)
    assert all(a[-1] >= b[0] for a, b in itertools.pairwise(windows))
    assert windows[-1][-1] == ids[-1]
