"""The same seed and data give the same bundle, whatever the process, the batches it is dealt in, or a kill between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file
from zhenyan.inference.bundle import FILES, load_bundle
from zhenyan.inference.errors import ConfigError
from zhenyan.training.config import dump_config
from zhenyan.training.export import export_run
from zhenyan.training.modelling import load_model
from zhenyan.training.tracking import JOURNAL
from zhenyan.training.train import checkpoint_of, train

ZHENYAN = Path(sys.executable).with_name("zhenyan")
QUIET = Console(quiet=True)


def changed(config, **sections):
    """A copy with some values of its sections replaced."""
    new = {name: getattr(config, name).model_copy(update=values) for name, values in sections.items()}
    return config.model_copy(update=new)


def start(config, path, *options, **environment):
    """`zhenyan train` in a process of its own."""
    path.write_text(dump_config(config), encoding="utf-8")
    command = [ZHENYAN, "train", *(options or ("--config", str(path)))]
    return subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.mark.slow
def test_same_seed_and_data_same_bundle_id_in_another_process(small_config, tmp_path):
    loose = {"precision": "weights", "max_flip_rate": 1.0, "max_f1_drop": 1.0}
    config = changed(small_config, export=loose)
    here = train(config, console=QUIET).folder
    elsewhere = config.model_copy(update={"runs": tmp_path / "elsewhere"})
    process = start(elsewhere, tmp_path / "elsewhere.yaml", PYTHONHASHSEED="5")
    assert process.wait() == 0, process.stderr.read()
    (there,) = elsewhere.runs.iterdir()
    bundles = []
    for run in (here, there):
        assert export_run(run, tmp_path / f"bundle-{run.parent.name}", QUIET)
        bundles.append(load_bundle(tmp_path / f"bundle-{run.parent.name}"))
    a, b = ({name: bundle.manifest["sha256"][name] for name in FILES} for bundle in bundles)
    assert a == b and bundles[0].id == bundles[1].id


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_same_model_in_the_same_mlflow_run(small_config, tmp_path):
    config = changed(small_config, optim={"epochs": 3, "evaluations_per_epoch": 2, "early_stopping": 0})
    whole = train(config, console=QUIET).folder
    broken = config.model_copy(update={"runs": tmp_path / "broken", "name": "broken"})
    process = start(broken, tmp_path / "broken.yaml")
    while not list(broken.runs.glob("*/trainer/checkpoint-*/trainer_state.json")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    (folder,) = broken.runs.iterdir()
    with (folder / JOURNAL).open("a", encoding="utf-8") as journal:
        journal.write('{"kind": "metr')  # what a kill amid a write leaves
    process = start(broken, tmp_path / "broken.yaml", "--resume", str(folder))
    assert process.wait() == 0, process.stderr.read()
    a, b = (load_model(run / "model")[0].state_dict() for run in (whole, folder))
    assert all(torch.equal(a[name], b[name]) for name in a)
    client = mlflow.MlflowClient(config.tracking.uri)
    runs = client.search_runs([client.get_experiment_by_name("zhenyan").experiment_id])
    assert sorted(run.info.run_name for run in runs) == sorted([whole.name, folder.name])
    assert {run.info.status for run in runs} == {"FINISHED"}
    histories = [client.get_metric_history(run.info.run_id, "live.eval_selection") for run in runs]
    steps = [{point.step: point.value for point in history} for history in histories]
    assert steps[0] == steps[1] and len(steps[0]) >= 6


def test_half_written_checkpoints_are_passed_over(tmp_path):
    for step, state in ((10, "{}"), (20, "{}"), (100, '{"best')):
        (tmp_path / f"trainer/checkpoint-{step}").mkdir(parents=True)
        (tmp_path / f"trainer/checkpoint-{step}/trainer_state.json").write_text(state)
        save_file({"weight": torch.zeros(1)}, tmp_path / f"trainer/checkpoint-{step}/model.safetensors")
        for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
            torch.save({}, tmp_path / f"trainer/checkpoint-{step}/{name}")
    (tmp_path / "trainer/checkpoint-110").mkdir()
    assert checkpoint_of(tmp_path).endswith("checkpoint-20")
    with pytest.raises(ConfigError, match="no checkpoint to resume from"):
        checkpoint_of(tmp_path / "trainer")


@pytest.mark.slow
def test_accumulated_batches_give_the_gradient_of_one_large_batch(small_config):
    # Rates at which no weight moves: Adam's first steps depend on the sign of a gradient more than on its size,
    # so runs that learn drift apart by roundings, and how far is up to the processor.
    still = {"epochs": 1, "evaluations_per_epoch": 5, "learning_rate": 1e-12, "head_learning_rate": 1e-12}
    plain = changed(
        small_config,
        evasion={
            "probability": 0.0,
            "speech": 0.0,
            "splice": 0.0,
            "asides": 0.0,
            "punctuation": 0.0,
        },  # drawn for each batch
        encoder={"dropout": 0.0},
        data={"contested_weight": 1.0},
    )
    logs = []
    for batch, accumulate in ((16, 1), (8, 2)):
        run = train(
            changed(plain, optim={**still, "early_stopping": 0, "batch_size": batch, "accumulate": accumulate}),
            console=QUIET,
        )
        entries = map(json.loads, (run.folder / JOURNAL).read_text(encoding="utf-8").splitlines())
        logs.append({
            entry["value"]["step"]: entry["value"]["values"]["live.grad_norm"]
            for entry in entries if entry["kind"] == "metrics" and "live.grad_norm" in entry["value"]["values"]
        })  # fmt: skip
    assert logs[0].keys() == logs[1].keys() and len(logs[0]) >= 5
    assert list(logs[0].values()) == pytest.approx(list(logs[1].values()), rel=1e-4)
