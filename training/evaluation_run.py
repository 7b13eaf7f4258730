"""`zhenyan evaluate`: one bundle and two baselines on one set of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from zhenyan.inference.classifier import Classifier
from zhenyan.inference.cli.labels import chosen_thresholds
from zhenyan.inference.errors import ConfigError
from zhenyan.inference.io.jsonlines import write_atomic
from zhenyan.inference.runs.store import object_bytes
from zhenyan.training.baselines import TfidfBaseline, load_word_list
from zhenyan.training.config import TrainConfig, load_config
from zhenyan.training.dataset import Corpus, load_corpus
from zhenyan.training.evaluate import (
    Labelled,
    bundle_columns,
    comparison_table,
    decider,
    evaluate,
    evasion_table,
    judged,
    labelled,
)
from zhenyan.training.evaluation_page import write_page
from zhenyan.training.leaks import apart_from
from zhenyan.training.metrics import calibration_words, macro_words, report
from zhenyan.training.mistakes import error_records
from zhenyan.training.outputs import keep_inputs, make_folder
from zhenyan.training.public import read_labelled
from zhenyan.training.registry import resolve
from zhenyan.training.rows import Row, expand
from zhenyan.training.schema import Schema, load_schema


@dataclass(frozen=True)
class Options:
    """What `zhenyan evaluate` measures besides the bundle's scores, and where it writes.

    `errors`: how many of the hardest misses and false alarms of each label to explain. `thresholds`: LABEL=NUMBER each,
    by which the bundle decides instead of its own.
    """

    baselines: bool = True
    evasion: bool = False
    errors: int = 5
    page: Path | None = None
    record: Path | None = None
    thresholds: Sequence[str] = ()

    @property
    def explains(self) -> bool:
        """Whether errors are explained: only what is written holds them."""
        return self.errors > 0 and (self.page is not None or self.record is not None)


def read_sets(sets: list[str], cache: Path, schema: Schema) -> list[Row]:
    """Rows of files that hold texts or hashes.

    ConfigError when a hashed line isn't in `cache` (a part would mislead), when there is no row or none that was read, and for a label that the schema lacks.
    """
    rows, missing = read_labelled(sets, cache)
    if missing:
        raise ConfigError(
            f"{', '.join(sets)}: {missing:,} hashed labels find no text in {cache}; run `zhenyan data fetch` first"
        )
    if not rows:
        raise ConfigError(f"{', '.join(sets)}: no labelled row to measure on; write one JSON object a line")
    if all(row.annotated == () for row in rows):
        raise ConfigError(
            f"{', '.join(sets)}: nobody looked for a label in any of the {len(rows):,} rows (`annotated` is []), so they measure "
            "nothing; where you have read a row, take `annotated` out or name there what you looked for"
        )
    for row in rows:
        schema.check_row(row)
    return rows


def measurable(rows: Sequence[Row]) -> tuple[list[Row], int]:
    """The rows that somebody looked at, and how many others there are: these measure nothing, but would thin out every share of rows."""
    read = [row for row in rows if row.annotated != ()]
    return read, len(rows) - len(read)


def unread_words(count: int) -> str:
    """What to say of rows that are left out as `measurable` does."""
    return f"{count:,} rows that nobody read (`annotated` is []) are left out: they measure nothing"


def check_outputs(sets: list[str] | None, options: Options) -> None:
    """Make the outputs' folders, before minutes of measuring; ConfigError where one would overwrite the rows or the other."""
    taken = expand(sets or [])
    for name, path in (("--json", options.record), ("--report", options.page)):
        if path:
            keep_inputs(name, path, taken)
            make_folder(name, path)
            taken.append(path)


def evaluate_bundle(
    model: str | None, sets: list[str] | None, config_path: Path, options: Options, console: Console
) -> dict[str, Any]:
    """Measure, print the tables, write page and record when asked; returns everything measured, as JSON holds it.

    `model` is what `registry.resolve` takes, None the bundled one.
    """
    check_outputs(sets, options)
    config = load_config(config_path)
    with TemporaryDirectory(prefix="zhenyan-") as scratch:
        folder = resolve(model, config.tracking, Path(scratch)) if model is not None else None
        loaded = Classifier.load(folder, explain=False)
    thresholds = chosen_thresholds(options.thresholds, loaded.bundle)
    classifier = loaded.with_thresholds(thresholds=thresholds)
    schema = load_schema(config.data.label_schema)
    needed = [] if sets else ["test"]
    needed += ["train", "validation"] if options.baselines or options.explains else []
    corpus = load_corpus(config.data, schema, needed) if needed else Corpus([], [], [], [])
    rows, unread = measurable(read_sets(sets, config.data.public_cache, schema) if sets else corpus.test)
    apart, trained_on = apart_from(corpus.train, rows) if sets and needed else (corpus.train, None)
    measured = measure(classifier, labelled(rows, schema.ids), schema, corpus, apart, config, options)
    measured |= {
        "set": ", ".join(sets) if sets else "the test split",
        "trained_on": trained_on,
        "unread": unread,
        "thresholds": thresholds,
    }
    show(measured, schema, console)
    if options.record:
        write_atomic(options.record, [object_bytes(measured)])
    if options.page:
        write_page(options.page, measured, schema)
    return measured


