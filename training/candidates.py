"""What `zhenyan data sample` chooses from: unlabelled lines, and what one or several models think of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from zhenyan.inference.classifier import Classifier
from zhenyan.inference.errors import InputError
from zhenyan.inference.io import Options, read_items, resolve_inputs
from zhenyan.inference.io.items import Item
from zhenyan.inference.runs.findings import CHANNELS
from zhenyan.inference.runs.store import MANIFEST, REJECTS, RunFolder
from zhenyan.training.schema import Schema, former

_TOLD = 5  # of many faults, such as lines that could not be read
_JUDGEMENT = {"labels", "annotated", "scores", "evidence", "model", "models", "truncated"}


@dataclass(frozen=True)
class Opinion:
    """One model's probabilities, float (rows, labels), and its thresholds, (labels,)."""

    model: str
    labels: tuple[str, ...]
    probabilities: np.ndarray
    thresholds: np.ndarray

    def of(self, labels: Sequence[str]) -> Opinion:
        """The same for some of the labels, in the order given."""
        columns = [self.labels.index(label) for label in labels]
        return Opinion(self.model, tuple(labels), self.probabilities[:, columns], self.thresholds[columns])

    def named(self, schema: Schema) -> Opinion:
        """With labels as the schema names them now, without those that its changes took away; InputError when that is all."""
        now = {former(label, self.labels, schema.changes): label for label in schema.ids}
        past = {label for change in schema.changes for label in (*change.labels, *change.into)}
        kept = [label for label in self.labels if label in now or label not in past]
        if not kept:
            raise InputError(
                f"{self.model} has no label of today's schema, whose changes took away {', '.join(self.labels)}; give --model "
                "a newer bundle, with the files themselves where a run was given"
            )
        return replace(self.of(kept), labels=tuple(now.get(label, label) for label in kept))


@dataclass(frozen=True)
class Candidates:
    """Rows of the data contract without labels, each with its `source`, and what models think of them.

    `rejects` counts the lines that could not be read, `reasons` tell which those are and why, the first few of many.
    """

    records: list[dict[str, Any]]
    opinions: list[Opinion]
    rejects: int = 0
    reasons: tuple[str, ...] = ()

    @property
    def texts(self) -> list[str]:
        """The rows' texts."""
        return [record["text"] for record in self.records]

    @property
    def labels(self) -> list[str]:
        """Labels that every model knows, in the first one's order; InputError when there is none."""
        first, *others = self.opinions
        labels = [label for label in first.labels if all(label in other.labels for other in others)]
        if not labels:
            known = "; ".join(f"{one.model} has {', '.join(one.labels)}" for one in self.opinions)
            raise InputError(f"the models have no label in common: {known}")
        return labels

    def ask(self, classifiers: Iterable[Classifier]) -> Candidates:
        """With the opinion of further models."""
        more = [
            Opinion(one.bundle.id, one.bundle.label_ids, one.score(self.texts), np.array(one.bundle.thresholds))
            for one in classifiers
        ]
        return replace(self, opinions=[*self.opinions, *more])

    def named(self, schema: Schema) -> Candidates:
        """With opinions on labels as the schema names them now."""
        return replace(self, opinions=[opinion.named(schema) for opinion in self.opinions])


def read_candidates(inputs: Sequence[str], options: Options) -> Candidates:
    """Lines of files of any readable format, or the scored rows of one run, named by its folder or its output.

    All are held in memory; what readers note of files goes to `options.notes`. InputError when a run is mixed with other inputs, or when nothing can be read.
    """
    runs = [folder for name in inputs if (folder := _run(name))]
    if runs and len(inputs) > 1:
        raise InputError(f"{runs[0].path} is a scored run; give it alone, or the files that it scored")
    found = _scored(runs[0]) if runs else _unscored(resolve_inputs(inputs, options.notes), options)
    if not found.records:
        lost = f"{', '.join(inputs)}: no line to choose from ({found.rejects:,} could not be read)"
        raise InputError("\n".join([lost, *found.reasons]))
    return found


def candidate_files(inputs: Sequence[str]) -> list[Path]:
    """The local files that `read_candidates` reads."""
    runs = [run.path.with_name(run.manifest["output"]) for name in inputs if (run := _run(name))]
    return runs or [Path(name) for name in resolve_inputs(inputs)]


def _run(name: str) -> RunFolder | None:
    path = Path(name)
    folders = (path, RunFolder.of_output(path).path) if path.name else (path,)
    return next((RunFolder(folder) for folder in folders if (folder / MANIFEST).is_file()), None)


def _scored(run: RunFolder) -> Candidates:
    """The run's output, whatever its format, is the contract; how a run keeps its parts isn't."""
    manifest, rejects = run.manifest, run.summary["rejects"]
    output = run.path.with_name(manifest["output"])
    if not output.is_file():
        raise InputError(f"{output}: the output of {run.path} is gone; repeat the command that scored it")
    as_scored = Options(text_column="text", split=False)  # cut again, a row's scores would stay with its first piece
    items = [item for item in read_items(str(output), as_scored) if isinstance(item, Item)]
    labels = tuple(manifest["thresholds"])
    scores = np.array([_scores(item, labels, output) for item in items], np.float64).reshape(len(items), len(labels))
    opinion = Opinion(manifest["bundle"], labels, scores, np.array(list(manifest["thresholds"].values())))
    records = [_plain(item.record, str(output), f"row {number}") for number, item in enumerate(items, 1)]
    return Candidates(records, [opinion], rejects, (f"{run.path / REJECTS} says which and why",) if rejects else ())


def _scores(item: Item, labels: Sequence[str], output: Path) -> list[float]:
    """Every label's score: an object in .jsonl and .parquet, columns of their own in the other formats.

    InputError where one is gone, because somebody has changed the output.
    """
    nested = item.record.get("scores")
    held: dict[str, Any] = (
        nested if isinstance(nested, dict) else {label: item.record.get(f"score.{label}") for label in labels}
    )
    try:
        return [float(held[label]) for label in labels]
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{output} {item.place}: a label's score is missing or no number; score the files again, or give them instead"
        ) from None


def _unscored(files: Sequence[str], options: Options) -> Candidates:
    records, rejects, reasons = [], 0, []
    for path in files:
        for item in read_items(path, options):
            if isinstance(item, Item):
                records.append(_plain(item.record, str(path), item.place))
                continue
            rejects += 1
            if rejects <= _TOLD:
                reasons.append(f"{path} {item.place}: {item.reason}")
    return Candidates(records, [], rejects, first_few(reasons, rejects))


def first_few(faults: Sequence[str], count: int) -> tuple[str, ...]:
    """What is told of `count` faults, of which at least the first are given: those, and how many more there are."""
    more = count - _TOLD
    return (*faults[:_TOLD], f"and {more:,} more") if more > 0 else tuple(faults)


def is_judgement(field: str) -> bool:
    """Whether a row's field is one that models and annotators add; `score.LABEL` are those of tables."""
    return field in _JUDGEMENT or field.startswith("score.")


def _plain(record: dict[str, Any], file: str, place: str) -> dict[str, Any]:
    """The row's own fields, for a judgement that came with it is no annotation; lines of one stream are one group.

    A `channel` that the contract doesn't know, such as a platform's name, would make it no row.
    """
    own = {key: value for key, value in record.items() if not is_judgement(key)}
    if own.get("channel") not in CHANNELS:
        own.pop("channel", None)
    return {"source": str(record.get("stream") or file), "place": f"{file} {place}"} | own
