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


Ranges = dict[str, tuple[np.ndarray, np.ndarray]]  # tensor name -> least and greatest value of each channel


def quantise(
    source: Path, target: Path, tokenizer: Any, texts: list[str], thresholds: np.ndarray, config: TrainConfig
) -> list[str]:
    """Write `source` (fp32) as int8 to `target`, calibrated on a sample of `texts`; returns the products left in float.

    Products are left in float, the most sensitive first, until decisions at `thresholds` (probabilities, one a label)
    on a second sample flip in at most half of the rows that the gate allows.
    """
    rng = random.Random(config.seed)
    count = min(config.export.calibration_rows, len(texts) // 2)
    sample = rng.sample(texts, k=2 * count)
    feeds, held = (list(calibration_feeds(tokenizer, part, config.encoder.max_tokens)) for part in
                   (sample[:count], sample[count:]))  # fmt: skip
    model = onnx.load(str(source))
    names = [node.output[0] for node in products(model)]
    ranges = activation_ranges(model, sorted({node.input[0] for node in products(model)}), feeds)
    exact = run(model, held)
    ranked = sorted(names, key=lambda name: -_damage(model, {name}, ranges, config.export.smooth, held[::4], exact[::4]))
    logit = np.log(thresholds / (1 - thresholds))
    for floats in keep_counts(len(names)):
        left = ranked[:floats]
        candidate = quantised(model, set(names) - set(left), ranges, config.export.smooth)
        given = run(candidate, held)
        flips = np.concatenate([((e >= logit) != (g >= logit)).any(1) for e, g in zip(exact, given, strict=True)])
        if flips.mean() <= config.export.max_flip_rate / 2:
            break
    onnx.save(candidate, str(target))
    return left


def keep_counts(nodes: int) -> list[int]:
    """How many products to leave in float, tried in this order: few first, in the end all."""
    steps = [round(nodes * share) for share in (0, 0.04, 0.08, 0.12, 0.17, 0.25, 0.33, 0.42, 0.5, 0.65, 0.8, 1)]
    return sorted(set(steps))


def products(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The matrix products with a constant weight, which int8 is for; attention's products have none."""
    return [n for n in model.graph.node if n.op_type in ("MatMul", "Gemm") and _weight(model, n) is not None]


def quantised(model: onnx.ModelProto, chosen: set[str], ranges: Ranges, alpha: float) -> onnx.ModelProto:
    """A copy in which the products named by their outputs are int8 and the others have int8 weights only."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in products(copy):
        if node.output[0] in chosen:
            _quantise_node(copy, node, *ranges[node.input[0]], alpha=alpha)
        else:
            _store_as_int8(copy, node, _weight(copy, node))
    _quantise_embedding(copy)
    _drop_unused(copy)
    return copy


def run(model: onnx.ModelProto, feeds: list[dict[str, np.ndarray]]) -> list[np.ndarray]:
    """Logits (rows, labels) of each batch."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [session.run(["logits"], feed)[0] for feed in feeds]


def _damage(
    model: onnx.ModelProto, chosen: set[str], ranges: Ranges, alpha: float,
    feeds: list[dict[str, np.ndarray]], exact: list[np.ndarray],
) -> float:  # fmt: skip
    """Mean square change of the logits when only `chosen` are int8."""
    given = run(quantised(model, chosen, ranges, alpha), feeds)
    return float(np.mean([((g - e) ** 2).mean() for g, e in zip(given, exact, strict=True)]))


def quantise_weights(source: Path, target: Path) -> None:
    """Write `source` with its weights in int8, computed in fp32: a quarter of the file, decisions all but unchanged.

    Cast and Mul, not DequantizeLinear: the runtime folds them into fp32 weights once, when it loads the file.
    """
    onnx.save(quantised(onnx.load(str(source)), set(), {}, 0.0), str(target))


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


def activation_ranges(model: onnx.ModelProto, names: list[str], feeds: list[dict[str, np.ndarray]]) -> Ranges:
    """Least and greatest value of each channel (last axis) of the named tensors over the feeds; padding is left out."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    known = {output.name for output in probe.graph.output}
    probe.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names if name not in known)
    session = onnxruntime.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    ranges: Ranges = {}
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
