"""What is read of a text: stacked marks are cut, everything else stays."""

from __future__ import annotations

import itertools
import sys
import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from zhenyan.inference.normalise import normalise
from zhenyan.inference.windows import (
    LONG,
    MAX_CHARS,
    MAX_MARKS,
    RUN,
    RUN_MARGIN,
    clause_runs,
    has_stacked_marks,
    readable,
    readings_of,
)

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


@given(st.text("好啊ab1,，。 .", min_size=LONG + 1, max_size=400))
@example("好" * 19 + "，" + "啊" * 19 + "，" + "b" * 47 + "。")
def test_runs_cover_a_long_text_and_overlap(text):
    runs = clause_runs(text)
    assert runs[0][0] == 0 and runs[-1][1] == len(text)
    assert all(0 < end - start <= RUN for start, end in runs)
    assert all(before[0] < start <= before[1] < end for before, (start, end) in itertools.pairwise(runs))


def test_runs_are_of_whole_clauses_each_begun_in_the_middle_of_the_one_before():
    text = (
        "这款锅用了三年了，好洗；煎鸡蛋不放油也行，这个涂层用一辈子也不会掉，"
        + "颜色有米白和灰，今天拍下送一个锅铲，到手1,299.5元，喜欢的拍一号链接。"
    )
    cut = [text[start:end] for start, end in clause_runs(text)]
    assert all(run[-1] in "，；。" for run in cut)
    assert any("这个涂层用一辈子也不会掉，颜色有米白和灰，" in run for run in cut)
    assert any("到手1,299.5元，" in run for run in cut)


@pytest.mark.parametrize("clause", ["好" * 40, "好 " * 1000, "好。", "1,", "好" * 63 + "。"])
def test_what_has_no_end_of_a_clause_is_cut(clause):
    text = (clause * 100_000)[:MAX_CHARS]
    began = time.perf_counter()
    runs = clause_runs(text)
    assert time.perf_counter() - began < 2
    assert all(0 < end - start <= RUN for start, end in runs) and runs[-1][1] == len(text)


def test_long_texts_are_read_whole_and_in_runs():
    long = "，".join(["今天的茶都是现摘现炒的"] * 6)
    read = readings_of(["短", long, "好" * LONG, ""])
    assert read.texts[:4] == ["短", long, "好" * LONG, ""] and "".join(read.texts[4:5]) in long
    assert set(read.owners[4:]) == {1} and read.owners[:4] == [0, 1, 2, 3]
    assert read.margins[:4].tolist() == [0] * 4 and set(read.margins[4:].tolist()) == {RUN_MARGIN}
