"""Probabilities that a program hands to the classifier."""

from __future__ import annotations

import numpy as np
import pytest
from zhenyan.inference.errors import InputError

CLAIM = "喝这个茶三高就降下来了"


def test_a_probability_that_is_no_number_is_refused_by_its_place(classifier):
    """NaN is below every threshold and so was compliant; of strings NumPy complained."""
    scores, labels = classifier.score([CLAIM, CLAIM]), [["food_safety"]] * 2
    scores[1, 3] = np.nan
    with pytest.raises(InputError, match=r"probabilities\[1, 3\]: expected a number, given nan"):
        classifier.find_evidence([CLAIM] * 2, labels, scores)
    with pytest.raises(InputError, match=r"probabilities\[3\]: expected a number, given nan"):
        classifier.decide(scores[1])
    for given in (np.full(scores.shape, "x"), [["x"] * 14] * 2, [[1.0], []]):
        with pytest.raises(InputError, match=r"probabilities: expected an array \(2, 14\) .*: numbers, given "):
            classifier.find_evidence([CLAIM] * 2, labels, given)
