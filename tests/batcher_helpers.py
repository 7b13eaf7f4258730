"""What tests of the micro-batcher share: a run of one, and a clock that can be set forward."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from zhenyan.inference.classifier import Prediction
from zhenyan.inference.serve.batcher import Batcher


def run(
    scorer: Callable[..., list[Prediction]],
    body: Callable[[Batcher], Awaitable[Any]],
    budget: int = 100,
    deadline: float = 60.0,
    delay: float = 0.01,
) -> Any:
    """What `body` gives for a batcher of this scorer, which must have nothing left when it is stopped."""

    async def main() -> Any:
        batcher = Batcher(scorer, budget, delay, deadline)
        batcher.start()
        try:
            return await asyncio.wait_for(body(batcher), 20)
        finally:
            await asyncio.wait_for(batcher.stop(), 20)
            assert batcher.waiting == 0 and not batcher.running

    return asyncio.run(main())


def texts(predictions: Sequence[Prediction]) -> list[str]:
    return [prediction.text for prediction in predictions]


class LateClock:
    """`time.perf_counter`, `late` seconds ahead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock, self.late = time.perf_counter, 0.0
        monkeypatch.setattr(time, "perf_counter", lambda: clock() + self.late)
