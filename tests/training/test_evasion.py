"""Disguises: seeded, named, and doing what their name says."""

import random

import pytest
from zhenyan.inference.errors import ConfigError
from zhenyan.inference.normalise import normalise
from zhenyan.training import evasion

TEXT = "这个茶喝完三高就降下来了，治疗糖尿病的效果比医院专家开的药还好，全网最低价只要99元"


@pytest.mark.parametrize("name", evasion.TRANSFORMS)
def test_seeded_and_changing(name):
    once = evasion.disguise(TEXT, name, 3)
    assert once == evasion.disguise(TEXT, name, 3) != TEXT
    assert len({evasion.disguise(TEXT, name, seed) for seed in range(8)}) > (0 if name == "traditional" else 1)


@pytest.mark.parametrize("name", evasion.TRANSFORMS)
@pytest.mark.parametrize("text", ["", "a", "。", "好", "🔥", "12", "x" * 500])
def test_any_text_survives(name, text):
    assert isinstance(evasion.disguise(text, name, 0), str)


@pytest.mark.parametrize("name", ["traditional", "emoji", "full_width"])
def test_the_normaliser_undoes_what_needs_no_learning(name):
    # circled digits become plain ones under NFKC; emoji between characters vanish
    assert normalise(evasion.disguise(TEXT, name, 1)) == normalise(TEXT)


def test_known_examples():
    assert evasion.disguise("这个药能改善睡眠", "code_word", 1) != "这个药能改善睡眠"
    assert "zhi" in evasion.disguise("能治疗", "pinyin", 0)
    assert evasion.disguise("他说的话", "drop_words", 0)


def test_augment_draws_among_the_names():
    rng = random.Random(0)
    names = evasion.check_names(None)
    assert len({evasion.augment(TEXT, rng, names) for _ in range(50)}) > 20
    only = {evasion.augment("能治疗", rng, ["pinyin"]) for _ in range(20)}
    assert all("z" in text or "l" in text or "n" in text for text in only)
    with pytest.raises(ConfigError, match="allowed: homophone"):
        evasion.check_names(["rot13"])
