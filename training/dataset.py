"""Rows as training data: split, weighted, masked where a label was never annotated, disguised on the fly."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import datasets
import numpy as np
import torch
from transformers import PreTrainedTokenizerFast
from zhenyan.inference.errors import ConfigError
from zhenyan.inference.normalise import normalise
from zhenyan.training import evasion
from zhenyan.training.config import DataConfig, DistilConfig, EvasionConfig, TrainConfig, WrittenLessonsConfig
from zhenyan.training.evasion import asides, punctuation
from zhenyan.training.leaks import base_key, without_leaks
from zhenyan.training.public import documents, join_labels, load_sources, public_files, spoken_apart
from zhenyan.training.rows import Row, once, read_rows
from zhenyan.training.schema import Schema
from zhenyan.training.splits import Splits, load_splits, split_rows
from zhenyan.training.utterances import split_utterances

SPLICE_CHARS = 120
_MARKS = {"written": "batch", "moved": "rewriter"}  # the key by which `origin` knows them


@dataclass(frozen=True)
class Corpus:
    """Labelled rows by split, and the public lines that carry no label."""

    train: list[Row]
    validation: list[Row]
    test: list[Row]
    unlabelled: list[str]


def load_corpus(config: DataConfig, schema: Schema, needed: Sequence[str] = ("train", "validation")) -> Corpus:
    """Written rows and, where the public lines are in the cache, the real ones; every label is checked.

    A held-out text isn't trained on, in whichever document it stands, nor its other form nor what was rewritten from it, nor
    what a held-out room or one for measuring said (`without_leaks`); nor is any of it among the unlabelled lines. ConfigError
    when public lines are required but haven't been fetched, or when a split of `needed` has no row.
    """
    written = read_rows(config.written)
    splits = load_splits(config.splits)
    held_out = {*splits.validation, *splits.test}
    real, missing = (
        join_labels(config.public_labels, config.public_cache, held_out) if config.public_labels else ([], 0)
    )
    if missing and config.public_required:
        raise ConfigError(
            f"data.public_cache: {config.public_cache} lacks the text of {missing:,} labelled public lines; run "
            "`zhenyan data fetch` first, or set data.public_required to false in the configuration to go on with the written corpus alone"
        )
    for row in [*written, *real]:
        schema.check_row(row)
    parts = split_rows([*written, *real], splits)
    plain = cache(normalise)  # all texts take seconds
    labelled = {plain(row.text) for rows in parts.values() for row in rows}
    held = {base_key(row.text, plain) for name in ("validation", "test") for row in parts[name]}
    parts |= {name: once(parts[name]) for name in ("validation", "test")}
    parts["train"] = without_leaks(parts["train"], [*parts["validation"], *parts["test"]], plain)
    for name in needed:
        if not parts[name]:
            raise ConfigError(_lacking(name, config, splits))
    return Corpus(**parts, unlabelled=unlabelled_lines(config, labelled, held, held_out))


def _lacking(split: str, config: DataConfig, splits: Splits) -> str:
    """Why a split may have no row."""
    if split == "train":
        return f"data.written, data.public_labels: no training rows outside the held-out groups of {config.splits}; name more files"
    return f"data.splits: {splits.lacking(split)} ({config.splits})"


def unlabelled_lines(config: DataConfig, labelled: set[str], held: set[str], rooms: set[str]) -> list[str]:
    """Utterances of the public files marked as text to learn from, without duplicates and without those that are labelled.

    Two are one when they are the same normalised, as `labelled` holds them. Nor is there one with the words of a held-out
    row (`held`, by `base_key`), or of a room for measuring or one of the held-out `rooms`, in whichever file it stands.
    """
    lines: dict[str, str] = {}
    for source in load_sources(config.public_sources):
        path = config.public_cache / source.name
        if source.split and path.exists():
            for one in documents(path):
                # Of the room itself also what is too short to be known by elsewhere.
                for line in [] if one.is_apart(rooms) else split_utterances(one.text):
                    lines.setdefault(normalise(line), line)
    apart = spoken_apart((one for path in public_files(config.public_cache) for one in documents(path)), rooms)
    fresh = {line: plain for plain, line in lines.items() if plain not in labelled}
    return [line for line in fresh if base_key(line, fresh.__getitem__) not in held and line not in apart]


def crossed(lines: Sequence[str], count: int, seed: int | str) -> list[str]:
    """`count` lines, each the beginning of one of `lines` and the end of another: said like them, learned by heart by nobody.

    At least a third of each part's line, at most as long as a spliced row; none where there is no line to take.
    """
    lines = [line for line in lines if len(line) <= SPLICE_CHARS]
    rng = random.Random(f"{seed}:crossed")
    made: list[str] = []
    while lines and len(made) < count:
        first, second = rng.choice(lines), rng.choice(lines)
        head = first[: rng.randint(len(first) // 3, len(first))]
        tail = second[rng.randint(0, 2 * len(second) // 3) :]
        if len(head) + len(tail) <= SPLICE_CHARS:
            made.append(head + tail)
    return made


def training_rows(config: TrainConfig, corpus: Corpus) -> list[Row]:
    """The training rows; with teachers also unlabelled lines, all or as many at random, and crossed ones, whose mask is all 0."""
    if config.distil is None:
        return corpus.train
    lines, most = corpus.unlabelled, config.distil.unlabelled
    if most is not None:
        lines = random.Random(config.seed).sample(lines, min(most, len(lines)))
    return corpus.train + [unlabelled(text) for text in lines] + crossed_rows(corpus.train, config.distil, config.seed)


def crossed_rows(rows: Sequence[Row], config: DistilConfig, seed: int) -> list[Row]:
    """Rows without labels made of two real ones, and of two written or two moved ones, as many as `config` asks for.

    ConfigError where there is no row to make them of.
    """
    real = [row.text for row in rows if origin(row) == "real"]
    made = [unlabelled(text) for text in crossed(real, config.crossed, seed)]
    if len(made) < config.crossed:
        raise ConfigError("distil.crossed: no real line to make others of; run `zhenyan data fetch`, or set it to 0")
    if config.written is None:
        return made
    return made + _crossed_written(
        [row for row in rows if not labels_alone(row, config.written)], config.written.crossed, seed
    )


def labels_alone(row: Row, config: WrittenLessonsConfig) -> bool:
    """Whether a row's labels are all that is learned of it, so that no teacher's answer to it, or to a line made of it, counts."""
    authored = row.annotated != () and origin(row) != "real"
    return authored and any(fnmatchcase(row.writer, pattern) for pattern in config.labels_alone)


def _crossed_written(rows: Sequence[Row], asked: int, seed: int) -> list[Row]:
    """`asked` rows of two written ones of one channel or of two moved ones, each kind in proportion to its rows."""
    if not asked:
        return []
    pools: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if origin(row) != "real" and len(row.text) <= SPLICE_CHARS:
            pools.setdefault((origin(row), row.channel), []).append(row.text)
    if not pools:
        raise ConfigError(
            f"distil.written.crossed: no written line of {SPLICE_CHARS} characters or fewer to make others of; "
            "name data.written, or set it to 0"
        )
    sizes = [len(pool) for pool in pools.values()]
    drawn = Counter(random.Random(f"{seed}:kinds").choices(list(pools), sizes, k=asked))
    made = []
    for (kind, channel), pool in pools.items():
        texts = crossed(pool, drawn[kind, channel], f"{seed}:{kind}:{channel}")
        made += [unlabelled(text, channel, **{_MARKS[kind]: "crossed"}) for text in texts]
    return made


def unlabelled(text: str, channel: str = "live", **mark: str) -> Row:
    """A row that no label was looked for in; `mark` says where its words come from, as `origin` reads it."""
    return Row(text, channel=channel, annotated=(), meta={"source": "unlabelled", **mark})


def is_real(row: Row) -> bool:
    """Whether a row was spoken in a real stream, rewritten or not: written rows carry an author batch, and nobody speaks copy."""
    return row.channel == "live" and "batch" not in row.meta


def origin(row: Row) -> str:
    """Where the words come from: real, real but moved to another trade by a writer, or written."""
    return "moved" if "rewriter" in row.meta else "real" if is_real(row) else "written"


def targets(rows: Sequence[Row], labels: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(rows, labels) float32: 1 where the label holds; and a mask, 0 where it was never annotated."""
    truth = np.array([[label in row.labels for label in labels] for row in rows], dtype=np.float32)
    mask = np.array([[row.annotated is None or label in row.annotated for label in labels] for row in rows])
    return truth.reshape(len(rows), len(labels)), mask.reshape(len(rows), len(labels)).astype(np.float32)


