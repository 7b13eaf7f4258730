"""Static int8 (QDQ) whose scores don't depend on the batch.

Activations of E5-type encoders have outlier channels: one scale for a tensor then leaves the others a few steps. So
each activation channel gets its own scale at quantisation, moved into the weight that reads it (the idea of
SmoothQuant, Xiao et al. 2023, without an extra operation: QuantizeLinear divides by a vector as fast as by a number).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from zhenyan.inference.batching import pad
from zhenyan.inference.normalise import normalise
from zhenyan.training.config import TrainConfig

_BATCH = 16


def quantise(source: Path, target: Path, tokenizer: Any, texts: list[str], config: TrainConfig) -> None:
    """Write `source` (fp32) as int8 to `target`, calibrated on a sample of `texts`."""
    model = onnx.load(str(source))
    rng = random.Random(config.seed)
    sample = rng.sample(texts, k=min(config.export.calibration_rows, len(texts)))
    feeds = list(calibration_feeds(tokenizer, sample, config.encoder.max_tokens))
    nodes = [
        node for node in model.graph.node if node.op_type in ("MatMul", "Gemm") and _weight(model, node) is not None
    ]
    ranges = activation_ranges(model, sorted({node.input[0] for node in nodes}), feeds)
    for node in nodes:
        _quantise_node(model, node, *ranges[node.input[0]], alpha=config.export.smooth)
    _quantise_embedding(model)
    _drop_unused(model)
    onnx.save(model, str(target))


def quantise_weights(source: Path, target: Path) -> None:
    """Write `source` with its weights in int8, computed in fp32: a quarter of the file, decisions all but unchanged.

    Cast and Mul, not DequantizeLinear: the runtime folds them into fp32 weights once, when it loads the file.
    """
    model = onnx.load(str(source))
    for node in list(model.graph.node):
        if node.op_type in ("MatMul", "Gemm") and (tensor := _weight(model, node)) is not None:
            _store_as_int8(model, node, tensor)
    _quantise_embedding(model)
    _drop_unused(model)
    onnx.save(model, str(target))


def _store_as_int8(model: onnx.ModelProto, node: onnx.NodeProto, tensor: onnx.TensorProto) -> None:
    """One weight as int8 with a scale for each output (the axis the product isn't summed over)."""
    weight = numpy_helper.to_array(tensor).astype(np.float32)
    axis = 1 if node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute) else 0
    scale = np.maximum(np.abs(weight).max(axis, keepdims=True) / 127, 1e-10).astype(np.float32)
    base = f"{node.name or node.output[0]}_w8"
    for name, value in (("int", np.round(weight / scale).astype(np.int8)), ("scale", scale)):
        model.graph.initializer.append(numpy_helper.from_array(value, f"{base}_{name}"))
    cast = helper.make_node("Cast", [f"{base}_int"], [f"{base}_float"], to=TensorProto.FLOAT)
    scaled = helper.make_node("Mul", [f"{base}_float", f"{base}_scale"], [f"{base}_weight"])
    at = list(model.graph.node).index(node)
    model.graph.node.insert(at, cast)
    model.graph.node.insert(at + 1, scaled)
    node.input[1] = f"{base}_weight"


def calibration_feeds(tokenizer: Any, texts: list[str], max_tokens: int) -> Iterator[dict[str, np.ndarray]]:
    """Padded batches of real lines, of like length, as in use."""
    encoded = sorted(
        tokenizer([normalise(t) for t in texts], truncation=True, max_length=max_tokens)["input_ids"], key=len
    )
    for start in range(0, len(encoded), _BATCH):
        ids, mask = pad(encoded[start : start + _BATCH], tokenizer.pad_token_id)
        yield {"input_ids": ids, "attention_mask": mask}


def _weight(model: onnx.ModelProto, node: onnx.NodeProto) -> onnx.TensorProto | None:
    return next((w for w in model.graph.initializer if w.name == node.input[1] and len(w.dims) == 2), None)


def activation_ranges(
    model: onnx.ModelProto, names: list[str], feeds: list[dict[str, np.ndarray]]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Least and greatest value of each channel (last axis) of the named tensors over the feeds; padding is left out."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    known = {output.name for output in probe.graph.output}
    probe.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names if name not in known)
    session = onnxruntime.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    ranges: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for feed in feeds:
        kept = feed["attention_mask"].astype(bool)
        for name, value in zip(names, session.run(names, feed), strict=True):
            rows = value[kept] if value.shape[:-1] == kept.shape else value.reshape(-1, value.shape[-1])
            low, high = rows.min(0), rows.max(0)
            old = ranges.get(name, (low, high))
            ranges[name] = (np.minimum(old[0], low), np.maximum(old[1], high))
    return ranges


