"""Character pairs beside the network: what is counted, what is learned, where they go and where they don't."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from rich.console import Console
from scipy.special import expit
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from zhenyan.inference import Classifier
from zhenyan.inference.normalise import normalise
from zhenyan.training import train as training
from zhenyan.training.average import average
from zhenyan.training.config import PairsConfig, VoiceConfig
from zhenyan.training.export import export_run
from zhenyan.training.modelling import load_model
from zhenyan.training.pair_weights import add_pairs, surfaces
from zhenyan.training.pairs import CharacterPairs, bucket, code
from zhenyan.training.predict import predict
from zhenyan.training.rows import Row
from zhenyan.training.schema import Change
from zhenyan.training.teachers import ask
from zhenyan.training.voice import add_voice

QUIET = Console(quiet=True)
PAIRS = PairsConfig(weight=0.5, buckets=1009)
LINES = ["今天原价199", "治病的茶 喝", "AA制，到手价", "好"]


@pytest.fixture
def trained(small_config):
    return load_model(training.train(small_config, console=QUIET).folder / "model")


@pytest.fixture
def with_pairs(small_config):
    return training.train(small_config.model_copy(update={"pairs": PAIRS}), console=QUIET)


def by_hand(tokens, weights):
    """The logits by the definition: every character and every neighbouring pair of the tokens' characters, over the root of their number."""
    codes = [code(character) for token in tokens for character in token]
    buckets = len(weights)
    places = [bucket(0, c, buckets) for c in codes] + [bucket(a, b, buckets) for a, b in itertools.pairwise(codes)]
    return sum(weights[p] for p in places) / len(places) ** 0.5


def test_every_character_and_pair_of_a_text_counts_once_wherever_tokens_end(trained):
    _, tokenizer, _ = trained
    words = surfaces(tokenizer)
    weights = np.random.default_rng(3).normal(size=(1009, 4)).astype(np.float32)
    pairs = CharacterPairs.of(words, weights)
    encoded = tokenizer([normalise(line) for line in LINES])["input_ids"]
    padded = tokenizer.pad({"input_ids": encoded}, return_tensors="pt")["input_ids"]
    together = pairs(padded).numpy()
    for ids, given in zip(encoded, together, strict=True):
        expected = by_hand([words[number] for number in ids if words[number]], weights)
        assert np.abs(given - expected).max() < 0.04, "but for what int8 rounds"
        alone = pairs(torch.tensor([ids])).numpy()[0]
        assert np.abs(given - alone).max() < 1e-5, "padding holds nothing"


def test_pairs_learn_what_rows_say_and_leave_alone_what_they_dont(trained):
    model, tokenizer, _ = copy.deepcopy(trained[0]), *trained[1:]
    label = model.labels[0]
    rows = [Row(f"这款{n}号原价一百", (label,)) for n in range(20)] + [Row(f"这款{n}号今天一百") for n in range(20)]
    before, _ = predict(model, tokenizer, ["原价八十", "今天八十"], 64)
    add_pairs(model, tokenizer, rows, PAIRS, 64)
    assert torch.equal(model.head.bias, trained[0].head.bias), "without pairs it is what it was"
    rise = predict(model, tokenizer, ["原价八十", "今天八十"], 64)[0] - before
    assert rise[0, 0] > 0.5 > -0.5 > rise[1, 0]
    assert not rise[:, 1:].any(), "no row carries another label"


def test_pairs_are_saved_exported_and_read_back_from_run_and_bundle(with_pairs, tmp_path):
    model, _, _ = load_model(with_pairs.folder / "model")
    assert model.pairs is not None and model.pairs.across.any()
    assert export_run(with_pairs.folder, tmp_path / "bundle", QUIET), "its gate compares torch with the file"
    restored, _, _ = load_model(tmp_path / "bundle")
    for name, value in model.pairs.state_dict().items():
        assert torch.equal(value, restored.pairs.state_dict()[name]), name
    scores = [Classifier.load(tmp_path / "bundle", explain=False).score(LINES)]
    pytest.importorskip("openvino")
    scores.append(Classifier.load(tmp_path / "bundle", runtime="openvino", explain=False).score(LINES))
    assert np.abs(scores[0] - scores[1]).max() < 1e-3


def test_labels_laid_out_anew_keep_their_pairs(with_pairs):
    model, tokenizer, _ = load_model(with_pairs.folder / "model")
    labels = [*model.labels[::-1], "new_label"]
    turned, _, _ = load_model(with_pairs.folder / "model", labels)
    given, _ = predict(turned, tokenizer, LINES, 64)
    assert np.abs(given[:, -2::-1] - predict(model, tokenizer, LINES, 64)[0]).max() < 1e-5
    assert not turned.pairs.across[:, -1].any()


