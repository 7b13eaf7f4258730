"""Measuring decisions on labelled rows: the table of `zhenyan evaluate`, beside two baselines, and slices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table
from zhenyan.inference.classifier import Classifier
from zhenyan.inference.errors import ConfigError
from zhenyan.training import evasion
from zhenyan.training.dataset import origin, targets
from zhenyan.training.metrics import (
    average_precision,
    bounds,
    brief_report,
    calibration,
    confusion,
    f1_score,
    precision_recall,
    reliability,
    report,
    summarised,
)
from zhenyan.training.rows import Row
from zhenyan.training.schema import Change, Schema, former

Decide = Callable[[Sequence[str]], np.ndarray]  # texts -> bool (texts, labels)


@dataclass(frozen=True)
class Labelled:
    """Rows with their `truth` and where an annotator looked (`seen`), bool (rows, labels), and bootstrap groups.

    What nobody looked for is False in `truth` and must be made so in decisions: it then counts nowhere.
    """

    rows: list[Row]
    truth: np.ndarray
    seen: np.ndarray
    groups: np.ndarray

    @property
    def told(self) -> np.ndarray:
        """Rows that count for "any violation", bool (rows,): those in which some label was looked for.

        Any violation is one among the labels that were looked for in the row. To ask for all of them would keep, of rows
        of before a new label, the violating ones alone, and no false alarm among the others would be seen.
        """
        return np.asarray(self.seen.any(1))

    def rated(self, scores: np.ndarray) -> np.ndarray:
        """Where somebody looked and the model has a score (NaN: it lacks the label), bool (rows, labels)."""
        return self.seen & ~np.isnan(scores)

    @property
    def texts(self) -> list[str]:
        """The rows' texts."""
        return [row.text for row in self.rows]


def labelled(rows: list[Row], labels: list[str]) -> Labelled:
    """Pair rows with arrays; ConfigError when there are none."""
    if not rows:
        raise ConfigError("no labelled rows to measure on: the file or the split has none")
    truth, seen = (array > 0.5 for array in targets(rows, labels))
    return Labelled(rows, truth & seen, seen, np.array([row.group for row in rows]))


def bundle_columns(classifier: Classifier, labels: Sequence[str], changes: Sequence[Change] = ()) -> list[int | None]:
    """Where a bundle holds each of the schema's labels, under a former name where `changes` renamed it; None: it lacks it."""
    known = classifier.bundle.label_ids
    names = [former(label, known, changes) for label in labels]
    return [None if name is None else known.index(name) for name in names]


def label_columns(
    classifier: Classifier, labels: list[str], values: np.ndarray, changes: Sequence[Change] = ()
) -> np.ndarray:
    """Columns of a bundle's array laid out for the schema's labels, its renames followed.

    Of a label that the bundle lacks nothing is decided (False), and it has no score (NaN).
    """
    result = np.full((len(values), len(labels)), False if values.dtype == bool else np.nan, dtype=values.dtype)
    for column, there in enumerate(bundle_columns(classifier, labels, changes)):
        if there is not None:
            result[:, column] = values[:, there]
    return result


