"""`zhenyan average`: one model out of several that began from the same weights, by the weighted mean of their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor
from zhenyan.inference.errors import ConfigError
from zhenyan.training.config import TrainConfig
from zhenyan.training.dataset import load_corpus
from zhenyan.training.modelling import load_model
from zhenyan.training.provenance import describe
from zhenyan.training.schema import load_schema
from zhenyan.training.tracking import Tracker
from zhenyan.training.train import Run, finish_run, flatten, new_folder


def parse_shares(parts: Sequence[str]) -> dict[Path, float]:
    """Folders and their shares out of FOLDER=SHARE; ConfigError unless the shares are positive and their sum is 1."""
    shares: dict[Path, float] = {}
    for part in parts:
        folder, _, share = part.rpartition("=")
        try:
            shares[Path(folder)] = float(share)
        except ValueError:
            raise ConfigError(f"{part}: expected FOLDER=SHARE, such as runs/NAME/model=0.5") from None
    if len(shares) < 2 or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
        given = ", ".join(f"{share:g}" for share in shares.values()) or "none"
        raise ConfigError(f"expected two models or more, with shares above 0 whose sum is 1, found {given}")
    return shares


def average(config: TrainConfig, shares: Mapping[Path, float], console: Console) -> Run:
    """A run whose model is the weighted mean of other runs' or bundles' models (Wortsman et al. 2022, Model soups).

    Nothing is trained; calibration and thresholds are fitted anew on the validation rows of `config`. The mean is a good
    model where all began from the same weights and none went far. ConfigError names a model of another shape.
    """
    schema = load_schema(config.data.label_schema)
    corpus = load_corpus(config.data, schema)
    folder = new_folder(config)
    tracker = Tracker(folder, config.tracking, folder.name, console)
    tracker.params(flatten(config.model_dump(mode="json")))
    tracker.tags(
        describe(config, corpus) | {"average": ", ".join(f"{path}={share:g}" for path, share in shares.items())}
    )
    try:
        first, *_ = shares
        model, tokenizer, _ = load_model(first, schema.ids)
        model.load_state_dict(mean_weights(shares, schema.ids))
        metrics = finish_run(folder, config, schema, corpus, model, tokenizer, tracker)
    except BaseException:
        tracker.finish("FAILED")
        raise
    tracker.finish()
    return Run(folder, metrics)


def mean_weights(shares: Mapping[Path, float], labels: list[str]) -> dict[str, Tensor]:
    """The state of a model over `labels`, each weight the mean of the models' by their shares."""
    total: dict[str, Tensor] = {}
    for folder, share in shares.items():
        state = load_model(folder, labels)[0].state_dict()
        if not total:
            total = {
                name: torch.zeros_like(value) if value.is_floating_point() else value for name, value in state.items()
            }
        if {name: value.shape for name, value in state.items()} != {name: value.shape for name, value in total.items()}:
            raise ConfigError(
                f"{folder}: its network has another shape than the first model's; average runs of one start"
            )
        for name, value in state.items():
            if value.is_floating_point():
                total[name] += share * value
    return total
