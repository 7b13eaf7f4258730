"""Numbers that trainings are steered and measured by, each against its definition, on small arrays and fakes."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, EvalPrediction, PreTrainedTokenizerFast, TrainerCallback
from zhenyan.training import cross_validation
from zhenyan.training.config import OptimConfig, PairsConfig, ThresholdConfig, TrainConfig
from zhenyan.training.cross_validation import by_group, cross_validate
from zhenyan.training.dataset import load_corpus, targets
from zhenyan.training.evaluate import Labelled
from zhenyan.training.modelling import MultiLabelClassifier
from zhenyan.training.pair_weights import _counts, add_pairs
from zhenyan.training.pairs import CharacterPairs, bucket, code
from zhenyan.training.pretrain import MaskingCollator
from zhenyan.training.quantise import quantise
from zhenyan.training.rows import Row
from zhenyan.training.schema import load_schema
from zhenyan.training.thresholds import choose
from zhenyan.training.train import Run
from zhenyan.training.trainer import BEST, ClassifierTrainer, TrainerData, build_trainer, selection_metrics

# cross-validation


@pytest.fixture
def three_authors(small_config, root):
    """A configuration with three author batches to train on."""
    data = small_config.data.model_copy(update={"written": [f"{root}/data/corpus/b0[12345].jsonl"]})
    return small_config.model_copy(update={"data": data})


@pytest.fixture
def knowing(three_authors, tmp_path, monkeypatch):
    """A `fit` whose models know every label of every training row; each label has another threshold."""
    labels = load_schema(three_authors.data.label_schema)
    rows = load_corpus(three_authors.data, labels).train
    truth = dict(zip([row.text for row in rows], targets(rows, labels.ids)[0], strict=True))
    middle = np.linspace(-3, 3, len(labels.ids))

    def fit(config: TrainConfig) -> Run:
        folder = tmp_path / config.name
        folder.mkdir()
        chosen = {label: {"threshold": cut} for label, cut in zip(labels.ids, expit(middle).tolist(), strict=True)}
        (folder / "thresholds.json").write_text(json.dumps(chosen), encoding="utf-8")
        return Run(folder, {})

    def logits(model: Any, tokenizer: Any, texts: list[str], max_tokens: int) -> np.ndarray:
        return np.array([middle + 2 * truth[text] - 1 for text in texts])

    monkeypatch.setattr(cross_validation, "load_model", lambda *_: (None, None, {"max_tokens": 64}))
    monkeypatch.setattr(cross_validation, "predict_as_read", logits)
    return fit


def test_scores_and_decisions_of_a_fold_stand_in_the_places_of_its_rows(three_authors, knowing):
    measured = cross_validate(three_authors, 3, Console(quiet=True), knowing)
    assert measured["folds"] == 3 and measured["any_violation"]["positives"] > 50
    assert measured["any_violation"]["f1"] == measured["micro"]["f1"] == 1
    assert set(measured["average_precision"].values()) == {1.0}
    assert set(measured["groups"]["each"].values()) == {1.0} and len(measured["groups"]["each"]) == 3


def test_f1_of_a_group_by_hand():
    """Of groups with five violating rows or more; what nobody looked for is no false alarm."""
    of_each = {  # hits, missed ones, false alarms, false ones that nobody looked for
        "a": (4, 1, 1, 0), "b": (3, 3, 0, 0), "few": (4, 0, 0, 0), "d": (5, 0, 0, 2)
    }  # fmt: skip
    kinds = [(True, True, True), (True, False, True), (False, True, True), (False, True, False)]
    cells = [
        (group, *kind) for group, counts in of_each.items() for kind, count in zip(kinds, counts, strict=True)
        for _ in range(count)
    ]  # fmt: skip
    groups, *columns = (np.array(column) for column in zip(*cells, strict=True))
    truth, decided, seen = (column[:, None] for column in columns)
    found = by_group(Labelled([], truth, seen, groups), decided)["groups"]
    assert found["each"] == pytest.approx({"a": 8 / 10, "b": 6 / 9, "d": 1})
    assert found["quartiles"] == pytest.approx([(6 / 9 + 0.8) / 2, 0.8, 0.9])


# The choice of checkpoints


def precision_at_hits(*ranks: int) -> float:
    """Average precision of positives at these places, 1 being the highest score."""
    return sum(found / rank for found, rank in enumerate(ranks, start=1)) / len(ranks)


def test_the_score_of_a_checkpoint_is_the_mean_of_any_violation_and_of_labels_with_five_positives():
    often, rare = np.zeros(12), np.zeros(12)
    often[[0, 1, 3, 4, 6]] = 1
    rare[8:] = 1
    logits = np.stack([np.linspace(3, -3, 12), np.linspace(-6, -9, 12)], axis=1)  # both rank the rows as they stand
    found = selection_metrics(EvalPrediction(logits, np.stack([often, rare], axis=1)))
    macro, either = precision_at_hits(1, 2, 4, 5, 7), precision_at_hits(1, 2, 4, 5, 7, 9, 10, 11, 12)
    assert found["macro_average_precision"] == pytest.approx(macro), "four positives are too few"
    assert found["any_average_precision"] == pytest.approx(either)
    assert found[BEST] == pytest.approx((macro + either) / 2) and macro != either


class Ones:
    """In the tokenizer's place."""

    def __call__(self, texts: list[str], **_: Any) -> dict[str, torch.Tensor]:
        return {name: torch.ones(len(texts), 1, dtype=torch.long) for name in ("input_ids", "attention_mask")}

    def save_pretrained(self, folder: str) -> None:
        """With every checkpoint."""


