"""Static int8 (QDQ) whose scores don't depend on the batch.

Activations of E5-type encoders have outlier channels: one scale for a tensor then leaves the others a few steps. So
each activation channel is divided by a factor that its readers' weights are multiplied with (SmoothQuant, Xiao et al.
2023). How much of the outliers moves into the weights (alpha) is chosen for each activation by what it does to the
logits: after GELU nearly all of it should, elsewhere less. The division is a Mul of its own: a QuantizeLinear with a
vector would save it, but ONNX Runtime has no fast kernel for that (measured: five times slower in all) and OpenVINO
refuses it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from zhenyan.inference.batching import pad
from zhenyan.inference.normalise import normalise
from zhenyan.inference.session import open_onnx
from zhenyan.inference.windows import readings_of
from zhenyan.training.config import TrainConfig

_BATCH = 16
_SOME = 16  # every sixteenth batch tells what one product does; what all of them do is measured on all batches

Ranges = dict[str, tuple[np.ndarray, np.ndarray]]  # tensor name -> least and greatest value of each channel
Alphas = dict[str, float]  # tensor name -> SmoothQuant's alpha
# Exact and given logits (rows, labels) -> whether decisions stay what they were.
Sound = Callable[[np.ndarray, np.ndarray], bool]


def quantise(
    source: Path, target: Path, tokenizer: Any, texts: list[str], unseen: list[str], sound: Sound, config: TrainConfig
) -> list[str]:
    """Write `source` (fp32) as int8 to `target`, calibrated on a sample of `texts`; returns the products left in float.

    Alphas are those of `export.smooth` that change the logits of `unseen` least. Products are left in float, the most
    sensitive first, until the logits of `unseen` are `sound`. Training rows won't do for that: the model is too sure of
    them for its decisions to flip.
    """
    sample = random.Random(config.seed).sample(texts, k=min(config.export.calibration_rows, len(texts)))
    read = readings_of([normalise(text) for text in unseen])
    feeds, held = (list(calibration_feeds(tokenizer, part, config.encoder.max_tokens)) for part in (sample, read.texts))
    model = onnx.load(str(source))
    names = [node.output[0] for node in products(model)]
    ranges = activation_ranges(model, sorted({node.input[0] for node in products(model)}), feeds)
    exact = run(model, held)
    place = np.argsort(by_length(tokenizer, read.texts, config.encoder.max_tokens))  # of each reading in the batches
    some = held[::_SOME], exact[::_SOME]
    alphas = choose_alphas(model, ranges, config.export.smooth, *some)
    ranked = sorted(names, key=lambda name: -_damage(model, {name}, ranges, alphas, *some))
    for floats in keep_counts(len(names)):
        left = ranked[:floats]
        candidate = quantised(model, set(names) - set(left), ranges, alphas)
        if sound(*(read.highest(np.concatenate(each)[place]) for each in (exact, run(candidate, held)))):
            break
    onnx.save(candidate, str(target))
    return left


def choose_alphas(
    model: onnx.ModelProto, ranges: Ranges, tried: Sequence[float],
    feeds: list[dict[str, np.ndarray]], exact: list[np.ndarray],
) -> Alphas:  # fmt: skip
    """For each activation the alpha of `tried` at which the logits change least when only its readers are int8."""
    chosen: Alphas = {}
    readings = [(node.input[0], node.output[0]) for node in products(model)]
    for tensor in ranges:
        readers = {product for read, product in readings if read == tensor}
        changes = {alpha: _damage(model, readers, ranges, {tensor: alpha}, feeds, exact) for alpha in tried}
        chosen[tensor] = min(changes, key=changes.__getitem__)
    return chosen


def keep_counts(nodes: int) -> list[int]:
    """How many products to leave in float, tried in this order: few first, in the end all."""
    steps = [round(nodes * share) for share in (0, 0.04, 0.08, 0.12, 0.17, 0.25, 0.33, 0.42, 0.5, 0.65, 0.8, 1)]
    return sorted(set(steps))


def products(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The matrix products with a constant weight, which int8 is for; attention's products have none.

    The head, a Gemm over one vector a text, stays in float: it costs nothing, and every decision hangs on it.
    """
    return [n for n in model.graph.node if n.op_type == "MatMul" and _weight(model, n) is not None]


