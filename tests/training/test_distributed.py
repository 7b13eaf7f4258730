"""Training under torchrun: two gloo processes learn what one learns, and only the first writes and tracks."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import mlflow
import numpy as np
import pytest
import torch
from rich.console import Console
from scipy.special import expit
from zhenyan.inference.errors import ConfigError
from zhenyan.training import distributed
from zhenyan.training.config import dump_config
from zhenyan.training.modelling import load_model
from zhenyan.training.predict import predict
from zhenyan.training.train import train
from zhenyan.training.trainer import EpochSampler, training_arguments


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(small_config, tmp_path, sample_texts):
    # Disguises are drawn for each batch of each process.
    plain = dict.fromkeys(("probability", "speech", "splice", "asides", "punctuation"), 0.0)
    config = small_config.model_copy(
        update={
            "evasion": small_config.evasion.model_copy(update=plain),
            "encoder": small_config.encoder.model_copy(update={"dropout": 0.0}),
            "optim": small_config.optim.model_copy(update={"threads": 1}),
        }
    )
    alone = train(config, console=Console(quiet=True))
    together = config.model_copy(update={"runs": tmp_path / "together"})
    (tmp_path / "together.yaml").write_text(dump_config(together), encoding="utf-8")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, "-m", "zhenyan.training", "train", "--config", str(tmp_path / "together.yaml")]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("validation any-violation F1") == 1  # one of them speaks
    (folder,) = together.runs.iterdir()
    assert not (folder / "trainer").exists()
    client = mlflow.MlflowClient(config.tracking.uri)
    runs = client.search_runs([client.get_experiment_by_name("zhenyan").experiment_id])
    assert sorted(run.info.run_name for run in runs) == sorted([folder.name, alone.folder.name])
    assert {run.info.status for run in runs} == {"FINISHED"}
    scores = []
    for run in (alone.folder, folder):
        model, tokenizer, meta = load_model(run / "model")
        scores.append(expit(predict(model, tokenizer, sample_texts[:50], meta["max_tokens"])[0]))
    assert np.abs(scores[0] - scores[1]).max() < 0.02
    a, b = (json.loads((run / "metrics.json").read_text())["core_micro"]["f1"] for run in (alone.folder, folder))
    assert abs(a - b) < 0.02


def test_a_batch_is_shared_out_evenly(monkeypatch):
    assert distributed.share(15, "optim.batch_size") == 15
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert distributed.share(16, "optim.batch_size") == 8
    with pytest.raises(ConfigError, match=r"optim\.batch_size: 15 rows can't be shared by 2 processes"):
        distributed.share(15, "optim.batch_size")


def test_the_order_of_rows_depends_on_seed_and_epoch_alone():
    lengths = [(i * 37) % 50 for i in range(300)]
    sampler = EpochSampler(8, lengths, seed=5)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(first) == sorted(second) == list(range(300)) and first != second
    again = EpochSampler(8, lengths, seed=5)
    again.set_epoch(1)
    assert list(again) == second
    spread = [np.ptp([lengths[i] for i in second[start : start + 8]]) for start in range(0, 296, 8)]
    assert np.mean(spread) < 10  # rows of like length stand together


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_half_precision_without_a_gpu_says_so(small_config, tmp_path):
    half = small_config.model_copy(update={"optim": small_config.optim.model_copy(update={"precision": "fp16"})})
    with pytest.raises(ConfigError, match=r"optim\.precision: fp16 needs a GPU"):
        training_arguments(half, tmp_path, 10)
    with pytest.raises(ConfigError, match=r"optim\.precision: fp16 needs a GPU"):
        train(half)
    assert not half.runs.exists()  # said before there is a run, and before hours of what comes first


def test_a_batch_that_can_not_be_shared_is_named_before_a_run_begins(small_config, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match=r"optim\.batch_size: 16 rows can't be shared by 3 processes"):
        train(small_config)
    assert not small_config.runs.exists()
