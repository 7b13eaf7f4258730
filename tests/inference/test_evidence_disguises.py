"""Evidence cuts no word whose disguise is undone before the model reads it."""

import numpy as np
import pytest
from zhenyan.inference.evidence import find_evidence, pieces
from zhenyan.inference.normalise import normalise


@pytest.mark.parametrize(
    ("before", "word"),
    [
        ("这款茶喝了", "高🩸压"),
        ("老板这边有", "⚡子🚬"),
        ("晒图就给你", "🌟🌟🌟🌟🌟返"),
        ("来医院看看", "yi生"),
    ],
)
def test_no_pictograph_that_is_read_is_cut_from_its_word(before, word):
    text = before + word + "今天下单给你们看一看"
    inside = range(len(before) + 1, len(before + word))
    assert not {end for _, end in pieces(text, range(1, len(text)))} & set(inside)


def test_dotted_characters_in_front_of_a_word_are_shown_as_one():
    text = "今天下单，国.家.级品质，大家放心"

    def fires(texts):
        return np.array([[0.9 if "国家级" in normalise(each) else 0.1] for each in texts])

    ((found,),) = find_evidence([text], [[("a", 0)]], fires([text]), fires)
    assert found.text.startswith("国.家.级")
