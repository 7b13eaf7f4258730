"""The bar of a training leaves the terminal whatever ends the training."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console
from zhenyan.training import train as training
from zhenyan.training.progress import ProgressBar, Stopped


@pytest.mark.parametrize("ending", [Stopped, KeyboardInterrupt, RuntimeError])
def test_a_bar_is_taken_down_when_its_training_is_cut_off(small_config, monkeypatch, ending):
    """Of a sweep's trials many are; a second bar on a console that still shows the first one is an error."""
    bars: list[ProgressBar] = []

    def fit(*args):
        bar = args[-1][0]
        bars.append(bar)
        bar.on_train_begin(None, SimpleNamespace(global_step=0, max_steps=9), None)
        assert bar.bar.live.is_started
        raise ending

    monkeypatch.setattr(training, "fit", fit)
    console = Console(file=io.StringIO(), force_terminal=True)
    for _ in range(2):
        with pytest.raises(ending):
            training.train(small_config, console=console)
    assert len(bars) == 2 and not any(bar.bar.live.is_started for bar in bars)


def test_a_bar_can_be_taken_down_twice_and_where_there_is_no_terminal():
    plain, shown = (ProgressBar(Console(file=io.StringIO(), force_terminal=shown)) for shown in (False, True))
    for bar in (plain, shown):
        bar.on_train_begin(None, SimpleNamespace(global_step=0, max_steps=9), None)
        bar.on_train_end(None, None, None)
        bar.close()
        assert not bar.bar.live.is_started
