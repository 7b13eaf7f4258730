"""What a run was made from: digests of the data, the commit, the machine, versions."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from zhenyan.inference.bundle import text_digest
from zhenyan.inference.cpu import allowed_cpus
from zhenyan.training import distributed
from zhenyan.training.config import OptimConfig, TrainConfig
from zhenyan.training.dataset import Corpus
from zhenyan.training.journal import entries
from zhenyan.training.precision import arithmetic
from zhenyan.training.rows import Row

GPU = "GPU"


def rows_digest(rows: Iterable[Row]) -> str:
    """SHA-256 over texts, labels and what was looked for or contested, whatever their order: equal data, equal digest."""
    lines = sorted(map(_digested, rows))
    return text_digest("\n".join(lines))


def _digested(row: Row) -> str:
    looked_for = "" if row.annotated is None else f"\0of {','.join(sorted(row.annotated))}"
    return f"{row.text}\0{','.join(sorted(row.labels))}{looked_for}" + ("\0contested" if row.contested else "")


def git_commit() -> str:
    """The commit checked out, with "+" when tracked files differ from it; "unknown" outside a repository."""
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        dirty = subprocess.run(["git", "status", "--porcelain", "-uno"], capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if dirty else "")


def threads(optim: OptimConfig) -> int:
    """CPU threads that a training process uses; of OMP_NUM_THREADS the outermost level, as in "4,1"."""
    level = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    stated = int(level) if level.isdecimal() else 0  # what is no number OpenMP passes over, too
    return optim.threads or stated or allowed_cpus()


def use_threads(optim: OptimConfig) -> None:
    """Compute with so many threads from here on: for whatever runs a model by a configuration, before it runs it."""
    torch.set_num_threads(threads(optim))


def machine(optim: OptimConfig) -> dict[str, str]:
    """Tags of what trains: `device` (its name), how many GPUs or CPU threads over all processes, and the arithmetic."""
    gpus = torch.cuda.is_available()
    return {
        "device": f"{GPU} {torch.cuda.get_device_name()}" if gpus else f"CPU {platform.machine()}",
        "device.count": str(distributed.processes() * (1 if gpus else threads(optim))),
        "precision": arithmetic(optim),
    }


def learned(corpus: Corpus, labels: Sequence[str]) -> dict[str, str]:
    """Tags of what a run learns: its rows, and its labels in their order."""
    return {
        "data.train": rows_digest(corpus.train),
        "data.validation": rows_digest(corpus.validation),
        "labels": ",".join(labels),
    }


def describe(config: TrainConfig, corpus: Corpus, labels: Sequence[str]) -> dict[str, str]:
    """Tags of a run, but for what it went on from (`encoders.origin.beginning`)."""
    return {
        **learned(corpus, labels),
        "git.commit": git_commit(),
        "encoder": config.encoder.source,
        **machine(config.optim),
        "python": platform.python_version(),
        **{f"version.{name}": version(name) for name in ("torch", "transformers", "datasets", "scikit-learn")},
    }


@dataclass(frozen=True)
class Journal:
    """What a run's journal tells of it afterwards: its tags, and for how many seconds it trained (None: unknown)."""

    tags: dict[str, str]
    seconds: float | None


def read_journal(run: Path) -> Journal:
    """Tags and training time of a run; the time between a cut and the restart after it doesn't count.

    ConfigError names the line of a journal that is damaged.
    """
    tags: dict[str, str] = {}
    milliseconds, started, last = 0, None, 0
    for entry in entries(run):
        if entry["kind"] in ("params", "restart"):
            milliseconds += last - started if started is not None else 0
            started = entry["time"]
        elif entry["kind"] == "tags":
            tags |= entry["value"]
        last = entry["time"]
        if entry["kind"] == "finish" and started is not None:
            milliseconds, started = milliseconds + last - started, None
    return Journal(tags, milliseconds / 1000 if milliseconds else None)