@pytest.fixture
def build(tmp_path):
    """A trainer of a network of a few weights on four rows, with values of `optim`."""

    def make(**optim: Any) -> ClassifierTrainer:
        shape = BertConfig(vocab_size=8, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4,
                           max_position_embeddings=8)  # fmt: skip
        network = MultiLabelClassifier(BertModel(shape, add_pooling_layer=False), ["any"])
        rows = datasets.Dataset.from_list([
            {"row": row, "text": "茶", "target": [1.0], "mask": [1.0], "weight": 1.0, "written_live": False, "length": 1}
            for row in range(4)
        ])  # fmt: skip
        config = TrainConfig(optim=OptimConfig(precision="fp32", **optim))
        return build_trainer(network, Ones(), TrainerData(rows, rows), config, tmp_path / "trainer", [])

    return make


class Weights(TrainerCallback):
    """Keeps the head's weights as they are at each evaluation."""

    def __init__(self) -> None:
        self.kept: list[torch.Tensor] = []

    def on_evaluate(self, *_: Any, model: MultiLabelClassifier, **__: Any) -> None:
        self.kept.append(model.head.weight.detach().clone())


@pytest.mark.parametrize(("scores", "best"), [([0.9, 0.1], 0), ([0.1, 0.9], 1)])
def test_a_training_ends_with_the_weights_of_its_best_evaluation(build, scores, best):
    trainer, weights, left = build(epochs=2, head_learning_rate=0.1, warmup=0), Weights(), iter(scores)
    trainer.compute_metrics = lambda _: {BEST: next(left)}
    trainer.add_callback(weights)
    trainer.train()
    assert len(weights.kept) == 2 and not torch.equal(*weights.kept)
    assert torch.equal(trainer.model.head.weight, weights.kept[best])


@pytest.mark.parametrize(("warmup", "rising"), [(0.1, 4), (0.25, 10)])
def test_learning_rates_rise_over_the_share_of_steps_that_the_configuration_names(build, warmup, rising):
    trainer, rates = build(warmup=warmup, learning_rate=1.0, head_learning_rate=1.0), []
    trainer.create_optimizer_and_scheduler(num_training_steps=40)
    for _ in range(rising + 2):
        rates.append(trainer.lr_scheduler.get_last_lr()[0])
        trainer.optimizer.step()
        trainer.lr_scheduler.step()
    assert rates[:-1] == pytest.approx([step / rising for step in range(rising + 1)]) and rates[-1] < 1


