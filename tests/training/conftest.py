"""A small training configuration around the tiny encoder.

Tiny checkpoints test the code paths of training; what a model can do is tested on the bundled one.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from zhenyan.training.config import TrainConfig, load_config


@pytest.fixture
def small_config(tmp_path: Path, tiny_encoder: Path, root: Path) -> TrainConfig:
    """Two author batches, one epoch, everything written below tmp_path."""
    splits = tmp_path / "splits.yaml"
    splits.write_text("validation: [b02]\ntest: [b03]\n", encoding="utf-8")
    settings = {
        "name": "tiny", "runs": str(tmp_path / "runs"), "cache": str(tmp_path / "cache"),
        "encoder": {"source": str(tiny_encoder), "trim_vocabulary": False, "max_tokens": 64},
        "pretrain": None,
        "data": {"written": [f"{root}/data/corpus/b0[123].jsonl"], "public_labels": [], "splits": str(splits)},
        "optim": {"epochs": 1, "batch_size": 16, "learning_rate": 1e-3, "precision": "fp32", "threads": 2},
        "tracking": {"uri": f"sqlite:///{tmp_path}/mlflow.db"},
    }  # fmt: skip
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return load_config(path)
