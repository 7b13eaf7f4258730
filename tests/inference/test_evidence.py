"""Evidence against a scorer whose reasons are known."""

import numpy as np
import pytest
from zhenyan.inference.evidence import find_evidence, pieces


def score(texts):
    """Label 0 fires on 降血压, label 1 on 第一."""
    return np.array([[0.9 if "降血压" in t else 0.1, 0.8 if "第一" in t else 0.05] for t in texts])


def test_the_deciding_words_are_found():
    text = "大家早上好，这个茶能降血压的，放心喝，全国第一"
    (found,) = find_evidence([text], [[("food_safety", 0), ("false_propaganda", 1)]], score([text]), score)
    assert {e.label for e in found} == {"food_safety", "false_propaganda"}
    for e in found:
        assert text[e.start : e.end] == e.text
    assert any(set("降血压") & set(e.text) for e in found if e.label == "food_safety")
    assert any("第" in e.text or "一" in e.text for e in found if e.label == "false_propaganda")


def test_no_labels_no_evidence_and_no_pieces_in_punctuation():
    assert find_evidence(["。。。"], [[("x", 0)]], np.array([[0.9]]), lambda t: np.full((len(t), 1), 0.9)) == [()]
    assert pieces("！！，。") == []


def test_pieces_stay_bounded_for_long_texts():
    assert len(pieces("很长的话" * 2000)) <= 96


@pytest.mark.parametrize("length", [150, 300, 5000])
def test_the_work_does_not_grow_with_the_length(length):
    probed = []

    def counted(texts):
        probed.append(sum(map(len, texts)))
        return score(texts)

    filler = "大家早上好，欢迎来到直播间，" * 400
    text = filler[:length] + "这个茶能降血压的，" + filler[:length] + "全国第一"
    found = find_evidence([text, filler[:40]], [[("food_safety", 0), ("false_propaganda", 1)], []],
                          score([text, ""]), counted)  # fmt: skip
    assert {e.label for e in found[0]} == {"food_safety", "false_propaganda"} and found[1] == ()
    assert all(text[e.start : e.end] == e.text for e in found[0])
    assert any(set("降血压") & set(e.text) for e in found[0] if e.label == "food_safety")
    assert sum(probed) < 1.3 * len(text) + 40_000
