"""A bundle as a network again: training can go on from what was released when the run behind it is gone.

Weights come back as the bundle holds them: rounded to int8 or half precision, with what smoothing moved into them taken out again.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from zhenyan.inference.bundle import load_bundle
from zhenyan.inference.errors import ConfigError
from zhenyan.training.encoders.load import blank

_PREFIX = "model."
_ENCODER = f"{_PREFIX}encoder."
_HEAD = {f"{_PREFIX}{name}": name.removeprefix("head.") for name in ("head.weight", "head.bias", "centre", "spread")}


def read_bundle(
    folder: Path,
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast, dict[str, Tensor], dict[str, Any]]:
    """Encoder, tokenizer, head (weight, bias, centre, spread) and meta of a bundle, as `modelling.load_model` wants them.

    BundleError when the bundle is damaged; ConfigError when its manifest says nothing of the network's shape.
    """
    manifest = load_bundle(folder).manifest
    if "architecture" not in manifest:
        raise ConfigError(
            f"{folder}: its manifest has no `architecture`, so the network can't be rebuilt; give the model folder "
            "of the run it was exported from, or export that run again"
        )
    encoder = blank(manifest["architecture"])
    weights = parameters(onnx.load(str(folder / "model.onnx")))
    _refuse_merged(folder, encoder, weights)
    encoder.load_state_dict(
        {name.removeprefix(_ENCODER): value for name, value in weights.items() if name.startswith(_ENCODER)}
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), model_max_length=manifest["max_tokens"], **manifest["specials"]
    )
    meta = {key: manifest[key] for key in ("labels", "pooling", "max_tokens")}
    return encoder, tokenizer, {short: weights[name] for name, short in _HEAD.items()}, meta


def _refuse_merged(folder: Path, encoder: PreTrainedModel, weights: dict[str, Tensor]) -> None:
    """ConfigError when a tensor has no name of its own: the exporter keeps equal constants, such as zero biases, once."""
    wanted = [f"{_ENCODER}{name}" for name in encoder.state_dict()] + list(_HEAD)
    if missing := [name for name in wanted if name not in weights]:
        raise ConfigError(
            f"{folder}: {len(missing)} of the network's tensors were merged with equal ones at export (the first: "
            f"{missing[0]}), so it can't be rebuilt; give the model folder of the run it was exported from"
        )


def parameters(model: onnx.ModelProto) -> dict[str, Tensor]:
    """Float weights by the names that torch gave them, whatever precision the file holds them in.

    The exporter keeps the names of biases, norms and tables; a product's matrix is known by the bias added to it.
    """
    graph = _Graph(model)
    found = {name: value for name, value in graph.constants.items() if name.startswith(_PREFIX)}
    for node in model.graph.node:
        if node.op_type == "MatMul" and (weight := graph.value(node.input[1])) is not None:
            factor = graph.smoothing_of(node.input[0])
            found[graph.bias_of(node).removesuffix("bias") + "weight"] = (weight * factor).T
    found.setdefault(f"{_PREFIX}encoder.embeddings.word_embeddings.weight", graph.word_table())
    return {
        name: torch.from_numpy(np.array(value, dtype=np.float32))
        for name, value in found.items()
        if np.issubdtype(value.dtype, np.floating)
    }


class _Graph:
    """Lookups in an exported graph: constants, and which operation gave a tensor or takes it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes = model.graph.node
        self.constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
        self.source = {name: node for node in model.graph.node for name in node.output}

    def value(self, name: str) -> np.ndarray | None:
        """A tensor that doesn't depend on the input, computed: stored, or stored smaller and to be cast or scaled."""
        if name in self.constants:
            return self.constants[name]
        node = self.source.get(name)
        if node is None or node.op_type not in ("Cast", "Mul", "DequantizeLinear"):
            return None
        parts = [part for name in node.input[:2] if (part := self.value(name)) is not None]
        if len(parts) < len(node.input[:2]):
            return None
        first, *scale = (part.astype(np.float32) for part in parts)
        return first * scale[0] if scale else first

    def smoothing_of(self, name: str) -> np.ndarray:
        """What a product's input is multiplied with before it is quantised, as a column; ones when it isn't."""
        node = self.source.get(name)
        for kind in ("DequantizeLinear", "QuantizeLinear"):
            if node is None or node.op_type != kind:
                return np.ones((1, 1), dtype=np.float32)
            node = self.source.get(node.input[0])
        assert node is not None  # `quantise` multiplies before it quantises
        return self.constants[node.input[1]][:, None]

    def bias_of(self, product: onnx.NodeProto) -> str:
        """Name of the bias that is added to a product."""
        adds = (node for node in self.nodes if node.op_type == "Add" and product.output[0] in node.input)
        return next(name for node in adds for name in node.input if name in self.constants)

    def word_table(self) -> np.ndarray:
        """The word embeddings, stored in half precision, or as int8 rows and a scale for each."""
        gathers = [node for node in self.nodes if node.op_type == "Gather" and node.input[1] == "input_ids"]
        return functools.reduce(np.multiply, (self.constants[node.input[0]].astype(np.float32) for node in gathers))