def judged(
    classifier: Classifier, raw: np.ndarray, labels: list[str], changes: Sequence[Change] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Scores and the decisions by them, (rows, labels) each, laid out as `label_columns` does; `raw`: as the bundle gave them."""
    scores, decided = (
        label_columns(classifier, labels, values, changes) for values in (raw, raw >= classifier.thresholds)
    )
    return scores, decided


def decider(classifier: Classifier, labels: list[str], changes: Sequence[Change] = ()) -> Decide:
    """Decisions of a bundle, in columns of the schema's labels, its renames followed."""
    return lambda texts: judged(classifier, classifier.score(list(texts)), labels, changes)[1]


def quality(data: Labelled, scores: np.ndarray, decided: np.ndarray, schema: Schema) -> dict[str, Any]:
    """Precision, recall and F1 of decisions, calibration and ranking of scores; arrays are (rows, labels).

    A label without scores (NaN: the bundle lacks it) counts in neither of the last two.
    """
    rated = data.rated(scores)
    return report(data.truth, decided & data.seen, schema.ids, schema.core, data.groups, data.told) | {
        **calibration(data.truth, scores, rated),
        "average_precision": average_precision(data.truth & rated, scores, schema.ids, rated),
    }


def curves(data: Labelled, scores: np.ndarray, decided: np.ndarray, labels: list[str]) -> dict[str, Any]:
    """What plots and pages draw: precision-recall curve of each label, reliability, confusion; scores as in `quality`."""
    rated, found = data.rated(scores), {}
    for column, label in enumerate(labels):
        seen = rated[:, column]
        if positives := int(data.truth[seen, column].sum()):
            curve = precision_recall(data.truth[seen, column], scores[seen, column])
            found[label] = {"positives": positives, **curve}
    table = confusion(data.truth[data.told], (decided & data.seen)[data.told])  # nobody knows whether other rows comply
    return {
        "precision_recall": found,
        "reliability": reliability(data.truth[rated], scores[rated]),
        "confusion": {"names": [*labels, "none"], "table": table.tolist()},
    }


def evaluate(data: Labelled, scores: np.ndarray, decided: np.ndarray, schema: Schema) -> dict[str, Any]:
    """Report of one model on one set, with calibration, ranking quality, curves, slices and minimal pairs."""
    decided = decided & data.seen
    return {
        **quality(data, scores, decided, schema),
        **curves(data, scores, decided, schema.ids),
        "slices": slices(data, decided, schema),
        "false_alarms": false_alarms(data, decided),
        "minimal_pairs": minimal_pairs(data, decided),
    }


def _length(row: Row) -> str:
    return "up to 20 characters" if len(row.text) <= 20 else "21 to 60" if len(row.text) <= 60 else "over 60"


SLICE_ROWS = 15  # fewer say nothing
SLICES: dict[str, Callable[[Row], str]] = {
    "channel": lambda row: row.channel,
    "origin": origin,
    "length": _length,
    "contested": lambda row: "contested" if row.contested else "clear",
    "domain": lambda row: str(row.meta.get("domain", "")),
    "group": lambda row: row.group,
}


def slices(data: Labelled, decided: np.ndarray, schema: Schema) -> dict[str, dict[str, Any]]:
    """Any-violation and core micro F1 in each part of the data that has at least SLICE_ROWS rows."""
    found: dict[str, dict[str, Any]] = {}
    core = [schema.ids.index(label) for label in schema.core]
    for name, of in SLICES.items():
        keys = np.array([of(row) for row in data.rows])
        parts = [key for key in sorted(set(keys)) if key and (keys == key).sum() >= SLICE_ROWS]
        if len(parts) > 1:
            found[name] = {key: _part(data, decided, core, keys == key) for key in parts}
    return found


def _part(data: Labelled, decided: np.ndarray, core: list[int], part: np.ndarray) -> dict[str, Any]:
    return brief_report(data.truth[part], decided[part], core, data.groups[part], data.told[part])


def false_alarms(data: Labelled, decided: np.ndarray) -> dict[str, Any]:
    """Share of rows with a decided label among those with no violation that was looked for, by kind.

    Hard rows look dangerous and aren't.
    """
    kinds = np.array([str(row.meta.get("kind", "")) for row in data.rows])
    compliant = ~data.truth.any(1) & data.told
    found = {"all": compliant} | {kind: compliant & (kinds == kind) for kind in ("hard", "plain")}
    return {
        name: {"rows": int(where.sum()), "rate": float(decided[where].any(1).mean())}
        for name, where in found.items() if where.any()
    }  # fmt: skip


def minimal_pairs(data: Labelled, decided: np.ndarray) -> dict[str, Any]:
    """Share of pairs, both sides of which were read for some label, that are right about there being a violation on both."""
    right = decided.any(1) == data.truth.any(1)
    pairs: dict[str, list[bool]] = {}
    for row, good, told in zip(data.rows, right, data.told, strict=True):
        if told and (pair := row.meta.get("pair")):
            pairs.setdefault(pair, []).append(bool(good))
    complete = [all(sides) for sides in pairs.values() if len(sides) == 2]
    return {"pairs": len(complete), "both_right": float(np.mean(complete)) if complete else 0.0}


def evasion_table(data: Labelled, decide: Decide) -> dict[str, Any]:
    """Any-violation F1 of the same rows under each transform, and how far it falls; mean and worst are of disguises alone."""
    plain = _any_f1(data, decide(data.texts))
    found = {}
    for name in evasion.TRANSFORMS:
        texts = [evasion.disguise(text, name, 0) for text in data.texts]
        value = _any_f1(data, decide(texts))
        found[name] = {"f1": value, "fall": plain - value}
    falls = [item["fall"] for name, item in found.items() if name not in evasion.NO_DISGUISES]
    return {"plain": plain, "transforms": found, "mean_fall": float(np.mean(falls)), "worst_fall": float(max(falls))}


def _any_f1(data: Labelled, decided: np.ndarray) -> float:
    return f1_score(np.asarray(data.truth.any(1)), (decided & data.seen).any(1))


def comparison_table(results: dict[str, dict[str, Any]], schema: Schema, title: str) -> Table:
    """Precision, recall, F1 with its interval, for several models side by side."""
    table = Table("", "rows with it", *results, title=title)
    first = next(iter(results.values()))
    for key, words in summarised(first).items():
        table.add_row(words, str(first[key]["positives"]), *(_cell(result[key]) for result in results.values()))
    table.add_section()
    for label in schema.ids:
        if first["labels"][label]["positives"]:
            cells = (_cell(result["labels"][label]) for result in results.values())
            table.add_row(label, str(first["labels"][label]["positives"]), *cells)
    return table


def _cell(score: dict[str, Any]) -> str:
    return f"{score['precision']:.2f} {score['recall']:.2f} [bold]{score['f1']:.3f}[/] ({bounds(score, '-')})"
