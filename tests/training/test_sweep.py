"""`zhenyan sweep` on a tiny encoder: nested runs, pruning, going on after a cut, and faults said plainly."""

from __future__ import annotations

import io
import logging
import signal
import sys
from types import SimpleNamespace

import mlflow
import numpy as np
import optuna
import pytest
import yaml
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from optuna.trial import TrialState
from rich.console import Console
from transformers import EvalPrediction
from zhenyan.inference.cli import main
from zhenyan.inference.errors import ConfigError
from zhenyan.training import sweep as sweeping
from zhenyan.training.config import dump_config, load_config
from zhenyan.training.sweep_config import load_sweep
from zhenyan.training.tracking import Tracker
from zhenyan.training.trainer import BEST, selection_metrics

QUIET = Console(quiet=True)


@pytest.fixture
def files(small_config, tmp_path):
    """Writes a sweep file over the small training configuration; returns its path."""
    (tmp_path / "train.yaml").write_text(dump_config(small_config), encoding="utf-8")

    def write(**changes):
        settings = {
            "name": "small", "config": "train.yaml", "trials": 2, "seed": 3,
            "pruning": {"startup_trials": 1, "warmup_evaluations": 0},
            "space": {"optim.learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}, "optim.batch_size": [16, 32]},
        }  # fmt: skip
        path = tmp_path / "sweep.yaml"
        path.write_text(yaml.safe_dump(settings | changes), encoding="utf-8")
        return path

    return write


def search(path, **fixed):
    settings, base = load_sweep(path, fixed)
    return sweeping.sweep(settings, base, fixed, QUIET)


def study_of(folder):
    return optuna.load_study(storage=f"sqlite:///{folder / sweeping.STUDY}", study_name="small")


def runs_of(config):
    client = mlflow.MlflowClient(config.tracking.uri)
    return client.search_runs([client.get_experiment_by_name("zhenyan").experiment_id])


@pytest.mark.slow
def test_trials_are_nested_runs_and_a_longer_sweep_goes_on(files, small_config, monkeypatch, capsys):
    class PruneTheSecond(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return trial.number == 1

    monkeypatch.setattr(optuna.pruners, "MedianPruner", lambda *_: PruneTheSecond())
    path = files()
    monkeypatch.setattr(sys, "argv", ["zhenyan", "sweep", "--config", str(path), "--trials", "1"])
    with pytest.raises(SystemExit) as exited:
        main()
    assert not exited.value.code and "the best: zhenyan train --config" in capsys.readouterr().out
    folder = search(path)
    trials = study_of(folder).trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE, TrialState.PRUNED]
    assert len({trial.params["optim.learning_rate"] for trial in trials}) == 2  # not the same draw again
    (parent,) = [run for run in runs_of(small_config) if MLFLOW_PARENT_RUN_ID not in run.data.tags]
    children = [run for run in runs_of(small_config) if MLFLOW_PARENT_RUN_ID in run.data.tags]
    assert {run.data.tags[MLFLOW_PARENT_RUN_ID] for run in children} == {parent.info.run_id}
    assert parent.info.status == "FINISHED"
    best = study_of(folder).best_trial
    assert {run.info.run_name: run.info.status for run in children} == {
        best.user_attrs["run"]: "FINISHED", trials[1].user_attrs["run"]: "KILLED"}  # fmt: skip
    assert not list(folder.glob("*/trainer"))  # checkpoints of hundreds of megabytes, from which no trial goes on
    assert parent.data.metrics["best"] == pytest.approx(best.value)
    assert parent.data.tags["best.run"] == best.user_attrs["run"] and (folder / best.user_attrs["run"]).is_dir()
    chosen = load_config(folder / sweeping.BEST_CONFIG)
    assert chosen.optim.learning_rate == best.params["optim.learning_rate"] and chosen.runs == small_config.runs


def test_the_table_of_trials_is_whole_on_a_narrow_terminal(tmp_path):
    tried = {"optim.learning_rate": 3.6556398706362556e-05, "optim.head_learning_rate": 0.0018073407759901733,
             "optim.layer_decay": 1.0, "loss.pos_weight_power": 0.5, "evasion.probability": 0.30000000000000004}  # fmt: skip
    study = optuna.create_study(storage=f"sqlite:///{tmp_path / sweeping.STUDY}", study_name="small")
    of = dict.fromkeys(tried, optuna.distributions.FloatDistribution(0, 1))
    run = {"run": "trial-000-20261130-114323"}
    study.add_trial(optuna.trial.create_trial(params=tried, distributions=of, value=0.5, user_attrs=run))
    out = io.StringIO()
    Console(width=80, file=out).print(sweeping.trials_table(tmp_path, "small"))
    shown = out.getvalue()
    for whole in ("optim.learning_rate=3.65564e-05", "optim.head_learning_rate=0.00180", "evasion.probability=0.3 ",
                  "complete", "0.5000", "trial-000-20261130-114323"):  # fmt: skip
        assert whole in shown


def test_a_trial_that_diverges_ends_no_search(files, small_config, monkeypatch):
    """The second of two learning rates makes NaN of the network."""
    rates = []

    def train(config, *, console, callbacks, parent):
        (watch,) = callbacks
        rates.append(config.optim.learning_rate)
        watch.on_train_begin(SimpleNamespace(output_dir=str(parent / config.name / "trainer")), None, None)
        score = np.full((4, 2), np.nan if len(rates) == 2 else 0.5)
        truth = np.tile([[1, 0], [0, 1]], (2, 1))
        found = selection_metrics(EvalPrediction(predictions=score, label_ids=truth))
        watch.on_evaluate(None, None, None, metrics={f"eval_{BEST}": found[BEST]})

    monkeypatch.setattr(sweeping, "train", train)
    folder = search(files(trials=3))
    states = [trial.state for trial in study_of(folder).trials]
    assert states == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE] and len(rates) == 3


