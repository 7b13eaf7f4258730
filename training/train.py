"""One training run from configuration to a model with thresholds, metrics and plots, in one folder."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import transformers
from rich.console import Console
from safetensors.torch import load_file
from scipy.special import expit
from transformers import TrainerCallback
from zhenyan.inference.errors import ConfigError
from zhenyan.training import distributed, plots
from zhenyan.training.calibration import fit_scaling, fold_into_head
from zhenyan.training.checkpoints import START, check_start, faults, keep_start, newest_checkpoint
from zhenyan.training.config import CONFIG, DistilConfig, ThresholdConfig, TrainConfig, as_record, dump_config
from zhenyan.training.dataset import Corpus, load_corpus, origin, to_dataset, training_rows
from zhenyan.training.encoders.load import (
    check_encoder,
    check_length,
    check_source,
    freeze,
    keep_layers,
    load_encoder,
    set_dropout,
)
from zhenyan.training.encoders.origin import beginning
from zhenyan.training.evaluate import Labelled, curves, labelled, quality
from zhenyan.training.losses import positive_weights
from zhenyan.training.modelling import MultiLabelClassifier, blend, lacking, load_model, save_model, width_of
from zhenyan.training.outputs import make_folders
from zhenyan.training.pair_weights import add_pairs
from zhenyan.training.predict import predict, predict_as_read
from zhenyan.training.pretrain import continue_pretraining, digest, is_whole
from zhenyan.training.progress import ProgressBar, Stopped, TrackMetrics
from zhenyan.training.provenance import describe, learned, read_journal, use_threads
from zhenyan.training.schema import Schema, load_schema
from zhenyan.training.teachers import learn_from
from zhenyan.training.thresholds import choose_all
from zhenyan.training.tracking import NoTracker, Tracker, check_kept
from zhenyan.training.trainer import TrainerData, build_trainer, check_machine
from zhenyan.training.voice import add_voice, drawn
from zhenyan.training.whole import telling_full_disk

MODEL, THRESHOLDS, METRICS = "model", "thresholds.json", "metrics.json"
TRAINER = "trainer"  # checkpoints, until the run is finished
CONDITIONING_ROWS = 512


@dataclass
class Run:
    """A finished run's folder and what was measured on its validation rows."""

    folder: Path
    metrics: dict[str, Any]


@dataclass(frozen=True)
class OpenRun:
    """A run that isn't finished: its folder, by what and on which rows it is made, and who tracks it."""

    folder: Path
    config: TrainConfig
    schema: Schema
    corpus: Corpus
    tracker: Tracker


def train(
    config: TrainConfig,
    *,
    warm_start: Path | None = None,
    resume: Path | None = None,
    console: Console | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    parent: Path | None = None,
) -> Run:
    """Train by `config`; returns the run. Under torchrun every process calls this; the first one writes and tracks.

    `warm_start`: a run's model folder or a bundle to go on from (head rows are kept by label name). `resume`: a run folder
    that was cut off; training goes on from its last checkpoint, and from the warm start it began with, with the result an
    unbroken run would have had. ConfigError, before there is a run folder, when one of these, a teacher or the encoder isn't
    there, or this machine can't train so.
    `callbacks` hear what the Trainer does and may raise Stopped. `parent`: folder of the tracker to nest the run under.
    """
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    use_threads(config.optim)
    transformers.set_seed(config.seed)
    check_machine(config)
    schema = load_schema(config.data.label_schema)
    checkpoint = None
    if resume:
        check_kept(resume)
        checkpoint, warm_start = checkpoint_of(resume), began_with(resume, warm_start)
        if config.optim.blend < 1:
            check_start(resume / TRAINER)
    fresh = check_models(config, schema, warm_start)
    corpus = load_corpus(config.data, schema)
    if config.voice:
        drawn(corpus.train, config.voice, config.seed)  # a fault is told before hours of work
    with distributed.group():
        first = distributed.is_first()
        folder = resume or distributed.first_says(new_folder(config) if first else None)
        console = (console or Console()) if first else Console(quiet=True)
        tracker = Tracker(folder, config.tracking, folder.name, console, parent) if first else NoTracker()
        console.print(
            f"run {folder}: {len(corpus.train):,} training rows ({sum(origin(row) == 'real' for row in corpus.train):,} real), "
            f"{len(corpus.validation):,} validation rows, {len(schema.ids)} labels"
        )
        if resume:
            check_same(resume, learned(corpus, schema.ids))
            tracker.restart()
        elif warm_start:
            console.print(warm_start_note(config, warm_start, fresh), highlight=False, soft_wrap=True)
        bar = ProgressBar(console)
        callbacks = [bar, TrackMetrics(tracker), *callbacks]
        again = f"make room, then go on with `zhenyan train --resume {folder}`, or start anew where it has no checkpoint yet"
        with telling_full_disk(folder, again), finished(tracker), contextlib.closing(bar):
            if not resume:
                tracker.params(flatten(as_record(config)))
                tracker.tags(describe(config, corpus, schema.ids) | beginning(warm_start))
            metrics = fit(OpenRun(folder, config, schema, corpus, tracker), warm_start, checkpoint, callbacks)
        return Run(folder, metrics)