def weights(rows: Sequence[Row], config: DataConfig) -> list[float]:
    """Weight of each row in the loss."""
    return [
        (config.contested_weight if row.contested else 1.0)
        * (1.0 if is_real(row) else config.written_weight)
        * (config.hard_weight if looks_dangerous(row) else 1.0)
        for row in rows
    ]


def looks_dangerous(row: Row) -> bool:
    """Whether a compliant row was written to be mistaken for a violation."""
    return row.compliant and (row.meta.get("kind") == "hard" or "pair" in row.meta)


def to_dataset(rows: Sequence[Row], labels: list[str], config: DataConfig) -> datasets.Dataset:
    """Columns row, text, target, mask, weight, written_live (spoken, but by an author) and length (characters, for grouping)."""
    truth, mask = targets(rows, labels)
    return datasets.Dataset.from_dict({
        "row": list(range(len(rows))),
        "text": [row.text.encode("utf-8", "replace").decode() for row in rows],
        "target": truth.tolist(),
        "mask": mask.tolist(),
        "weight": weights(rows, config),
        "written_live": [row.channel == "live" and not is_real(row) for row in rows],
        "length": [len(row.text) for row in rows],
    })  # fmt: skip


@dataclass(frozen=True)
class Lessons:
    """What teachers say of each training row, by its number; arrays are float32.

    `answers` (rows, labels): mean of the teachers' probabilities. `states` (rows, hidden): the first one's pooled states.
    `share` (rows,): how much of a row's target they are; the rest is its labels.
    """

    answers: np.ndarray
    states: np.ndarray
    share: np.ndarray


