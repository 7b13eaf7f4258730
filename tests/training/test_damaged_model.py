"""Damaged and incomplete model folders, and what a run chose: named with the file, before anything is made of them."""

from __future__ import annotations

import json
import os
import re
import shutil

import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file
from tiny_checkpoints import bert, e5_small
from zhenyan.inference.errors import ConfigError
from zhenyan.training import export
from zhenyan.training.average import mean_model
from zhenyan.training.config import DistilConfig, dump_config, load_config
from zhenyan.training.encoders.load import load_encoder
from zhenyan.training.export import export_run
from zhenyan.training.modelling import load_model
from zhenyan.training.schema import load_schema
from zhenyan.training.train import train

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_config, root):
    """One run; the cases damage copies of it."""
    config = tiny_config(tmp_path_factory.mktemp("trained"))
    data = config.data.model_copy(update={"label_schema": root / "configs/labels.yaml"})
    optim = config.optim.model_copy(update={"epochs": 0.1})
    return train(config.model_copy(update={"data": data, "optim": optim}), console=QUIET).folder


@pytest.fixture
def run(trained, tmp_path):
    """A copy to damage, whose configuration makes runs beside it."""
    folder = shutil.copytree(trained, tmp_path / "run")
    config = load_config(folder / "config.yaml").model_copy(update={"runs": tmp_path / "runs"})
    (folder / "config.yaml").write_text(dump_config(config), encoding="utf-8")
    return folder


def gone(path):
    path.unlink()


def cut(path):
    os.truncate(path, path.stat().st_size * 2 // 3)


def empty(path):
    path.write_bytes(b"")


def bare(path):
    path.write_text("{}", encoding="utf-8")


def described(path):
    path.write_text('{"labels": ["a", "b"]}', encoding="utf-8")


def narrow(path):
    """A head of another network."""
    shape = {"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "centre": torch.zeros(3), "spread": torch.ones(3)}
    save_file(shape, path)


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("encoder/tokenizer.json", gone, "missing"),
        ("encoder/tokenizer.json", cut, "not JSON"),
        ("encoder/tokenizer.json", bare, "not a tokenizer"),
        ("encoder/tokenizer_config.json", gone, "missing"),
        ("encoder/config.json", bare, r"not what a run wrote \(hidden_size None\)"),
        ("encoder/model.safetensors", gone, "missing"),
        ("encoder/model.safetensors", cut, "cut off or damaged"),
        ("encoder/model.safetensors", empty, "cut off or damaged"),
        ("head.safetensors", gone, "missing"),
        ("head.safetensors", cut, "cut off or damaged"),
        ("head.safetensors", narrow, "not the head of 14 labels, 32 wide"),
        ("zhenyan.json", described, r"not what a run wrote \(no pooling, no max_tokens\)"),
    ],
)
def test_a_damaged_model_is_named_before_there_is_a_run(run, name, damage, said):
    config, model = load_config(run / "config.yaml"), run / "model"
    schema = load_schema(config.data.label_schema)
    damage(model / name)
    taught = config.model_copy(update={"distil": DistilConfig(teachers=[model])})
    uses = (
        lambda: train(config, warm_start=model, console=QUIET),
        lambda: train(taught, console=QUIET),
        lambda: mean_model({model: 1}, schema),
        lambda: export_run(run, run.parent / "bundle", QUIET),
        lambda: load_model(model),
    )
    for use in uses:
        with pytest.raises(ConfigError, match=f"^{model / name}: {said}.*; take the run's model folder again$"):
            use()
    assert not config.runs.exists()


def test_an_encoder_and_its_description_that_do_not_fit_are_named(run):
    path = run / "model/encoder/config.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"intermediate_size": 64', '"intermediate_size": 96'))
    with pytest.raises(ConfigError, match=r"encoder: can't be loaded .*; take the run's model folder again"):
        load_model(run / "model")


def unchosen(path):
    chosen = json.loads(path.read_text(encoding="utf-8"))
    chosen["price_fraud"]["threshold"] = 7
    path.write_text(json.dumps(chosen), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("thresholds.json", cut, "not JSON"),
        ("thresholds.json", bare, "no threshold from 0 to 1 for false_propaganda, "),
        ("thresholds.json", unchosen, "no threshold from 0 to 1 for price_fraud; "),
        ("metrics.json", cut, "not JSON"),
        ("metrics.json", bare, "lacks rows, labels, "),
    ],
)
def test_damaged_decisions_are_named_before_the_network_is_exported(run, monkeypatch, name, damage, said):
    damage(run / name)
    monkeypatch.setattr(export, "to_onnx", lambda *_: pytest.fail("it was exported"))
    with pytest.raises(ConfigError, match=rf"^{run / name}: {said}.*chosen anew: --set thresholds\.policy="):
        export_run(run, run.parent / "bundle", QUIET)


@pytest.mark.parametrize(
    ("make", "name", "damage", "said"),
    [
        (e5_small, "model.safetensors", cut, r"model\.safetensors: cut off or damaged"),
        (e5_small, "model.safetensors", empty, r"model\.safetensors: cut off or damaged"),
        (bert, "pytorch_model.bin", cut, r"pytorch_model\.bin: cut off or damaged"),
        (bert, "pytorch_model.bin", empty, r"pytorch_model\.bin: cut off or damaged"),
        (bert, "tokenizer.json", bare, "can't be loaded"),
    ],
)
def test_a_damaged_encoder_is_named(tmp_path, make, name, damage, said):
    make(tmp_path, sorted(set("喝这个茶三高")))
    damage(tmp_path / name)
    with pytest.raises(ConfigError, match=rf"{re.escape(str(tmp_path))}.*{said}.*copy or download it again"):
        load_encoder(str(tmp_path), trim=False)
