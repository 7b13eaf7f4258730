"""Packing: every row once, budgets kept, padding right; windows and groups leave nothing out."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from zhenyan.inference.batching import PAD_MULTIPLE, groups, pad, padded_width, plan_batches
from zhenyan.inference.windows import split_windows


@given(st.lists(st.integers(1, 300), max_size=200), st.integers(64, 4096))
def test_every_row_once_within_budget(lengths, budget):
    batches = list(plan_batches(lengths, budget))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        (width,) = {padded_width(lengths[i]) for i in batch}  # a row's padding doesn't depend on its neighbours
        assert len(batch) == 1 or len(batch) * width <= budget
        assert width % PAD_MULTIPLE == 0


def test_rows_are_padded_to_a_multiple_of_eight_and_masked():
    ids, mask = pad([[5, 6, 7], [8]], pad_id=1)
    assert ids.shape == (2, 8)
    assert ids.tolist() == [[5, 6, 7, 1, 1, 1, 1, 1], [8, 1, 1, 1, 1, 1, 1, 1]]
    assert mask.sum() == 4 and ids.dtype == np.int64


@given(st.integers(1, 2000), st.integers(4, 300))
def test_windows_cover_all_in_order_and_overlap(count, size):
    ids = list(range(count))
    windows = split_windows(ids, size)
    assert windows[0][0] == 0 and windows[-1][-1] == count - 1
    assert all(0 < len(w) <= size and w == ids[w[0] : w[-1] + 1] for w in windows)
    assert all(a[0] < b[0] <= a[-1] for a, b in itertools.pairwise(windows))
    if size >= 126 and count > size:  # those of the released bundle: as they always were
        assert windows == [ids[start : start + size] for start in range(0, count - 32, size - 32)]


@given(st.lists(st.text("长", max_size=12), max_size=20))
def test_groups_keep_order_and_size(texts):
    found = list(groups(texts, 10, 3))
    assert [text for group in found for text in group] == texts
    assert all(len(group) <= 3 and (sum(map(len, group)) <= 10 or len(group) == 1) for group in found)


def test_a_full_group_does_not_wait_for_what_comes_next():
    taken = []
    coming = (taken.append(text) or text for text in "abcde")
    assert next(groups(coming, 10, 2)) == ["a", "b"] == taken
