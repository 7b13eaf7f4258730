"""Rows as training data: split, weighted, masked where a label was never annotated, disguised on the fly."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import datasets
import numpy as np
import torch
from transformers import PreTrainedTokenizerFast
from zhenyan.inference.errors import ConfigError
from zhenyan.inference.normalise import normalise
from zhenyan.training import evasion
from zhenyan.training.config import DataConfig, TrainConfig
from zhenyan.training.public import documents, join_labels, load_sources
from zhenyan.training.rows import Row, read_rows
from zhenyan.training.schema import Schema
from zhenyan.training.splits import load_splits, split_rows
from zhenyan.training.utterances import split_utterances


@dataclass(frozen=True)
class Corpus:
    """Labelled rows by split, and the public lines that carry no label."""

    train: list[Row]
    validation: list[Row]
    test: list[Row]
    unlabelled: list[str]


def load_corpus(config: DataConfig, schema: Schema) -> Corpus:
    """Written rows and, where the public lines are in the cache, the real ones; every label is checked.

    ConfigError when public lines are required but haven't been fetched.
    """
    written = read_rows(config.written)
    real, missing = join_labels(config.public_labels, config.public_cache) if config.public_labels else ([], 0)
    if missing and config.public_required:
        raise ConfigError(
            f"data.public_cache: {config.public_cache} lacks the text of {missing:,} labelled public lines; run "
            "`zhenyan data fetch` first, or set data.public_required to false to train on the written corpus alone"
        )
    for row in [*written, *real]:
        schema.check(row.labels, row.origin)
    parts = split_rows([*written, *real], load_splits(config.splits))
    labelled = {normalise(row.text) for rows in parts.values() for row in rows}
    return Corpus(**parts, unlabelled=unlabelled_lines(config, labelled))


def unlabelled_lines(config: DataConfig, skip: set[str]) -> list[str]:
    """Utterances of the public files marked as text to learn from, without duplicates and without `skip`."""
    lines: dict[str, str] = {}
    for source in load_sources(config.public_sources):
        path = config.public_cache / source.name
        if source.split and path.exists():
            for text in documents(path):
                for line in split_utterances(text):
                    lines.setdefault(normalise(line), line)
    return [line for plain, line in lines.items() if plain not in skip]


def is_real(row: Row) -> bool:
    """Whether a row was spoken in a real stream (written rows carry an author batch)."""
    return "batch" not in row.meta


def targets(rows: Sequence[Row], labels: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(rows, labels) float32: 1 where the label holds; and a mask, 0 where it was never annotated."""
    truth = np.array([[label in row.labels for label in labels] for row in rows], dtype=np.float32)
    mask = np.array([[row.annotated is None or label in row.annotated for label in labels] for row in rows])
    return truth.reshape(len(rows), len(labels)), mask.reshape(len(rows), len(labels)).astype(np.float32)


def weights(rows: Sequence[Row], config: DataConfig) -> list[float]:
    """Weight of each row in the loss."""
    return [
        (config.contested_weight if row.contested else 1.0) * (1.0 if is_real(row) else config.written_weight)
        for row in rows
    ]


def to_dataset(rows: Sequence[Row], labels: list[str], config: DataConfig) -> datasets.Dataset:
    """Columns row, text, target, mask, weight and length (characters, for grouping)."""
    truth, mask = targets(rows, labels)
    return datasets.Dataset.from_dict({
        "row": list(range(len(rows))),
        "text": [row.text.encode("utf-8", "replace").decode() for row in rows],
        "target": truth.tolist(),
        "mask": mask.tolist(),
        "weight": weights(rows, config),
        "length": [len(row.text) for row in rows],
    })  # fmt: skip


@dataclass
class Collator:
    """Turns dataset rows into padded tensors; in training it disguises some texts, anew in each epoch.

    A row's disguise depends on seed, epoch and row only, so that a resumed run sees what the unbroken one saw.
    """

    tokenizer: PreTrainedTokenizerFast
    max_tokens: int
    seed: int = 0
    probability: float = 0.0
    transforms: list[str] = field(default_factory=list)
    epoch: int = 0

    @classmethod
    def for_training(cls, tokenizer: PreTrainedTokenizerFast, config: TrainConfig) -> Collator:
        """With the configured disguises."""
        return cls(tokenizer, config.encoder.max_tokens, config.seed, config.evasion.probability,
                   evasion.check_names(config.evasion.transforms))  # fmt: skip

    def __call__(self, items: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        texts = [normalise(self._text(item)) for item in items]
        batch = dict(self.tokenizer(texts, truncation=True, max_length=self.max_tokens, padding=True,
                                    pad_to_multiple_of=8, return_tensors="pt"))  # fmt: skip
        batch.pop("token_type_ids", None)
        for name in ("target", "mask", "weight", "teacher", "teacher_pooled"):
            if name in items[0]:
                batch[name] = torch.tensor(np.array([item[name] for item in items]), dtype=torch.float32)
        batch["labels"] = batch["target"]  # what the trainer gathers for evaluation
        return batch

    def _text(self, item: dict[str, Any]) -> str:
        if not self.probability:
            return item["text"]
        rng = random.Random(f"{self.seed}:{self.epoch}:{item['row']}")
        return evasion.augment(item["text"], rng, self.probability, self.transforms)
