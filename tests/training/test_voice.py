"""A bias for what sounds like real rooms: how it is learned, what it changes, what it needs."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from rich.console import Console
from zhenyan.inference.errors import ConfigError
from zhenyan.training import train as training
from zhenyan.training.config import VoiceConfig
from zhenyan.training.modelling import load_model
from zhenyan.training.predict import predict
from zhenyan.training.rows import Row
from zhenyan.training.voice import add_voice

SPOKEN = [f"来 宝宝们 就是说 {n}号链接 对吧 给大家上车" for n in "一二三四五六七八"]
WRITTEN = [f"{n}号商品，规格详见包装标签。" for n in "一二三四五六七八"]
ROWS = [Row(text, meta={"room": "r-1"}) for text in SPOKEN] + [Row(text, meta={"batch": "b01"}) for text in WRITTEN]


@pytest.fixture
def trained(small_config):
    return load_model(training.train(small_config, console=Console(quiet=True)).folder / "model")


def test_real_voices_are_raised_alike_under_every_label_and_written_ones_are_not(trained):
    model, tokenizer, _ = copy.deepcopy(trained[0]), *trained[1:]
    before, _ = predict(model, tokenizer, [*SPOKEN, *WRITTEN], 64)
    add_voice(model, tokenizer, ROWS, VoiceConfig(shift=2.0), 64, seed=1)
    rise = predict(model, tokenizer, [*SPOKEN, *WRITTEN], 64)[0] - before
    assert np.ptp(rise, axis=1).max() < 1e-4, "one bias for all labels"
    assert rise[:8].mean() > rise[8:].mean() + 0.2 and rise.max() < 2.5


def test_no_shift_changes_nothing_and_the_rows_are_drawn_by_the_seed(trained):
    heads = []
    for config, seed in ((VoiceConfig(shift=0), 1), *((VoiceConfig(rows=12), seed) for seed in (1, 1, 2))):
        model = copy.deepcopy(trained[0])
        add_voice(model, trained[1], ROWS, config, 64, seed)
        heads.append(model.head.weight.detach().numpy().tolist())
    assert heads[0] == trained[0].head.weight.tolist() and heads[1] == heads[2] != heads[3]


@pytest.mark.parametrize(("rows", "missing"), [(ROWS[:8], "no written"), (ROWS[8:], "no real"), ([], "no real")])
def test_rows_of_one_kind_tell_no_voice(trained, rows, missing):
    with pytest.raises(ConfigError, match=f"voice: {missing} training row"):
        add_voice(copy.deepcopy(trained[0]), trained[1], rows, VoiceConfig(), 64, seed=1)


def test_a_run_that_can_have_no_voice_is_refused_before_it_is_trained(small_config):
    config = small_config.model_copy(update={"voice": VoiceConfig()})
    with pytest.raises(ConfigError, match="voice: no real training row"):
        training.train(config, console=Console(quiet=True))
    assert not small_config.runs.exists(), "told before there is a run"


def test_a_run_gets_its_voice_when_it_is_finished(small_config, monkeypatch):
    heard = []
    monkeypatch.setattr(training, "drawn", lambda *_: None)
    monkeypatch.setattr(training, "add_voice", lambda *given: heard.append(given[3]))
    training.train(small_config.model_copy(update={"voice": VoiceConfig(shift=0.5)}), console=Console(quiet=True))
    training.train(small_config, console=Console(quiet=True))
    assert heard == [VoiceConfig(shift=0.5)]
