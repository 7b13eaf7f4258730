"""Tracking and registry against a real MLflow server process, over SQLite and over PostgreSQL."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from pathlib import Path

import mlflow
import pytest
import yaml
from linear_bundle import write_bundle
from mlflow_server import tracking_server
from rich.console import Console
from transformers import TrainerCallback
from zhenyan.inference.bundle import load_bundle, sha256
from zhenyan.inference.cli import main
from zhenyan.training.config import TrackingConfig, dump_config
from zhenyan.training.export import write_manifest
from zhenyan.training.rows import read_rows
from zhenyan.training.schema import load_schema
from zhenyan.training.tracking import JOURNAL, Tracker
from zhenyan.training.train import train

pytestmark = pytest.mark.slow
CHAMPION = "models:/zhenyan@champion"
PLANTED = "food_safety"


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request, tmp_path, monkeypatch):
    """A server over each kind of database; MLFLOW_TRACKING_URI names it."""
    store = f"sqlite:///{tmp_path}/server.db"
    if request.param == "postgresql":
        store = request.getfixturevalue("postgres_url").replace("postgresql://", "postgresql+psycopg://")
    with tracking_server(tmp_path, store) as running:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", running.url)
        yield running


@pytest.fixture
def sqlite_server(tmp_path, monkeypatch):
    """A server over SQLite."""
    with tracking_server(tmp_path, f"sqlite:///{tmp_path}/server.db") as running:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", running.url)
        yield running


@pytest.fixture
def zhenyan(monkeypatch, capsys):
    """Runs a command of `zhenyan`; returns its exit code and what it printed."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["zhenyan", *map(str, arguments)])
        with pytest.raises(SystemExit) as exited:
            main()
        said = capsys.readouterr()
        return exited.value.code or 0, said.out + said.err

    return run


