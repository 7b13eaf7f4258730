"""Micro-batching: order, budgets, turns, deadlines, faults and leavers, with a scorer of known speed."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from batcher_helpers import LateClock, run, texts
from zhenyan.inference.classifier import Prediction
from zhenyan.inference.serve.batcher import Batcher, Overloaded
from zhenyan.inference.serve.pace import Pace, cost

pytestmark = pytest.mark.alone


class Scorer:
    """Takes `seconds` for each character; fails on 坏."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.calls = seconds, []

    def __call__(self, texts, explain, deciders):
        self.calls.append((list(texts), explain))
        time.sleep(self.seconds * cost(texts))
        if any("坏" in text for text in texts):
            raise ValueError("坏")
        return [Prediction(text, (), {}) for text in texts]


def test_requests_that_come_together_are_scored_together_and_get_their_own_back():
    scorer = Scorer()
    jobs = [[f"{n}-{k}" for k in range(n)] for n in range(1, 5)]

    async def body(batcher):
        return await asyncio.gather(*(batcher.submit(job, False) for job in jobs))

    assert [texts(answer) for answer in run(scorer, body, budget=1000)] == jobs
    assert len(scorer.calls) == 1


def test_no_batch_exceeds_the_budget_and_a_long_text_travels_alone():
    scorer = Scorer()

    async def body(batcher):
        return await asyncio.gather(*(batcher.submit(["短" * n, "长" * 300], False) for n in range(1, 30)))

    assert len(run(scorer, body)) == 29
    assert all(len(batch) == 1 or cost(batch) <= 100 for batch, _ in scorer.calls)


def test_evidence_is_found_only_for_those_who_want_it():
    scorer = Scorer()

    async def body(batcher):
        await asyncio.gather(*(batcher.submit([str(n)], n % 2 == 0) for n in range(6)))

    run(scorer, body, budget=1000)
    assert all(int(text) % 2 == (0 if explain else 1) for batch, explain in scorer.calls for text in batch)


@pytest.mark.parametrize(("budget", "most"), [(4096, 512), (1024, 256), (100, 100)])
def test_a_batch_with_evidence_is_small_however_fast_the_last_ones_were(budget, most):
    """Those were no hits perhaps; one batch of nothing but hits kept all others waiting for ten seconds."""
    scorer = Scorer()

    async def body(batcher):
        batcher.pace[True] = Pace(10**9, 1.0)
        await asyncio.gather(*(batcher.submit(["好" * 12] * 200, explain) for explain in (True, False)))

    run(scorer, body, budget=budget)
    assert max(cost(batch) for batch, explain in scorer.calls if explain) in range(most - 20, most + 1)
    assert max(cost(batch) for batch, explain in scorer.calls if not explain) > min(budget, 1500) - 20


def test_requests_that_are_decided_otherwise_are_scored_together_each_text_with_its_own_decider():
    asked = []

    def scorer(texts, explain, deciders):
        asked.append(dict(zip(texts, deciders, strict=True)))
        return [Prediction(text, (), {}) for text in texts]

    async def body(batcher):
        jobs = ((["甲", "乙"], "strict"), (["丙"], None), (["丁"], "loose"))
        await asyncio.gather(*(batcher.submit(own, False, decider) for own, decider in jobs))

    run(scorer, body, budget=1000)
    assert asked == [{"甲": "strict", "乙": "strict", "丙": None, "丁": "loose"}]


def test_one_jobs_fault_stays_its_own():
    async def body(batcher):
        jobs = [batcher.submit([text, text], False) for text in ("好", "坏", "很好")]
        return await asyncio.gather(*jobs, return_exceptions=True)

    first, second, third = run(Scorer(), body)
    assert texts(first) == ["好", "好"] and isinstance(second, ValueError) and texts(third) == ["很好", "很好"]


def test_a_long_job_lets_short_ones_pass():
    async def body(batcher):
        await batcher.submit(["预热" * 40], False)
        long = batcher.submit(["长" * 92] * 60, False)
        await asyncio.sleep(0.05)
        await batcher.submit(["短"], False)
        assert not long.done()
        return await long

    assert len(run(Scorer(0.0002), body, deadline=1.0)) == 60


class Held:
    """Holds texts too long for a batch until it is let go; counts how many are held at a time at most."""

    def __init__(self):
        self.free, self.held, self.most = threading.Event(), 0, 0

    def __call__(self, texts, explain, deciders):
        if any(cost([text]) > 100 for text in texts):
            assert len(texts) == 1
            self.held += 1
            self.most = max(self.most, self.held)
            assert self.free.wait(10)
            self.held -= 1
        return [Prediction(text, (), {}) for text in texts]


