"""A bundle becomes a network again: every architecture, every precision, and training goes on from it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from rich.console import Console
from scipy.special import expit
from tiny_checkpoints import CHECKPOINTS
from zhenyan.inference import Classifier
from zhenyan.inference.bundle import DEFAULT_BUNDLE, MANIFEST
from zhenyan.inference.errors import ConfigError
from zhenyan.training.config import DistilConfig
from zhenyan.training.encoders.load import load_encoder
from zhenyan.training.encoders.onnx_weights import parameters
from zhenyan.training.encoders.origin import encoder_origin
from zhenyan.training.export import export_run, to_onnx
from zhenyan.training.modelling import MultiLabelClassifier, load_model
from zhenyan.training.predict import predict
from zhenyan.training.quantise import quantise_weights
from zhenyan.training.train import train


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_weights_of_every_architecture_come_back_by_name(name, tmp_path):
    CHECKPOINTS[name](tmp_path, sorted(set("喝这个茶三高就降下来了今天全网第一")))
    encoder, _ = load_encoder(str(tmp_path), trim=False)
    model = MultiLabelClassifier(encoder, ["a", "b"])
    # The exporter merges equal constants, such as zeros.
    for value in (*model.parameters(), model.centre, model.spread):
        torch.nn.init.normal_(value, std=0.02)
    to_onnx(model, tmp_path / "fp32.onnx")
    quantise_weights(tmp_path / "fp32.onnx", tmp_path / "int8.onnx")
    exact, rounded = (parameters(onnx.load(str(tmp_path / f"{kind}.onnx")), "model.") for kind in ("fp32", "int8"))
    for key, value in model.state_dict().items():
        if value.is_floating_point():
            assert torch.equal(exact[f"model.{key}"], value), key
            assert (rounded[f"model.{key}"] - value).abs().max() <= value.abs().max() / 127, key


def test_the_released_bundle_scores_as_it_did():
    model, tokenizer, meta = load_model(DEFAULT_BUNDLE)
    probes = json.loads((DEFAULT_BUNDLE / "probes.json").read_text(encoding="utf-8"))
    classifier = Classifier.load(explain=False)
    restored = expit(predict(model, tokenizer, probes["texts"], meta["max_tokens"])[0])
    given, thresholds = classifier.score(probes["texts"]), classifier.thresholds
    assert np.abs(restored - given).mean() < 1e-3
    assert ((restored >= thresholds) != (given >= thresholds)).any(1).mean() <= 0.01
    before = np.array(probes["probabilities"])  # of the network before int8: what `zhenyan doctor` holds runtimes to
    assert np.abs(restored - before).mean() < 1e-3
    assert ((restored >= thresholds) != (before >= thresholds)).any(1).mean() <= 0.01


def test_training_goes_on_from_a_bundle_and_learns_from_it(small_config, tmp_path):
    quiet, bundle = Console(quiet=True), tmp_path / "bundle"
    export = small_config.export.model_copy(update={"max_flip_rate": 1.0, "max_f1_drop": 1.0})
    first = train(small_config.model_copy(update={"export": export}), console=quiet)
    assert export_run(first.folder, bundle, quiet)
    still = small_config.model_copy(update={"optim": small_config.optim.model_copy(update={"learning_rate": 1e-12})})
    second = train(still, warm_start=bundle, console=quiet)
    saved, _, _ = load_model(first.folder / "model")
    gone_on, tokenizer, meta = load_model(second.folder / "model")
    assert meta["pooling"] == "mean" and tokenizer.mask_token == "[MASK]"
    for key, value in saved.encoder.state_dict().items():
        # As a whole, not value by value: where smoothing shrank a channel, its rounding grows when that is undone.
        assert (gone_on.encoder.state_dict()[key] - value).norm() <= value.norm() / 50, key
    distil = DistilConfig(teachers=[bundle], unlabelled=0)
    half = small_config.encoder.model_copy(update={"source": "teacher", "layers": [0]})
    student = train(small_config.model_copy(update={"encoder": half, "distil": distil}), console=quiet)
    assert len(load_model(student.folder / "model")[0].encoder.encoder.layer) == 1
    origin = encoder_origin(small_config, {"warm_start": str(bundle)})
    assert json.loads((bundle / MANIFEST).read_text())["bundle_id"] in origin.name and str(tmp_path) not in origin.name


def test_a_bundle_that_does_not_describe_its_network_says_so(tmp_path):
    for file in DEFAULT_BUNDLE.iterdir():
        Path(tmp_path / file.name).symlink_to(file)
    manifest = json.loads((DEFAULT_BUNDLE / MANIFEST).read_text(encoding="utf-8"))
    del manifest["architecture"]
    (tmp_path / MANIFEST).unlink()
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ConfigError, match="no `architecture`"):
        load_model(tmp_path)


def test_a_bundle_whose_equal_tensors_were_merged_says_so(small_config, tmp_path):
    quiet, bundle = Console(quiet=True), tmp_path / "bundle"
    export = small_config.export.model_copy(update={"max_flip_rate": 1.0, "max_f1_drop": 1.0})
    run = train(small_config.model_copy(update={"export": export}), console=quiet)
    encoder = load_model(run.folder / "model")[0].encoder
    for name, parameter in encoder.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.zeros_(parameter)
    encoder.save_pretrained(run.folder / "model" / "encoder")
    assert export_run(run.folder, bundle, quiet)
    with pytest.raises(
        ConfigError, match=r"were merged with equal ones at export \(the first: model\.encoder\..*the model folder"
    ):
        load_model(bundle)