def measure(
    classifier: Classifier, data: Labelled, schema: Schema, corpus: Corpus, apart: list[Row], config: TrainConfig,
    options: Options,
) -> dict[str, Any]:  # fmt: skip
    """Everything that is asked for of the bundle, and the baselines' scores, under the models' names.

    `apart` are the training rows that a baseline learns from.
    """
    # Before the bundle, which may take long: it is here that a faulty word list, or too few rows, are found.
    baselines = measure_baselines(data, apart, corpus.validation, config, schema) if options.baselines else {}
    raw = classifier.score(data.texts)
    bundle = evaluate(data, *judged(classifier, raw, schema.ids, schema.changes), schema)
    if options.evasion:
        bundle["evasion"] = evasion_table(data, decider(classifier, schema.ids, schema.changes))
    if options.explains:
        bundle["errors"] = error_records(classifier, data, raw, schema, corpus.train, options.errors)
    columns = bundle_columns(classifier, schema.ids, schema.changes)
    return {
        "bundle": classifier.bundle.id,
        "rows": len(data.rows),
        "unknown_labels": [label for label, there in zip(schema.ids, columns, strict=True) if there is None],
        "errors_asked": options.errors,
        "models": {classifier.bundle.id: bundle} | baselines,
    }


def show(measured: dict[str, Any], schema: Schema, console: Console) -> None:
    """The tables and numbers on the terminal."""
    title = f"{measured['set']}: {measured['rows']:,} rows; precision recall F1 (95% interval)"
    console.print(comparison_table(measured["models"], schema, title))
    if asked := measured["thresholds"]:
        told = ", ".join(f"{label} {threshold:g}" for label, threshold in asked.items())
        console.print(f"the bundle decides by the thresholds given: {told}; other labels by their own")
    if unknown := measured["unknown_labels"]:
        console.print(f"[yellow]the bundle doesn't know {', '.join(unknown)}: rows that have them count as missed[/]")
    if unread := measured["unread"]:
        console.print(escape(unread_words(unread)), highlight=False)
    if trained_on := measured["trained_on"]:
        console.print(
            f"[yellow]{trained_on:,} of these rows stand among the training rows: how the bundle does on them says little "
            "about others[/]"
        )
    bundle = measured["models"][measured["bundle"]]
    print_details(bundle, console)
    if "evasion" in bundle:
        console.print(evasion_view(bundle["evasion"]))


def measure_baselines(
    data: Labelled, train_rows: list[Row], validation: list[Row], config: TrainConfig, schema: Schema
) -> dict[str, Any]:
    """The word list, and TF-IDF trained like the model; ConfigError when that is faulty or this has no row to learn from."""
    if not train_rows:
        raise ConfigError(
            "--rows: without them, their authors and rooms no training row is left for TF-IDF; add --no-baselines"
        )
    words = load_word_list(schema.ids)
    train, held = (labelled(rows, schema.ids) for rows in (train_rows, validation))
    tfidf = TfidfBaseline(schema.ids).fit(train.texts, train.truth, train.seen)
    tfidf.choose_thresholds(held.texts, held.truth, config.thresholds, held.seen)
    decisions = {
        "word list": words.decide(data.texts, schema.ids),
        "TF-IDF + logistic regression": tfidf.decide(data.texts),
    }
    return {
        name: report(data.truth, decided & data.seen, schema.ids, schema.core, data.groups, data.told)
        for name, decided in decisions.items()
    }


def print_details(result: dict[str, Any], console: Console) -> None:
    """Macro averages, calibration, false alarms, minimal pairs."""
    alarms = ", ".join(
        f"{name} {part['rate']:.1%} of {part['rows']:,}" for name, part in result["false_alarms"].items()
    )
    console.print(f"{macro_words(result)}, calibration error: {calibration_words(result)}; false alarms: {alarms}")
    if pairs := result["minimal_pairs"]["pairs"]:
        console.print(f"minimal pairs: both sides right in {result['minimal_pairs']['both_right']:.1%} of {pairs}")


def evasion_view(evasion: dict[str, Any]) -> Table:
    """The fall of any-violation F1 under each transform."""
    title = f"evasion: any-violation F1 {evasion['plain']:.3f} plain; mean fall {100 * evasion['mean_fall']:.1f} points"
    table = Table("disguise", "F1", "fall, points", title=title)
    for name, item in evasion["transforms"].items():
        table.add_row(name, f"{item['f1']:.3f}", f"{100 * item['fall']:.1f}")
    return table
