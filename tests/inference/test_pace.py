"""What a text costs, how fast texts were scored lately, and how long requests waited."""

from __future__ import annotations

import asyncio
import random
import sys
import timeit
import unicodedata

import pytest
from zhenyan.inference.classifier import Prediction
from zhenyan.inference.normalise import normalise
from zhenyan.inference.serve.batcher import Asker, Batcher
from zhenyan.inference.serve.pace import Pace, cost, length


@pytest.mark.parametrize(("text", "chars"), [
    ("abc", 3), ("降血压", 3), ("\ufdfa" * 100, 1800), ("Ａ½", 4), ("\u200b" * 5, 5), ("a" + "\u0301\u0316" * 9_000, 18_001),
])  # fmt: skip
def test_a_text_costs_what_it_is_once_normalised(text, chars):
    assert length(text) == chars >= len(normalise(text))
    assert cost([text, ""]) == chars + cost(["", ""])


def test_every_character_counts_as_what_it_becomes():
    """Also those of scripts that this Python doesn't know yet, and lone surrogates."""
    for first in range(0, sys.maxunicode, 0x1000):
        page = [chr(code) for code in range(first, first + 0x1000)]
        assert length("".join(page)) == sum(len(unicodedata.normalize("NFKC", char)) for char in page), hex(first)


def test_measuring_a_large_body_holds_up_nobody():
    """It is done where all requests are received: one of 2 MB kept everybody waiting for 0.15 s."""
    chance = random.Random(1)
    texts = ["".join(chr(chance.randrange(0x4E00, 0x9FA5)) for _ in range(2_500)) for _ in range(256)]
    length("好")
    assert min(timeit.repeat(lambda: cost(texts), number=1, repeat=5)) < 0.03


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


@pytest.mark.parametrize("length", [60, 150])
def test_a_request_waits_once_though_there_was_no_room_when_it_was_looked_at(length):
    """It was counted again with every batch that it didn't fit in. Those of 150 are too long for any."""
    told: list[float] = []
    observed: list[float] = []

    async def main():
        batcher = Batcher(lambda texts, *_: [Prediction(text, (), {}) for text in texts], 100, 0.01, 60)
        batcher.observe = lambda stage, value: observed.append(value) if stage == "queue" else None
        batcher.start()
        jobs = [batcher.submit(["好" * length], False, None, Asker(told.append)) for _ in range(4)]
        await asyncio.wait_for(asyncio.gather(*jobs), 20)
        await batcher.stop()

    asyncio.run(main())
    assert len(told) == 4 and sorted(told) == sorted(observed)  # those of one batch are told in any order