def test_a_text_too_long_for_a_batch_lets_others_pass():
    """It and its evidence can't be cut: others, who may wait no longer than the deadline, are scored beside it."""
    scorer, own = Held(), ["短", "长" * 300, "短短", "长" * 200, "短短短"]

    async def body(batcher):
        long = batcher.submit(own, True)
        await asyncio.sleep(0.05)
        for explain in (True, False, True):
            assert texts(await batcher.submit(["别人"], explain)) == ["别人"]
        assert not long.done()
        scorer.free.set()
        return await long

    assert texts(run(scorer, body, deadline=1.0)) == own


def test_many_short_texts_are_not_refused_for_a_long_one_that_they_do_not_wait_for():
    scorer, many = Held(), ["短"] * 70

    async def body(batcher):
        long = batcher.submit(["长" * 300], True)
        await asyncio.sleep(0.05)
        batcher.pace[True] = Pace(1000, 1.0)  # the many take 0.63 s of 1 s then, the long one 0.31
        assert texts(await batcher.submit(many, True)) == many
        assert not long.done()
        scorer.free.set()
        await long

    run(scorer, body, deadline=1.0)


def test_texts_too_long_for_a_batch_are_scored_one_at_a_time():
    scorer = Held()
    scorer.free.set()

    async def body(batcher):
        return await asyncio.gather(*(batcher.submit(["长" * n, "短"] * 3, n % 2 == 0) for n in range(200, 206)))

    assert [texts(answer) for answer in run(scorer, body)] == [["长" * n, "短"] * 3 for n in range(200, 206)]
    assert scorer.most == 1


def test_a_text_too_long_for_a_batch_waits_no_longer_for_another_than_the_deadline():
    scorer = Held()

    async def body(batcher):
        first, gone = (batcher.submit(["长" * 300], False) for _ in range(2))
        await asyncio.sleep(0.05)
        gone.cancel()
        with pytest.raises(Overloaded, match=r"may wait at most 0.76 s, given 0.76 s; retry in 1 s"):
            await batcher.submit(["长" * 200], False)
        assert texts(await batcher.submit(["短"], False)) == ["短"]
        scorer.free.set()
        return await first

    assert texts(run(scorer, body, deadline=0.8)) == ["长" * 300]


def test_a_fault_in_a_text_too_long_for_a_batch_stays_its_own():
    async def body(batcher):
        jobs = [batcher.submit([first, "长" * 300], False) for first in ("坏" * 300, "好" * 300)]
        return await asyncio.gather(*jobs, return_exceptions=True)

    faulty, sound = run(Scorer(), body)
    assert isinstance(faulty, ValueError) and texts(sound) == ["好" * 300, "长" * 300]


def test_what_cannot_be_done_in_time_is_refused_at_once():
    async def body(batcher):
        await batcher.submit(["预热" * 46], False)
        outcomes = []
        for _ in range(60):
            begin = time.perf_counter()
            try:
                outcomes.append((begin, batcher.submit(["长" * 92], False)))
            except Overloaded as error:
                assert error.retry_after >= 1 and time.perf_counter() - begin < 0.05
        assert 10 < len(outcomes) < 50
        answers = await asyncio.gather(*(job for _, job in outcomes), return_exceptions=True)
        assert time.perf_counter() - outcomes[0][0] < 1.1
        return answers

    answers = run(Scorer(0.0003), body, deadline=1.0)
    assert sum(isinstance(answer, list) for answer in answers) > 10


def test_a_job_that_waited_too_long_is_refused_though_it_was_accepted():
    scorer = Scorer()

    async def body(batcher):
        await batcher.submit(["快" * 92], False)
        scorer.seconds = 0.003  # the machine is suddenly busy
        jobs = [batcher.submit(["长" * 92], False) for _ in range(10)]
        return await asyncio.gather(*jobs, return_exceptions=True)

    answers = run(scorer, body, deadline=1.0)
    assert isinstance(answers[0], list) and isinstance(answers[-1], Overloaded)


@pytest.mark.parametrize(("waited", "refused"), [(46.0, False), (50.0, True)])
def test_who_has_less_than_a_fifth_of_the_deadline_left_is_refused_however_fast_it_goes(monkeypatch, waited, refused):
    """Its batch may be slower than the last ones were, and the answer would come when nobody waits for it any more."""
    clock = LateClock(monkeypatch)

    async def body(batcher):
        job = batcher.submit(["好"], False)
        clock.late = waited
        return (await asyncio.gather(job, return_exceptions=True))[0]

    answer = run(Scorer(), body)
    assert refused == isinstance(answer, Overloaded), answer
    assert not refused or "may wait at most 48.00 s, given 50." in str(answer)


def test_a_full_batch_waits_for_no_more_to_come():
    async def body(batcher):
        began = time.perf_counter()
        await asyncio.gather(*(batcher.submit(["好" * 92], False) for _ in range(3)))
        full = time.perf_counter() - began
        await batcher.submit(["好"], False)
        return full, time.perf_counter() - began

    full, partly = run(Scorer(), body, delay=1.0)
    assert full < 0.8 < partly


