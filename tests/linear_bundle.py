"""A whole bundle in a few kilobytes: logistic regression over characters, right on the rows it was fitted to.

It serves tests of everything around a model: registry, gates, serving.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression
from tokenizers import Tokenizer
from zhenyan.inference import normalise
from zhenyan.inference.bundle import FORMAT, MANIFEST
from zhenyan.training.dataset import targets
from zhenyan.training.export import write_manifest
from zhenyan.training.rows import Row
from zhenyan.training.schema import Schema

NEVER = -20.0  # a logit


def write_bundle(
    folder: Path,
    rows: Sequence[Row],
    schema: Schema,
    encoder: Path,
    *,
    name: str = "linear",
    blind: Collection[str] = (),
) -> Path:
    """Fit on `rows` and write a bundle named `name` that never finds the labels in `blind`; returns `folder`."""
    folder.mkdir(parents=True)
    tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    tokenizer.save(str(folder / "tokenizer.json"))
    counts = np.zeros((len(rows), tokenizer.get_vocab_size()), dtype=np.float32)
    for row, text in enumerate(rows):
        np.add.at(counts[row], tokenizer.encode(normalise.normalise(text.text)).ids, 1)
    truth = targets(rows, schema.ids)[0] > 0.5
    weights = np.zeros((counts.shape[1], len(schema.ids)), dtype=np.float32)
    bias = np.full(len(schema.ids), NEVER, dtype=np.float32)
    for i, label in enumerate(schema.ids):
        if truth[:, i].any() and label not in blind:
            model = LogisticRegression(C=100, solver="liblinear").fit(counts, truth[:, i])
            weights[:, i], bias[i] = model.coef_[0], model.intercept_[0]
    _write_graph(folder / "model.onnx", weights, bias)
    manifest = {
        "format": FORMAT, "name": name, "labels": schema.ids, "activation": "sigmoid", "max_tokens": 128, "pad_id": 0,
        "normaliser": normalise.VERSION, "training_run": "none",
    }  # fmt: skip
    contents = {
        "labels.json": [schema.record(label) for label in schema.ids],
        "thresholds.json": {label: {"threshold": 0.5, "chosen_by": "fixed"} for label in schema.ids},
        "probes.json": {"texts": [], "probabilities": []},
        MANIFEST: manifest,
    }
    for file, value in contents.items():
        (folder / file).write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    write_manifest(folder, "fp32")
    return folder


def _write_graph(path: Path, weights: np.ndarray, bias: np.ndarray) -> None:
    """logits = sum over unpadded tokens of their weights, plus bias."""
    constants = {"weights": weights, "bias": bias, "last": np.array([2]), "width": np.array([1])}
    nodes = [
        helper.make_node("Gather", ["weights", "input_ids"], ["each"]),
        helper.make_node("Cast", ["attention_mask"], ["kept"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["kept", "last"], ["mask"]),
        helper.make_node("Mul", ["each", "mask"], ["counted"]),
        helper.make_node("ReduceSum", ["counted", "width"], ["sum"], keepdims=0),
        helper.make_node("Add", ["sum", "bias"], ["logits"]),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "width"])
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(bias)])]
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "linear", inputs, outputs, stored)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), str(path))
