"""`zhenyan evaluate`: one bundle and two baselines on one set of rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from zhenyan.inference.classifier import Classifier
from zhenyan.training.baselines import TfidfBaseline, word_list
from zhenyan.training.config import TrainConfig, load_config
from zhenyan.training.dataset import load_corpus
from zhenyan.training.evaluate import (
    Labelled,
    comparison_table,
    decider,
    evaluate,
    evasion_table,
    label_columns,
    labelled,
)
from zhenyan.training.metrics import report
from zhenyan.training.rows import read_rows
from zhenyan.training.schema import Schema, load_schema


def evaluate_bundle(
    model: Path | None, sets: list[str] | None, config_path: Path, baselines: bool, evasion: bool, output: Path | None,
    console: Console,
) -> dict[str, Any]:  # fmt: skip
    """Measure, print the tables, write the report when asked; returns everything measured."""
    classifier = Classifier.load(model, explain=False)
    config = load_config(config_path)
    schema = load_schema(config.data.label_schema)
    rows = read_rows(sets) if sets else load_corpus(config.data, schema).test
    for row in rows:
        schema.check(row.labels, row.origin)
    data = labelled(rows, schema.ids)
    scores = label_columns(classifier, schema.ids, classifier.score(data.texts))
    decided = decider(classifier, schema.ids)(data.texts)
    results = {classifier.bundle.id: evaluate(data, scores, decided, schema)}
    if baselines:
        results |= measure_baselines(data, config, schema)
    name = ", ".join(sets) if sets else "written test split"
    console.print(comparison_table(results, schema, f"{name}: {len(rows):,} rows; precision recall F1 (95% interval)"))
    first = results[classifier.bundle.id]
    print_details(first, console)
    if evasion:
        first["evasion"] = evasion_table(data, decider(classifier, schema.ids), schema)
        console.print(evasion_view(first["evasion"]))
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        (output / "report.json").write_text(json.dumps(results, ensure_ascii=False, indent=1), encoding="utf-8")
    return results


def measure_baselines(data: Labelled, config: TrainConfig, schema: Schema) -> dict[str, Any]:
    """The word list, and TF-IDF trained on the same rows as the model."""
    corpus = load_corpus(config.data, schema)
    train, held = (labelled(rows, schema.ids) for rows in (corpus.train, corpus.validation))
    tfidf = TfidfBaseline(schema.ids).fit(train.texts, train.truth, train.seen)
    tfidf.choose_thresholds(held.texts, held.truth, config.thresholds, held.seen)
    decisions = {
        "word list": word_list(data.texts, schema.ids),
        "TF-IDF + logistic regression": tfidf.decide(data.texts),
    }
    return {
        name: report(data.truth, decided & data.seen, schema.ids, schema.core, data.groups)
        for name, decided in decisions.items()
    }


def print_details(result: dict[str, Any], console: Console) -> None:
    """Macro averages, calibration, false alarms, minimal pairs."""
    alarms = ", ".join(
        f"{name} {part['rate']:.1%} of {part['rows']:,}" for name, part in result["false_alarms"].items()
    )
    console.print(
        f"core macro F1 {result['core_macro_f1']:.3f}, macro F1 {result['macro_f1']:.3f}, "
        f"calibration error {result['calibration_error']:.3f}; false alarms: {alarms}"
    )
    if pairs := result["minimal_pairs"]["pairs"]:
        console.print(f"minimal pairs: both sides right in {result['minimal_pairs']['both_right']:.1%} of {pairs}")


def evasion_view(evasion: dict[str, Any]) -> Table:
    """The fall of any-violation F1 under each transform."""
    title = f"evasion: any-violation F1 {evasion['plain']:.3f} plain; mean fall {100 * evasion['mean_fall']:.1f} points"
    table = Table("disguise", "F1", "fall, points", title=title)
    for name, item in evasion["transforms"].items():
        table.add_row(name, f"{item['f1']:.3f}", f"{100 * item['fall']:.1f}")
    return table
