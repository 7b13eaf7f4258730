"""Static int8: shared and scalar quantisers, exact enough with outlier channels, the same in any batch and runtime."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from zhenyan.inference import session
from zhenyan.inference.batching import pad
from zhenyan.inference.normalise import normalise
from zhenyan.inference.windows import readings_of
from zhenyan.training.config import TrainConfig
from zhenyan.training.quantise import (
    activation_ranges,
    choose_alphas,
    keep_counts,
    products,
    quantise,
    quantised,
    run,
)

WIDTH, OUT = 32, 8


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    """Two projections of one activation with outlier channels, and a head (Gemm) over the mean of their sum."""
    rng = np.random.default_rng(0)
    spread = np.ones(WIDTH, np.float32)
    spread[[3, 17]] = 60.0
    values = {
        "table": rng.normal(size=(50, WIDTH)).astype(np.float32), "spread": spread,
        "wa": rng.normal(size=(WIDTH, WIDTH)).astype(np.float32) / spread[:, None],
        "wb": rng.normal(size=(WIDTH, WIDTH)).astype(np.float32) / spread[:, None],
        "wc": rng.normal(size=(OUT, WIDTH)).astype(np.float32), "bias": np.zeros(OUT, np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Mul", ["rows", "spread"], ["x"]),
        helper.make_node("MatMul", ["x", "wa"], ["a"]),
        helper.make_node("MatMul", ["x", "wb"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["ab"]),
        helper.make_node("ReduceMean", ["ab", "axis"], ["mean"], keepdims=0),
        helper.make_node("Gemm", ["mean", "wc", "bias"], ["logits"], transB=1),
    ]
    values["axis"] = np.array([1], np.int64)
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "width"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", OUT])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(made)
    return made


@pytest.fixture(scope="module")
def ids() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 50, size=(40, 12))


@pytest.fixture(scope="module")
def ranges(model, ids):
    """Of each activation that a product reads, over all ids."""
    names = sorted({node.input[0] for node in products(model)})
    feeds = [{"input_ids": ids, "attention_mask": np.ones_like(ids)}]
    with_mask = onnx.ModelProto()
    with_mask.CopyFrom(model)
    with_mask.graph.input.append(helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "width"]))
    return activation_ranges(with_mask, names, feeds)


@pytest.fixture(scope="module")
def int8(model, ranges):
    """Of a smoothing strength, all products in int8."""
    chosen = {node.output[0] for node in products(model)}
    return lambda alpha: quantised(model, chosen, ranges, dict.fromkeys(ranges, alpha))


def logits(model: onnx.ModelProto, ids: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"input_ids": ids})[0]


def test_smoothing_keeps_outlier_channels_exact(model, ids, int8):
    exact = logits(model, ids)
    assert np.abs(logits(int8(0.5), ids) - exact).mean() / exact.std() < 0.02


def test_each_activation_gets_the_alpha_that_changes_logits_least(model, ids, ranges, int8):
    tried, exact = [0.0, 0.5, 1.0], logits(model, ids)
    change = {alpha: float(((logits(int8(alpha), ids) - exact) ** 2).mean()) for alpha in tried}
    chosen = choose_alphas(model, ranges, tried, [{"input_ids": ids}], [exact])
    assert chosen == {"x": min(change, key=change.get)}, change
    assert chosen["x"] == 0.5, "neither end: activations and weights both have outliers here"


def test_quantisers_are_scalar_and_shared(int8):
    """What runtimes have fast kernels for: a number as scale, one quantiser for all who read a tensor."""
    made = int8(0.5)
    shapes = {w.name: tuple(w.dims) for w in made.graph.initializer}
    quantisers = [node for node in made.graph.node if node.op_type == "QuantizeLinear"]
    assert len(quantisers) == 1 and shapes[quantisers[0].input[1]] == ()
    assert shapes["wc"] == (OUT, WIDTH), "the head stays in float"


def test_a_row_scores_the_same_alone(ids, int8):
    made = int8(0.5)
    together = logits(made, ids)
    assert np.abs(np.concatenate([logits(made, row[None]) for row in ids]) - together).max() < 1e-5


def test_openvino_reads_it(tmp_path, ids, int8):
    pytest.importorskip("openvino")
    from zhenyan.inference.session import OpenVinoSession

    with_mask = int8(0.5)
    extra = helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "width"])
    with_mask.graph.input.append(extra)
    onnx.save(with_mask, tmp_path / "m.onnx")
    compiled = OpenVinoSession(tmp_path / "m.onnx", 1)
    assert np.abs(compiled(ids, np.ones_like(ids)) - logits(int8(0.5), ids)).max() < 1e-3


def test_int8_is_measured_by_the_threads_and_arithmetic_that_serve_it(model, ids, monkeypatch):
    asked = []

    class Recorded(onnxruntime.InferenceSession):
        def __init__(self, given, options, **more):
            asked.append((options.intra_op_num_threads, options.get_session_config_entry("session.x64quantprecision")))
            super().__init__(given, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Recorded)
    monkeypatch.setattr(session, "allowed_cpus", lambda: 3)
    monkeypatch.setattr(session, "multiplies_int8_exactly", lambda flags: False)
    run(model, [{"input_ids": ids}])
    activation_ranges(model, ["x"], [{"input_ids": ids, "attention_mask": np.ones_like(ids)}][:0])
    assert asked == [(3, "1"), (3, "1")]


@pytest.fixture
def fp32(model, tmp_path):
    """The model as a file that takes a mask, too."""
    kept = onnx.ModelProto()
    kept.CopyFrom(model)
    kept.graph.input.append(helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "width"]))
    onnx.save(kept, tmp_path / "fp32.onnx")
    return tmp_path / "fp32.onnx"


@pytest.fixture
def tokenizer():
    """A token for each character."""

    def tokens(texts, **_):
        return {"input_ids": [[ord(c) % 50 for c in text] for text in texts]}

    tokens.pad_token_id = 0
    return tokens


def test_as_few_products_stay_in_float_as_decisions_ask_for(model, fp32, tokenizer, tmp_path):
    """Asked about all rows, in the order they were given in, with none in float first; the first sound file is written."""
    # Three lengths that fill batches of sixteen: each row is padded as it is alone, none stands in its place there.
    lengths = [27] * 8 + [3, 15] * 16
    lines = ["".join(chr(97 + (3 * n + 7 * at) % 26) for at in range(length)) for n, length in enumerate(lengths)]
    asked = []

    def sound(exact, given):
        alone = [logits(model, pad(tokenizer([line])["input_ids"], 0)[0])[0] for line in lines]
        assert exact == pytest.approx(np.array(alone), abs=1e-4) and given.shape == (40, OUT)
        asked.append(np.abs(exact - given).max())
        return len(asked) == 2

    left = quantise(fp32, tmp_path / "int8.onnx", tokenizer, lines, lines, sound, TrainConfig())
    assert len(left) == keep_counts(2)[1] and len(asked) == 2 and asked[1] < asked[0]


def test_decisions_are_compared_of_long_texts_as_they_are_read(fp32, model, tokenizer, tmp_path):
    def beginnings(texts, **_):  # of one width: this model pays no heed to the mask
        return {"input_ids": [ids[:8] for ids in tokenizer(texts)["input_ids"]]}

    beginnings.pad_token_id = 0
    lines = ["ab" * 9, "好，来看" * 25, "cd" * 5]
    read = readings_of([normalise(line) for line in lines])
    expected = read.highest(logits(model, np.array(beginnings(read.texts)["input_ids"])))

    def sound(exact, given):
        assert exact == pytest.approx(expected, abs=1e-4) and given.shape == (3, OUT)
        return True

    assert len(read.texts) > 3
    assert quantise(fp32, tmp_path / "int8.onnx", beginnings, lines, lines, sound, TrainConfig()) == []


def test_products_left_in_float_grow_to_all():
    assert keep_counts(73)[0] == 0 and keep_counts(73)[-1] == 73
