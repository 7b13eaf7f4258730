"""Phrases beside a line that change nothing about it: trained on, measured with others, never an answer."""

import random

import pytest
from pydantic import ValidationError
from zhenyan.inference.normalise import normalise
from zhenyan.training import evasion
from zhenyan.training.config import EvasionConfig
from zhenyan.training.dataset import Collator
from zhenyan.training.evasion import asides

LINE = "喝半个月血压就正常了，真的不骗你"


def _left_of(text: str) -> str:
    """What stands around the line's two clauses."""
    rest = text
    for clause in LINE.split("，"):
        before, found, after = rest.partition(clause)
        assert found, text
        rest = before + after
    return rest.strip("，, ")


def test_the_line_stays_whole_wherever_the_phrase_stands():
    drawn = [asides.aside(LINE, random.Random(seed)) for seed in range(200)]
    assert all(_left_of(text) for text in drawn)
    assert any(text.startswith("喝") for text in drawn) and any(text.endswith("不骗你") for text in drawn)
    assert any(text.startswith("喝") and text.endswith("不骗你") for text in drawn)  # between the two clauses


@pytest.mark.parametrize("name", ["disclaimer", "wink"])
def test_what_is_measured_was_never_trained_on(name):
    measured = {_left_of(evasion.disguise(LINE, name, seed)) for seed in range(200)}
    trained = {_left_of(asides.aside(LINE, random.Random(seed))) for seed in range(2000)}
    assert len(measured) >= 3 and not measured & trained
    assert not any(phrase in text for phrase in measured for text in trained)
    with pytest.raises(ValidationError, match=f"unknown transform {name}"):
        EvasionConfig(transforms=[name])


def test_phrases_for_training_are_short_and_told_once_and_none_holds_a_measured_one():
    said, nods = asides._trained()
    phrases = [*said, *nods]
    assert len(said) > 600 and len(nods) > 70 and len(set(phrases)) == len(phrases)
    assert all(3 <= len(phrase) <= 20 and not set(phrase) & set("，。！？；、 ") for phrase in phrases)
    assert not any(measured in phrase for measured in (*asides._DISCLAIMERS, *asides._WINKS) for phrase in phrases)


def _collator(asides_share: float) -> Collator:
    changes = EvasionConfig(probability=0, speech=0, splice=0, asides=asides_share, punctuation=0)
    return Collator(lambda texts, **_: {"texts": texts}, 64, seed=1, changes=changes)


def test_labels_stay_and_each_epoch_draws_anew():
    items = [{"row": i, "text": LINE, "target": [1.0, 0.0], "mask": [1.0, 1.0], "weight": 1.0, "written_live": False}
             for i in range(8)]  # fmt: skip
    with_asides, plain = _collator(1.0), _collator(0.0)
    first = with_asides(items)
    assert set(plain(items)["texts"]) == {normalise(LINE)}
    assert all(text != normalise(LINE) and _left_of(text) for text in first["texts"])
    assert first["target"].tolist() == [[1.0, 0.0]] * 8
    assert with_asides(items)["texts"] == first["texts"]
    with_asides.epoch = 1
    assert with_asides(items)["texts"] != first["texts"]
