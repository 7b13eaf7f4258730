"""Disguises: seeded, named, and doing what their name says."""

import itertools
import random
import unicodedata

import pytest
from zhenyan.inference.errors import ConfigError
from zhenyan.inference.normalise import normalise
from zhenyan.training import evasion
from zhenyan.training.evasion.written import CODE_WORDS

TEXT = "这个茶喝完三高就降下来了，治疗糖尿病的效果比医院专家开的药还好，全网最低价只要99元"


@pytest.mark.parametrize("name", evasion.TRANSFORMS)
def test_seeded_and_changing(name):
    once = evasion.disguise(TEXT, name, 3)
    assert once == evasion.disguise(TEXT, name, 3) != TEXT
    assert len({evasion.disguise(TEXT, name, seed) for seed in range(8)}) > (0 if name == "traditional" else 1)


@pytest.mark.parametrize("name", evasion.TRANSFORMS)
@pytest.mark.parametrize("text", ["", "a", "。", "好", "🔥", "12", "x" * 500])
def test_any_text_survives(name, text):
    once = evasion.disguise(text, name, 0)
    assert once == evasion.disguise(text, name, 0)
    plain = unicodedata.normalize("NFKC", once)
    if name in ("disclaimer", "wink"):
        assert text in plain and len(plain) > len(text)  # a phrase stands beside it
    elif name == "punctuation":
        assert text.strip("。") in plain  # signs beside it, or another end
    else:  # there is nothing to disguise, but for one character that has parts
        assert plain == ("女子" if (name, text) == ("split_character", "好") else text)


@pytest.mark.parametrize("name", ["traditional", "emoji", "full_width"])
def test_the_normaliser_undoes_what_needs_no_learning(name):
    # circled digits become plain ones under NFKC; emoji between characters vanish
    assert normalise(evasion.disguise(TEXT, name, 1)) == normalise(TEXT)


def is_within(text: str, whole: str) -> bool:
    """Whether `text` is `whole` with characters left out."""
    rest = iter(whole)
    return all(character in rest for character in text)


def test_known_examples():
    words = itertools.product(*(CODE_WORDS[word] for word in ("药", "改善", "睡眠")))
    assert evasion.disguise("这个药能改善睡眠", "code_word", 1) in {f"这个{a}能{b}{c}" for a, b, c in words}
    assert evasion.disguise("能治疗", "pinyin", 0) == "能zhiliao"
    assert evasion.disguise("能治疗", "initials", 0) == "能zl"
    assert evasion.disguise("能治疗", "reduplicate", 0) == "能疗疗"
    assert evasion.disguise("能治疗", "split_character", 0) == "能氵台疒了"


def test_words_that_are_not_heard_are_han_characters_and_never_all():
    heard = {evasion.disguise("他说99元的话", "drop_words", seed) for seed in range(100)}
    assert heard > {"他说99元的话", "他说99元的", "他99元的话"}
    assert all("99" in text and is_within(text, "他说99元的话") for text in heard)
    assert {evasion.disguise("好", "drop_words", seed) for seed in range(100)} == {"好"}


def test_augment_draws_among_the_names():
    rng = random.Random(0)
    names = evasion.check_names(None)
    assert len({evasion.augment(TEXT, rng, names) for _ in range(50)}) > 20
    assert {evasion.augment("能治疗", rng, ["pinyin"]) for _ in range(20)} == {"能zhiliao"}
    one_or_both = {evasion.augment("能治疗", rng, ["pinyin", "reduplicate"]) for _ in range(200)}
    assert one_or_both == {"能zhiliao", "能疗疗", "nengliao疗", "能liaoliao"}
    with pytest.raises(ConfigError, match="allowed: homophone"):
        evasion.check_names(["rot13"])
