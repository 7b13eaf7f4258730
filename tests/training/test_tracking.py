"""The tracker's journal: what can't be sent now is sent later, once, and in order."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import mlflow
import pytest
import typer
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from rich.console import Console
from zhenyan.inference.errors import ConfigError
from zhenyan.training import cli_registry, tracking
from zhenyan.training.config import TrackingConfig, as_record, without_login
from zhenyan.training.registry import fluent
from zhenyan.training.tracking import JOURNAL, NoTracker, Tracker, connect
from zhenyan.training.train import flatten, new_folder

QUIET = Console(quiet=True)
BEGIN = """
import sys, time
from pathlib import Path
import mlflow.store.tracking.sqlalchemy_store
from rich.console import Console
from zhenyan.training.config import TrackingConfig
from zhenyan.training.tracking import Tracker
run = Path(sys.argv[1])
(run / "here").touch()
while len(list(run.parent.glob("*/here"))) < 2:
    time.sleep(0.01)
address = f"sqlite:///{run.parents[1]}/mlflow.db"
tracker = Tracker(run, TrackingConfig(uri=address), "run", Console(stderr=True))
tracker.params({"a": 1})
print(repr(tracker.problem), tracker.sent)
"""
AWAY = TrackingConfig(uri="http://127.0.0.1:9")


@pytest.fixture(autouse=True)
def _own_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "false")  # an address with a login changes it


@pytest.fixture
def here(tmp_path):
    return TrackingConfig(uri=f"sqlite:///{tmp_path}/mlflow.db")


def made(folder):
    folder.mkdir(parents=True)
    return folder


def as_kept_before(state):
    """The state file as it was while servers were known by their address."""
    others = [{name: one[name] for name in ("run_id", "sent", "missing")} for one in state["elsewhere"].values()]
    address = "sqlite:///mlflow.db"
    return state | {"uri": address, "elsewhere": dict(zip([address], others, strict=False))}


def broken_connection(*_):
    raise ConnectionError("connection reset")


def test_a_server_that_comes_back_is_noticed_during_the_run(tmp_path, here, monkeypatch):
    tracker = Tracker(made(tmp_path / "run"), AWAY, "run", QUIET)
    tracker.params({"a": 1})
    assert tracker.problem and tracker.sent == 0
    tracker.config = here
    tracker.metrics({"m": 1.0}, 1)
    assert tracker.sent == 0  # not asked again at once: a hanging server would hold up every step
    clock = tracking.time.monotonic
    monkeypatch.setattr(tracking.time, "monotonic", lambda: clock() + 61)
    tracker.metrics({"m": 2.0}, 2)
    assert tracker.sent == 3 and not tracker.problem
    history = mlflow.MlflowClient(here.uri).get_metric_history(tracker.run_id, "m")
    assert [(point.step, point.value) for point in history] == [(1, 1.0), (2, 2.0)]


def test_runs_nested_while_the_server_was_away_are_nested_afterwards(tmp_path, here):
    above, below = made(tmp_path / "sweep"), made(tmp_path / "sweep/trial")
    parent = Tracker(above, AWAY, "sweep", QUIET)
    parent.params({"a": 1})
    child = Tracker(below, AWAY, "trial", QUIET, parent=above)
    child.metrics({"m": 1.0})
    assert not child.finish("KILLED") and not parent.finish()
    child, parent = Tracker(below, here, "trial", QUIET), Tracker(above, here, "sweep", QUIET)
    assert child.flush(patient=True) and parent.flush(patient=True)
    client = mlflow.MlflowClient(here.uri)
    found = client.get_run(child.run_id)
    assert found.data.tags[MLFLOW_PARENT_RUN_ID] == parent.run_id and found.info.status == "KILLED"
    assert client.get_run(parent.run_id).data.params == {"a": "1"}


def test_runs_that_begin_at_once_make_the_database_together(tmp_path):
    folders = [made(tmp_path / f"runs/{name}") for name in ("one", "two")]
    beginning = [
        subprocess.Popen([sys.executable, "-c", BEGIN, folder], stdout=subprocess.PIPE, text=True) for folder in folders
    ]
    said = [process.communicate(timeout=300)[0] for process in beginning]
    assert said == ["'' 1\n"] * 2, "no problem, and the entry sent"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db", "runs"]


def test_what_is_gone_holds_up_nothing_and_is_sent_when_it_is_back(tmp_path, small_config, monkeypatch, capsys):
    """Journals of a sweep and of its trials, sent after a folder of the first trial was moved away."""
    above = new_folder(small_config)
    first, second = [made(above / f"trial-{number}") for number in range(2)]
    Tracker(above, AWAY, "sweep", QUIET).params({"a": 1})
    for trial in (first, second):
        (trial / "config.yaml").write_bytes((above / "config.yaml").read_bytes())
        (made(trial / "model") / "weights").write_text("1", encoding="utf-8")
        tracker = Tracker(trial, AWAY, trial.name, QUIET, parent=above)
        tracker.artifacts(trial / "model", "model")
        tracker.metrics({"m": 1.0})
        tracker.finish()
    model = first / "model"
    model.rename(tmp_path / "model")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)  # where artifacts of a database are kept
    for _ in range(2):
        with pytest.raises(typer.Exit) as left:
            cli_registry.sync(above)
        assert left.value.exit_code == 1 and f"but for what is gone: {model}; put it back" in capsys.readouterr().out
    client, runs = connect(AWAY), [Tracker(trial, AWAY, trial.name, QUIET).run_id for trial in (first, second)]
    for run in map(client.get_run, runs):
        assert run.info.status == "FINISHED" and run.data.metrics == {"m": 1.0}
    assert [len(client.list_artifacts(run)) for run in runs] == [0, 1]
    (tmp_path / "model").rename(model)
    cli_registry.sync(above)
    assert [one.path for one in client.list_artifacts(runs[0], "model")] == ["model/weights"]
    assert "what is gone" not in capsys.readouterr().out


def test_a_server_that_does_not_know_the_run_gets_all_of_it(tmp_path, here, small_config, monkeypatch, capsys):
    """A sweep and its trial were tracked in a local store; `sync` then sends both to another, which claims nothing untrue."""
    above = new_folder(small_config)
    trial = made(above / "trial")
    (trial / "config.yaml").write_bytes((above / "config.yaml").read_bytes())
    parent = Tracker(above, here, above.name, QUIET)
    parent.params({"a": 1})
    child = Tracker(trial, here, trial.name, QUIET, parent=above)
    child.metrics({"m": 1.0}, 3)
    assert child.finish() and parent.finish()
    there = f"sqlite:///{tmp_path}/other/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", there)
    for _ in range(2):  # the second time it has everything already
        cli_registry.sync(above)
    assert f"MLflow at {there} has everything of {trial}" in capsys.readouterr().out
    client = mlflow.MlflowClient(there)
    runs = client.search_runs([client.get_experiment_by_name("zhenyan").experiment_id])
    found = {run.info.run_name: run for run in runs}
    assert set(found) == {above.name, "trial"} and len(runs) == 2
    assert found[above.name].data.params == {"a": "1"}
    assert found["trial"].data.tags[MLFLOW_PARENT_RUN_ID] == found[above.name].info.run_id
    assert [point.step for point in client.get_metric_history(found["trial"].info.run_id, "m")] == [3]
    assert {run.info.status for run in runs} == {"FINISHED"}
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # a later command sees the first store again, and makes no third run
    again = Tracker(trial, here, trial.name, QUIET)
    again.metrics({"m": 2.0}, 4)
    assert again.run_id == child.run_id
    history = mlflow.MlflowClient(here.uri).get_metric_history(child.run_id, "m")
    assert [point.step for point in history] == [3, 4]


@pytest.mark.parametrize("failing", ["_send", "_parent_tag"], ids=["to send", "to make the run"])
def test_a_server_that_fails_once_after_a_change_costs_no_run(tmp_path, here, monkeypatch, failing):
    """What failed at a server is sent to it later, and the server left before gets no second run."""
    there = TrackingConfig(uri=f"sqlite:///{tmp_path}/other/mlflow.db")
    folder = made(tmp_path / "run")
    Tracker(folder, here, "run", QUIET).metrics({"m": 1.0}, 1)
    if failing == "_send":  # a server that has the run already
        Tracker(folder, there, "run", QUIET).flush()
        Tracker(folder, here, "run", QUIET).metrics({"m": 2.0}, 2)
    first = Tracker(folder, there, "run", QUIET)
    with monkeypatch.context() as patch:
        patch.setattr(first, failing, broken_connection)
        first.metrics({"m": 3.0}, 3)
    assert first.problem == "connection reset"
    back, again = Tracker(folder, here, "run", QUIET), Tracker(folder, there, "run", QUIET)
    assert back.flush() and first.flush(patient=True) and again.flush(), first.problem
    assert first.run_id == again.run_id != back.run_id
    for server in (here, there):
        client = connect(server)
        (run,) = client.search_runs([client.get_experiment_by_name("zhenyan").experiment_id])
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "m")]
        assert steps == ([1, 2, 3] if failing == "_send" else [1, 3])


@pytest.mark.parametrize("before", [False, True], ids=["kept now", "kept before runs were known by their id"])
def test_a_relative_address_is_another_store_in_each_folder(tmp_path, monkeypatch, before):
    run, folders = made(tmp_path / "run"), [made(tmp_path / name) for name in "xy"]
    ids = []
    for step, folder in enumerate([*folders, *folders]):
        monkeypatch.chdir(folder)
        client = connect(TrackingConfig(uri=f"sqlite:///{folder}/mlflow.db"))
        monkeypatch.setattr(tracking, "connect", lambda _, client=client: client)  # MLflow opens it once in a process
        tracker = Tracker(run, TrackingConfig(uri="sqlite:///mlflow.db"), "run", QUIET)
        tracker.metrics({"m": 1.0}, step)
        ids.append(tracker.run_id)
        state = json.loads((run / "tracking.json").read_text(encoding="utf-8"))
        assert state["uri"] == f"sqlite:///{folder}/mlflow.db"
        if before:
            (run / "tracking.json").write_text(json.dumps(as_kept_before(state)), encoding="utf-8")
    assert ids[:2] == ids[2:] and len(set(ids)) == 2
    assert [point.step for point in client.get_metric_history(ids[1], "m")] == [0, 1, 2, 3]


def test_a_run_whose_files_are_gone_at_its_end_says_so(tmp_path, here):
    out = io.StringIO()
    tracker = Tracker(made(tmp_path / "run"), here, "run", Console(file=out, width=40))
    tracker.artifacts(tmp_path / "run/plots")
    assert not tracker.finish() and f"MLflow lacks what is gone: {tmp_path}/run/plots" in out.getvalue()
    assert f" zhenyan sync {tmp_path}/run\n" in out.getvalue()  # whole, to be copied
    assert mlflow.MlflowClient(here.uri).get_run(tracker.run_id).info.status == "FINISHED"


def test_a_torn_last_line_is_cut_off(tmp_path, here):
    folder = made(tmp_path / "run")
    Tracker(folder, AWAY, "run", QUIET).metrics({"m": 1.0}, 1)
    with (folder / JOURNAL).open("a", encoding="utf-8") as journal:
        journal.write('{"kind": "metrics", "ti')
    tracker = Tracker(folder, here, "run", QUIET)
    tracker.metrics({"m": 2.0}, 2)
    assert tracker.sent == 2
    assert all(json.loads(line) for line in (folder / JOURNAL).read_text(encoding="utf-8").splitlines())


def test_what_a_full_disk_has_torn_is_cut_off_before_the_next_entry(tmp_path, here):
    tracker = Tracker(made(tmp_path / "run"), here, "run", QUIET)
    tracker.metrics({"m": 1.0}, 1)
    with (tmp_path / "run" / JOURNAL).open("a", encoding="utf-8") as journal:
        journal.write('{"kind": "metrics", "ti')
    assert tracker.finish("FAILED")
    assert mlflow.MlflowClient(here.uri).get_run(tracker.run_id).info.status == "FAILED"


def test_a_line_that_announces_others_is_told_with_the_last():
    error = RuntimeError("failures occurred while downloading:\n##### File a #####\n[Errno 28] No space left on device")
    assert tracking.reason(error) == "failures occurred while downloading: [Errno 28] No space left on device"


def test_a_resumed_run_runs_again_and_many_values_fit(tmp_path, here):
    tracker = Tracker(made(tmp_path / "run"), here, "run", QUIET)
    tracker.params({f"p{i}": i for i in range(250)})
    tracker.tags({f"t{i}": str(i) for i in range(150)})
    tracker.finish("FAILED")
    client = mlflow.MlflowClient(here.uri)
    assert client.get_run(tracker.run_id).info.status == "FAILED"
    again = Tracker(tmp_path / "run", here, "run", QUIET)
    again.restart()
    assert again.run_id == tracker.run_id and client.get_run(tracker.run_id).info.status == "RUNNING"
    again.finish()
    found = client.get_run(tracker.run_id)
    assert found.info.status == "FINISHED" and len(found.data.params) == 250 and "t149" in found.data.tags


def test_other_processes_keep_and_send_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    silent = NoTracker()
    silent.params({"a": 1})
    silent.metrics({"m": 1.0})
    assert silent.finish() and not list(tmp_path.iterdir())


def test_the_registry_leaves_the_process_as_it_was(here, monkeypatch):
    with fluent(here.uri):
        assert mlflow.get_tracking_uri() == here.uri
    assert tracking.tracking_uri(AWAY) == AWAY.uri
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://example.invalid")
    with fluent(here.uri):
        pass
    assert tracking.tracking_uri(here) == "http://example.invalid"


def test_a_login_in_the_address_is_neither_printed_nor_kept(monkeypatch, small_config):
    login = "http://alice:s3cr3t@127.0.0.1:9"
    own = small_config.model_copy(update={"tracking": TrackingConfig(uri=login)})
    out = io.StringIO()
    folder = new_folder(own)
    tracker = Tracker(folder, own.tracking, "run", Console(file=out, width=40))
    tracker.params(flatten(as_record(own)))
    assert not tracker.finish()
    assert "MLflow at http://127.0.0.1:9 could not be reached" in out.getvalue()
    assert f" zhenyan sync {folder}\n" in out.getvalue()
    kept = "".join(path.read_text(encoding="utf-8") for path in folder.iterdir())
    assert "http://127.0.0.1:9" in kept and "s3cr3t" not in kept + out.getvalue() + tracker.problem
    monkeypatch.setenv("MLFLOW_TRACKING_URI", login)
    with pytest.raises(ConfigError, match=r"MLflow at http://127\.0\.0\.1:9: ") as error:
        cli_registry.sync(folder)
    assert "s3cr3t" not in str(error.value)
    assert os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] == "true", "MLflow's own links would show it"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://alice:p%40ss@host:5000/x", "http://host:5000/x"),
        ("to postgresql+psycopg://u:p@ss@db/mlflow failed", "to postgresql+psycopg://db/mlflow failed"),
        ("postgresql://mlflow:ab/cd@db/mlflow", "postgresql://db/mlflow"),
        ("sqlite:///a@b.db", "sqlite:///a@b.db"),
        ("models:/zhenyan@champion", "models:/zhenyan@champion"),
        ("http://host/a@b", "http://host/a@b"),
    ],
)
def test_only_logins_are_taken_out(text, shown):
    assert without_login(text) == shown


def test_sync_of_a_folder_without_a_run_says_what_to_give(tmp_path):
    with pytest.raises(ConfigError, match=r"no run folder \(tracking\.jsonl is missing\); give one, such as runs/NAME"):
        cli_registry.sync(tmp_path)


def test_sync_goes_on_to_other_runs_where_a_server_is_away(small_config, here, capsys):
    """Each run has an address of its own."""
    away, there = (new_folder(small_config.model_copy(update={"tracking": tracking})) for tracking in (AWAY, here))
    for folder, its in ((away, AWAY), (there, here)):
        Tracker(folder, its, folder.name, QUIET).params({"a": 1})
    with pytest.raises(ConfigError, match=rf"^{away}: MLflow at .*; nothing is lost, try again later$"):
        cli_registry.sync(small_config.runs)
    assert f"has everything of {there}" in capsys.readouterr().out


@pytest.mark.parametrize("left", ["", '{"kind": "params", "ti'], ids=["nothing", "a torn line"])
def test_an_empty_journal_is_nothing_to_send(small_config, monkeypatch, capsys, left):
    """A run that was killed before its first entry was whole; its server isn't even asked."""
    folder = new_folder(small_config.model_copy(update={"tracking": AWAY}))
    (folder / JOURNAL).write_text(left, encoding="utf-8")
    cli_registry.sync(folder)
    assert capsys.readouterr().out == f"{folder}: its journal is empty, there is nothing to send\n"


