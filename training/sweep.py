"""Hyperparameter search: each trial is an ordinary run, nested under the sweep's own in MLflow.

A sweep's folder holds the Optuna study (study.db), the runs of its trials and the best configuration (best.yaml).
Started again, a sweep goes on where it was; what was cut off is tried again from its start, so no checkpoint is kept.
"""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import optuna
import torch
import yaml
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, Trial, TrialState
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from transformers import TrainerCallback
from zhenyan.inference.errors import ConfigError
from zhenyan.training import distributed
from zhenyan.training.config import CONFIG, TrainConfig, as_record, dump_config, load_config
from zhenyan.training.journal import JOURNAL, entries
from zhenyan.training.outputs import make_folders
from zhenyan.training.progress import Stopped
from zhenyan.training.sweep_config import SweepConfig, Values
from zhenyan.training.tracking import Tracker
from zhenyan.training.train import TRAINER, finished, train
from zhenyan.training.trainer import BEST, Diverged

STUDY, SWEEP, BEST_CONFIG = "study.db", "sweep.yaml", "best.yaml"
DONE = (TrialState.COMPLETE, TrialState.PRUNED)


class _CutOff(BaseException):
    """Carries Ctrl-C and SIGTERM past Optuna, which would end the trial as failed: one that is running is queued again."""


class Watch(TrainerCallback):
    """Reports every evaluation to the study and ends the training of a trial that falls behind."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.best = 0.0
        self.evaluation = itertools.count()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Note which run is the trial's."""
        self.trial.set_user_attr("run", Path(args.output_dir).parent.name)

    def on_evaluate(self, args: Any, state: Any, control: Any, **measured: Any) -> None:
        """Raise Stopped when the study says so."""
        score = measured["metrics"][f"eval_{BEST}"]
        self.best = max(self.best, score)
        self.trial.report(score, next(self.evaluation))
        if self.trial.should_prune():
            raise Stopped


def suggest(trial: Trial, key: str, values: Values) -> Any:
    """A value for one key."""
    if isinstance(values, list):
        return trial.suggest_categorical(key, values)
    if values.whole:
        low, high, step = map(int, (values.low, values.high, values.step or 1))
        return trial.suggest_int(key, low, high, step=step, log=values.log)
    return trial.suggest_float(key, values.low, values.high, step=values.step, log=values.log)


def sweep(config: SweepConfig, base: TrainConfig, fixed: dict[str, Any], console: Console) -> Path:
    """Search by `config`, with `fixed` (dotted keys) over the training configuration; returns the sweep's folder.

    ConfigError when the sweep was begun with another space or configuration, is being run by another process, or can't have
    a folder.
    """
    if distributed.processes() > 1:
        raise ConfigError("a sweep trains its trials in one process; start it without torchrun")
    folder = base.runs / config.name
    make_folders(f"runs {base.runs}", folder)
    try:
        with FileLock(folder / "lock", timeout=0):
            study = open_study(folder, config, base, console)
            _search(study, folder, config, base, fixed, console)
    except Timeout:
        raise ConfigError(
            f"{folder}: another process runs this sweep; wait for it, or change the sweep's name"
        ) from None
    return folder


def open_study(folder: Path, config: SweepConfig, base: TrainConfig, console: Console) -> optuna.Study:
    """The study in `folder`, new or gone on with; trials that were cut off are queued again, and their runs closed."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{folder / STUDY}", study_name=config.name, direction="maximize", load_if_exists=True
    )
    begun = {"space": config.model_dump(mode="json")["space"], "config": as_record(base)}
    if study.user_attrs.get("begun", begun) != begun:
        raise ConfigError(f"{folder}: this sweep was begun with another space or configuration; change its name")
    study.set_user_attr("begun", begun)
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)
        if run := trial.user_attrs.get("run"):
            _drop_checkpoints(folder / run)
            _close(Tracker(folder / run, base.tracking, run, console, folder))
    # The same seed again would draw the same first trials again.
    study.sampler = optuna.samplers.TPESampler(seed=config.seed + len(study.trials))
    study.pruner = optuna.pruners.NopPruner()
    if config.pruning:
        study.pruner = optuna.pruners.MedianPruner(config.pruning.startup_trials, config.pruning.warmup_evaluations)
    return study


def _drop_checkpoints(run: Path) -> None:
    """Of a trial's run: no trial is gone on with, and they are several times as large as its model."""
    shutil.rmtree(run / TRAINER, ignore_errors=True)


