"""Shared fixtures: the repository's root, the bundled model, a tiny encoder and a training around it, quiet threads."""

from __future__ import annotations

import fcntl
import importlib
import os
import shutil
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from zhenyan.training.config import TrainConfig

WORKER = os.environ.get("PYTEST_XDIST_WORKER")
if WORKER:  # it has inherited what the process that started it set for itself
    os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "2")

ROOT = Path(__file__).resolve().parents[1]
CPUS = os.sched_getaffinity(0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Side by side (pytest -n 2) a test keeps to its worker's share of the CPUs: threads of two that wait for each other
    slow both down tenfold. One that measures or loads the machine (`alone`) has all of them, and nothing else runs."""
    if not WORKER:
        return (yield)
    alone = item.get_closest_marker("alone") is not None
    index, count = int(WORKER.removeprefix("gw")), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    with Path(__file__).open() as held:  # any file that all workers see; nothing is written
        fcntl.flock(held, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        os.sched_setaffinity(0, CPUS if alone else sorted(CPUS)[index::count] or CPUS)
        return (yield)


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


@pytest.fixture
def bench(root: Path, monkeypatch: pytest.MonkeyPatch):
    """Import a program of benchmarks/ by name; its modules are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(root / "benchmarks")):
            del sys.modules[name]


@pytest.fixture(scope="session")
def sample_texts(root: Path) -> list[str]:
    """A few hundred written lines of the held-out authors."""
    from zhenyan.training.rows import read_rows

    return [row.text for row in read_rows([str(root / "data/corpus/b25.jsonl")])][:300]


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer BERT, 32 wide, over characters of the corpus, with the same random weights in every run."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny") / "encoder"
    characters = sorted(set((ROOT / "data/corpus/b01.jsonl").read_text(encoding="utf-8")))
    vocab = {t: i for i, t in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters])}
    raw = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    raw.normalizer = normalizers.NFKC()
    raw.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    raw.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    config = BertConfig(vocab_size=len(vocab), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                        intermediate_size=64, max_position_embeddings=128)  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database: to make its tables takes as long as the tiny training that is recorded in it."""
    import mlflow

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="session")
def tiny_config(tiny_encoder: Path, mlflow_database: Path, root: Path) -> Callable[[Path], TrainConfig]:
    """Makes a configuration: two author batches, one epoch, everything written below a folder; the file is its config.yaml.

    Tiny checkpoints test the code paths of training; what a model can do is tested on the bundled one.
    """
    import yaml
    from zhenyan.training.config import load_config

    def make(folder: Path) -> TrainConfig:
        splits = folder / "splits.yaml"
        splits.write_text("validation: [b02]\ntest: [b03]\n", encoding="utf-8")
        settings = {
            "name": "tiny", "runs": str(folder / "runs"), "cache": str(folder / "cache"),
            "encoder": {"source": str(tiny_encoder), "trim_vocabulary": False, "max_tokens": 64},
            "pretrain": None,
            "data": {"written": [f"{root}/data/corpus/b0[123].jsonl"], "public_labels": [], "public_cache": str(folder / "public"),
                     "splits": str(splits)},
            "optim": {"epochs": 1, "batch_size": 16, "learning_rate": 1e-3, "precision": "fp32", "threads": 1},
            "tracking": {"uri": f"sqlite:///{folder}/mlflow.db"},
        }  # fmt: skip
        shutil.copy(mlflow_database, folder)
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(settings), encoding="utf-8")
        return load_config(path)

    return make


@pytest.fixture
def small_config(tmp_path: Path, tiny_config: Callable[[Path], TrainConfig]) -> TrainConfig:
    """A configuration whose runs are written below tmp_path."""
    return tiny_config(tmp_path)
