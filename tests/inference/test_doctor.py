"""`zhenyan doctor`: what is sound, what is fastest, what is remembered, and what `auto` then takes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner
from zhenyan.inference import Classifier, doctor
from zhenyan.inference.bundle import bundle_id, load_bundle, sha256
from zhenyan.inference.cli import app
from zhenyan.inference.doctor import Verdict, choose, examine, saved_choice
from zhenyan.inference.errors import BundleError, ConfigError
from zhenyan.inference.session import OnnxSession, OpenVinoSession


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(doctor, "_SECONDS", 0.01)


@pytest.fixture
def small(tmp_path) -> Path:
    """The bundled model with few probes, so that a check takes no time."""
    folder = Path(shutil.copytree(load_bundle().folder, tmp_path / "bundle"))
    probes = json.loads((folder / "probes.json").read_text())
    give_probes(folder, {key: value[:20] if isinstance(value, list) else value for key, value in probes.items()})
    return folder


def give_probes(folder: Path, probes: object) -> None:
    """Other probes for a bundle, which stays whole."""
    (folder / "probes.json").write_text(json.dumps(probes))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"]["probes.json"] = sha256(folder / "probes.json")
    manifest["bundle_id"] = bundle_id(manifest["name"], manifest["sha256"])
    (folder / "manifest.json").write_text(json.dumps(manifest))


def verdict(runtime: str = "onnxruntime", flips: float = 0.0, alone: float = 0.0, speed: float = 100.0) -> Verdict:
    return Verdict(runtime, "1", flips, 0.0, alone, speed)


@pytest.mark.parametrize(("given", "sound"), [
    (verdict(), True), (verdict(flips=0.01), True), (verdict(flips=0.011), False), (verdict(alone=1e-5), True),
    (verdict(alone=1.1e-5), False), (Verdict("openvino", None), False), (Verdict("openvino", "1", fault="x"), False),
])  # fmt: skip
def test_what_is_sound(given, sound):
    assert given.sound is sound


def test_the_fastest_sound_runtime_is_chosen():
    fast, slow = verdict("openvino", speed=900), verdict(speed=300)
    assert choose([slow, fast]) is fast
    assert choose([slow, verdict("openvino", flips=0.5, speed=900)]) is slow
    assert choose([verdict(flips=1.0), Verdict("openvino", None)]) is None


def test_the_bundle_is_sound_here(small):
    found = examine(load_bundle(small), "onnxruntime", 0.01)
    assert found.batch_invariance <= doctor.MAX_DEPENDENCE and found.lines_per_second > 0
    assert found.largest_difference < 0.2 and found.fault is None


def test_a_model_whose_answers_changed_is_not_sound(small, monkeypatch):
    """Such as on a processor where int8 products overflow."""
    for session in (OnnxSession, OpenVinoSession):
        monkeypatch.setattr(session, "__call__", lambda self, ids, mask: np.full((len(ids), 14), 9.0, np.float32))
    assert not examine(load_bundle(small), "onnxruntime", 0.01).sound
    result = CliRunner().invoke(app, ["doctor", "--model", str(small), "--save"])
    assert result.exit_code == 1 and "no runtime is sound" in result.output and not doctor.choice_file().exists()


@pytest.mark.parametrize(("probes", "told"), [
    ({"texts": [], "probabilities": []}, "no probes to compare a runtime with"),  # exported where no validation row is written
    ({"texts": ["好"], "probabilities": [[0.5]]}, "answers of the shape (1, 1)"),
    ({"texts": ["好"]}, "not the probes of a bundle (KeyError('probabilities'))"), ([], "not the probes of a bundle"),
])  # fmt: skip
def test_a_bundle_without_probes_is_told_apart_from_unsound_runtimes(small, command, probes, told):
    give_probes(small, probes)
    code, said = command("doctor", "--model", str(small))
    assert code == 2 and told in said and "export the bundle again" in said and "no runtime is sound" not in said


def test_a_runtime_that_cannot_run_the_model_is_shown_and_left_out(small, monkeypatch):
    pytest.importorskip("openvino")

    def refuse(*_):
        raise BundleError("model.onnx: OpenVINO can't run it")

    monkeypatch.setattr("zhenyan.inference.session.OpenVinoSession.__init__", refuse)
    assert examine(load_bundle(small), "openvino", 0.01).fault == "model.onnx: OpenVINO can't run it"


@pytest.mark.parametrize(("fault", "words"), [
    (None, "the model gave a score that is not a number"),
    (RuntimeError("Check failed:\nout of memory"), r"onnxruntime fails \(out of memory\); use another runtime"),
    (ValueError(), r"onnxruntime fails \(ValueError\)"),
])  # fmt: skip
def test_a_runtime_that_fails_while_it_scores_is_shown_and_the_others_are_measured(small, monkeypatch, fault, words):
    """The other runtimes' sessions are ONNX Runtime's, so that OpenVINO need not be installed."""

    def broken(ids, mask):
        if fault:
            raise fault
        return np.full((len(ids), 14), np.nan, np.float32)

    monkeypatch.setattr("zhenyan.inference.classifier.open_session",
                        lambda model, runtime, *_: broken if runtime == "onnxruntime" else OnnxSession(model, 1))  # fmt: skip
    monkeypatch.setattr(doctor, "installed", lambda name: "1")
    monkeypatch.setattr(doctor, "examine", lambda bundle, runtime: examine(bundle, runtime, 0.01))
    _, (first, *others), best = doctor.run(small)
    assert re.search(words, first.fault) and not first.sound
    assert all(other.sound for other in others) and best in others


def test_a_user_without_a_home_has_no_saved_choice_and_is_told_where_one_could_be(small, monkeypatch):
    """As under a user id that the system doesn't know, with no HOME."""
    monkeypatch.delenv("XDG_CACHE_HOME")

    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    assert saved_choice(load_bundle(small)) == "onnxruntime"
    monkeypatch.setattr(doctor, "examine", lambda bundle, runtime: verdict(runtime))
    result = CliRunner().invoke(app, ["doctor", "--model", str(small), "--save"])
    assert "fastest sound runtime: onnxruntime" in result.output
    assert isinstance(result.exception, ConfigError) and "set XDG_CACHE_HOME to a folder" in str(result.exception)