def test_a_server_that_was_back_is_waited_for_as_short_as_at_first(tmp_path, here, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(tracking.time, "monotonic", lambda: now[0])
    tracker = Tracker(made(tmp_path / "run"), AWAY, "run", QUIET)
    waited = []
    for _ in range(3):
        tracker.metrics({"m": 1.0}, 1)
        waited.append(tracker._again - now[0])
        now[0] = tracker._again
    assert waited == [60, 120, 240]
    tracker.config = here
    tracker.metrics({"m": 2.0}, 2)
    assert tracker.sent == 4 and not tracker.problem
    monkeypatch.setattr(tracker, "_send", lambda *_: 1 / 0)
    tracker.metrics({"m": 3.0}, 3)
    assert tracker.problem and tracker._again - now[0] == 60


def test_sync_takes_the_login_from_the_environment(monkeypatch, small_config):
    """What a run keeps has none, so a server that wants one gets it from MLFLOW_TRACKING_URI or USERNAME and PASSWORD."""
    asked = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers["Authorization"])
            self.send_error(401)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{server.server_port}"
        own = small_config.model_copy(update={"tracking": TrackingConfig(uri=f"http://alice:s3cr3t@{host}")})
        folder = new_folder(own)
        Tracker(folder, AWAY, "run", QUIET).metrics({"m": 1.0})
        for settings in (
            {},
            {"MLFLOW_TRACKING_USERNAME": "alice", "MLFLOW_TRACKING_PASSWORD": "s3cr3t"},
            {"MLFLOW_TRACKING_URI": f"http://alice:s3cr3t@{host}"},
        ):
            with monkeypatch.context() as patch:
                for name, value in settings.items():
                    patch.setenv(name, value)
                with pytest.raises(ConfigError, match=f"MLflow at http://{host}: "):
                    cli_registry.sync(folder)
        server.shutdown()
    assert asked == [None, *["Basic YWxpY2U6czNjcjN0"] * 2]