def _quantise_node(
    model: onnx.ModelProto, node: onnx.NodeProto, low: np.ndarray, high: np.ndarray, alpha: float
) -> None:
    """Put QuantizeLinear/DequantizeLinear around both inputs of a MatMul or Gemm."""
    weight_tensor = _weight(model, node)
    assert weight_tensor is not None
    weight = numpy_helper.to_array(weight_tensor).astype(np.float32)
    flipped = node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute)
    weight = weight.T if flipped else weight  # (in, out)
    smooth = smoothing(low, high, weight, alpha)
    low, high = np.minimum(low / smooth, 0), np.maximum(high / smooth, 0)
    scale = np.float32(max((high.max() - low.min()) / 255, 1e-8))
    zero = np.uint8(np.clip(np.round(-low.min() / scale), 0, 255))
    shifted = weight * smooth[:, None]
    steps = np.maximum(np.abs(shifted).max(0) / 127, 1e-10).astype(np.float32)
    quantised = np.clip(np.round(shifted / steps), -127, 127).astype(np.int8)
    base = f"{node.name or node.output[0]}_q"
    constants = {
        "a_scales": (scale * smooth).astype(np.float32), "a_zeros": np.full(len(smooth), zero, np.uint8),
        "a_scale": scale, "a_zero": zero, "w": quantised, "w_scale": steps, "w_zero": np.zeros(len(steps), np.int8),
    }  # fmt: skip
    for name, value in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), f"{base}_{name}"))
    added = [
        helper.make_node(
            "QuantizeLinear", [node.input[0], f"{base}_a_scales", f"{base}_a_zeros"], [f"{base}_aq"], axis=-1
        ),
        helper.make_node("DequantizeLinear", [f"{base}_aq", f"{base}_a_scale", f"{base}_a_zero"], [f"{base}_ad"]),
        helper.make_node(
            "DequantizeLinear", [f"{base}_w", f"{base}_w_scale", f"{base}_w_zero"], [f"{base}_wd"], axis=1
        ),
    ]
    node.input[0], node.input[1] = f"{base}_ad", f"{base}_wd"
    for attribute in node.attribute:
        if attribute.name == "transB":
            attribute.i = 0
    at = list(model.graph.node).index(node)
    for offset, new in enumerate(added):
        model.graph.node.insert(at + offset, new)


def smoothing(low: np.ndarray, high: np.ndarray, weight: np.ndarray, alpha: float) -> np.ndarray:
    """Factor of each input channel: activations are divided by it, weight rows multiplied (SmoothQuant's formula)."""
    activation = np.maximum(np.maximum(np.abs(low), np.abs(high)), 1e-5)
    rows = np.maximum(np.abs(weight).max(1), 1e-5)
    factor = activation**alpha / rows ** (1 - alpha)
    return (factor / np.exp(np.log(factor).mean())).astype(np.float32)


def _quantise_embedding(model: onnx.ModelProto) -> None:
    """Word embeddings as int8 with one scale a row: the largest tensor, and exact enough."""
    weights = {w.name: w for w in model.graph.initializer}
    gathers = [n for n in model.graph.node if n.op_type == "Gather" and n.input[0] in weights]
    node = max(gathers, key=lambda n: int(np.prod(weights[n.input[0]].dims)))
    table = numpy_helper.to_array(weights[node.input[0]]).astype(np.float32)
    scale = np.maximum(np.abs(table).max(1, keepdims=True) / 127, 1e-10).astype(np.float32)
    base = f"{node.name or node.output[0]}_q"
    for name, value in (("w", np.round(table / scale).astype(np.int8)), ("scale", scale)):
        model.graph.initializer.append(numpy_helper.from_array(value, f"{base}_{name}"))
    at, output, ids = list(model.graph.node).index(node), node.output[0], node.input[1]
    model.graph.node.remove(node)
    for offset, new in enumerate([
        helper.make_node("Gather", [f"{base}_w", ids], [f"{base}_rows"], axis=0),
        helper.make_node("Gather", [f"{base}_scale", ids], [f"{base}_scales"], axis=0),
        helper.make_node("Cast", [f"{base}_rows"], [f"{base}_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{base}_float", f"{base}_scales"], [output]),
    ]):  # fmt: skip
        model.graph.node.insert(at + offset, new)


def _drop_unused(model: onnx.ModelProto) -> None:
    used = {name for node in model.graph.node for name in node.input}
    kept = [w for w in model.graph.initializer if w.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    del model.graph.value_info[:]
