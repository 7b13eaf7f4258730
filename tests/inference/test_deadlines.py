"""Micro-batching: a request has one deadline, whatever it submits and however slow its batch turns out to be."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from batcher_helpers import LateClock, run, texts
from zhenyan.inference.classifier import Prediction
from zhenyan.inference.serve.batcher import Asker, Overloaded
from zhenyan.inference.serve.pace import Pace, cost

pytestmark = pytest.mark.alone


class Gate:
    """Scores at once, but batches with 慢 in them only when `free` is set; keeps what it was given."""

    def __init__(self) -> None:
        self.free, self.calls = threading.Event(), []

    def __call__(self, texts, explain, deciders):
        self.calls.append(list(texts))
        assert not any("慢" in text for text in texts) or self.free.wait(10)
        return [Prediction(text, (), {}) for text in texts]


def run_gate(gate, body, deadline=1.0):
    async def freed(batcher):
        try:
            return await body(batcher)
        finally:
            gate.free.set()

    return run(gate, freed, 1000, deadline)


def test_a_job_is_refused_at_its_deadline_amid_a_batch_that_turns_out_slow():
    """Its own share of the batch is small: it waits for the others. It was answered when the batch was, however late."""
    gate = Gate()

    async def body(batcher):
        began = time.perf_counter()
        jobs = [batcher.submit([f"慢{n}" * 40], False) for n in range(8)]
        answers = await asyncio.gather(*jobs, return_exceptions=True)
        assert len(gate.calls) == 1 and 0.9 < time.perf_counter() - began < 1.0
        return answers

    answers = run_gate(gate, body)
    assert [type(answer) for answer in answers] == [Overloaded] * 8
    assert "may wait at most 0.95 s, given 0.95 s" in str(answers[0])


@pytest.mark.parametrize("slower", [1, 100])
def test_a_job_that_takes_longer_than_the_deadline_by_itself_is_answered(slower):
    """Expected or not: refused, it would be refused as often as it came. Few hits among many texts make a hundredfold."""
    gate = Gate()

    async def body(batcher):
        batcher.pace[False] = Pace(100.0 * slower, 1.0)  # characters of a second: the job takes 1 s, or a hundredth
        job = batcher.submit(["慢" * 92], False)
        await asyncio.sleep(1.1)
        gate.free.set()
        return await job

    assert texts(run_gate(gate, body)) == ["慢" * 92]


def test_what_fits_into_a_batch_is_not_cut():
    """It waited for two batches, the end of the one and all of the next."""
    gate = Gate()

    async def body(batcher):
        batcher.pace[False] = Pace(10.0**9, 1.0)
        return await asyncio.gather(*(batcher.submit(["好" * 92] * n, False) for n in (4, 7, 2, 30, 4)))

    assert [len(answer) for answer in run_gate(gate, body, 60.0)] == [4, 7, 2, 30, 4]
    # That of 30 fills what others leave: it is cut anyway.
    assert [cost(call) for call in gate.calls] == [400, 1000, 1000, 1000, 900, 400]


def test_what_a_request_submits_later_goes_on_with_its_turn():
    gate = Gate()

    async def body(batcher):
        first, second = Asker(again=True), Asker(again=True)
        await asyncio.gather(*(batcher.submit([f"{n}"], False, None, asker) for n, asker in enumerate((first, second))))
        held = batcher.submit(["慢"], False)
        await asyncio.sleep(0.1)
        others = [batcher.submit([f"其他{n}" * 200], False) for n in range(3)]
        later = [batcher.submit([text], False, None, asker) for text, asker in (("续一", first), ("续二", second))]
        gate.free.set()
        await asyncio.gather(held, *others, *later)

    run_gate(gate, body, 60.0)
    assert [text for call in gate.calls[2:] for text in call][:3] == ["续一", "续二", "其他0" * 200]


def test_what_a_request_submits_later_has_no_deadline_of_its_own():
    gate = Gate()

    async def body(batcher):
        asker = Asker(again=True)
        await batcher.submit(["一"], False, None, asker)
        await asyncio.sleep(0.7)
        batcher.submit(["慢"], False)
        await asyncio.sleep(0.1)
        with pytest.raises(Overloaded):
            await batcher.submit(["二"], False, None, asker)
        assert 0.9 < time.perf_counter() - asker.since < 1.0

    run_gate(gate, body)


@pytest.mark.parametrize(("waited", "refused"), [(28.0, False), (46.0, True)])
def test_one_that_may_submit_again_has_to_begin_earlier(monkeypatch, waited, refused):
    """After its first turn it needs two more batches: begun too late, all that was scored for it would be for nothing."""
    clock = LateClock(monkeypatch)

    async def body(batcher):
        jobs = [batcher.submit(["好"], False, None, Asker(again=again)) for again in (False, True)]
        clock.late = waited
        return await asyncio.gather(*jobs, return_exceptions=True)

    alone, again = run_gate(Gate(), body, 60.0)
    assert not isinstance(alone, Overloaded) and isinstance(again, Overloaded) == refused
