"""What a run was made from: digests of the data, the commit, versions."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version

from zhenyan.training.config import TrainConfig
from zhenyan.training.dataset import Corpus
from zhenyan.training.rows import Row


def rows_digest(rows: Iterable[Row]) -> str:
    """SHA-256 over texts and labels, whatever their order: equal data, equal digest."""
    lines = sorted(f"{row.text}\0{','.join(sorted(row.labels))}" for row in rows)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def git_commit() -> str:
    """The commit checked out, with "+" when tracked files differ from it; "unknown" outside a repository."""
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        dirty = subprocess.run(["git", "status", "--porcelain", "-uno"], capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if dirty else "")


def describe(config: TrainConfig, corpus: Corpus) -> dict[str, str]:
    """Tags of a run."""
    return {
        "data.train": rows_digest(corpus.train),
        "data.validation": rows_digest(corpus.validation),
        "git.commit": git_commit(),
        "encoder": config.encoder.source,
        "python": platform.python_version(),
        **{f"version.{name}": version(name) for name in ("torch", "transformers", "datasets", "scikit-learn")},
    }