def _close(tracker: Tracker) -> None:
    """Mark the run of a trial that was killed so; one that Ctrl-C ended has said it itself, and one may be gone."""
    said = [entry["kind"] for entry in entries(tracker.folder)]
    if said and said[-1] != "finish":
        tracker.finish("KILLED")


def _search(
    study: optuna.Study, folder: Path, config: SweepConfig, base: TrainConfig, fixed: dict[str, Any], console: Console
) -> None:
    tracker = _tracker(folder, config, base, console)

    def objective(trial: Trial) -> float:
        try:
            return tried(trial)
        except KeyboardInterrupt:
            raise _CutOff from None

    def tried(trial: Trial) -> float:
        values = {key: suggest(trial, key, allowed) for key, allowed in config.space.items()}
        own = {"runs": str(folder), "name": f"trial-{trial.number:03}"}
        watch = Watch(trial)
        console.print(f"trial {trial.number}: {json.dumps(values)}")
        try:
            train(load_config(config.config, fixed | values | own), console=console, callbacks=[watch], parent=folder)
        except Stopped:
            raise optuna.TrialPruned from None
        except Diverged as error:
            console.print(f"trial {trial.number}: {error}", highlight=False, markup=False)
            raise optuna.TrialPruned from None
        finally:
            if run := trial.user_attrs.get("run"):  # else it came to no step
                _drop_checkpoints(folder / run)
        return watch.best

    def told(study: optuna.Study, trial: FrozenTrial) -> None:
        if trial.state == TrialState.COMPLETE and trial.value is not None:
            tracker.metrics({BEST: trial.value, "best": study.best_value}, trial.number)

    with finished(tracker):
        left = config.trials - len(study.get_trials(states=DONE))
        try:
            if left > 0:
                study.optimize(objective, left, catch=(torch.OutOfMemoryError,), callbacks=[told])
        except _CutOff:
            raise KeyboardInterrupt from None
        best = _best(study, folder)
        chosen = load_config(config.config, fixed | best.params | {"name": config.name})
        (folder / BEST_CONFIG).write_text(dump_config(chosen), encoding="utf-8")
        tracker.tags({"best.run": best.user_attrs["run"]} | {f"best.{k}": str(v) for k, v in best.params.items()})
        tracker.artifacts(folder / BEST_CONFIG)


def _tracker(folder: Path, config: SweepConfig, base: TrainConfig, console: Console) -> Tracker:
    """The run above the trials' runs."""
    known = (folder / JOURNAL).exists()
    (folder / CONFIG).write_text(dump_config(base), encoding="utf-8")
    (folder / SWEEP).write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
    tracker = Tracker(folder, base.tracking, folder.name, console)
    if known:
        tracker.restart()
        return tracker
    tracker.params({f"space.{key}": values for key, values in config.model_dump(mode="json")["space"].items()})
    tracker.artifacts(folder / SWEEP)
    return tracker


def _best(study: optuna.Study, folder: Path) -> FrozenTrial:
    try:
        return study.best_trial
    except ValueError:
        raise ConfigError(f"{folder}: no trial reached its end; the runs below it say why") from None


def trials_table(folder: Path, name: str) -> Table:
    """All trials of a sweep, best first; what was tried stands below each other, for a terminal may be narrow."""
    study = optuna.load_study(storage=f"sqlite:///{folder / STUDY}", study_name=name)
    table = Table("trial", "state", BEST, Column("run and values", overflow="fold"))
    for trial in sorted(study.trials, key=lambda trial: -(trial.value or 0.0)):
        found = "" if trial.value is None else f"{trial.value:.4f}"
        tried = [f"{key}={_short(value)}" for key, value in sorted(trial.params.items())]
        told = "\n".join([trial.user_attrs.get("run", "no run"), *tried])
        table.add_row(str(trial.number), trial.state.name.lower(), found, escape(told))
    return table


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
