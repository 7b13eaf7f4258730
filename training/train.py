"""One training run from configuration to a model with thresholds, metrics and plots, in one folder."""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import transformers
import yaml
from rich.console import Console
from zhenyan.inference.errors import ConfigError
from zhenyan.training import plots
from zhenyan.training.calibration import fit_scaling, fold_into_head
from zhenyan.training.config import TrainConfig
from zhenyan.training.dataset import Corpus, is_real, load_corpus, targets, to_dataset
from zhenyan.training.encoders.load import load_encoder, set_dropout
from zhenyan.training.losses import positive_weights
from zhenyan.training.metrics import average_precision, calibration_error, report
from zhenyan.training.modelling import MultiLabelClassifier, load_model, save_model
from zhenyan.training.predict import predict, sigmoid
from zhenyan.training.pretrain import continue_pretraining, digest
from zhenyan.training.progress import ProgressBar, TrackMetrics
from zhenyan.training.provenance import describe
from zhenyan.training.rows import Row
from zhenyan.training.schema import Schema, load_schema
from zhenyan.training.thresholds import choose_all
from zhenyan.training.tracking import Tracker
from zhenyan.training.trainer import build_trainer

MODEL, THRESHOLDS, METRICS, CONFIG = "model", "thresholds.json", "metrics.json", "config.yaml"


@dataclass
class Run:
    """A finished run's folder and what was measured on its validation rows."""

    folder: Path
    metrics: dict[str, Any]


def train(
    config: TrainConfig, *, warm_start: Path | None = None, resume: Path | None = None, console: Console | None = None
) -> Run:
    """Train by `config`; returns the run.

    `warm_start`: a trained model's folder to go on from (head rows are kept by label name). `resume`: a run folder
    that was cut off; training goes on from its last checkpoint with the result an unbroken run would have had.
    """
    console = console or Console()
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    transformers.set_seed(config.seed)
    schema = load_schema(config.data.label_schema)
    corpus = load_corpus(config.data, schema)
    folder = resume or new_folder(config)
    console.print(
        f"run {folder}: {len(corpus.train):,} training rows ({sum(map(is_real, corpus.train)):,} real), "
        f"{len(corpus.validation):,} validation rows, {len(schema.ids)} labels"
    )
    tracker = Tracker(folder, config.tracking, folder.name, console)
    if not resume:
        tracker.params(flatten(config.model_dump(mode="json")))
        tracker.tags(describe(config, corpus))
    model, tokenizer = start_model(config, schema, corpus, warm_start)
    train_set = training_set(config, schema, corpus)
    if warm_start is None and not resume:
        condition_model(model, tokenizer, train_set, config)
    trainer = build_trainer(
        model, tokenizer, train_set, to_dataset(corpus.validation, schema.ids, config.data), config,
        folder / "trainer", [ProgressBar(console), TrackMetrics(tracker)],
    )  # fmt: skip
    try:
        trainer.train(resume_from_checkpoint=last_checkpoint(folder) if resume else None)
    except BaseException:
        tracker.finish("FAILED")
        raise
    metrics = finish_run(folder, config, schema, corpus, model, tokenizer, tracker)
    shutil.rmtree(folder / "trainer", ignore_errors=True)
    tracker.finish()
    return Run(folder, metrics)


def new_folder(config: TrainConfig) -> Path:
    """An empty run folder with the configuration in it."""
    stem = config.runs / f"{config.name}-{datetime.now():%Y%m%d-%H%M%S}"
    folder = next(
        f for n in itertools.count() if not (f := stem.with_name(f"{stem.name}{f'-{n}' if n else ''}")).exists()
    )
    folder.mkdir(parents=True)
    text = yaml.safe_dump(config.model_dump(mode="json"), allow_unicode=True, sort_keys=False)
    (folder / CONFIG).write_text(text, encoding="utf-8")
    return folder


def last_checkpoint(folder: Path) -> str:
    """The newest checkpoint of a run that was cut off; ConfigError when there is none."""
    found = (
        transformers.trainer_utils.get_last_checkpoint(str(folder / "trainer"))
        if (folder / "trainer").is_dir()
        else None
    )
    if found is None:
        raise ConfigError(f"{folder}: no checkpoint to resume from; start the training again without --resume")
    return found


