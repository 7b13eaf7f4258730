"""Weights out of an ONNX file, by the names that torch gave them: our bundles, and encoders that are published as ONNX only.

Exporters keep the names of biases, norms and tables. A product's matrix loses its name; it is known by the bias added to it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

_NORM = "embeddings.LayerNorm.weight"
_WORDS = "embeddings.word_embeddings.weight"
_BESIDE = ".pairs."  # tables of character pairs are looked up by token ids, too
_STORED = (
    "_quantized"  # ONNX Runtime's dynamic quantisation keeps NAME as NAME_quantized, NAME_scale and NAME_zero_point
)


def parameters(model: onnx.ModelProto, prefix: str = "") -> dict[str, Tensor]:
    """Float weights whose names begin with `prefix`, whatever precision the file holds them in.

    int8 of two kinds is read: with QuantizeLinear around products, as our bundles have it, and ONNX Runtime's dynamic one.
    """
    graph = _Graph(model)
    found = dict(graph.constants)
    for node in model.graph.node:
        if node.op_type not in ("MatMul", "MatMulInteger") or (weight := graph.value(node.input[1])) is None:
            continue
        if (bias := graph.bias_of(node.output[0])) is not None:
            found[bias.removesuffix("bias") + "weight"] = (weight * graph.smoothing_of(node.input[0])).T
    if (table := graph.word_table()) is not None and (before := encoder_prefix(found)) is not None:
        found.setdefault(before + _WORDS, table)
    return {
        name: torch.from_numpy(np.array(value, dtype=np.float32))
        for name, value in found.items()
        if name.startswith(prefix) and np.issubdtype(value.dtype, np.floating)
    }


def stored(model: onnx.ModelProto, prefix: str, beginning: str) -> dict[str, Tensor]:
    """Tensors of any kind, as the file holds them, whose names begin with `beginning`; named without `prefix`."""
    return {
        item.name.removeprefix(prefix): torch.from_numpy(numpy_helper.to_array(item).copy())
        for item in model.graph.initializer
        if item.name.startswith(beginning)
    }


def encoder_prefix(names: Iterable[str]) -> str | None:
    """What stands before the encoder's own names, "" for an encoder alone; None where none of the names is an encoder's."""
    return next((name.removesuffix(_NORM) for name in names if name.endswith(_NORM)), None)


class _Graph:
    """Lookups in an exported graph: constants, and which operation gave a tensor or takes it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes = model.graph.node
        self.constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
        self.source = {name: node for node in model.graph.node for name in node.output}
        self.takers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self.takers.setdefault(name, []).append(node)
        for name in [name.removesuffix(_STORED) for name in self.constants if name.endswith(_STORED)]:
            if f"{name}_scale" in self.constants and f"{name}_zero_point" in self.constants:
                self.constants[name] = self._restored(name)

    def _restored(self, name: str) -> np.ndarray:
        stored, zero, scale = (self.constants[name + end] for end in (_STORED, "_zero_point", "_scale"))
        return (stored.astype(np.float32) - zero) * scale

    def value(self, name: str) -> np.ndarray | None:
        """A tensor that doesn't depend on the input, computed: stored, or stored smaller and to be cast or scaled."""
        if name.endswith(_STORED):
            name = name.removesuffix(_STORED)
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

    def bias_of(self, product: str) -> str | None:
        """Name of the bias that is added to a product, cast and scaled first where it is one of integers; None without."""
        for node in self.takers.get(product, ()):
            if node.op_type == "Add":
                return next((name for name in node.input if name in self.constants), None)
            if node.op_type in ("Cast", "Mul"):
                return self.bias_of(node.output[0])
        return None

    def word_table(self) -> np.ndarray | None:
        """A bundle's word embeddings, stored in half precision, or as int8 rows and a scale for each."""
        gathers = [node for node in self.nodes if node.op_type == "Gather" and node.input[1] == "input_ids"]
        names = [node.input[0] for node in gathers if _BESIDE not in node.input[0]]
        tables = [self.constants[name] for name in names if name in self.constants]
        if not any(np.issubdtype(table.dtype, np.floating) for table in tables):
            return None  # integers whose scale stands elsewhere
        return functools.reduce(np.multiply, (table.astype(np.float32) for table in tables))
