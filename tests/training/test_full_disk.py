"""A disk that is full: what is lost is told with what to do, and a training goes on once there is room."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import shutil

import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file
from transformers import TrainerCallback
from zhenyan.inference.errors import ConfigError
from zhenyan.training.config import load_config
from zhenyan.training.tracking import JOURNAL
from zhenyan.training.train import train
from zhenyan.training.whole import telling_full_disk

QUIET = Console(quiet=True)
TENSOR = {"a": torch.zeros(100_000)}


@contextlib.contextmanager
def small_files(most=50_000):
    """No file may grow beyond so many bytes: writers then fail as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def copied_folder(path):
    source = path.with_name("source")
    source.mkdir()
    (source / "a").write_bytes(bytes(400_000))
    with small_files():
        shutil.copytree(source, path)


def limited(write):
    def do(path):
        with small_files():
            write(path)

    return do


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (limited(lambda path: path.write_bytes(bytes(400_000))), "File too large"),
        (limited(lambda path: save_file(TENSOR, path)), "File too large"),
        (limited(lambda path: torch.save(TENSOR, path)), "a file can't be written whole"),
        (copied_folder, "File too large"),
    ],
    ids=["the system", "safetensors", "torch", "a folder's copy"],
)
def test_whoever_writes_the_place_and_the_remedy_are_told(tmp_path, write, why):
    with pytest.raises(ConfigError, match=f"^{tmp_path}: {why}; make room$"), telling_full_disk(tmp_path, "make room"):
        write(tmp_path / "file")


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(RuntimeError, match="shapes"), telling_full_disk(tmp_path, "make room"):
        raise RuntimeError("shapes differ")
    with pytest.raises(FileNotFoundError), telling_full_disk(tmp_path, "make room"):
        (tmp_path / "nowhere").read_bytes()


class DiskFull(TrainerCallback):
    """Behind the second checkpoint nothing can be written any more, as little as a line of the journal."""

    def __init__(self, monkeypatch):
        self.monkeypatch, self.saved = monkeypatch, 0

    def on_save(self, args, state, control, **_):
        self.saved += 1
        if self.saved == 2:
            self.monkeypatch.setattr("zhenyan.training.tracking.Tracker._note", self.fail)
            self.fail()

    def fail(self, *_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_training_says_how_to_go_on_and_does(small_config, monkeypatch):
    often = {"epochs": 0.3, "evaluations_per_epoch": 10, "early_stopping": 0}
    config = small_config.model_copy(update={"optim": small_config.optim.model_copy(update=often)})
    with monkeypatch.context() as full, pytest.raises(ConfigError) as told:
        train(config, console=QUIET, callbacks=[DiskFull(full)])
    (run,) = config.runs.iterdir()
    assert str(told.value).startswith(f"{run}: No space left on device; make room, then go on with ")
    assert f"`zhenyan train --resume {run}`" in str(told.value)
    assert train(load_config(run / "config.yaml"), resume=run, console=QUIET).metrics
    assert json.loads((run / JOURNAL).read_text(encoding="utf-8").splitlines()[-1])["value"] == "FINISHED"
