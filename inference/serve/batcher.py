"""Micro-batching: requests that come together are scored together, within a budget, a delay and a deadline.

A request longer than its turn, a quarter of the deadline, goes back to the end of the queue after it: others pass.
What a request submits later, such as the pairs of a stream's lines, goes on with its turn and has no deadline of its own.
A text too long for a batch is the smallest unit and its evidence belongs to it, so one such is scored beside the batches.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from zhenyan.inference.classifier import Classifier, Prediction
from zhenyan.inference.serve.pace import Pace, cost

# Texts, whether to find evidence, and for each text by whose thresholds it is decided (None: as the service decides).
Predict = Callable[[Sequence[str], bool, Sequence[Classifier | None]], list[Prediction]]
_LEAST = 256  # characters that a batch with evidence may have, where the budget allows
_MARGIN = 0.75  # share of the deadline that is promised away: the pace may fall while a job waits
_ANSWER = 0.05  # share of the deadline that is left for the answer's own way
_ROUNDS = 3  # of a stream at most: its lines, its pairs, evidence of those
_LEAVE = 1.0  # seconds that a stop gives the scorer when nobody waits for it any more


class Overloaded(Exception):
    """The queue is too long for the deadline: `limit` is how long the request may wait; all are in seconds."""

    def __init__(self, retry_after: float, limit: float, given: float) -> None:
        self.retry_after = max(1, math.ceil(retry_after))
        super().__init__(
            f"overloaded: this request may wait at most {limit:.2f} s, given {given:.2f} s; retry in {self.retry_after} s"
        )


@dataclass(eq=False)
class Asker:
    """One request, whatever it submits: its deadline counts from `since`; `on_turn` is told what each of its jobs waited."""

    on_turn: Callable[[float], None] = lambda _: None
    since: float = field(default_factory=time.perf_counter)
    again: bool = False  # it may submit more once it has its first predictions
    begun: bool = False
    large: bool = False  # expected to take more than half of the deadline by itself
    turn: float = 0.0  # expected seconds of the texts taken since it came to the head of the queue
    _taken: float = 0.0  # seconds of scoring that went into its own texts
    _scored: tuple[float, float] = (0.0, 0.0)  # its share of a batch that is being scored, and since when

    def taken(self) -> float:
        """Seconds that went into its own texts until now: its share of its batches."""
        share, since = self._scored
        return self._taken + share * (time.perf_counter() - since)

    def score(self, share: float) -> None:
        """From now on a batch is scored of which this share is its own: 0 where that ends."""
        self._taken, self._scored = self.taken(), (share, time.perf_counter())


@dataclass(eq=False)
class _Job:
    texts: Sequence[str]
    explain: bool
    future: asyncio.Future[list[Prediction]]
    costs: Sequence[int]  # of each text
    left: int  # cost of what is not scored yet
    decider: Classifier | None
    asker: Asker
    at: int = 0  # first text not taken yet
    results: list[Prediction] = field(default_factory=list)
    queued: float = field(default_factory=time.perf_counter)


_Portion = tuple[_Job, slice]  # texts of a job that are scored together


class Batcher:
    """One queue before one model; `predict` runs in two threads: the event loop stays free, and a long text stops nobody."""

    def __init__(self, predict: Predict, budget: int, max_delay: float, deadline: float) -> None:
        self.predict, self.budget = predict, budget
        self.observe: Callable[[str, float], None] = lambda *_: None  # told a stage and its seconds, or what waits
        self.on_fault: Callable[[BaseException], None] = lambda _: None  # told why the queue ended, if not by `stop`
        self.max_delay, self.deadline, self.turn = max_delay, deadline, deadline / 4
        self._patience = (1 - _ANSWER) * deadline
        # Finding evidence costs many times the score: each kind has its own pace.
        self.pace = {False: Pace(), True: Pace()}
        self.waiting = 0  # characters queued or being scored
        self._queue: deque[_Job] = deque()
        self._aside: deque[_Job] = deque()  # jobs whose next text is too long for a batch; the first is being scored
        self._awaited: set[asyncio.Future[list[Prediction]]] = set()  # of all jobs that somebody waits for
        self._last_turn: list[_Job] = []  # jobs whose last portion is being scored
        self._wake = asyncio.Event()
        self._stopping = False
        self._executor = ThreadPoolExecutor(max_workers=2, thread_name_prefix="score")
        self._task: asyncio.Task[None] | None = None
        self._beside: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to serve; call from within the event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Answer those who wait when the queue ends by a fault, which is none of a scorer's, and tell `on_fault`."""
        if task.cancelled() or (fault := task.exception()) is None:
            return
        for job in (*self._queue, *self._aside, *self._last_turn):
            if not job.future.done():
                job.future.set_exception(fault)
        self.on_fault(fault)

    @property
    def running(self) -> bool:
        """Whether what is submitted will be scored."""
        return self._task is not None and not self._task.done()

    async def stop(self) -> None:
        """Finish what is queued, then end; a text that is being scored for nobody any more is left to itself."""
        self._stopping = True
        self._wake.set()
        if self._task:
            while self._awaited and not self._task.done():
                either: set[asyncio.Future[Any]] = {self._task, *self._awaited}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._task, _LEAVE)
        self._executor.shutdown(wait=False)

    def expected_wait(self, seconds: float, long: bool = False) -> float:
        """Seconds that a job of `seconds` would spend waiting for its turns if the queue stayed as it is.

        `long`: it holds a text too long for a batch, which waits for those aside, too; they are scored whole.
        """
        jobs = [job for job in (*self._queue, *self._last_turn) if not job.future.done()]
        ahead = sum(min(self._seconds_of(job), self.turn) for job in jobs)
        aside = [job for job in self._aside if long and not job.future.done()]
        return ahead * max(1, math.ceil(seconds / self.turn)) + sum(self._seconds_of(job) for job in aside)

    def _seconds_of(self, job: _Job) -> float:
        """Seconds that what is left of a job takes."""
        return self.pace[job.explain].seconds_for(job.left)

    def _wait_of(self, job: _Job) -> float:
        """Seconds that a job would wait if it came now."""
        return self.expected_wait(self._seconds_of(job), max(job.costs, default=0) > self._full(job.explain))

    def submit(
        self, texts: Sequence[str], explain: bool, decider: Classifier | None = None, asker: Asker | None = None
    ) -> asyncio.Future[list[Prediction]]:
        """Predictions to come; Overloaded when they could not be had within the deadline. Cancel it to leave.

        `decider`: whose thresholds decide; texts of all deciders are scored together. `asker`: the request, where it submits
        more than once.
        """
        costs = [cost([text]) for text in texts]
        loop, asker = asyncio.get_running_loop(), asker or Asker()
        job = _Job(texts, explain, loop.create_future(), costs, sum(costs), decider, asker)
        own = self._seconds_of(job)
        if not asker.begun:
            self._admit(job, own)
        asker.large = asker.large or own > self.deadline / 2
        timer = loop.call_later(asker.since + self._patience - time.perf_counter(), self._expire, job)
        job.future.add_done_callback(lambda _: timer.cancel())
        self._awaited.add(job.future)
        job.future.add_done_callback(self._awaited.discard)
        self._queue.insert(self._place(asker), job)
        self._count(job.left)
        self._wake.set()
        return job.future

    def _place(self, asker: Asker) -> int:
        """Where in the queue a job goes: one that goes on with a turn stands before all that wait for theirs."""
        if not asker.begun or asker.turn >= self.turn:
            return len(self._queue)
        return next((place for place, job in enumerate(self._queue) if not job.asker.begun), len(self._queue))

    def _admit(self, job: _Job, own: float) -> None:
        """Overloaded for a job of `own` seconds that would wait too long.

        One longer than the deadline is accepted when the way is free, or it never would be.
        """
        promised = _MARGIN - (1 / 4 if job.asker.again else 0)
        wait, longest = self._wait_of(job), max(promised * self.deadline - own, self.deadline / 4)
        if wait > longest:
            raise Overloaded(wait - longest, longest, wait)

    def _expire(self, job: _Job) -> None:
        """Refuse a job that isn't done at its deadline, also amid its batch, which may take much longer than the last ones did.

        Not one that has begun and takes so long by itself: it would be refused as often as it came.
        """
        asker = job.asker
        if job.future.done() or (asker.begun and (asker.large or asker.taken() > self.deadline / 2)):
            return
        queue = self._queue if job in self._queue else self._aside
        if job in queue and not job.at:
            queue.remove(job)
            self._count(-job.left)
            self.observe("queue", time.perf_counter() - job.queued)
        job.future.set_exception(Overloaded(self._wait_of(job), self._patience, self._patience))

    def _count(self, chars: int) -> None:
        self.waiting += chars
        self.observe("waiting", self.waiting)

    async def _run(self) -> None:
        while self._queue or self._aside or not self._stopping:
            await self._wake.wait()
            if self.max_delay and self.waiting - sum(job.left for job in self._aside) < self.budget:
                await asyncio.sleep(self.max_delay)
            taken = self._take()
            self._start_beside()
            for explain, portions in taken.items():
                await self._score(portions, explain)
            self._last_turn.clear()
            if not self._queue and (self._aside or not self._stopping):
                self._wake.clear()

    def _start_beside(self) -> None:
        """See to it that what stands aside is being scored."""
        if self._beside is not None and self._beside.done():
            self._beside.result()  # raises what isn't the scorer's fault, which ends the service
            self._beside = None
        if self._aside and self._beside is None:
            self._beside = asyncio.create_task(self._score_aside())
            self._beside.add_done_callback(lambda _: self._wake.set())

    async def _score_aside(self) -> None:
        """Score texts too long for a batch, one after the other; what is left of their jobs goes back to the queue."""
        while self._aside:
            job = self._aside[0]
            if not self._dropped(job):
                self._begin(job)
                part = slice(job.at, job.at + 1)
                job.at, job.asker.turn = part.stop, 0.0
                await self._score([(job, part)], job.explain)
                if job.at < len(job.texts):
                    self._queue.append(job)
            self._aside.popleft()
            self._wake.set()

    def _take(self) -> dict[bool, list[_Portion]]:
        """The next portions, with and without evidence."""
        taken: dict[bool, list[_Portion]] = {False: [], True: []}
        room = 1.0
        while self._queue and room > 0:
            job = self._queue.popleft()
            if self._is_over(job):
                continue
            if job.costs[job.at] > self._full(job.explain):
                self._aside.append(job)
                continue
            if self._dropped(job):
                continue
            if room < job.left / self._full(job.explain) <= 1:  # cut, it would wait for two batches
                self._queue.appendleft(job)
                break
            part, share = self._portion(job, room)
            if job.texts[part]:
                self._begin(job)
                taken[job.explain].append((job, part))
                room -= share
            if self._advance(job, part):
                break
        return taken

    def _begin(self, job: _Job) -> None:
        """Tell how long a job waited for its first turn: now, for there may have been no room when it was looked at first."""
        if not job.at:
            waited = time.perf_counter() - job.queued
            self.observe("queue", waited)
            job.asker.on_turn(waited)
            job.asker.begun = True

    def _advance(self, job: _Job, part: slice) -> bool:
        """Put a job where it belongs after a portion; whether it has texts left, so that the batch is full."""
        job.at = part.stop
        job.asker.turn += self.pace[job.explain].seconds_for(sum(job.costs[part]))
        if job.at == len(job.texts):
            self._last_turn.append(job)
        elif job.asker.turn < self.turn:
            self._queue.appendleft(job)
        else:
            job.asker.turn = 0.0
            self._queue.append(job)
        return job.at < len(job.texts)

    def _dropped(self, job: _Job) -> bool:
        """Whether the job is out: its caller has gone, or it waited so long that it can't be done in time."""
        if not job.future.done() and not job.asker.begun:
            waited = time.perf_counter() - job.asker.since
            pace = self.pace[job.explain]
            # It is answered when its whole batch is, and that may be slower than the last ones were.
            reserve = max(2 * pace.seconds_for(max(job.left, self.budget)), self.deadline / 5)
            reserve *= _ROUNDS if job.asker.again else 1
            if waited > (longest := self.deadline - min(reserve, self.deadline / 2)):
                self.observe("queue", waited)
                job.future.set_exception(Overloaded(self._wait_of(job), longest, waited))
        return self._is_over(job)

    def _is_over(self, job: _Job) -> bool:
        """Whether a job taken out of the queue has its answer, or nobody waits for it: then it counts no longer."""
        if job.future.done():
            self._count(-job.left)
        return job.future.done()

    def _portion(self, job: _Job, room: float) -> tuple[slice, float]:
        """Next texts of a job that fit into `room` (share of a batch), and their share."""
        full = self._full(job.explain)
        end, share = job.at, 0.0
        while end < len(job.texts) and share + (more := job.costs[end] / full) <= room:
            share += more
            end += 1
        return slice(job.at, end), share

    def _full(self, explain: bool) -> float:
        """Characters in a full batch: at most the budget, and at the pace of late no more than a turn.

        Evidence is sought of hits alone, which nobody knows before: how many stand in a batch makes it a hundred times slower.
        """
        most = min(self.budget, max(_LEAST, self.budget // 8)) if explain else self.budget
        return min(most, self.turn / self.pace[explain].seconds_for(1))

    async def _score(self, portions: list[_Portion], explain: bool) -> None:
        """Score portions together; where that fails, each alone, so that one job's fault stays its own."""
        texts = [text for job, part in portions for text in job.texts[part]]
        if not texts:
            return
        deciders = [job.decider for job, part in portions for _ in job.texts[part]]
        costs = [sum(job.costs[part]) for job, part in portions]
        started, loop = time.perf_counter(), asyncio.get_running_loop()
        for (job, _), own in zip(portions, costs, strict=True):
            job.asker.score(own / sum(costs))
        try:
            results = await loop.run_in_executor(self._executor, self.predict, texts, explain, deciders)
        except Exception as error:
            for portion in portions if len(portions) > 1 else []:
                await self._score([portion], explain)
            if len(portions) == 1:
                self._fail(portions[0][0], error)
            return
        finally:
            for job, _ in portions:
                job.asker.score(0)
        took = time.perf_counter() - started
        self.observe("score", took)
        self.pace[explain].add(sum(costs), took)
        self._hand_out(portions, iter(results))

    def _fail(self, job: _Job, error: Exception) -> None:
        if not job.future.done():
            job.future.set_exception(error)
        if job.at == len(job.texts):
            self._count(-job.left)

    def _hand_out(self, portions: list[_Portion], results: Iterator[Prediction]) -> None:
        for job, part in portions:
            done = sum(job.costs[part])
            job.left -= done
            self._count(-done)
            job.results += [next(results) for _ in job.costs[part]]
            if job.at == len(job.texts) and not job.future.done():
                job.future.set_result(job.results)