@dataclass
class Collator:
    """Turns dataset rows into padded tensors; in training it changes some batches, anew in each epoch.

    Batches hold texts of like length, so a batch is spliced or disguised as a whole: single longer texts would pad all
    others (a third of the time of training). What happens depends on seed, epoch and rows only, so that a resumed run
    sees what the unbroken one saw.
    """

    tokenizer: PreTrainedTokenizerFast
    max_tokens: int
    seed: int = 0
    changes: EvasionConfig | None = None
    partners: datasets.Dataset | None = None  # rows that others are spliced with
    epoch: int = 0
    lessons: Lessons | None = None

    @classmethod
    def for_training(
        cls, tokenizer: PreTrainedTokenizerFast, config: TrainConfig, rows: datasets.Dataset, lessons: Lessons | None
    ) -> Collator:
        """With the configured changes; rows with a teacher's answer are never spliced."""
        partners = None if lessons else rows
        return cls(tokenizer, config.encoder.max_tokens, config.seed, config.evasion, partners, lessons=lessons)

    def __call__(self, items: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        items = self._changed(items) if self.changes else items
        texts = [normalise(item["text"]) for item in items]
        batch = dict(
            self.tokenizer(
                texts,
                truncation=True,
                max_length=self.max_tokens,
                padding=True,
                pad_to_multiple_of=8,
                return_tensors="pt",
            )
        )
        batch.pop("token_type_ids", None)
        for name in ("target", "mask", "weight"):
            batch[name] = torch.tensor(np.array([item[name] for item in items]), dtype=torch.float32)
        if self.lessons:
            rows = [item["row"] for item in items]
            batch["answers"] = torch.from_numpy(self.lessons.answers[rows])
            batch["states"] = torch.from_numpy(self.lessons.states[rows])
            batch["share"] = torch.from_numpy(self.lessons.share[rows])
        batch["labels"] = torch.where(batch["mask"] > 0, batch["target"], -1.0)  # what the trainer gathers to evaluate
        return batch

    def _changed(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows, perhaps roughened and punctuated anew (each by itself), spliced, given asides, disguised (all or none)."""
        assert self.changes is not None
        batch = random.Random(f"{self.seed}:{self.epoch}:batch:{items[0]['row']}")
        spliced = self.partners is not None and batch.random() < self.changes.splice
        disguised = batch.random() < self.changes.probability
        beside = batch.random() < self.changes.asides
        return [self._changed_row(item, spliced, beside, disguised) for item in items]

    def _changed_row(self, item: dict[str, Any], spliced: bool, beside: bool, disguised: bool) -> dict[str, Any]:
        assert self.changes is not None
        rng = random.Random(f"{self.seed}:{self.epoch}:{item['row']}")
        if item["written_live"] and rng.random() < self.changes.speech:
            item = {**item, "text": evasion.roughen(item["text"], rng)}
        if spliced and self.partners is not None:
            item = splice(item, self.partners[rng.randrange(len(self.partners))], rng)
        if beside:
            item = {**item, "text": asides.aside(item["text"], rng)}
        if disguised:
            item = {**item, "text": evasion.augment(item["text"], rng, evasion.check_names(self.changes.transforms))}
        if rng.random() < self.changes.punctuation:
            item = {**item, "text": punctuation.repunctuate(item["text"], rng)}
        return item


def splice(item: dict[str, Any], other: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Two rows said in one breath: the labels of both, looked for where both were annotated, the lighter weight.

    Claims are thereby heard amid the talk of other trades and voices. Long texts are left alone.
    """
    if len(item["text"]) + len(other["text"]) > SPLICE_CHARS:
        return item
    first, second = (item, other) if rng.random() < 0.5 else (other, item)
    return {
        **item,
        "text": first["text"] + rng.choice(("", " ", "，", "。")) + second["text"],
        "target": np.maximum(item["target"], other["target"]).tolist(),
        "mask": np.minimum(item["mask"], other["mask"]).tolist(),
        "weight": min(item["weight"], other["weight"]),
    }