def quantised(
    model: onnx.ModelProto, chosen: set[str], ranges: Ranges, alphas: Alphas, half: bool = True
) -> onnx.ModelProto:
    """A copy in which the products named by their outputs are int8; other weights and word embeddings have half precision.

    Without `half` those are int8 too, a smaller file: what is too sensitive for int8 products often is so for int8 weights.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in products(copy):
        if node.output[0] in chosen:
            readers.setdefault(node.input[0], []).append(node)
        else:
            (_store_as_half if half else _store_as_int8)(copy, node)
    for tensor, nodes in readers.items():
        _quantise_readers(copy, tensor, nodes, *ranges[tensor], alpha=alphas[tensor])
    (_embedding_as_half if half else _embedding_as_int8)(copy)
    _drop_unused(copy)
    return copy


def run(model: onnx.ModelProto, feeds: list[dict[str, np.ndarray]]) -> list[np.ndarray]:
    """Logits (rows, labels) of each batch."""
    session = open_onnx(model.SerializeToString())
    return [session.run(["logits"], feed)[0] for feed in feeds]


def _damage(
    model: onnx.ModelProto, chosen: set[str], ranges: Ranges, alphas: Alphas,
    feeds: list[dict[str, np.ndarray]], exact: list[np.ndarray],
) -> float:  # fmt: skip
    """Mean square change of the logits when only `chosen` are int8."""
    given = run(quantised(model, chosen, ranges, alphas), feeds)
    return float(np.mean([((g - e) ** 2).mean() for g, e in zip(given, exact, strict=True)]))


def quantise_weights(source: Path, target: Path) -> None:
    """Write `source` with its weights in int8, computed in fp32: a quarter of the file, decisions all but unchanged.

    Cast and Mul, not DequantizeLinear: the runtime folds them into fp32 weights once, when it loads the file.
    """
    onnx.save(quantised(onnx.load(str(source)), set(), {}, {}, half=False), str(target))


def _store_as_int8(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    """Hold a product's weight as int8 with a scale for each output, and compute in float."""
    weight = _matrix(model, node)
    scale = np.maximum(np.abs(weight).max(0, keepdims=True) / 127, 1e-10).astype(np.float32)
    base = f"{node.name or node.output[0]}_w8"
    constants = {f"{base}_int": np.round(weight / scale).astype(np.int8), f"{base}_scale": scale}
    cast = helper.make_node("Cast", [f"{base}_int"], [f"{base}_float"], to=TensorProto.FLOAT)
    scaled = helper.make_node("Mul", [f"{base}_float", f"{base}_scale"], [f"{base}_weight"])
    _add_before(model, node, constants, [cast, scaled])
    node.input[1] = f"{base}_weight"