def test_weak_trials_are_pruned_and_cut_off_ones_tried_again(files, small_config, monkeypatch):
    key, good, bad = "optim.head_learning_rate", 1e-2, 1e-9

    def train(config, *, console, callbacks, parent):
        (watch,) = callbacks
        watch.on_train_begin(SimpleNamespace(output_dir=str(parent / config.name / "trainer")), None, None)
        for share in (0.5, 1.0):
            watch.on_evaluate(None, None, None, metrics={"eval_selection": share * config.optim.head_learning_rate})

    monkeypatch.setattr(sweeping, "train", train)
    space = {key: [good, bad]}
    folder = small_config.runs / "small"
    folder.mkdir(parents=True)
    study = sweeping.open_study(folder, *load_sweep(files(space=space), {}), QUIET)
    study.enqueue_trial({key: good})
    killed = study.ask()  # a process that was killed here leaves it running
    killed.suggest_categorical(key, [good, bad])
    killed.set_user_attr("run", "trial-000-killed")
    (folder / "trial-000-killed/trainer/checkpoint-1").mkdir(parents=True)
    Tracker(folder / "trial-000-killed", small_config.tracking, "trial-000-killed").params({key: good})
    assert [run.info.status for run in runs_of(small_config)] == ["RUNNING"]
    search(files(space=space, trials=1))
    study.enqueue_trial({key: bad})
    search(files(space=space, trials=2))
    of_killed, of_sweep = sorted(runs_of(small_config), key=lambda run: run.info.start_time)
    assert (of_killed.info.status, of_sweep.info.status) == ("KILLED", "FINISHED")
    assert not (folder / "trial-000-killed/trainer").exists()  # tried again from its start
    cut, *rest = study_of(folder).trials
    assert cut.state == TrialState.FAIL and cut.params == {key: good}
    found = {trial.params[key]: (trial.state, trial.value) for trial in rest}
    assert found == {good: (TrialState.COMPLETE, good), bad: (TrialState.PRUNED, 0.5 * bad)}
    with pytest.raises(ConfigError, match="begun with another space or configuration; change its name"):
        search(files(space={"optim.batch_size": [16]}))


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_trial_that_is_cut_off_is_tried_again_with_its_values(
    files, small_config, monkeypatch, caplog, request, sent
):
    """Optuna would mark it as failed, with a traceback."""
    rates = []

    def train(config, *, console, callbacks, parent):
        (watch,) = callbacks
        watch.on_train_begin(SimpleNamespace(output_dir=str(parent / config.name / "trainer")), None, None)
        rates.append(config.optim.learning_rate)
        if len(rates) == 1:
            signal.raise_signal(sent)
        watch.on_evaluate(None, None, None, metrics={f"eval_{BEST}": 0.5})

    monkeypatch.setattr(sweeping, "train", train)
    monkeypatch.setattr(logging.getLogger("optuna"), "handlers", [caplog.handler])
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # else a sweep that doesn't hear it would end the tests
    request.addfinalizer(lambda: signal.signal(signal.SIGTERM, before))
    # Ignored where a shell started the tests behind it.
    asleep = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, asleep))
    with pytest.raises(KeyboardInterrupt):
        search(files())
    assert not caplog.records and signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    assert [run.info.status for run in runs_of(small_config)] == ["KILLED"]
    folder = search(files())
    states = [trial.state for trial in study_of(folder).trials]
    assert states == [TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
    assert rates[0] == rates[1] != rates[2]
    assert [run.info.status for run in runs_of(small_config)] == ["FINISHED"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": {"optim.lr": [1]}}, "space.optim.lr: training refuses 1: .*optim.lr: no such key; there are"),
        (
            {"space": {"optim.warmup": {"low": 0, "high": 2}}},
            "training refuses 2: .*optim.warmup: input should be less",
        ),
        ({"space": {"optim.epochs": {"low": 2, "high": 1}}}, r"low \(2\) must lie below high \(1\)"),
        ({"space": {"optim.epochs": {"low": 0, "high": 1, "log": True}}}, "log needs a low above 0"),
        ({"space": {"optim.epochs": {"low": 1}}}, "space.optim.epochs.range.high: field required"),
        ({"space": {}}, "space: dictionary should have at least 1 item"),
        (
            {"space": {"encoder.layers": [[0], [1]]}},
            r"^\S+: space.encoder.layers.choices.0: .*a choice is one value.*\n.*$",
        ),
        ({"space": {"name": ["a"], "runs": ["b"]}}, "space: name, runs can't be searched"),
        ({"trails": 3}, "trails: no such key; there are trials, "),
        ({"trials": 0}, "trials: input should be greater than or equal to 1, found 0"),
        ({"trials": True}, "trials: value error, this is no switch, found true"),
        ({"pruning": {"warmup_evaluations": True}}, "pruning.warmup_evaluations: value error, this is no switch"),
        (
            {"space": {"optim.epochs": {"low": True, "high": 2}}},
            "space.optim.epochs.range.low: value error, this is no",
        ),
        ({"config": "gone.yaml"}, "gone.yaml: no such file"),
    ],
)
def test_faults_name_key_value_and_what_is_allowed(files, changes, message):
    with pytest.raises(ConfigError, match=message):
        load_sweep(files(**changes), {})


def test_a_key_is_searched_or_set_not_both(files):
    with pytest.raises(ConfigError, match=r"optim\.batch_size can't be searched and set at once"):
        load_sweep(files(), {"optim.batch_size": 8})


def test_one_process_at_a_time_and_not_under_torchrun(files, small_config, monkeypatch):
    from filelock import FileLock

    path = files()
    (small_config.runs / "small").mkdir(parents=True)
    with FileLock(small_config.runs / "small" / "lock"), pytest.raises(ConfigError, match="another process runs"):
        search(path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="start it without torchrun"):
        search(path)


def test_runs_that_can_not_be_a_folder_are_named(files, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"^runs .*file/runs: .*: Not a directory; give a folder that may be written"):
        search(files(), runs=str(tmp_path / "file/runs"))


def test_the_committed_sweep_is_valid(root):
    settings, base = load_sweep(root / "configs/sweep/optim.yaml", {})
    assert settings.space and base.name == "teacher"