# Character pairs


def places_of(tokens: list[str], buckets: int) -> list[int]:
    """Where each character and each pair of neighbours of a text stands."""
    codes = [code(character) for character in "".join(tokens)]
    return [bucket(0, c, buckets) for c in codes] + [bucket(a, b, buckets) for a, b in itertools.pairwise(codes)]


def test_a_training_counts_characters_and_pairs_as_serving_does():
    words = ["", "原", "价", "格格", "今天好"]
    rows = [[1, 2, 3], [4], [2, 2, 0, 3], [4, 1, 2], [0, 0]]
    weights = np.random.default_rng(3).normal(size=(1009, 2)).astype(np.float32)
    learnt = _counts(rows, words, 1009) @ weights
    padded = torch.tensor([row + [0] * (4 - len(row)) for row in rows])
    assert np.abs(CharacterPairs.of(words, weights)(padded).numpy() - learnt).max() < 0.04, "but for what int8 rounds"
    for row in (0, 1, 3):  # without a special token, which parts its neighbours
        places = places_of([words[number] for number in rows[row]], 1009)
        assert learnt[row] == pytest.approx(sum(weights[where] for where in places) / len(places) ** 0.5, abs=1e-5)
    assert not learnt[4].any()


def reader(*words: str) -> PreTrainedTokenizerFast:
    """A token for each of these words, at the beginning of a text and within it."""
    pieces = ["[PAD]", "[UNK]", "[MASK]", *words, *(f"##{word}" for word in words)]
    raw = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]")


@pytest.mark.parametrize("weight", [0.15, 0.5, 0.75])
def test_pairs_have_their_weight_of_the_say_in_the_mean_of_both_logits(weight):
    """(1 - weight) network + weight pairs, over 1 - weight: the network keeps its own scale."""
    texts, truth = ["原价格力", "原价今", "今天", "天格力今"], [True, True, False, False]
    tokenizer, options = reader("原", "价", "格力", "今", "天"), PairsConfig(weight=weight, strength=3, buckets=1009)
    model: Any = SimpleNamespace(labels=["any"], head=SimpleNamespace(weight=torch.zeros(1)))
    rows = [Row(text, ("any",) if true else ()) for text, true in zip(texts, truth, strict=True)]
    add_pairs(model, tokenizer, rows, options, 64)
    places = [places_of([text], 1009) for text in texts]
    counts = np.array([np.bincount(each, minlength=1009) / len(each) ** 0.5 for each in places])
    alone = LogisticRegression(C=3, solver="liblinear").fit(counts, truth).decision_function(counts)
    given = [model.pairs(tokenizer(text, return_tensors="pt")["input_ids"]).item() for text in texts]
    assert np.abs(alone).min() > 0.5
    assert given == pytest.approx(weight / (1 - weight) * alone, rel=0.03)


# Int8


def two_products(loud: str) -> onnx.ModelProto:
    """The sum of two products of one activation; what `loud` of a and b gives is a hundred times the other's."""
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=(8, 8)).astype(np.float32) for name in ("wa", "wb", "wc")}
    values[f"w{loud}"] *= 100
    values |= {"table": rng.normal(size=(50, 8)).astype(np.float32), "axis": np.array([1], np.int64)}
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["x"]),
        helper.make_node("MatMul", ["x", "wa"], ["a"]),
        helper.make_node("MatMul", ["x", "wb"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["ab"]),
        helper.make_node("ReduceMean", ["ab", "axis"], ["mean"], keepdims=0),
        helper.make_node("Gemm", ["mean", "wc"], ["logits"]),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "w"]) for name in ("input_ids", "attention_mask")
    ]
    graph = helper.make_graph(
        nodes, "g", inputs, [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 8])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


