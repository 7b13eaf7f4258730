"""`zhenyan average`: one model out of several that began from the same weights, by the weighted mean of their weights, or one finished anew."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from transformers import PreTrainedTokenizerFast
from zhenyan.inference.errors import ConfigError
from zhenyan.training.config import TrainConfig, as_record
from zhenyan.training.dataset import load_corpus
from zhenyan.training.encoders.load import check_length
from zhenyan.training.encoders.origin import beginning, model_name
from zhenyan.training.modelling import MultiLabelClassifier, blend, lacking, load_model
from zhenyan.training.provenance import describe, use_threads
from zhenyan.training.schema import Schema, load_schema
from zhenyan.training.tracking import Tracker
from zhenyan.training.train import OpenRun, Run, finish_run, finished, flatten, new_folder
from zhenyan.training.voice import drawn
from zhenyan.training.whole import telling_full_disk


def parse_shares(parts: Sequence[str]) -> dict[Path, float]:
    """Folders and their shares out of FOLDER=SHARE; ConfigError unless the shares are positive and their sum is 1."""
    shares: dict[Path, float] = {}
    for part in parts:
        folder, _, share = part.rpartition("=")
        if not folder or not _is_number(share):
            raise ConfigError(f"{part}: expected FOLDER=SHARE, such as runs/NAME/model=0.5")
        if any(Path(folder).resolve() == known.resolve() for known in shares):
            raise ConfigError(f"{part}: {folder} is given twice; give each model once, with all of its share")
        shares[Path(folder)] = float(share)
    if min(shares.values(), default=0) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
        given = ", ".join(f"{share:g}" for share in shares.values()) or "none"
        raise ConfigError(f"expected models with shares above 0 whose sum is 1, found {given}")
    return shares


def _is_number(text: str) -> bool:
    try:
        return not math.isnan(float(text))
    except ValueError:
        return False


def average(config: TrainConfig, shares: Mapping[Path, float], console: Console) -> Run:
    """A run whose model is the weighted mean of other runs' or bundles' models (Wortsman et al. 2022, Model soups).

    Nothing is trained: calibration and thresholds are fitted anew on the validation rows of `config`; the models' pairs are left behind, and fitted where
    `pairs` is set; `voice`, where set, is added to what bias they have. Of one model alone that is all that happens. The mean is a good model where all began from the same weights and none went far. ConfigError names a model of another shape.
    """
    use_threads(config.optim)
    schema = load_schema(config.data.label_schema)
    corpus = load_corpus(config.data, schema)
    if config.voice:
        drawn(corpus.train, config.voice, config.seed)  # a fault is told before there is a run
    model, tokenizer = mean_model(shares, schema)
    check_length(model.encoder, config.encoder.max_tokens, "encoder.max_tokens")
    parts = ", ".join(f"{model_name(path)}={share:g}" for path, share in shares.items())
    tags = describe(config, corpus, schema.ids) | beginning(next(iter(shares))) | {"average": parts}
    folder = new_folder(config)  # last of all that may fail, so that no half-made run stays
    tracker = Tracker(folder, config.tracking, folder.name, console)
    with telling_full_disk(folder, "make room, then average again"), finished(tracker):
        tracker.params(flatten(as_record(config)))
        tracker.tags(tags)
        return Run(folder, finish_run(OpenRun(folder, config, schema, corpus, tracker), model, tokenizer))


def mean_model(shares: Mapping[Path, float], schema: Schema) -> tuple[MultiLabelClassifier, PreTrainedTokenizerFast]:
    """A model over the schema's labels whose weights are the models' mean by their shares, and the tokenizer that all have.

    ConfigError when a model lacks a label (a head row at random would enter the mean), or is of another shape.
    """
    for folder in shares:
        if missing := lacking(folder, schema):
            raise ConfigError(f"{folder}: its model lacks {', '.join(missing)}; average models that know every label")
    (first, total), *others = shares.items()
    model, tokenizer, meta = load_model(first, schema.ids, schema.changes, pairs=False)
    for folder, share in others:
        following, own, its = load_model(folder, schema.ids, schema.changes, pairs=False)
        same = own.get_vocab() == tokenizer.get_vocab() and its["pooling"] == meta["pooling"]
        if not same or _shape(following) != _shape(model):
            raise ConfigError(
                f"{folder}: its network or vocabulary is another than {first}'s; average runs of one start"
            )
        total += share
        blend(following, model.state_dict(), share / total)
        model = following
    return model, tokenizer


def _shape(model: MultiLabelClassifier) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}
