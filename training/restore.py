"""A bundle as a network again: training can go on from what was released when the run behind it is gone.

Weights come back as the bundle holds them: rounded to int8 or half precision, with what smoothing moved into them taken out again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from zhenyan.inference.bundle import load_bundle
from zhenyan.inference.errors import ConfigError
from zhenyan.training.encoders.load import blank
from zhenyan.training.encoders.onnx_weights import parameters, stored
from zhenyan.training.pairs import CharacterPairs

_PREFIX = "model."
_ENCODER = f"{_PREFIX}encoder."
_PAIRS = f"{_PREFIX}pairs."
_HEAD = {f"{_PREFIX}{name}": name.removeprefix("head.") for name in ("head.weight", "head.bias", "centre", "spread")}


def read_bundle(
    folder: Path,
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast, dict[str, Tensor], dict[str, Any]]:
    """Encoder, tokenizer, head (weight, bias, centre, spread, tables of character pairs) and meta of a bundle, as `modelling.load_model` wants them.

    BundleError when the bundle is damaged; ConfigError when its manifest says nothing of the network's shape.
    """
    manifest = load_bundle(folder).manifest
    if "architecture" not in manifest:
        raise ConfigError(
            f"{folder}: its manifest has no `architecture`, so the network can't be rebuilt; give the model folder "
            "of the run it was exported from, or export that run again"
        )
    encoder = blank(manifest["architecture"])
    graph = onnx.load(str(folder / "model.onnx"))
    weights = parameters(graph, _PREFIX)
    pairs = stored(graph, _PREFIX, _PAIRS)
    _refuse_merged(folder, encoder, weights, pairs)
    encoder.load_state_dict(
        {name.removeprefix(_ENCODER): value for name, value in weights.items() if name.startswith(_ENCODER)}
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), model_max_length=manifest["max_tokens"], **manifest["specials"]
    )
    meta = {key: manifest[key] for key in ("labels", "pooling", "max_tokens")}
    head = {short: weights[name] for name, short in _HEAD.items()}
    return encoder, tokenizer, head | pairs, meta


def _refuse_merged(
    folder: Path, encoder: PreTrainedModel, weights: dict[str, Tensor], pairs: dict[str, Tensor]
) -> None:
    """ConfigError when a tensor has no name of its own: the exporter keeps equal constants, such as zero biases, once."""
    wanted = [f"{_ENCODER}{name}" for name in encoder.state_dict()] + list(_HEAD)
    beside = [f"pairs.{name}" for name in CharacterPairs.TABLES] if pairs else []
    if missing := [name for name in wanted if name not in weights] + [name for name in beside if name not in pairs]:
        raise ConfigError(
            f"{folder}: {len(missing)} of the network's tensors were merged with equal ones at export (the first: "
            f"{missing[0]}), so it can't be rebuilt; give the model folder of the run it was exported from"
        )