@pytest.mark.parametrize(("loud", "quiet"), ["ab", "ba"])
def test_the_product_that_int8_changes_most_is_left_in_float_first(tmp_path, loud, quiet):
    def characters(texts: list[str], **_: Any) -> dict[str, list[list[int]]]:
        return {"input_ids": [[ord(character) % 50 for character in text] for text in texts]}

    characters.pad_token_id = 0
    answers = iter([False, True])  # all in int8 won't do, one in float will
    onnx.save(two_products(loud), tmp_path / "fp32.onnx")
    lines = [f"{number:06}" for number in range(0, 200_000, 7_919)]
    files = tmp_path / "fp32.onnx", tmp_path / "int8.onnx"
    assert quantise(*files, characters, lines, lines, lambda *_: next(answers), TrainConfig()) == [loud]
    held = {w.name for w in onnx.load(files[1]).graph.initializer if w.data_type == TensorProto.INT8}
    assert {f"{quiet}_w_int"} <= held and f"{loud}_w_int" not in held


# Masks


def masks(epoch: int, seed: int = 7) -> torch.Tensor:
    """What a collator of its own, as after a resume, hides of the same batch."""
    collator = MaskingCollator(reader(*"原价今天好茶"), mlm_probability=0.5)
    collator.draw, collator.epoch = seed, epoch
    return collator([{"input_ids": [3 + number % 6 for number in range(40)]} for _ in range(4)])["labels"]


def test_masks_are_drawn_anew_in_each_epoch_and_alike_within_it():
    assert torch.equal(masks(epoch=1), masks(epoch=1)), "a resumed training hides what an unbroken one would have"
    assert not torch.equal(masks(epoch=0), masks(epoch=1))
    assert not torch.equal(masks(epoch=1, seed=7), masks(epoch=1, seed=8))


# Thresholds


def lowest_good_cut(truth: np.ndarray, scores: np.ndarray, margin: float) -> float:
    """The lowest score from which to decide at an F1 within the margin of the best, each the mean over its neighbours.

    Beyond the first and the last score F1 is as it is there.
    """
    cuts = sorted(set(scores.tolist()), reverse=True)
    f1 = [2 * (truth & (scores >= cut)).sum() / (truth.sum() + (scores >= cut).sum()) for cut in cuts]
    width, last = max(1, int(truth.sum()) // 20), len(cuts) - 1
    smooth = [
        np.mean([f1[min(max(at + step, 0), last)] for step in range(-width, width + 1)]) for at in range(len(cuts))
    ]
    return min(cut for cut, value in zip(cuts, smooth, strict=True) if value >= max(smooth) - margin)


@pytest.mark.parametrize("seed", range(40))
def test_the_threshold_of_policy_f1_by_brute_force(seed):
    """Few rows and many, rare labels and frequent ones, scores with ties: the best cut is often the first or the last."""
    rng = np.random.default_rng(seed)
    truth = rng.random(rng.choice([12, 90])) < rng.choice([0.3, 0.6, 0.9])
    truth[:2] = True, False
    scores = np.clip(rng.choice([0.0, 0.2, 0.5]) * truth + 0.5 * rng.random(len(truth)), 0.01, 0.99).round(2)
    expected = lowest_good_cut(truth, scores, 0.013)
    below = max((score for score in scores.tolist() if score < expected), default=0.0)
    found = choose(truth, scores, ThresholdConfig(policy="f1", margin=0.013, min_positives=1))
    assert found["threshold"] == pytest.approx((expected + below) / 2)
    decided = scores >= expected
    assert found["recall"] == pytest.approx((truth & decided).sum() / truth.sum())
    assert found["precision"] == pytest.approx((truth & decided).sum() / decided.sum())
