"""A progress bar with time left, and live metrics to the tracker."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import TrainerCallback
from zhenyan.training.tracking import Tracker

_PLAIN_EVERY = 60.0  # seconds between lines where there is no terminal


class Stopped(Exception):
    """Raised by a callback that ends a training on purpose; the run is tracked as KILLED, not as FAILED."""


class ProgressBar(TrainerCallback):
    """Steps done, speed and time left: a bar on a terminal, a line a minute elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                            TextColumn("left"), TimeRemainingColumn(), console=console)  # fmt: skip
        self.started = self.said = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.started = self.said = time.monotonic()
        self.first = state.global_step
        if self.console.is_terminal:
            self.bar.start()
            self.task = self.bar.add_task("training", total=state.max_steps, completed=state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.console.is_terminal:
            self.bar.update(self.task, completed=state.global_step)
        elif time.monotonic() - self.said >= _PLAIN_EVERY:
            self.said = time.monotonic()
            pace = (self.said - self.started) / max(1, state.global_step - self.first)
            left = (state.max_steps - state.global_step) * pace / 60
            self.console.print(f"step {state.global_step:,} of {state.max_steps:,}, about {left:.0f} min left")

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, float] | None = None, **_: Any
    ) -> None:
        shown = {
            key.removeprefix("eval_"): value
            for key, value in (metrics or {}).items()
            if "precision" in key or "loss" in key
        }
        self.console.print(f"epoch {state.epoch:.2f}: " + ", ".join(f"{k} {v:.4f}" for k, v in shown.items()))

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar off the terminal, which holds one at a time; a training that is cut off has no on_train_end."""
        if self.bar.live.is_started:
            self.bar.stop()


class TrackMetrics(TrainerCallback):
    """Sends what the Trainer logs to the tracker."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        numbers = {f"live.{key}": value for key, value in (logs or {}).items() if isinstance(value, int | float)}
        self.tracker.metrics(numbers, state.global_step)
