"""`zhenyan cross-validate`: every author and every room of the training rows is measured by a model that never saw it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table
from scipy.special import expit
from zhenyan.inference.errors import ConfigError
from zhenyan.inference.io.jsonlines import write_atomic
from zhenyan.training.confidence import group_folds
from zhenyan.training.config import TrainConfig
from zhenyan.training.dataset import load_corpus
from zhenyan.training.evaluate import Labelled, evaluate, labelled
from zhenyan.training.metrics import f1_score
from zhenyan.training.modelling import load_model
from zhenyan.training.outputs import make_folders
from zhenyan.training.predict import predict_as_read
from zhenyan.training.provenance import use_threads
from zhenyan.training.rows import Row, once, text_key
from zhenyan.training.schema import Schema, load_schema
from zhenyan.training.splits import load_splits
from zhenyan.training.train import MODEL, THRESHOLDS, Run, pretrained, train

Fit = Callable[[TrainConfig], Run]

_VIOLATING = 5  # rows with a violation that a group needs for an F1 of its own


def cross_validate(config: TrainConfig, folds: int, console: Console, fit: Fit | None = None) -> dict[str, Any]:
    """What `zhenyan evaluate` measures, on all training rows, each decided by a model of the other folds' authors and rooms.

    Authors, and rooms that nobody wrote, are dealt whole into `folds` parts (`Row.author`): the written rooms of one author are
    one voice. The held-out validation groups choose thresholds in
    every fold, the test groups are left out of all. ConfigError with teachers: they have seen what is to be measured.
    """
    if config.distil:
        raise ConfigError("distil: a student's teachers have seen the rows that a fold holds out; set distil to null")
    use_threads(config.optim)
    schema = load_schema(config.data.label_schema)
    if config.pretrain:  # once for all folds: what is held out is read, its labels aren't
        encoder = config.encoder.model_copy(
            update={"source": str(pretrained(config, schema)), "trim_vocabulary": False}
        )
        config = config.model_copy(update={"encoder": encoder, "pretrain": None})
    rows = once(load_corpus(config.data, schema).train)
    data = labelled(rows, schema.ids)
    fold = group_folds([row.author for row in rows], folds, config.seed)
    scores, decided = np.zeros(data.truth.shape), np.zeros(data.truth.shape, dtype=bool)
    for number in range(fold.max() + 1):
        held = np.flatnonzero(fold == number)
        console.print(f"fold {number + 1} of {fold.max() + 1}: {len(held):,} rows held out")
        run = train_without([rows[i] for i in held], config, number, fit or (lambda one: train(one, console=console)))
        scores[held], decided[held] = decide(run, [rows[i].text for i in held], schema)
    return {
        "rows": len(rows),
        "folds": int(fold.max() + 1),
        **evaluate(data, scores, decided, schema),
        **by_group(data, decided),
    }


def train_without(held: Sequence[Row], config: TrainConfig, number: int, fit: Fit) -> Run:
    """A run whose training rows lack the groups of `held`; ConfigError when its folder can't be made."""
    splits = load_splits(config.data.splits)
    groups = sorted({row.group for row in held} | set(splits.test))
    name = f"{config.name}-fold{number + 1}"
    text = yaml.safe_dump({"validation": splits.validation, "test": groups})
    # Named by what it says: another cross-validation of this name, with other folds, may be going on.
    path = config.runs / f"{name}-{text_key(text)[:8]}.splits.yaml"
    make_folders(f"runs {config.runs}", config.runs)
    write_atomic(path, [text.encode()])  # the same folds' other cross-validation may be reading it
    return fit(config.model_copy(update={"name": name, "data": config.data.model_copy(update={"splits": path})}))


def decide(run: Run, texts: list[str], schema: Schema) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and decisions of a run's model, (texts, labels) each."""
    model, tokenizer, meta = load_model(run.folder / MODEL, schema.ids)
    scores = expit(predict_as_read(model, tokenizer, texts, meta["max_tokens"]))
    chosen = json.loads((run.folder / THRESHOLDS).read_text(encoding="utf-8"))
    return scores, scores >= np.array([chosen[label]["threshold"] for label in schema.ids])


def by_group(data: Labelled, decided: np.ndarray) -> dict[str, Any]:
    """Quartiles over groups with at least five violating rows of the F1 of any violation."""
    truth, found = (np.asarray(one.any(1)) for one in (data.truth, decided & data.seen))
    each = {}
    for group in sorted(set(data.groups)):
        where = data.groups == group
        if truth[where].sum() >= _VIOLATING:
            each[str(group)] = f1_score(truth[where], found[where])
    quartiles = np.quantile(list(each.values()), (0.25, 0.5, 0.75)).tolist() if each else []
    return {"groups": {"each": each, "quartiles": quartiles}}


def fold_table(measured: dict[str, Any]) -> Table:
    """F1 of all rows, by where their words come from and by whether they are contested."""
    names = {"any_violation": "any violation F1", "core_micro": "core labels, pooled"}
    shown = {key: words for key, words in names.items() if key in measured}
    table = Table("rows", "", *shown.values(), title=f"{measured['folds']} folds of authors and rooms")
    parts = {"all": measured} | measured["slices"].get("origin", {}) | measured["slices"].get("contested", {})
    for name, part in parts.items():
        table.add_row(f"{part['rows']:,}", name, *(f"{part[key]['f1']:.3f}" for key in shown))
    return table