def test_a_runtime_that_is_missing_is_not_measured(small, monkeypatch):
    monkeypatch.setattr(doctor, "installed", lambda name: None)
    assert examine(load_bundle(small), "openvino") == Verdict("openvino", None)


def test_auto_takes_what_was_saved_for_this_bundle_machine_and_version(small, monkeypatch):
    assert saved_choice(load_bundle(small)) == "onnxruntime"
    monkeypatch.setattr(
        doctor, "examine", lambda bundle, runtime: verdict(runtime, speed=900 if runtime == "onnxruntime" else 300)
    )
    result = CliRunner().invoke(app, ["doctor", "--model", str(small), "--save"])
    assert result.exit_code == 0 and "fastest sound runtime: onnxruntime" in result.output
    record = json.loads(doctor.choice_file().read_text())
    record["runtime"] = "openvino"
    doctor.choice_file().write_text(json.dumps(record))
    assert saved_choice(load_bundle(small)) == "openvino"
    for key, other in (("bundle", "another"), ("machine", {}), ("versions", {}), ("runtime", "nonsense")):
        doctor.choice_file().write_text(json.dumps(record | {key: other}))
        assert saved_choice(load_bundle(small)) == "onnxruntime"
    for broken in ("", "[]", "{}", "{", "[" * 100_000):
        doctor.choice_file().write_text(broken)
        assert saved_choice(load_bundle(small)) == "onnxruntime"
    assert isinstance(Classifier.load(small, runtime="auto", threads=1).session, OnnxSession)


def test_a_choice_that_cannot_be_saved_costs_the_table_nothing(small, tmp_path, monkeypatch):
    (tmp_path / "zhenyan").write_text("a file where the folder would be")
    monkeypatch.setattr(doctor, "examine", lambda bundle, runtime: verdict(runtime))
    result = CliRunner().invoke(app, ["doctor", "--model", str(small), "--save"])
    assert "fastest sound runtime: onnxruntime" in result.output and "saved" not in result.output
    assert isinstance(result.exception, ConfigError) and "set XDG_CACHE_HOME" in str(result.exception)


def test_auto_opens_the_saved_runtime(small, monkeypatch):
    opened = []
    monkeypatch.setattr(doctor, "saved_choice", lambda bundle: "openvino")
    monkeypatch.setattr("zhenyan.inference.classifier.open_session", lambda *arguments: opened.append(arguments))
    Classifier.load(small, runtime="auto", threads=3)
    assert opened == [(small / "model.onnx", "openvino", 3, True)]
