"""Signs that change nothing about a line: set otherwise in training, measured with others, never an answer."""

import random
import re

import pytest
from pydantic import ValidationError
from zhenyan.inference.normalise import normalise
from zhenyan.training import evasion
from zhenyan.training.config import EvasionConfig
from zhenyan.training.dataset import Collator
from zhenyan.training.evasion import punctuation

LINE = "这款面霜补水保湿，敏感肌先在耳后试一下。"
SAID = "这款面霜补水保湿敏感肌先在耳后试一下"


def _drawn(count: int = 600) -> list[str]:
    return [punctuation.repunctuate(LINE, random.Random(seed)) for seed in range(count)]


def test_what_is_said_stays_in_its_order():
    for text in _drawn():
        beside = re.sub(r"[#@][\w]+", "", text)
        characters = iter(re.sub(r"\W", "", beside))
        assert all(character in characters for character in SAID), text


@pytest.mark.parametrize(
    "sign", ["“", "《", "「", "#", "@", "；", " | ", "！", "…", "①", "1、", "666"], ids=lambda sign: sign.strip()
)
def test_every_kind_of_sign_is_drawn(sign):
    assert any(sign in text for text in _drawn())


def test_ends_and_pauses_are_left_out_too():
    drawn = _drawn()
    assert any(text.endswith("试一下") for text in drawn) and any("保湿敏感肌" in text for text in drawn)


def test_tags_and_names_that_are_measured_are_never_trained_on():
    trained = {tag for text in _drawn(3000) for tag in re.findall(r"[#@](\w+)", text)}
    measured = {
        tag for seed in range(600) for tag in re.findall(r"[#@](\w+)", evasion.disguise(LINE, "punctuation", seed))
    }
    assert len(trained) > 25 and len(measured) > 8 and not trained & measured
    with pytest.raises(ValidationError, match="unknown transform punctuation"):
        EvasionConfig(transforms=["punctuation"])


def _texts(share: float, epoch: int = 0) -> list[str]:
    changes = EvasionConfig(probability=0, speech=0, splice=0, asides=0, punctuation=share)
    collator = Collator(lambda texts, **_: {"texts": texts}, 64, seed=1, changes=changes, epoch=epoch)
    items = [{"row": i, "text": LINE, "target": [0.0, 1.0], "mask": [1.0, 1.0], "weight": 1.0, "written_live": False}
             for i in range(200)]  # fmt: skip
    batch = collator(items)
    assert batch["target"].tolist() == [[0.0, 1.0]] * 200
    return batch["texts"]


def test_the_share_of_texts_is_what_was_asked_for_and_each_epoch_draws_anew():
    assert set(_texts(0.0)) == {normalise(LINE)}
    changed = sum(text != normalise(LINE) for text in _texts(0.4))
    assert 40 <= changed <= 80  # of 200; what the normaliser undoes isn't counted
    assert _texts(0.4) == _texts(0.4) != _texts(0.4, epoch=1)


PRICES = "2.5折起，原价1,299元现价99，50元券满3，2件88"


def test_numbers_stay_what_they_are():
    for seed in range(2000):
        text = punctuation.repunctuate(PRICES, random.Random(seed))
        numbers = re.findall(r"[\d.,，]*\d", re.sub(r"[#@]\w+#?", "", text))
        assert all(number in numbers for number in ("2.5", "1,299", "99，50", "3，2", "88")), text