def test_calibration_scales_both_alike(trained):
    from zhenyan.training.calibration import Scaling, fold_into_head

    model, tokenizer, _ = copy.deepcopy(trained[0]), *trained[1:]
    add_pairs(model, tokenizer, [Row("原价", (model.labels[0],)), Row("今天")], PAIRS, 64)
    before, _ = predict(model, tokenizer, LINES, 64)
    slope = np.linspace(0.5, 2, len(model.labels)).astype(np.float32)
    fold_into_head(model, Scaling(slope, np.zeros_like(slope)))
    assert np.abs(predict(model, tokenizer, LINES, 64)[0] - before * slope).max() < 1e-4


def test_trainings_and_means_begin_without_pairs(with_pairs, small_config):
    folder = with_pairs.folder / "model"
    model, _ = training.start_model(small_config, training.load_schema(small_config.data.label_schema), folder)
    assert model.pairs is None
    other = training.train(small_config, console=QUIET).folder / "model"
    mean = average(small_config, {folder: 0.5, other: 0.5}, QUIET)
    alone = average(small_config, {folder: 1}, QUIET)
    assert all(load_model(run.folder / "model")[0].pairs is None for run in (mean, alone))
    again = average(small_config.model_copy(update={"pairs": PAIRS}), {folder: 1}, QUIET)
    assert load_model(again.folder / "model")[0].pairs is not None


def test_a_renamed_label_keeps_its_pairs(with_pairs):
    model, tokenizer, _ = load_model(with_pairs.folder / "model")
    labels = ["food_claim" if label == "food_safety" else label for label in model.labels]
    change = Change(kind="rename", labels=["food_safety"], into=["food_claim"], date="2026-11-30")
    renamed, _, _ = load_model(with_pairs.folder / "model", labels, [change])
    assert renamed.pairs.across.any(0).equal(model.pairs.across.any(0))
    assert np.array_equal(predict(renamed, tokenizer, LINES, 64)[0], predict(model, tokenizer, LINES, 64)[0])


def test_pieces_within_a_word_are_read_without_their_mark():
    pieces = ["[PAD]", "[UNK]", "原", "##价", "价", "##格格"]
    raw = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]")
    words = surfaces(tokenizer)
    assert words == ["", "", "原", "价", "价", "格格"]
    weights = np.random.default_rng(5).normal(size=(1009, 1)).astype(np.float32)
    pairs = CharacterPairs.of(words, weights)
    ids = tokenizer("原价格格")["input_ids"]
    assert ids == [2, 3, 5]
    assert abs(pairs(torch.tensor([ids])).numpy() - by_hand(["原价格格"], weights)).max() < 0.04


def test_a_bundle_with_pairs_teaches_what_both_of_it_say(with_pairs, small_config, tmp_path):
    assert export_run(with_pairs.folder, tmp_path / "bundle", QUIET)
    schema = training.load_schema(small_config.data.label_schema)
    config = small_config.model_copy(update={"cache": tmp_path / "cache"})
    said, _ = ask([tmp_path / "bundle"], config, schema, LINES)
    scores = Classifier.load(tmp_path / "bundle", explain=False).score(LINES)
    assert np.abs(said - scores).max() < 0.02, "but for what int8 rounds"
    alone, tokenizer, _ = load_model(tmp_path / "bundle", pairs=False)
    assert np.abs(said - expit(predict(alone, tokenizer, LINES, 64)[0])).max() > 0.02


def test_a_voice_is_no_affair_of_the_pairs(trained):
    model, tokenizer, _ = copy.deepcopy(trained[0]), *trained[1:]
    rows = [Row("来 宝宝们 上车", (model.labels[0],), meta={"room": "r-1"}), Row("规格详见包装", meta={"batch": "b01"})]
    rises = []
    for shift in (0.0, 2.0):
        both = copy.deepcopy(model)
        add_voice(both, tokenizer, rows * 4, VoiceConfig(shift=shift), 64, seed=1)
        voiced, _ = predict(both, tokenizer, LINES, 64)
        add_pairs(both, tokenizer, rows * 4, PAIRS, 64)
        rises.append(predict(both, tokenizer, LINES, 64)[0] - voiced)
    assert np.abs(rises[0]).max() > 0.01
    assert np.abs(rises[0] - rises[1]).max() < 1e-4