@pytest.fixture
def bundles(tmp_path, root, tiny_encoder):
    """Two equally good bundles, one that is blind to a core label, and the rows that show it."""
    rows = read_rows([str(root / "data/corpus/b01.jsonl")])[:200]
    schema = load_schema(root / "configs/labels.yaml")
    assert PLANTED in schema.core and sum(PLANTED in row.labels for row in rows) >= 10
    lines = (root / "data/corpus/b01.jsonl").read_text(encoding="utf-8").splitlines()[:200]
    (tmp_path / "set.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    committed = yaml.safe_load((root / "configs/gates.yaml").read_text(encoding="utf-8"))
    gates = committed | {
        "min_positives": 10,
        "evasion_mean_fall": None,
        "evasion_worst_fall": None,
        "latency_ratio": None,
    }
    (tmp_path / "gates.yaml").write_text(yaml.safe_dump(gates), encoding="utf-8")
    kinds = {"first": (), "second": (), "blind": (PLANTED,)}
    return {
        name: write_bundle(tmp_path / name, rows, schema, tiny_encoder, name=name, blind=blind)
        for name, blind in kinds.items()
    }


def versions(client):
    return sorted(int(version.version) for version in client.search_model_versions("name = 'zhenyan'"))


def test_promotion_refusal_challenger_and_rollback(server, bundles, small_config, zhenyan, tmp_path):
    config = ["--config", tmp_path / "config.yaml"]
    promote = ["--rows", tmp_path / "set.jsonl", "--gates", tmp_path / "gates.yaml", *config]
    client = mlflow.MlflowClient(server.url)

    def champion():
        return client.get_model_version_by_alias("zhenyan", "champion").version

    code, said = zhenyan("promote", bundles["first"], *promote)
    assert code == 0 and "zhenyan version 1 (first-" in said and "is champion" in said
    code, said = zhenyan("promote", bundles["blind"], *promote)
    assert code == 2 and "stays out: " in said and "fall of core micro F1" in said and f"fall of F1, {PLANTED}" in said
    assert "Traceback" not in said and champion() == "1" and versions(client) == [1]
    code, said = zhenyan("promote", bundles["second"], "--challenger", *config)
    assert code == 0 and "version 2 (second-" in said and "is challenger" in said and champion() == "1"
    code, said = zhenyan("promote", "models:/zhenyan@challenger", *promote)
    assert code == 0 and "version 1 is previous" in said and champion() == "2" and versions(client) == [1, 2]
    assert client.get_registered_model("zhenyan").aliases.keys() == {"champion", "previous"}
    code, said = zhenyan("rollback", *config)
    assert code == 0 and "version 1" in said and "is champion again" in said and champion() == "1"
    code, said = zhenyan("pull", CHAMPION, "-o", tmp_path / "served", *config)
    assert code == 0 and load_bundle(tmp_path / "served").id == load_bundle(bundles["first"]).id
    code, said = zhenyan("versions", *config)
    assert code == 0 and said.count("promoted 20") == 2 and said.count("put back 20") == 1
    code, said = zhenyan("compare", CHAMPION, "models:/zhenyan/2", "--rows", tmp_path / "set.jsonl", *config)
    assert code == 0 and "0 of 200 rows are decided differently" in said
    code, said = zhenyan("compare", "models:/zhenyan@nobody", bundles["first"], *config)
    assert code == 2 and "models:/zhenyan@nobody: " in said and "Traceback" not in said


def test_altered_artifacts_are_noticed(sqlite_server, bundles, small_config, zhenyan, tmp_path):
    options = ["--rows", tmp_path / "set.jsonl", "--config", tmp_path / "config.yaml"]
    assert zhenyan("promote", bundles["first"], *options)[0] == 0
    (stored,) = {path.parent for path in (tmp_path / "artifacts").rglob("thresholds.json")}
    honest = (stored / "thresholds.json").read_text(encoding="utf-8")
    (stored / "thresholds.json").write_text(honest.replace("0.5", "0.9", 1), encoding="utf-8")
    code, said = zhenyan("compare", CHAMPION, bundles["second"], *options)
    assert code == 2 and "thresholds.json: SHA-256 is" in said
    with pytest.raises(Exception, match="SHA-256"):
        mlflow.pyfunc.load_model(CHAMPION)
    write_manifest(stored, "fp32")  # the manifest altered along with it: the files agree among themselves again
    assert load_bundle(stored)
    code, said = zhenyan("compare", CHAMPION, bundles["second"], *options)
    assert code == 2 and "its artifacts were altered" in said and load_bundle(bundles["first"]).id in said
    shutil.rmtree(stored)
    code, said = zhenyan("compare", CHAMPION, bundles["second"], *options)
    assert code == 2 and CHAMPION in said and "Traceback" not in said


def test_concurrent_runs_keep_apart(server, tmp_path):
    config, count, steps = TrackingConfig(experiment="together"), 6, 15
    barrier = threading.Barrier(count)

    def log(folder: Path) -> None:
        (folder / "note.txt").write_text(folder.name)
        tracker = Tracker(folder, config, folder.name, Console(quiet=True))
        barrier.wait()
        tracker.params({"run": folder.name, **{f"p{i}": i for i in range(130)}})
        for step in range(steps):
            tracker.metrics({"value": step + int(folder.name[-1])}, step)
        tracker.artifacts(folder / "note.txt")
        assert tracker.finish() and not tracker.problem

    folders = [tmp_path / f"run-{i}" for i in range(count)]
    for folder in folders:
        folder.mkdir()
    threads = [threading.Thread(target=log, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client = mlflow.MlflowClient(server.url)
    runs = client.search_runs([client.get_experiment_by_name("together").experiment_id])
    assert sorted(run.info.run_name for run in runs) == [folder.name for folder in folders]
    for run in runs:
        name = run.info.run_name
        assert run.info.status == "FINISHED" and run.data.params["run"] == name and len(run.data.params) == 131
        points = client.get_metric_history(run.info.run_id, "value")
        assert sorted((p.step, p.value) for p in points) == [(s, s + int(name[-1])) for s in range(steps)]
        (note,) = client.list_artifacts(run.info.run_id)
        assert Path(client.download_artifacts(run.info.run_id, note.path, str(tmp_path))).read_text() == name


def test_a_server_that_dies_amid_training_gets_everything_later(sqlite_server, small_config, zhenyan, tmp_path):
    class KillServer(TrainerCallback):
        def on_evaluate(self, args, state, control, **_):
            sqlite_server.stop()

    optim = small_config.optim.model_copy(update={"evaluations_per_epoch": 3})
    config = small_config.model_copy(update={"optim": optim})
    (tmp_path / "config.yaml").write_text(dump_config(config), encoding="utf-8")
    console = Console(record=True, width=400, quiet=False, file=(tmp_path / "said.txt").open("w"))
    run = train(config, console=console, callbacks=[KillServer()])
    said = console.export_text()
    assert "keeping a local journal" in said and f"zhenyan sync {run.folder}" in said
    code, said = zhenyan("sync", run.folder)
    assert code == 2 and "nothing is lost, try again later" in said and "Traceback" not in said
    sqlite_server.start()
    code, said = zhenyan("sync", run.folder)
    assert code == 0 and f"has everything of {run.folder}" in said
    client = mlflow.MlflowClient(sqlite_server.url)
    (tracked,) = client.search_runs([client.get_experiment_by_name("zhenyan").experiment_id])
    entries = [json.loads(line) for line in (run.folder / JOURNAL).read_text(encoding="utf-8").splitlines()]
    assert tracked.info.status == "FINISHED"
    assert (tracked.info.start_time, tracked.info.end_time) == (entries[0]["time"], entries[-1]["time"])
    assert tracked.data.metrics["core_micro.f1"] == pytest.approx(run.metrics["core_micro"]["f1"])
    points = client.get_metric_history(tracked.info.run_id, "live.eval_selection")
    metrics = [entry["value"] for entry in entries if entry["kind"] == "metrics"]
    logged = {value["step"] for value in metrics if "live.eval_selection" in value["values"]}
    assert {point.step for point in points} == logged and len(logged) >= 3
    copy = Path(client.download_artifacts(tracked.info.run_id, "model", str(tmp_path)))
    assert sha256(copy / "head.safetensors") == sha256(run.folder / "model/head.safetensors")
    code, said = zhenyan("sync", run.folder)  # again changes nothing
    assert code == 0 and len(client.search_runs([tracked.info.experiment_id])) == 1
