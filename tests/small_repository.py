"""A copy of the repository in which everything takes seconds: a few rows, a tiny encoder, public lines out of a file.

Pages and notebooks are run in it word for word: the names of files and configurations are the real ones.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from zhenyan.inference.io.jsonlines import dump_line
from zhenyan.training.rows import text_key

COPIED = (
    "README.md",
    "docs",
    "notebooks",
    "benchmarks",
    "configs",
    "data/samples",
    "data/examples",
    "data/splits.yaml",
    "pyproject.toml",
)
ROWS = {
    "data/corpus": {
        "b01": 60,
        "b02": 40,
        "b20": 40,
        "b22": 60,
        "b24": 40,
        "b25": 40,
        "b30": 40,
        "b36": 20,
        "b37": 20,
        "b40": 20,
        "b42": 20,
        "b43": 20,
        "b49": 20,
        "b50": 20,
        "b55": 20,
        "b60": 20,
        "b66": 20,
        "b76": 20,
        "b80": 20,
        "b82": 20,
        "b84": 20,
        "b88": 20,
        "b90": 20,
        "g01": 20,
        "h02": 20,
        "i01": 20,
        "k01": 20,
        "l01": 20,
        "m02": 20,
        "o01": 20,
        "p01": 20,
    },
    "data/rooms": {"s01": 40},
}
PUBLIC = 40  # rows of b03 that play public lines: fetched from a file, labels committed by hash


def make(folder: Path, root: Path, encoder: Path) -> Path:
    """Fill the empty `folder`; returns it."""
    for name in COPIED:
        copy = shutil.copytree if (root / name).is_dir() else shutil.copy
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy(root / name, folder / name)
    (folder / "inference").mkdir()
    (folder / "inference/model").symlink_to(root / "inference/model")
    for place, files in ROWS.items():
        for name, count in files.items():
            _write(folder / place / f"{name}.jsonl", _spread(root / place / f"{name}.jsonl", count))
    _publish(folder, _spread(root / "data/corpus/b03.jsonl", PUBLIC))
    _shrink_configs(folder / "configs", encoder)
    return folder


def environment(folder: Path) -> dict[str, str]:
    """What a command run there should see: this interpreter's programs, a home of its own, no settings from outside."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ZHENYAN_", "MLFLOW_"))}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder),
        "XDG_CACHE_HOME": str(folder / ".cache"), "COLUMNS": "120", "NO_COLOR": "1",
        "GIT_CEILING_DIRECTORIES": str(folder.parent), "HF_HUB_OFFLINE": "1",
    }  # fmt: skip


def _spread(path: Path, count: int) -> list[dict[str, Any]]:
    """About `count` rows from the whole file, none of them half of a pair."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if "pair" not in row]
    return rows[:: max(1, len(rows) // count)]


def _write(path: Path, records: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(map(dump_line, records)))


def _publish(folder: Path, rows: list[dict[str, Any]]) -> None:
    """A published file, its address, and labels by hash."""
    _write(folder / "published/lines.jsonl", ({"text": row["text"]} for row in rows))
    _write(folder / "data/labels/pool_labelled.jsonl", (
        {"id": row["id"], "sha256": text_key(row["text"]), "doc": text_key(row["text"]), "start": 0,
         "end": len(row["text"]), "labels": row["labels"], "source": "streams", "room": f"r-{number % 4}"}
        for number, row in enumerate(rows)
    ))  # fmt: skip
    source = {"name": "lines.jsonl", "local": "lines.jsonl", "url": (folder / "published/lines.jsonl").as_uri(),
              "sha256": None}  # fmt: skip
    (folder / "data/public.yaml").write_text(yaml.safe_dump({"files": [source]}), encoding="utf-8")


def _shrink_configs(configs: Path, encoder: Path) -> None:
    """The tiny encoder, one epoch, few trials, and bounds that a model which has learnt nothing can keep."""
    _merge(configs / "train/default.yaml", {
        "encoder": {"source": str(encoder), "trim_vocabulary": False, "max_tokens": 64},
        "pretrain": None,
        "optim": {"epochs": 1, "batch_size": 16, "learning_rate": 1e-3, "precision": "fp32"},
        "thresholds": {"min_positives": 3},
        "export": {"precision": "weights", "max_flip_rate": 1.0, "max_f1_drop": 1.0},
    })  # fmt: skip
    _merge(configs / "train/student.yaml", {"encoder": {"layers": [0, 1]}, "optim": {"epochs": 1}})
    _merge(configs / "release/afresh.yaml", {"optim": {"epochs": 1}})
    _merge(configs / "release/crossed.yaml", {"distil": {"crossed": 40}, "optim": {"epochs": 1}})
    steady = ("steady", "lecture", "steady-later", "rulings", "settle", "settle-later", "notices", "notices-later",
              "documents", "ensemble", "further", "causes", "signs", "scenes")  # fmt: skip
    for name in ("asides", "sharpen", *steady):
        _merge(configs / f"release/{name}.yaml", {"distil": {"crossed": 40}})
    for name in ("ensemble", "further", "causes", "signs", "scenes"):
        _merge(configs / f"release/{name}.yaml", {"distil": {"written": {"crossed": 20}}})
    for name in ("bert-later", "bert-pages", *steady):
        _merge(configs / f"release/{name}.yaml", {"data": {"public_labels": ["data/labels/*.jsonl"]}})
    _merge(configs / "sweep/optim.yaml", {"trials": 5})  # the fifth is the first that may end early
    _merge(configs / "release/bert.yaml", {"encoder": {"source": str(encoder), "layers": [0, 1], "frozen": 1}})
    for last in ("finish", "moved", "release"):
        _merge(configs / f"release/{last}.yaml", {"export": {"max_flip_rate": 1.0}})
    _merge(configs / "train/cross-validation.yaml", {"encoder": {"layers": [0]}, "optim": {"epochs": 1}})
    for name in ("release/speech", "train/new-label", "train/more-rows", "release/listen"):
        _merge(configs / f"{name}.yaml", {"optim": {"epochs": 1}, "pretrain": None})
    gates = yaml.safe_load((configs / "gates.yaml").read_text(encoding="utf-8"))
    (configs / "gates.yaml").write_text(yaml.safe_dump(dict.fromkeys(gates) | {"min_positives": 1}), encoding="utf-8")


def _merge(path: Path, own: dict[str, Any]) -> None:
    from zhenyan.training.config import merge

    known = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump(merge(known, own), allow_unicode=True), encoding="utf-8")
