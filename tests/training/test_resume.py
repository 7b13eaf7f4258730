"""What a run that was cut off began with, as its journal tells it, and what an older model calls a label."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from zhenyan.inference.errors import ConfigError
from zhenyan.training import train as training
from zhenyan.training.dataset import Corpus
from zhenyan.training.journal import entries
from zhenyan.training.modelling import labels_of
from zhenyan.training.placing import place
from zhenyan.training.provenance import learned
from zhenyan.training.rows import Row
from zhenyan.training.schema import Change, former, load_schema
from zhenyan.training.tracking import JOURNAL
from zhenyan.training.train import began_with, check_same


def journal(folder: Path, warm_start: Path) -> Path:
    """A run whose journal ends amid a line, as a kill leaves it."""
    tags = {"kind": "tags", "value": {"warm_start": str(warm_start)}, "time": 1}
    (folder / JOURNAL).write_text(json.dumps(tags) + '\n{"kind": "metr')
    return folder


def test_a_torn_journal_tells_the_warm_start(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    run = journal(tmp_path, model)
    assert began_with(run, None) == model == began_with(run, model)
    with pytest.raises(ConfigError, match=r"it began from .*model, not elsewhere; leave --from away"):
        began_with(run, Path("elsewhere"))


def test_a_run_goes_on_only_with_the_rows_and_labels_it_began_with(tmp_path):
    corpus = Corpus([Row("甲", ("a",)), Row("乙")], [Row("丙")], [], [])
    began = learned(corpus, ["a", "b"])
    (tmp_path / JOURNAL).write_text(json.dumps({"kind": "tags", "value": began, "time": 1}) + "\n")
    check_same(tmp_path, learned(corpus, ["a", "b"]))
    with pytest.raises(ConfigError, match="labels changed since it was cut off; put them back"):
        check_same(tmp_path, learned(corpus, ["b", "a"]))
    for row in (Row("甲", ("b",)), Row("甲", ("a",), annotated=("a",)), Row("甲", ("a",), contested=True)):
        changed = replace(corpus, train=[row, Row("乙")])
        with pytest.raises(ConfigError, match=r"data\.train changed since"):
            check_same(tmp_path, learned(changed, ["a", "b"]))


def test_a_warm_start_that_was_moved_may_be_named(tmp_path):
    run = journal(tmp_path, tmp_path / "gone")
    assert began_with(run, None) == tmp_path / "gone" and began_with(run, Path("moved")) == Path("moved")


@pytest.mark.parametrize(
    ("known", "a", "b"), [(["a_x"], None, "a_x"), (["b_x"], None, "b_x"), (["a_x", "b_x"], "a_x", "b_x")]
)
def test_a_name_given_to_another_label_means_what_it_first_meant(known, a, b):
    changes = [
        Change(date="2026-11-27", kind="rename", labels=["a_x"], into=["b_x"]),
        Change(date="2026-11-28", kind="add", labels=["a_x"]),
    ]
    assert (former("a_x", known, changes), former("b_x", known, changes)) == (a, b)


@pytest.mark.parametrize("text", ["{", "[]", '{"pooling": "mean"}'])
def test_a_damaged_description_of_a_model_is_named(tmp_path, text):
    (tmp_path / "zhenyan.json").write_text(text)
    with pytest.raises(ConfigError, match=r"zhenyan\.json: not .*; take the run's model folder again"):
        labels_of(tmp_path)


def test_a_bundle_that_can_not_be_put_in_place_leaves_the_old_one(tmp_path, monkeypatch):
    new, output = tmp_path / "new", tmp_path / "out" / "bundle"
    for folder, text in ((new, "new"), (output, "old")):
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_text(text)
    rename = Path.rename

    def fail(self, target):
        if self.name == "new":
            raise OSError("no room")
        return rename(self, target)

    with (
        monkeypatch.context() as broken,
        pytest.raises(ConfigError, match=r"bundle: a bundle can't be put there \(no room\)"),
    ):
        broken.setattr(Path, "rename", fail)
        place(new, output)
    assert (output / "model.onnx").read_text() == "old"
    place(new, output)
    assert (output / "model.onnx").read_text() == "new" and [path.name for path in output.parent.iterdir()] == [
        "bundle"
    ]


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_a_warm_start_drops_out_as_configured(small_config, dropout):
    start = training.train(small_config, console=Console(quiet=True)).folder / "model"
    encoder = small_config.encoder.model_copy(update={"dropout": dropout})
    schema = load_schema(small_config.data.label_schema)
    model, _ = training.start_model(small_config.model_copy(update={"encoder": encoder}), schema, start)
    assert model.dropout.p == dropout


def test_a_run_that_is_told_to_end_is_no_longer_running():
    """`docker stop` and schedulers send SIGTERM."""
    ended, before = [], signal.getsignal(signal.SIGTERM)
    tracker = SimpleNamespace(finish=lambda how="FINISHED": ended.append(how))
    with pytest.raises(KeyboardInterrupt), training.finished(tracker):
        signal.raise_signal(signal.SIGTERM)
    with training.finished(tracker):
        pass
    assert ended == ["KILLED", "FINISHED"] and signal.getsignal(signal.SIGTERM) == before


def test_a_run_that_is_cut_off_while_it_is_described_is_no_longer_running(small_config, monkeypatch):
    """A server that hangs may hold it up there for minutes."""

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "describe", interrupted)
    with pytest.raises(KeyboardInterrupt):
        training.train(small_config, console=Console(quiet=True))
    (run,) = small_config.runs.iterdir()
    assert list(entries(run))[-1]["value"] == "KILLED"
