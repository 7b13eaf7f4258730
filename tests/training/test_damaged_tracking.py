"""What a run keeps for its server, damaged: the file and the line are named, and other runs are sent."""

from __future__ import annotations

import json

import mlflow
import pytest
from rich.console import Console
from zhenyan.inference.errors import ConfigError
from zhenyan.training import cli_registry
from zhenyan.training.config import TrackingConfig
from zhenyan.training.export import export_run
from zhenyan.training.provenance import read_journal
from zhenyan.training.tracking import JOURNAL, Tracker
from zhenyan.training.train import METRICS, MODEL, THRESHOLDS, new_folder, train

QUIET = Console(quiet=True)


@pytest.fixture
def config(small_config, tmp_path, monkeypatch):
    """A database for a server."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return small_config.model_copy(update={"tracking": TrackingConfig(uri=f"sqlite:///{tmp_path}/mlflow.db")})


@pytest.fixture
def folders(config):
    """Two runs of which the server has two entries, and lacks one."""
    made = [new_folder(config) for _ in range(2)]
    for folder in made:
        tracker = Tracker(folder, config.tracking, folder.name, QUIET)
        tracker.params({"a": 1})
        tracker.tags({"labels": "a"})
        with (folder / JOURNAL).open("a", encoding="utf-8") as journal:
            journal.write(json.dumps({"kind": "tags", "time": 3, "value": {"b": "2"}}) + "\n")
    return made


def sync(config):
    with pytest.raises(ConfigError) as refused:
        cli_registry.sync(config.runs)
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"), [("", "not JSON"), ("[]", "not an object"), ('{"sent": "3"}', "`sent`"), ('{"x": 3}', "'x'")]
)
def test_a_damaged_state_is_named_and_other_runs_are_sent(config, folders, capsys, text, said):
    path = folders[0] / "tracking.json"
    path.write_text(text, encoding="utf-8")
    told = sync(config)
    assert told.startswith(f"{path}: not ") and said in told and "put it back, or delete it" in told
    assert f"has everything of {folders[1]}" in capsys.readouterr().out
    path.unlink()
    cli_registry.sync(config.runs)
    assert f"has everything of {folders[0]}" in capsys.readouterr().out


def test_a_damaged_state_of_the_run_above_is_named(config, folders):
    child = Tracker(folders[1], config.tracking, "child", QUIET, parent=folders[0])
    child._save()
    (folders[0] / "tracking.json").write_text("{", encoding="utf-8")
    told = sync(config).splitlines()
    assert len(told) == 2 and all(f"{folders[0].name}/tracking.json: not JSON" in line for line in told)


@pytest.mark.parametrize("number", [2, 3, 4])
@pytest.mark.parametrize(
    "line", ['{"kind": 3', '{"kind": 3}', "3", '{"kind": "tags", "time": 1, "value": 3}', "\0", '"\udce9"']
)
def test_a_broken_line_is_named_wherever_the_journal_is_read(config, folders, capsys, number, line):
    path = folders[0] / JOURNAL
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[number - 1 : number] = [line]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")
    for name in (MODEL, THRESHOLDS, METRICS):
        (folders[0] / name).touch()
    told = sync(config)
    assert told.startswith(f"{path}:{number}: no entry of a run's journal") and "MLflow" not in told
    assert f"has everything of {folders[1]}" in capsys.readouterr().out
    for read in (
        lambda: read_journal(folders[0]),
        lambda: export_run(folders[0], config.runs.parent / "bundle", QUIET),
        lambda: train(config, resume=folders[0], console=QUIET),
    ):
        with pytest.raises(ConfigError, match=f"^{path}:{number}: no entry"):
            read()


def test_a_line_that_was_emptied_holds_up_nothing(config, folders):
    path = folders[0] / JOURNAL
    first, _, third = path.read_text(encoding="utf-8").splitlines()
    path.write_text(f"{first}\n\n{third}\n", encoding="utf-8")
    cli_registry.sync(config.runs)
    state = json.loads((folders[0] / "tracking.json").read_text(encoding="utf-8"))
    assert mlflow.MlflowClient(config.tracking.uri).get_run(state["run_id"]).data.tags["b"] == "2"
    assert read_journal(folders[0]).tags == {"b": "2"}