def start_model(
    config: TrainConfig, schema: Schema, corpus: Corpus, warm_start: Path | None
) -> tuple[MultiLabelClassifier, Any]:
    """The network before training: warm-started, a student of its first teacher, or a pretrained encoder."""
    if warm_start is not None:
        model, tokenizer, _ = load_model(warm_start, schema.ids)
        return _ready(model, config), tokenizer
    source = config.encoder.source
    if config.distil and source == "teacher":
        source = str(config.distil.teachers[0] / "encoder")
    encoder, tokenizer = load_encoder(
        source, config.encoder.trim_vocabulary, None if config.pretrain else config.encoder.layers
    )
    if config.pretrain:
        texts = sorted({row.text for row in corpus.train} | set(corpus.unlabelled))
        cached = config.cache / "pretrain" / digest(texts, config.pretrain, source)
        encoder.set_attn_implementation("eager")
        continue_pretraining(encoder, tokenizer, texts, config.pretrain, cached, config.seed)
        encoder, tokenizer = load_encoder(str(cached), False, config.encoder.layers)
    model = MultiLabelClassifier(encoder, schema.ids, config.encoder.pooling, config.encoder.dropout)
    return _ready(model, config), tokenizer


def condition_model(
    model: MultiLabelClassifier, tokenizer: Any, train_set: datasets.Dataset, config: TrainConfig, rows: int = 512
) -> None:
    """See MultiLabelClassifier.condition; a sample of training rows sets centre, spread and biases."""
    sample = train_set.shuffle(seed=config.seed).select(range(min(rows, len(train_set))))
    _, pooled = predict(model, tokenizer, list(sample["text"]), config.encoder.max_tokens)
    columns = train_set.with_format("torch")
    target, mask = columns["target"][:], columns["mask"][:]
    weighted = (target * mask).sum(0) * positive_weights(target, mask, config.loss)
    share = weighted / (weighted + (mask * (1 - target)).sum(0)).clamp(min=1)
    model.condition(torch.from_numpy(pooled), share)


def _ready(model: MultiLabelClassifier, config: TrainConfig) -> MultiLabelClassifier:
    """Plain attention, which at these lengths trains faster on CPUs than the fused kernel; dropout as configured."""
    model.encoder.set_attn_implementation("eager")
    set_dropout(model.encoder, config.encoder.inner_dropout)
    return model


def training_set(config: TrainConfig, schema: Schema, corpus: Corpus) -> datasets.Dataset:
    """The training rows; with teachers also unlabelled lines, whose mask is all 0, and the teachers' answers."""
    rows = list(corpus.train)
    if config.distil is None:
        return to_dataset(rows, schema.ids, config.data)
    if config.distil.unlabelled:
        rows += [Row(text, annotated=(), meta={"source": "unlabelled"}) for text in corpus.unlabelled]
    data = to_dataset(rows, schema.ids, config.data)
    answers, pooled = [], None
    for folder in config.distil.teachers:
        teacher, tokenizer, meta = load_model(folder, schema.ids)
        logits, states = predict(_ready(teacher, config), tokenizer, [row.text for row in rows], meta["max_tokens"])
        answers.append(sigmoid(logits))
        pooled = states if pooled is None else pooled
    data = data.add_column("teacher", np.mean(answers, axis=0).tolist())
    return data.add_column("teacher_pooled", pooled.tolist())


def finish_run(
    folder: Path, config: TrainConfig, schema: Schema, corpus: Corpus, model: MultiLabelClassifier, tokenizer: Any,
    tracker: Tracker,
) -> dict[str, Any]:  # fmt: skip
    """Calibrate, choose thresholds on validation rows, measure, plot, save."""
    rows = corpus.validation
    truth = targets(rows, schema.ids)[0] > 0.5
    logits, _ = predict(model, tokenizer, [row.text for row in rows], config.encoder.max_tokens)
    scaling = fit_scaling(truth, logits, config.thresholds.min_positives)
    fold_into_head(model, scaling)
    scores = sigmoid(logits * scaling.slope + scaling.offset)
    chosen = choose_all(truth, scores, schema.ids, config.thresholds)
    decided = scores >= np.array([chosen[label]["threshold"] for label in schema.ids])
    metrics = report(truth, decided, schema.ids, schema.core, np.array([row.group for row in rows]))
    metrics |= {
        "calibration_error": calibration_error(truth, scores),
        "average_precision": average_precision(truth, scores, schema.ids),
    }
    save_model(model, tokenizer, folder / MODEL, max_tokens=config.encoder.max_tokens, run=folder.name)
    _write(folder / THRESHOLDS, chosen)
    _write(folder / METRICS, metrics)
    plots.validation_plots(folder / "plots", truth, scores, decided, schema.ids)
    tracker.metrics(flat_metrics(metrics))
    for name in (CONFIG, THRESHOLDS, METRICS, "plots", MODEL):
        tracker.artifacts(folder / name, name if (folder / name).is_dir() else None)
    return metrics


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2), encoding="utf-8")


def flatten(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= flatten(item, f"{prefix}{key}.") if isinstance(item, dict) else {f"{prefix}{key}": item}
    return flat


def flat_metrics(metrics: dict[str, Any]) -> dict[str, float]:
    """Every number of a report under a dotted name, as MLflow wants it."""
    return {key: value for key, value in flatten(metrics).items() if isinstance(value, int | float)}