@contextlib.contextmanager
def finished(tracker: Tracker) -> Iterator[None]:
    """Tell the tracker how what is done inside has ended; SIGTERM, as `docker stop` and schedulers send it, ends it as Ctrl-C does."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler) if main else None
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(OSError):  # a disk that is full takes no journal entry either; what came first is told
            tracker.finish("KILLED" if isinstance(error, Stopped | KeyboardInterrupt) else "FAILED")
        raise
    finally:
        if main:
            signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
    tracker.finish()


def fit(
    run: OpenRun, warm_start: Path | None, checkpoint: str | None, callbacks: list[TrainerCallback]
) -> dict[str, Any]:
    """Train, from `checkpoint` on where there is one, and finish the run.

    Returns what was measured on validation rows, in every process.
    """
    folder, config, schema, corpus = run.folder, run.config, run.schema, run.corpus
    model, tokenizer = start_model(config, schema, warm_start)
    rows = training_rows(config, corpus)
    train_set = to_dataset(rows, schema.ids, config.data)
    lessons = None
    if config.distil:
        check_width(model, config.distil)
        lessons = learn_from(config, schema, rows)
    if warm_start is None and not checkpoint:
        condition_model(model, tokenizer, train_set, config)
    data = TrainerData(train_set, to_dataset(corpus.validation, schema.ids, config.data), lessons)
    trainer = build_trainer(model, tokenizer, data, config, folder / TRAINER, callbacks)
    blends = config.optim.blend < 1 and distributed.is_first()
    if blends and not checkpoint:
        keep_start(model, folder / TRAINER)
    trainer.train(resume_from_checkpoint=checkpoint)
    if blends:
        blend(model, load_file(folder / TRAINER / START), config.optim.blend)
    metrics = None
    if distributed.is_first():
        metrics = finish_run(run, model, tokenizer)
        shutil.rmtree(folder / TRAINER, ignore_errors=True)
    return distributed.first_says(metrics)


def new_folder(config: TrainConfig) -> Path:
    """An empty run folder with the configuration in it; ConfigError when it can't be made."""
    stem = config.runs / f"{config.name}-{datetime.now():%Y%m%d-%H%M%S}"
    for number in itertools.count():
        folder = stem.with_name(f"{stem.name}{f'-{number}' if number else ''}")
        try:
            make_folders(f"runs {config.runs}", folder, new=True)
            break
        except ConfigError:
            if not folder.exists():  # else another training began in this second
                raise
    (folder / CONFIG).write_text(dump_config(config), encoding="utf-8")
    return folder


def checkpoint_of(folder: Path) -> str:
    """The newest whole checkpoint of a run that was cut off; ConfigError when there is none."""
    if checkpoint := newest_checkpoint(folder / TRAINER):
        return str(checkpoint)
    if (folder / METRICS).exists():
        raise ConfigError(f"{folder}: this run is finished; to train on from its model: --from {folder / MODEL}")
    damaged = "".join(f" that is whole ({fault})" for fault in faults(folder / TRAINER)[:1])
    raise ConfigError(
        f"{folder}: no checkpoint to resume from{damaged}; start the training again without --resume (a masked-language step "
        "that was cut off goes on from its own)"
    )


