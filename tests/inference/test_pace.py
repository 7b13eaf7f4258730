"""What a text costs, and how fast texts were scored lately."""

from __future__ import annotations

import pytest
from zhenyan.inference.normalise import normalise
from zhenyan.inference.serve.batcher import Pace, cost, length


@pytest.mark.parametrize(("text", "chars"), [
    ("abc", 3), ("降血压", 3), ("\ufdfa" * 100, 1800), ("Ａ½", 4), ("\u200b" * 5, 5), ("a" + "\u0301\u0316" * 9_000, 18_001),
])  # fmt: skip
def test_a_text_costs_what_it_is_once_normalised(text, chars):
    assert length(text) == chars >= len(normalise(text))
    assert cost([text, ""]) == chars + cost(["", ""])


@pytest.mark.parametrize("fast", [1, 10_000])
def test_pace_is_weighted_by_time(fast):
    """What was done over the time it took: a batch that cost nothing adds its characters and no more."""
    pace = Pace()
    for _ in range(200):
        pace.add(1_000, 1.0)
        pace.add(fast, 1e-6)
    assert pace.seconds_for(1_000) == pytest.approx(1 / (1 + fast / 1_000), rel=0.1)


def test_pace_forgets_what_was_long_ago():
    pace = Pace()
    for _ in range(100):
        pace.add(100, 1.0)
    for _ in range(10):
        pace.add(1_000, 1.0)
    assert pace.seconds_for(1_000) == pytest.approx(1, rel=0.1)


def test_a_stall_is_soon_forgotten():
    """Thirty seconds in which the machine stood still are no pace that lasts."""
    pace = Pace()
    for chars, seconds in ((100, 0.1), (100, 30.0), *[(1_000, 1.0)] * 8):
        pace.add(chars, seconds)
    assert pace.seconds_for(1_000) == pytest.approx(1, rel=0.1)