def _store_as_half(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    """Hold a product's weight in half precision, and compute in float; the runtime converts it once, when it loads the file."""
    base = f"{node.name or node.output[0]}_w16"
    cast = helper.make_node("Cast", [f"{base}_half"], [f"{base}_weight"], to=TensorProto.FLOAT)
    _add_before(model, node, {f"{base}_half": _matrix(model, node).astype(np.float16)}, [cast])
    node.input[1] = f"{base}_weight"


def by_length(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> list[int]:
    """The texts' numbers in the order in which `calibration_feeds` has them: by their tokens, the shortest first."""
    lengths = [len(ids) for ids in _token_ids(tokenizer, texts, max_tokens)]
    return sorted(range(len(texts)), key=lengths.__getitem__)


def calibration_feeds(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> Iterator[dict[str, np.ndarray]]:
    """Padded batches of real lines, of like length, as in use."""
    encoded = sorted(_token_ids(tokenizer, texts, max_tokens), key=len)
    for start in range(0, len(encoded), _BATCH):
        ids, mask = pad(encoded[start : start + _BATCH], tokenizer.pad_token_id)
        yield {"input_ids": ids, "attention_mask": mask}


def _token_ids(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    return tokenizer([normalise(text) for text in texts], truncation=True, max_length=max_tokens)["input_ids"]


def _weight(model: onnx.ModelProto, node: onnx.NodeProto) -> onnx.TensorProto | None:
    return next((w for w in model.graph.initializer if w.name == node.input[1] and len(w.dims) == 2), None)


def activation_ranges(model: onnx.ModelProto, names: list[str], feeds: list[dict[str, np.ndarray]]) -> Ranges:
    """Least and greatest value of each channel (last axis) of the named tensors over the feeds; padding is left out."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    known = {output.name for output in probe.graph.output}
    probe.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names if name not in known)
    session = open_onnx(probe.SerializeToString())
    ranges: Ranges = {}
    for feed in feeds:
        kept = feed["attention_mask"].astype(bool)
        for name, value in zip(names, session.run(names, feed), strict=True):
            rows = value[kept] if value.shape[:-1] == kept.shape else value.reshape(-1, value.shape[-1])
            low, high = rows.min(0), rows.max(0)
            old = ranges.get(name, (low, high))
            ranges[name] = (np.minimum(old[0], low), np.maximum(old[1], high))
    return ranges


def _quantise_readers(
    model: onnx.ModelProto, tensor: str, nodes: list[onnx.NodeProto], low: np.ndarray, high: np.ndarray, alpha: float
) -> None:
    """Make the products that read `tensor` int8: it is smoothed and quantised once for all of them."""
    weights = [_matrix(model, node) for node in nodes]
    smooth = smoothing(low, high, np.concatenate(weights, axis=1), alpha)
    shared = _quantise_activation(model, tensor, nodes[0], low / smooth, high / smooth, smooth)
    for node, weight in zip(nodes, weights, strict=True):
        _quantise_weight(model, node, weight * smooth[:, None])
        node.input[0] = shared


def _matrix(model: onnx.ModelProto, node: onnx.NodeProto) -> np.ndarray:
    """A product's weight, float32 (in, out)."""
    weight = _weight(model, node)
    assert weight is not None  # `products` lists those with a weight
    return numpy_helper.to_array(weight).astype(np.float32)


def _add_before(
    model: onnx.ModelProto, node: onnx.NodeProto, constants: dict[str, np.ndarray], added: list[onnx.NodeProto]
) -> None:
    """Put constants into the graph, and operations before `node`."""
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items())
    at = list(model.graph.node).index(node)
    for offset, new in enumerate(added):
        model.graph.node.insert(at + offset, new)


def _quantise_activation(
    model: onnx.ModelProto, tensor: str, first: onnx.NodeProto, low: np.ndarray, high: np.ndarray, smooth: np.ndarray
) -> str:
    """Smooth, quantise and dequantise `tensor` before `first` reads it; returns the new name. `low`, `high`: smoothed."""
    least, greatest = min(float(low.min()), 0.0), max(float(high.max()), 0.0)
    scale = np.asarray(max((greatest - least) / 255, 1e-8), np.float32)
    zero = np.asarray(np.clip(np.round(-least / scale), 0, 255), np.uint8)
    base = f"{tensor}_q"
    linear = [f"{base}_scale", f"{base}_zero"]
    _add_before(
        model, first,
        {f"{base}_smooth": (1 / smooth).astype(np.float32), linear[0]: scale, linear[1]: zero},
        [
            helper.make_node("Mul", [tensor, f"{base}_smooth"], [f"{base}_even"]),
            helper.make_node("QuantizeLinear", [f"{base}_even", *linear], [f"{base}_int"]),
            helper.make_node("DequantizeLinear", [f"{base}_int", *linear], [f"{base}_float"]),
        ],
    )  # fmt: skip
    return f"{base}_float"


def _quantise_weight(model: onnx.ModelProto, node: onnx.NodeProto, weight: np.ndarray) -> None:
    """Hold a product's weight (in, out) as int8 with a scale for each output."""
    steps = np.maximum(np.abs(weight).max(0) / 127, 1e-10).astype(np.float32)
    base = f"{node.name or node.output[0]}_w"
    names = [f"{base}_int", f"{base}_scale", f"{base}_zero"]
    values = [np.clip(np.round(weight / steps), -127, 127).astype(np.int8), steps, np.zeros(len(steps), np.int8)]
    added = helper.make_node("DequantizeLinear", names, [f"{base}_float"], axis=1)
    _add_before(model, node, dict(zip(names, values, strict=True)), [added])
    node.input[1] = f"{base}_float"


def smoothing(low: np.ndarray, high: np.ndarray, weight: np.ndarray, alpha: float) -> np.ndarray:
    """Factor of each input channel: activations are divided by it, weight rows multiplied (SmoothQuant's formula)."""
    activation = np.maximum(np.maximum(np.abs(low), np.abs(high)), 1e-5)
    rows = np.maximum(np.abs(weight).max(1), 1e-5)
    factor = activation**alpha / rows ** (1 - alpha)
    return (factor / np.exp(np.log(factor).mean())).astype(np.float32)


def _embedding_as_int8(model: onnx.ModelProto) -> None:
    """Word embeddings as int8 with one scale a row: the largest tensor, a quarter of its size."""
    node, table = _embedding(model)
    scale = np.maximum(np.abs(table).max(1, keepdims=True) / 127, 1e-10).astype(np.float32)
    base, output, ids = f"{node.name or node.output[0]}_q", node.output[0], node.input[1]
    added = [
        helper.make_node("Gather", [f"{base}_w", ids], [f"{base}_rows"], axis=0),
        helper.make_node("Gather", [f"{base}_scale", ids], [f"{base}_scales"], axis=0),
        helper.make_node("Cast", [f"{base}_rows"], [f"{base}_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{base}_float", f"{base}_scales"], [output]),
    ]
    _add_before(model, node, {f"{base}_w": np.round(table / scale).astype(np.int8), f"{base}_scale": scale}, added)
    model.graph.node.remove(node)


def _embedding_as_half(model: onnx.ModelProto) -> None:
    """Word embeddings in half precision: in int8 they alone flip a fifth of a percent of decisions."""
    node, table = _embedding(model)
    base = f"{node.name or node.output[0]}_h"
    gather = helper.make_node("Gather", [f"{base}_w", node.input[1]], [f"{base}_rows"], axis=0)
    cast = helper.make_node("Cast", [f"{base}_rows"], [node.output[0]], to=TensorProto.FLOAT)
    _add_before(model, node, {f"{base}_w": table.astype(np.float16)}, [gather, cast])
    model.graph.node.remove(node)


def _embedding(model: onnx.ModelProto) -> tuple[onnx.NodeProto, np.ndarray]:
    """The lookup of word embeddings and its table, float32 (words, hidden)."""
    weights = {w.name: w for w in model.graph.initializer if len(w.dims) == 2 and w.data_type == TensorProto.FLOAT}
    node = next(
        n for n in model.graph.node if n.op_type == "Gather" and n.input[1] == "input_ids" and n.input[0] in weights
    )
    return node, numpy_helper.to_array(weights[node.input[0]]).astype(np.float32)


def _drop_unused(model: onnx.ModelProto) -> None:
    used = {name for node in model.graph.node for name in node.input}
    kept = [w for w in model.graph.initializer if w.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    del model.graph.value_info[:]
