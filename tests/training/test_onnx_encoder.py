"""An encoder that is published as an ONNX file only; and layers that are left out of training."""

from __future__ import annotations

import shutil

import onnx
import pytest
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from rich.console import Console
from tiny_checkpoints import CHECKPOINTS
from zhenyan.inference.errors import ConfigError
from zhenyan.training.encoders.load import freeze, load_encoder
from zhenyan.training.export import to_onnx
from zhenyan.training.modelling import MultiLabelClassifier, load_model
from zhenyan.training.quantise import quantise_weights
from zhenyan.training.train import train

TEXTS = ["喝这个茶三高就降下来了", "今天二号链接两盒装的拍一下"]


@pytest.fixture
def checkpoint(tmp_path):
    """A tiny BERT as a folder of weights, none of them equal (the exporter keeps equal constants once)."""
    folder = tmp_path / "weights"
    folder.mkdir()
    CHECKPOINTS["hfl/chinese-macbert-base"](folder, sorted(set("".join(TEXTS))))
    model, tokenizer = load_encoder(str(folder))
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.2)
    tokenizer.save_pretrained(folder)
    for stale in (*folder.glob("*.bin"), *folder.glob("*.safetensors")):
        stale.unlink()
    model.save_pretrained(folder)
    return folder


def as_onnx(checkpoint, folder):
    """The same as an exported classifier, without weights beside it."""
    shutil.copytree(checkpoint, folder, ignore=shutil.ignore_patterns("*.safetensors", "*.bin"))
    model = MultiLabelClassifier(load_encoder(str(checkpoint))[0], ["a", "b"])
    for value in (*model.head.parameters(), model.centre, model.spread):
        torch.nn.init.uniform_(value, 0.5, 1.5)
    to_onnx(model, folder / "model.onnx")
    return folder


def states(source):
    model, tokenizer = load_encoder(str(source))
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        return model.eval()(**batch).last_hidden_state


def test_a_folder_with_an_onnx_file_gives_the_encoder_that_was_exported(checkpoint, tmp_path):
    assert torch.equal(states(as_onnx(checkpoint, tmp_path / "onnx")), states(checkpoint))


def test_weights_win_over_an_onnx_file_beside_them(checkpoint, tmp_path):
    (as_onnx(checkpoint, tmp_path / "both") / "model.onnx").write_bytes(b"not read")
    shutil.copy(checkpoint / "model.safetensors", tmp_path / "both")
    assert torch.equal(states(tmp_path / "both"), states(checkpoint))


@pytest.mark.parametrize("per_channel", [True, False])
def test_dynamic_int8_comes_back_as_exact_as_it_is_stored(checkpoint, tmp_path, per_channel):
    folder = as_onnx(checkpoint, tmp_path / "onnx")
    (folder / "model.onnx").rename(tmp_path / "fp32.onnx")
    quantize_dynamic(tmp_path / "fp32.onnx", folder / "int8.onnx", per_channel=per_channel, weight_type=QuantType.QInt8)
    assert any(node.op_type == "MatMulInteger" for node in onnx.load(folder / "int8.onnx").graph.node)
    restored, exact = load_encoder(str(folder))[0].state_dict(), load_encoder(str(checkpoint))[0].state_dict()
    assert not torch.equal(
        restored["encoder.layer.0.output.dense.weight"], exact["encoder.layer.0.output.dense.weight"]
    )
    for name, value in exact.items():
        assert (restored[name] - value).abs().max() <= value.abs().max() / 127, name


def test_int8_as_our_bundles_hold_it_comes_back_with_the_word_table(checkpoint, tmp_path):
    folder = as_onnx(checkpoint, tmp_path / "onnx")
    quantise_weights(folder / "model.onnx", folder / "model.onnx")
    restored, exact = load_encoder(str(folder))[0].state_dict(), load_encoder(str(checkpoint))[0].state_dict()
    for name, value in exact.items():
        assert (restored[name] - value).abs().max() <= value.abs().max() / 127, name


def test_integers_whose_scale_is_not_found_are_not_taken_for_words(checkpoint, tmp_path):
    folder = as_onnx(checkpoint, tmp_path / "onnx")
    (folder / "model.onnx").rename(tmp_path / "fp32.onnx")
    quantize_dynamic(tmp_path / "fp32.onnx", folder / "int8.onnx", weight_type=QuantType.QInt8)
    model = onnx.load(folder / "int8.onnx")
    (scale,) = [one for one in model.graph.initializer if one.name.endswith("word_embeddings.weight_scale")]
    scale.name = "elsewhere"
    onnx.save(model, folder / "int8.onnx")
    with pytest.raises(ConfigError, match=r"doesn't hold 1 of .* embeddings\.word_embeddings\.weight"):
        load_encoder(str(folder))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda graph: graph.initializer.remove(graph.initializer[0]),
            r"doesn't hold \d+ of the encoder's \d+ weights",
        ),
        (None, "is not an ONNX file"),
    ],
)
def test_a_file_that_is_no_plain_export_is_refused(checkpoint, tmp_path, damage, words):
    file = as_onnx(checkpoint, tmp_path / "onnx") / "model.onnx"
    if damage:
        model = onnx.load(file)
        damage(model.graph)
        onnx.save(model, file)
    else:
        file.write_bytes(b"\x00version https://git-lfs")
    with pytest.raises(ConfigError, match=words):
        load_encoder(str(file.parent))


def test_frozen_layers_and_embeddings_stay_and_the_others_learn(small_config):
    encoder = small_config.encoder.model_copy(update={"frozen": 1})
    run = train(small_config.model_copy(update={"encoder": encoder, "pretrain": None}), console=Console(quiet=True))
    before, _ = load_encoder(encoder.source, encoder.trim_vocabulary, encoder.layers)
    after, _, _ = load_model(run.folder / "model")
    same = {name for name, value in after.encoder.state_dict().items() if torch.equal(value, before.state_dict()[name])}
    assert {name for name in before.state_dict() if name.startswith(("embeddings.", "encoder.layer.0."))} <= same
    assert not {name for name in same if name.startswith("encoder.layer.1.") and name.endswith("weight")}


def test_more_frozen_layers_than_there_are_is_said(checkpoint):
    model, _ = load_encoder(str(checkpoint))
    with pytest.raises(ConfigError, match=r"encoder.frozen: 9 is more than the encoder's \d+ layers"):
        freeze(model, 9)
