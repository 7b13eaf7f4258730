"""`train --resume` where a checkpoint, or the start of a blend, is damaged: an older one is taken, or the file is named."""

from __future__ import annotations

import json
import logging
import os
import shutil

import pytest
import torch
from rich.console import Console
from transformers import TrainerCallback
from zhenyan.inference.errors import ConfigError
from zhenyan.training.config import load_config
from zhenyan.training.modelling import load_model
from zhenyan.training.progress import Stopped
from zhenyan.training.train import checkpoint_of, train

QUIET = Console(quiet=True)


class CutOff(TrainerCallback):
    """Ends a training behind its second checkpoint."""

    def on_save(self, args, state, control, **_):
        if len(os.listdir(args.output_dir)) == 3:  # beside the start of the blend
            raise Stopped


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_config, root):
    """A whole run, and one by the same configuration that was cut off."""
    config = tiny_config(tmp_path_factory.mktemp("cut-off"))
    data = config.data.model_copy(update={"label_schema": root / "configs/labels.yaml"})
    often = {"epochs": 0.4, "evaluations_per_epoch": 10, "early_stopping": 0, "blend": 0.6}
    config = config.model_copy(update={"data": data, "optim": config.optim.model_copy(update=often)})
    whole = train(config, console=QUIET).folder
    with pytest.raises(Stopped):
        train(config, console=QUIET, callbacks=[CutOff()])
    (broken,) = (one for one in config.runs.iterdir() if one != whole)
    return whole, broken


@pytest.fixture
def run(runs, tmp_path):
    """A copy of the run that was cut off, to damage."""
    return shutil.copytree(runs[1], tmp_path / "run")


def checkpoints(run):
    """The older one and the newer."""
    older, newer = sorted(run.glob("trainer/checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    return older, newer


def gone(path):
    path.unlink()


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("damage", [gone, cut])
@pytest.mark.parametrize(
    "name", ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"]
)
def test_an_older_checkpoint_is_taken_with_a_note(run, caplog, name, damage):
    older, newer = checkpoints(run)
    assert checkpoint_of(run) == str(newer) and not caplog.records
    damage(newer / name)
    with caplog.at_level(logging.WARNING):
        assert checkpoint_of(run) == str(older)
    assert f"{newer / name}: " in caplog.text and "going on without this checkpoint" in caplog.text
    damage(older / name)
    with pytest.raises(
        ConfigError, match=rf"no checkpoint to resume from that is whole \({newer / name}: .*without --resume"
    ):
        checkpoint_of(run)


def test_a_checkpoint_is_nothing_without_the_best_one_before_it(run):
    older, newer = checkpoints(run)
    state = json.loads((newer / "trainer_state.json").read_text(encoding="utf-8"))
    state["best_global_step"] = int(older.name.rpartition("-")[2])
    (newer / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
    assert checkpoint_of(run) == str(newer)
    cut(older / "model.safetensors")
    with pytest.raises(ConfigError, match=f"{older / 'model.safetensors'}: cut off or damaged"):
        checkpoint_of(run)


def test_from_the_older_checkpoint_the_result_is_the_unbroken_runs(runs, run):
    (checkpoints(run)[1] / "optimizer.pt").unlink()
    resumed = train(load_config(run / "config.yaml"), resume=run, console=QUIET)
    a, b = (load_model(folder / "model")[0].state_dict() for folder in (runs[0], resumed.folder))
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("damage", [gone, cut])
def test_the_start_of_a_blend_is_looked_for_before_training(run, damage):
    path = run / "trainer/start.safetensors"
    damage(path)
    before = (run / "tracking.jsonl").read_bytes()
    with pytest.raises(
        ConfigError, match=rf"^{path}: .*\(optim\.blend\): put them back, or train anew without --resume"
    ):
        train(load_config(run / "config.yaml"), resume=run, console=QUIET)
    assert (run / "tracking.jsonl").read_bytes() == before
