"""ONNX Runtime as it is imported here: it neither writes nor sends anything of its own; its threads, and switches of `load`."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from zhenyan.inference import Classifier
from zhenyan.inference.errors import ConfigError

_VARIABLE = "ORT_DISABLE_TELEMETRY"


def run(folder: Path, program: str, **variables: str) -> str:
    """What a new process prints whose home and temporary folder are new, too."""
    places = {"HOME": folder / "home", "TMPDIR": folder / "tmp"}
    for place in places.values():
        place.mkdir()
    unset = {_VARIABLE, "XDG_CACHE_HOME", "ZHENYAN_MODEL"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {name: str(place) for name, place in places.items()} | variables
    done = subprocess.run([sys.executable, "-B", "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("first", ["zhenyan.inference", "zhenyan.inference.cli", "zhenyan.training.quantise"])
def test_scoring_leaves_no_file_of_the_runtimes_telemetry(tmp_path, first):
    """Its 1.32 keeps an id and a store of events, and looks up a host of Microsoft's, before the first score."""
    pytest.importorskip(first)
    program = (
        f"import {first}\nfrom zhenyan.inference import Classifier\n"
        "print(len(Classifier.load(threads=1).predict(['喝这个茶三高就降下来了'])))"
    )
    assert run(tmp_path, program) == "1"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_who_wants_the_telemetry_keeps_it(tmp_path):
    program = f"import os, zhenyan.inference\nprint(os.environ[{_VARIABLE!r}])"
    assert run(tmp_path, program, **{_VARIABLE: "0"}) == "0"


def spins(classifier: Classifier) -> bool:
    """Whether ONNX Runtime, which spins unless told otherwise, was left to it."""
    options = classifier.session._session.get_session_options()
    try:
        return options.get_session_config_entry("session.intra_op.allow_spinning") != "0"
    except RuntimeError:  # it wasn't told
        return True


def test_threads_of_a_service_sleep_between_requests_and_those_of_a_run_do_not(monkeypatch):
    worker = pytest.importorskip("zhenyan.inference.serve.worker")
    settings = pytest.importorskip("zhenyan.inference.serve.settings")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    monkeypatch.setenv("RAYON_NUM_THREADS", "")
    monkeypatch.delenv("RAYON_NUM_THREADS")
    assert not spins(worker.load(settings.Settings(threads=2)))
    assert os.environ["RAYON_NUM_THREADS"] == "2"
    assert spins(Classifier.load(threads=2))
    assert not spins(pickle.loads(pickle.dumps(Classifier.load(threads=2, spin=False))))


@pytest.mark.parametrize("asked", [{"explain": "no"}, {"explain": 0}, {"spin": None}])
def test_switches_that_are_neither_true_nor_false_are_refused(asked):
    ((name, value),) = asked.items()
    with pytest.raises(ConfigError, match=f"^{name}: expected True or False, given {value!r}$"):
        Classifier.load(**asked)


def test_whether_to_explain_is_asked_with_true_or_false(classifier):
    with pytest.raises(ConfigError, match=r"^explain: expected True or False, given 'no'$"):
        classifier.predict(["好"], explain="no")
