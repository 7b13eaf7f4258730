"""Micro-batching: requests that come together are scored together, within a budget, a delay and a deadline."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from zhenyan.inference.classifier import Prediction

Predict = Callable[[Sequence[str], bool], list[Prediction]]
_FLOOR = 2_000.0  # characters a second assumed before anything was measured


class Overloaded(Exception):
    """The queue is too long for the deadline; `retry_after` is in seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"overloaded, retry in {retry_after:.0f} s")
        self.retry_after = retry_after


@dataclass
class _Job:
    texts: Sequence[str]
    explain: bool
    future: asyncio.Future[list[Prediction]]
    chars: int
    queued: float = field(default_factory=time.perf_counter)


class Batcher:
    """One queue before one model; `predict` runs in its own thread, so that the event loop stays free."""

    def __init__(self, predict: Predict, budget: int, max_delay: float, deadline: float,
                 observe: Callable[[str, float], None] = lambda *_: None) -> None:  # fmt: skip
        self.predict, self.budget, self.max_delay, self.deadline, self.observe = (
            predict,
            budget,
            max_delay,
            deadline,
            observe,
        )
        self.pace = _FLOOR  # characters a second, a moving average
        self.waiting = 0  # characters queued or being scored
        self._queue: deque[_Job] = deque()
        self._wake = asyncio.Event()
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="score")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to serve; call from within the event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Finish what is queued, then end."""
        while self.waiting:
            await asyncio.sleep(0.005)
        if self._task:
            self._task.cancel()
        self._executor.shutdown(wait=True)

    def expected_wait(self) -> float:
        """Seconds a request would wait now."""
        return self.waiting / self.pace

    async def submit(self, texts: Sequence[str], explain: bool) -> list[Prediction]:
        """Predictions for `texts`; Overloaded when they could not be had within the deadline."""
        chars = sum(map(len, texts)) + 8 * len(texts)
        if self.waiting and self.expected_wait() > self.deadline:
            raise Overloaded(max(1.0, self.expected_wait() - self.deadline))
        job = _Job(texts, explain, asyncio.get_running_loop().create_future(), chars)
        self.waiting += chars
        self._queue.append(job)
        self._wake.set()
        return await job.future

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            if self.max_delay and sum(job.chars for job in self._queue) < self.budget:
                await asyncio.sleep(self.max_delay)
            batch = self._take()
            if batch:
                await self._score(batch)
            if not self._queue:
                self._wake.clear()

    def _take(self) -> list[_Job]:
        """Jobs up to the budget, at least one; those whose caller has gone are dropped, those too late refused."""
        batch: list[_Job] = []
        size = 0
        while self._queue and (not batch or size + self._queue[0].chars <= self.budget):
            job = self._queue.popleft()
            if job.future.done():
                self.waiting -= job.chars
            elif time.perf_counter() - job.queued > self.deadline:
                self.waiting -= job.chars
                job.future.set_exception(Overloaded(max(1.0, self.expected_wait())))
            else:
                batch.append(job)
                size += job.chars
        return batch

    async def _score(self, batch: list[_Job]) -> None:
        started = time.perf_counter()
        for job in batch:
            self.observe("queue", started - job.queued)
        texts = [text for job in batch for text in job.texts]
        explain = any(job.explain for job in batch)
        chars = sum(job.chars for job in batch)
        try:
            results = await asyncio.get_running_loop().run_in_executor(self._executor, self.predict, texts, explain)
        except Exception as error:
            for job in batch:
                if not job.future.done():
                    job.future.set_exception(error)
        else:
            at = 0
            for job in batch:
                if not job.future.done():
                    job.future.set_result(results[at : at + len(job.texts)])
                at += len(job.texts)
        finally:
            self.waiting -= chars
        took = time.perf_counter() - started
        self.observe("score", took)
        self.pace += 0.2 * (chars / max(took, 1e-6) - self.pace)
