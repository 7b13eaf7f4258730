"""What is read of a text: stacked marks are cut, everything else stays."""

from __future__ import annotations

import sys
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zhenyan.inference.normalise import normalise
from zhenyan.inference.windows import MAX_CHARS, MAX_MARKS, has_stacked_marks, readable

MARKS = st.text("\u0301\u0323\u0f71\u0f73\uff9e", max_size=MAX_MARKS)


@given(st.lists(st.tuples(st.text(max_size=20), st.sampled_from("aé好"), MARKS), max_size=5))
def test_what_has_no_stacked_marks_is_read_as_it_stands(parts):
    text = "".join(before + letter + marks for before, letter, marks in parts)
    if not has_stacked_marks(text):
        assert readable(text) == (text, normalise(text), True)


@pytest.mark.parametrize("stack", ["\u0301\u0323", "\u0301\u200b\u0323", "\u0f73", "\u0f71\u0f72", "\u0301\uff9e"])
def test_of_stacked_marks_as_many_are_read_as_a_word_may_have(stack):
    """A text of nothing else took 18 seconds."""
    text = "降" + stack * (MAX_CHARS // len(stack) - 3) + "血压"
    began = time.perf_counter()
    part, plain, whole = readable(text)
    assert time.perf_counter() - began < 2
    assert part == text and not whole
    assert plain[0] == "降" and plain.endswith("血压") and len(plain) <= 3 + 2 * MAX_MARKS


def test_as_many_marks_as_stream_safe_text_may_have_are_read():
    """UAX #15, section 13: 30 in a row."""
    text = "a" + "\u0301\u0316" * 15 + "治病"
    assert readable(text) == (text, normalise(text), True)


def test_marks_are_all_that_normalising_makes_marks_of():
    for code in range(sys.maxunicode + 1):
        marks = all(map(unicodedata.combining, unicodedata.normalize("NFKD", chr(code))))
        if marks or code < 0x4000:
            assert has_stacked_marks(chr(code) * (MAX_MARKS + 1)) is marks, hex(code)
