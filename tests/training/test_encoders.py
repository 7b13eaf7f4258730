"""Every configs/encoders/*.yaml on a tiny checkpoint of its architecture: from a folder, and through a Hub mirror."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from hub_mirror import mirror
from rich.console import Console
from safetensors.torch import load_file
from tiny_checkpoints import CHECKPOINTS, FOREIGN, make_all
from zhenyan.inference.errors import ConfigError
from zhenyan.training.config import load_config
from zhenyan.training.encoders.load import BERT_FAMILY, load_encoder
from zhenyan.training.export import to_onnx
from zhenyan.training.modelling import MultiLabelClassifier, load_model
from zhenyan.training.predict import predict
from zhenyan.training.train import train

CONFIGS = sorted(Path(__file__).resolve().parents[2].glob("configs/encoders/*.yaml"))
TEXTS = ["喝这个茶三高就降下来了", "今天二号链接两盒装的拍一下", "全网第一"]
ELECTRA = "hfl/chinese-electra-180g-small-discriminator"
ZHENYAN = Path(sys.executable).with_name("zhenyan")
LOAD_ALL = """
import sys
from zhenyan.training.config import load_config
from zhenyan.training.encoders.load import load_encoder
for path in sys.argv[1:]:
    encoder = load_config(path).encoder
    model, tokenizer = load_encoder(encoder.source, encoder.trim_vocabulary)
    print(encoder.source, model.config.model_type, len(tokenizer))