def test_a_waiting_job_is_refused_at_its_deadline_not_after_the_batch_before_it():
    """The batch ends only when the refusal has been seen."""
    seen = threading.Event()

    def scorer(texts, explain, deciders):
        if "长" in texts:
            assert seen.wait(10)
        return [Prediction(text, (), {}) for text in texts]

    async def body(batcher):
        long = batcher.submit(["长"], False)
        await asyncio.sleep(0.05)
        with pytest.raises(Overloaded, match=r"may wait at most 0.19 s, given 0.19 s; retry in 1 s"):
            await batcher.submit(["短"], False)
        assert batcher.waiting == cost(["长"])  # the refused job is no longer in anybody's way
        seen.set()
        return await long

    assert texts(run(scorer, body, deadline=0.2)) == ["长"]


def test_a_job_longer_than_the_deadline_is_accepted_when_the_way_is_free():
    async def body(batcher):
        return await batcher.submit(["长" * 92] * 10, False)

    assert len(run(Scorer(0.001), body, deadline=0.2)) == 10


def test_leavers_are_not_scored():
    scorer = Scorer(0.001)

    async def body(batcher):
        first = batcher.submit(["一" * 92], False)
        await asyncio.sleep(0.03)
        gone = [batcher.submit(["走" * 92], False) for _ in range(5)]
        for job in gone:
            job.cancel()
        await first
        await batcher.submit(["二"], False)

    run(scorer, body)
    assert not any("走" in text for batch, _ in scorer.calls for text in batch)


def test_one_who_leaves_while_being_scored_stops_nobody():
    """The batch is handed out to a future that is cancelled already."""

    async def body(batcher):
        loop, gone = asyncio.get_running_loop(), threading.Event()

        def leave():
            leaver.cancel()
            gone.set()

        def scorer(texts, explain, deciders):
            loop.call_soon_threadsafe(leave)
            assert gone.wait(10)
            return [Prediction(text, (), {}) for text in texts]

        batcher.predict = scorer
        leaver = batcher.submit(["走"], False)
        with pytest.raises(asyncio.CancelledError):
            await leaver
        batcher.predict = Scorer()
        assert texts(await asyncio.wait_for(batcher.submit(["二"], False), 10)) == ["二"]
        assert batcher.running

    run(Scorer(), body)


def test_a_job_that_fails_in_its_first_portion_is_no_longer_waited_for():
    async def body(batcher):
        with pytest.raises(ValueError, match="坏"):
            await batcher.submit(["坏" * 92, "长" * 92, "长" * 92], False)
        assert texts(await batcher.submit(["二"], False)) == ["二"]
        assert batcher.waiting == 0

    run(Scorer(), body)


def test_stop_finishes_what_is_queued():
    async def main():
        batcher = Batcher(Scorer(0.0005), 100, 0.0, 60.0)
        batcher.start()
        jobs = [batcher.submit(["长" * 92], False) for _ in range(8)]
        jobs += [batcher.submit(["长" * 300, "短"], True) for _ in range(3)]
        await batcher.stop()
        return [job.done() for job in jobs]

    assert all(asyncio.run(main()))


def test_stop_does_not_wait_for_a_text_whose_caller_has_gone():
    """A stop that had told its last clients that it is over went on for as long as the scorer took."""
    begun, free = threading.Event(), threading.Event()

    def scorer(texts, explain, deciders):
        begun.set()
        assert free.wait(20)
        return [Prediction(text, (), {}) for text in texts]

    async def main():
        batcher = Batcher(scorer, 100, 0.0, 60.0)
        batcher.start()
        jobs = [batcher.submit([text], False) for text in ("短", "长" * 300)]
        await asyncio.to_thread(begun.wait)
        asyncio.get_running_loop().call_later(0.2, lambda: [job.cancel() for job in jobs])
        await asyncio.wait_for(batcher.stop(), 10)
        assert all(job.cancelled() for job in jobs) and not batcher.running
        free.set()

    asyncio.run(main())


def test_when_the_queue_ends_by_a_fault_nobody_waits_for_ever_and_it_is_told():
    async def main():
        batcher, told = Batcher(Scorer(), 100, 0.01, 60.0), []
        batcher.on_fault = told.append
        batcher.observe = lambda stage, _: 1 // (stage != "score")
        batcher.start()
        waiting = [batcher.submit(["好" * 60], False) for _ in range(3)]
        await asyncio.wait(waiting, timeout=20)
        assert [type(job.exception()) for job in waiting] == [ZeroDivisionError] * 3 and not batcher.running
        assert [type(fault) for fault in told] == [ZeroDivisionError]

    asyncio.run(main())
