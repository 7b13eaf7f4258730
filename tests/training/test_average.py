"""`zhenyan average`: the mean of weights, thresholds of its own, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from rich.console import Console
from zhenyan.inference.errors import ConfigError
from zhenyan.training import average as averages
from zhenyan.training import cli
from zhenyan.training import train as training
from zhenyan.training.average import average, parse_shares
from zhenyan.training.config import dump_config
from zhenyan.training.modelling import load_model, save_model


def test_weights_are_the_mean_by_shares_and_thresholds_are_chosen_anew(small_config):
    quiet = Console(quiet=True)
    first = training.train(small_config, console=quiet).folder / "model"
    second = training.train(small_config, warm_start=first, console=quiet).folder / "model"
    run = average(small_config, {first: 0.25, second: 0.75}, quiet)
    one, two, mean = (load_model(folder)[0].encoder.state_dict() for folder in (first, second, run.folder / "model"))
    assert not all(torch.equal(one[name], two[name]) for name in one)
    for name, value in mean.items():
        assert torch.allclose(value, 0.25 * one[name] + 0.75 * two[name], atol=1e-6), name
    thresholds = json.loads((run.folder / "thresholds.json").read_text(encoding="utf-8"))
    assert set(thresholds) == set(load_model(first)[2]["labels"]) and "any_violation" in run.metrics
    journal = (run.folder / "tracking.jsonl").read_text(encoding="utf-8")
    assert f"{first.parent.name}=0.25, {second.parent.name}=0.75" in journal and '"FINISHED"' in journal
    assert f"{first.parent}/model=" not in journal, "the card tells it to everyone: no folders of this machine"
    alone = load_model(average(small_config, {second: 1}, quiet).folder / "model")[0].encoder.state_dict()
    assert all(torch.equal(two[name], value) for name, value in alone.items()), "one alone keeps its weights"


def test_models_of_another_shape_or_without_a_label_are_refused(small_config, tmp_path):
    quiet = Console(quiet=True)
    first = training.train(small_config, console=quiet).folder / "model"
    encoder = small_config.encoder.model_copy(update={"layers": [0]})
    small = training.train(small_config.model_copy(update={"encoder": encoder}), console=quiet).folder / "model"
    with pytest.raises(ConfigError, match="its network or vocabulary is another than"):
        average(small_config, {first: 0.5, small: 0.5}, quiet)
    missing, *others = load_model(first)[2]["labels"]
    model, tokenizer, _ = load_model(first, others)
    save_model(model, tokenizer, tmp_path / "narrow", max_tokens=64)
    with pytest.raises(ConfigError, match=f"narrow: its model lacks {missing}"):
        average(small_config, {first: 0.5, tmp_path / "narrow": 0.5}, quiet)
    longer = small_config.encoder.model_copy(update={"max_tokens": 1000})
    with pytest.raises(
        ConfigError, match=r"encoder\.max_tokens: 1000 is more than the encoder's \d+ positions; set it to"
    ):
        average(small_config.model_copy(update={"encoder": longer}), {first: 1}, quiet)
    assert len(list(small_config.runs.iterdir())) == 2, "a refused mean leaves no run behind"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["runs/a"], "runs/a: expected FOLDER=SHARE"),
        (["a=x", "b=0.5"], "a=x: expected FOLDER=SHARE"),
        (["a=0.9"], "models with shares above 0 whose sum is 1, found 0.9"),
        ([], "found none"),
        (["a=0.5", "b=0.6"], "found 0.5, 0.6"),
        (["a=nan", "b=0.5"], "a=nan: expected FOLDER=SHARE"),
        (["=0.5", "b=0.5"], "=0.5: expected FOLDER=SHARE"),
        (["a=0.5", "./a=0.5"], "./a=0.5: ./a is given twice"),
        (["a=1.5", "b=-0.5"], "found 1.5, -0.5"),
    ],
)
def test_shares_that_make_no_mean_are_named(parts, message):
    with pytest.raises(ConfigError, match=message):
        parse_shares(parts)


def test_shares_are_read_with_their_folders():
    assert parse_shares(["runs/a=b/model=0.4", "c=0.6"]) == {Path("runs/a=b/model"): 0.4, Path("c"): 0.6}
    assert parse_shares(["inference/model=1"]) == {Path("inference/model"): 1}, "one alone is finished anew"


def test_the_command_takes_values_over_the_file(small_config, tmp_path, monkeypatch):
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(small_config), encoding="utf-8")
    asked, metrics = [], {"any_violation": {"f1": 1.0}, "core_micro": {"f1": 1.0}, "macro_f1": 1.0}
    monkeypatch.setattr(averages, "average", lambda config, *_: asked.append(config) or training.Run(tmp_path, metrics))
    cli.average(["a=0.5", "b=0.5"], path, ["voice={shift: 0.5}", "name=other"])
    assert [(config.name, config.voice.shift) for config in asked] == [("other", 0.5)]
    with pytest.raises(ConfigError, match=r"voice\.loudness"):
        cli.average(["a=0.5", "b=0.5"], path, ["voice={loudness: 1}"])