"""


@pytest.fixture(scope="session")
def hub(tmp_path_factory, root):
    """A folder of repositories, over the characters of an author batch."""
    text = (root / "data/corpus/b01.jsonl").read_text(encoding="utf-8")
    return make_all(tmp_path_factory.mktemp("hub"), text)


@pytest.fixture
def few(tmp_path, root):
    """Dotted keys that make a training tiny: 32 rows to train on, 16 to validate."""
    lines = {
        name: (root / f"data/corpus/{name}.jsonl").read_text(encoding="utf-8").splitlines() for name in ("b01", "b02")
    }
    (tmp_path / "rows.jsonl").write_text("\n".join(lines["b01"][:32] + lines["b02"][:16]) + "\n", encoding="utf-8")
    (tmp_path / "splits.yaml").write_text("validation: [b02]\ntest: []\n", encoding="utf-8")
    return {
        "runs": str(tmp_path / "runs"), "cache": str(tmp_path / "cache"), "data.public_labels": [],
        "data.written": [str(tmp_path / "rows.jsonl")], "data.splits": str(tmp_path / "splits.yaml"),
        "data.public_cache": str(tmp_path / "public"), "optim.epochs": 1, "optim.batch_size": 16,
        "optim.precision": "fp32", "optim.threads": 1, "tracking.uri": f"sqlite:///{tmp_path}/mlflow.db",
    }  # fmt: skip


def hub_environment(address: str, home: Path, **extra: str) -> dict[str, str]:
    """Downloads come from `address` and are kept in `home`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "MLFLOW_")) and "proxy" not in k.lower()}
    return kept | {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"} | extra


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_each_configuration_trains_from_a_folder(path, hub, few):
    config = load_config(path)
    assert config.encoder.source in CHECKPOINTS and config.name == path.stem
    config = load_config(path, few | {"encoder.source": str(hub / config.encoder.source)})
    run = train(config, console=Console(quiet=True))
    trained, tokenizer, meta = load_model(run.folder / "model")
    assert meta["pooling"] == config.encoder.pooling and meta["max_tokens"] == config.encoder.max_tokens
    before, _ = load_encoder(config.encoder.source, config.encoder.trim_vocabulary)
    moved = {
        name: not torch.equal(value, before.state_dict()[name]) for name, value in trained.encoder.state_dict().items()
    }
    assert all(moved[name] for name in moved if name.endswith("attention.self.query.weight"))
    assert np.isfinite(predict(trained, tokenizer, TEXTS, 128)[0]).all()
    assert tokenizer.unk_token_id not in tokenizer(TEXTS[0])["input_ids"]
    assert run.metrics["rows"] == 16 and json.loads((run.folder / "metrics.json").read_text("utf-8")) == run.metrics


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_weights_are_those_of_the_checkpoint(name, hub):
    trim = "e5" in name
    model, tokenizer = load_encoder(str(hub / name), trim)
    file = hub / name / "pytorch_model.bin"
    stored = torch.load(file) if file.exists() else load_file(hub / name / "model.safetensors")
    stored = {key.replace("gamma", "weight").replace("beta", "bias"): value for key, value in stored.items()}
    prefix = "" if "embeddings.word_embeddings.weight" in stored else f"{model.base_model_prefix}."
    for key, value in model.state_dict().items():
        if key.endswith(".weight") and not (trim and "word_embeddings" in key):
            assert torch.equal(value, stored[prefix + key]), key
    vocab = tokenizer.get_vocab()
    assert model.get_input_embeddings().num_embeddings >= len(vocab)
    if trim:
        assert not set(FOREIGN) & set(vocab) and "茶" in vocab
        whole, original = load_encoder(str(hub / name), trim=False)
        assert set(FOREIGN) <= set(original.get_vocab())
        with torch.no_grad():
            a, b = (
                m(**t(TEXTS[0], return_tensors="pt", return_token_type_ids=False)).last_hidden_state
                for m, t in ((model.eval(), tokenizer), (whole.eval(), original))
            )
        assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", [ELECTRA, "nghuyong/ernie-3.0-base-zh", "intfloat/multilingual-e5-base"])
def test_each_architecture_exports_with_any_batch_and_width(name, hub, tmp_path):
    encoder, tokenizer = load_encoder(str(hub / name))
    model = MultiLabelClassifier(encoder, ["a", "b"], "cls")
    to_onnx(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    for texts in (TEXTS, TEXTS[1:2]):
        batch = tokenizer(texts, padding=True, return_tensors="np", return_token_type_ids=False)
        (given,) = session.run(["logits"], {k: v.astype(np.int64) for k, v in batch.items()})
        assert np.abs(given - predict(model, tokenizer, texts, 64)[0]).max() < 1e-4


@pytest.mark.slow
def test_all_encoders_load_through_a_hub_mirror_and_again_without_it(hub, tmp_path):
    command = [sys.executable, "-c", LOAD_ALL, *map(str, CONFIGS)]
    with mirror(hub) as server:
        environment = hub_environment(server.url, tmp_path / "home")
        first = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert first.returncode == 0, first.stderr[-3000:]
        fetched = {path for method, path in server.asked if method == "GET"}
    names = [load_config(path).encoder.source for path in CONFIGS]
    assert [line.split()[0] for line in first.stdout.splitlines()] == names
    for name in names:
        assert any(path.startswith(name) and path.endswith((".bin", ".safetensors")) for path in fetched), name
    offline = hub_environment(server.url, tmp_path / "home", HF_HUB_OFFLINE="1")
    again = subprocess.run(command, env=offline, capture_output=True, text=True)
    assert again.returncode == 0 and again.stdout == first.stdout, again.stderr[-3000:]


@pytest.mark.slow
def test_zhenyan_train_downloads_its_encoder(hub, few, tmp_path, root):
    options = [f"--set={key}={json.dumps(value)}" for key, value in few.items()]
    with mirror(hub) as server:
        environment = hub_environment(server.url, tmp_path / "home")
        command = [ZHENYAN, "train", "--config", str(root / "configs/encoders/rbt3.yaml"), *options]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        assert ("GET", "hfl/rbt3/resolve/main/vocab.txt") in server.asked or any(
            path.startswith("hfl/rbt3/resolve/") and path.endswith("tokenizer.json") for _, path in server.asked
        )
        command += ["--set", "encoder.source=hfl/no-such-model"]
        missing = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert missing.returncode == 2 and "Traceback" not in missing.stderr
    assert "encoder.source: no encoder at folder or Hub id 'hfl/no-such-model'" in " ".join(missing.stderr.split())


def test_models_of_other_families_are_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}', encoding="utf-8")
    with pytest.raises(ConfigError, match=f"is a 'gpt2' model; allowed: {', '.join(BERT_FAMILY)}"):
        load_encoder(str(tmp_path))


def test_a_hub_that_can_not_be_reached_is_told_at_once_and_leaves_no_run(few, root, monkeypatch):
    """The Hub's library would try six times, for half a minute or two."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # the environment is read on import
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: pytest.fail("it tries again"))
    config = load_config(root / "configs/encoders/rbt3.yaml", few | {"encoder.source": "hfl/never-downloaded"})
    with pytest.raises(ConfigError, match=r"it isn't downloaded, and http://127\.0\.0\.1:9 can't be reached: "):
        train(config, console=Console(quiet=True))
    assert not config.runs.exists()


def test_a_tokenizer_of_another_encoder_is_refused(tmp_path):
    for name, characters in (("own", "今天一二"), ("others", "今天一二三四五")):
        (tmp_path / name).mkdir()
        CHECKPOINTS["hfl/rbt3"](tmp_path / name, list(characters))
    for file in ("vocab.txt", "tokenizer.json"):
        shutil.copy(tmp_path / "others" / file, tmp_path / "own" / file)
    with pytest.raises(ConfigError, match=r"the tokenizer of .*own has ids up to 18, its encoder embeds 13: "):
        load_encoder(str(tmp_path / "own"))