def began_with(run: Path, asked: Path | None) -> Path | None:
    """The warm start of a run that was cut off, which may have moved; ConfigError when another is asked for."""
    begun = read_journal(run).tags.get("warm_start")
    if asked is not None and begun and not Path(begun).exists():
        return asked
    if asked is not None and (begun is None or asked.resolve() != Path(begun).resolve()):
        raise ConfigError(f"{run}: it began from {begun or 'no trained model'}, not {asked}; leave --from away")
    return Path(begun) if begun else None


def check_same(run: Path, learned_now: Mapping[str, str]) -> None:
    """ConfigError when a run that was cut off learned other rows, or labels in another order, than it would go on with."""
    begun = read_journal(run).tags
    if changed := [name for name, value in learned_now.items() if begun.get(name, value) != value]:
        raise ConfigError(
            f"{run}: {', '.join(changed)} changed since it was cut off; put them back as they were, or train anew without --resume"
        )


def check_models(config: TrainConfig, schema: Schema, warm_start: Path | None) -> list[str]:
    """The labels that training starts afresh; ConfigError when the warm start is no model, a teacher lacks a label or there is no encoder."""
    distil = config.distil
    if warm_start is None and config.encoder.source == "teacher" and not distil and not Path("teacher").is_dir():
        raise ConfigError(
            "encoder.source: 'teacher' is the first of distil.teachers, but distil is null; name teachers"
        )
    for folder in [*distil.teachers, *(distil.written.teachers if distil.written else ())] if distil else ():
        if missing := lacking(folder, schema):
            raise ConfigError(
                f"distil: teacher {folder} lacks {', '.join(missing)}; train it on the present schema first, or leave it out"
            )
    if warm_start:
        return lacking(warm_start, schema)
    if not (distil and config.encoder.source == "teacher"):
        check_source(config.encoder.source)
    return schema.ids


def warm_start_note(config: TrainConfig, warm_start: Path, fresh: list[str]) -> str:
    """What a warm start leaves of the labels' head rows and of the configuration, as one line."""
    void = [f"encoder.{key}" for key in ("source", "trim_vocabulary", "layers", "pooling")
            if key in config.encoder.model_fields_set]  # fmt: skip
    void += ["pretrain"] if config.pretrain else []
    parts = [f"labels that start afresh: {', '.join(fresh)}"] if fresh else []
    parts += [f"its encoder is taken as it is, without {', '.join(void)} of the configuration"] if void else []
    return "; ".join([f"goes on from {warm_start}", *parts])


def check_width(model: MultiLabelClassifier, distil: DistilConfig) -> None:
    """ConfigError when the student is to come near the pooled states of a teacher of another width."""
    if not distil.hidden_weight:
        return
    theirs = width_of(distil.teachers[0])
    if theirs != model.head.in_features:
        raise ConfigError(
            f"distil.hidden_weight: the student is {model.head.in_features} wide, its teacher {distil.teachers[0]} "
            f"{theirs}, so their states can't be compared; set it to 0"
        )


def start_model(config: TrainConfig, schema: Schema, warm_start: Path | None) -> tuple[MultiLabelClassifier, Any]:
    """The network before training: warm-started, a student of its first teacher, or a pretrained encoder."""
    if warm_start is not None:
        model, tokenizer, _ = load_model(warm_start, schema.ids, schema.changes, pairs=False)
    else:
        encoder, tokenizer = start_encoder(config, schema)
        model = MultiLabelClassifier(encoder, schema.ids, config.encoder.pooling, config.encoder.dropout)
    check_length(model.encoder, config.encoder.max_tokens, "encoder.max_tokens")
    return _ready(model, config), tokenizer


def start_encoder(config: TrainConfig, schema: Schema) -> tuple[Any, Any]:
    """Encoder and tokenizer to start from: the first teacher's, the one after `pretrain`, or as it is published."""
    source, trim, layers = config.encoder.source, config.encoder.trim_vocabulary, config.encoder.layers
    if config.distil and source == "teacher":
        teacher, tokenizer, _ = load_model(config.distil.teachers[0])
        if layers is not None:
            keep_layers(teacher.encoder, layers, str(config.distil.teachers[0]))
        return teacher.encoder, tokenizer
    if config.pretrain:
        source, trim = str(pretrained(config, schema)), False
    return load_encoder(source, trim, layers)


