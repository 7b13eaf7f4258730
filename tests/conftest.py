"""Shared fixtures: the repository's root, the bundled model, quiet threads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "2")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(autouse=True)
def _in_root(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    """Default paths (configs/, data/) are relative to the repository."""
    monkeypatch.chdir(root)


@pytest.fixture(scope="session")
def classifier():
    """The bundled model."""
    from zhenyan.inference import Classifier

    return Classifier.load()


@pytest.fixture(scope="session")
def sample_texts(root: Path) -> list[str]:
    """A few hundred written lines of the held-out authors."""
    from zhenyan.training.rows import read_rows

    return [row.text for row in read_rows([str(root / "data/corpus/b25.jsonl")])][:300]