def pretrained(config: TrainConfig, schema: Schema) -> Path:
    """Folder of the encoder after `config.pretrain`, from the cache where it is there already."""
    if (asked := config.pretrain) is None:
        raise ValueError("`pretrain` is null: there is no such encoder")
    texts = pretraining_texts(config, schema)
    cached = config.cache / "pretrain" / digest(texts, asked, config.encoder)
    if not distributed.first_says(is_whole(cached)):
        encoder, tokenizer = load_encoder(config.encoder.source, config.encoder.trim_vocabulary)
        check_length(encoder, asked.max_tokens, "pretrain.max_tokens")
        check_encoder(encoder, config.encoder)
        encoder.set_attn_implementation("eager")
        continue_pretraining(encoder, tokenizer, texts, asked, cached, config.seed)
    return cached


def pretraining_texts(config: TrainConfig, schema: Schema) -> list[str]:
    """What the encoder reads before the labels, in a fixed order: texts of training rows and unlabelled lines."""
    written = (config.pretrain and config.pretrain.written) or config.data.written
    corpus = load_corpus(config.data.model_copy(update={"written": written}), schema, needed=())
    return sorted({row.text for row in corpus.train} | set(corpus.unlabelled))


def condition_model(
    model: MultiLabelClassifier, tokenizer: Any, train_set: datasets.Dataset, config: TrainConfig
) -> None:
    """See MultiLabelClassifier.condition; a sample of training rows sets centre, spread and biases."""
    sample = train_set.shuffle(seed=config.seed).select(range(min(CONDITIONING_ROWS, len(train_set))))
    _, pooled = predict(model, tokenizer, list(sample["text"]), config.encoder.max_tokens)
    columns = train_set.with_format("torch")
    target, mask = columns["target"][:], columns["mask"][:]
    weighted = (target * mask).sum(0) * positive_weights(target, mask, config.loss)
    share = weighted / (weighted + (mask * (1 - target)).sum(0)).clamp(min=1)
    model.condition(torch.from_numpy(pooled), share)


def _ready(model: MultiLabelClassifier, config: TrainConfig) -> MultiLabelClassifier:
    """Plain attention, which at these lengths trains faster on CPUs than the fused kernel; dropout, frozen layers as configured."""
    model.dropout.p = config.encoder.dropout
    model.encoder.set_attn_implementation("eager")
    set_dropout(model.encoder, config.encoder.inner_dropout)
    freeze(model.encoder, config.encoder.frozen)
    return model


def finish_run(run: OpenRun, model: MultiLabelClassifier, tokenizer: Any) -> dict[str, Any]:
    """Calibrate, choose thresholds on validation rows, measure, plot, save."""
    folder, config, schema, corpus = run.folder, run.config, run.schema, run.corpus
    if config.voice:
        add_voice(model, tokenizer, corpus.train, config.voice, config.encoder.max_tokens, config.seed)
    if config.pairs:
        add_pairs(model, tokenizer, corpus.train, config.pairs, config.encoder.max_tokens)
    data = labelled(corpus.validation, schema.ids)
    logits, _ = predict(model, tokenizer, data.texts, config.encoder.max_tokens)
    scaling = fit_scaling(data.truth, logits, config.thresholds.min_positives, data.seen)
    fold_into_head(model, scaling)
    scores = expit(predict_as_read(model, tokenizer, data.texts, config.encoder.max_tokens))
    chosen, decided, metrics = decide(data, scores, schema, config.thresholds)
    save_model(model, tokenizer, folder / MODEL, max_tokens=config.encoder.max_tokens, run=folder.name)
    _write(folder / THRESHOLDS, chosen)
    _write(folder / METRICS, metrics)
    plots.validation_plots(folder / "plots", curves(data, scores, decided, schema.ids))
    run.tracker.metrics(flat_metrics(metrics))
    for name in (CONFIG, THRESHOLDS, METRICS, "plots", MODEL):
        run.tracker.artifacts(folder / name, name if (folder / name).is_dir() else None)
    return metrics


def decide(
    data: Labelled, scores: np.ndarray, schema: Schema, config: ThresholdConfig
) -> tuple[dict[str, dict[str, Any]], np.ndarray, dict[str, Any]]:
    """Thresholds, the decisions by them (rows, labels), and how good these are."""
    chosen = choose_all(data.truth, scores, schema.ids, config, data.seen)
    decided = scores >= np.array([chosen[label]["threshold"] for label in schema.ids])
    return chosen, decided, quality(data, scores, decided, schema)


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
