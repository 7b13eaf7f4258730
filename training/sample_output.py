"""Writing what was chosen for labelling: rows of the data contract, or Label Studio tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from zhenyan.inference.errors import InputError
from zhenyan.inference.io.jsonlines import dump_line, write_atomic
from zhenyan.inference.review.labelstudio import beside, choices, configuration, keep_configuration, read_tasks
from zhenyan.training.candidates import Candidates, Opinion
from zhenyan.training.confidence import logit
from zhenyan.training.outputs import keep_work, make_folder
from zhenyan.training.rows import iter_records
from zhenyan.training.sampling import Chosen, Sample
from zhenyan.training.schema import Schema

ENDINGS = (".jsonl", ".json")


def check_output(path: Path) -> None:
    """Make the output's folder; InputError when its ending is neither rows nor tasks, ConfigError as `make_folder`.

    ConfigError, too, when it or the configuration beside it is there already and not as `write_sample` leaves it.
    """
    if path.suffix not in ENDINGS:
        raise InputError(f"{path}: ending {path.suffix or '(none)'!r}; .jsonl writes rows, .json Label Studio tasks")
    make_folder("--output", path)
    if path.suffix == ".jsonl":
        keep_work("--output", path, iter_records(path), lambda row: row.get("annotated") == [])
        return
    tasks = ((task, place) for task, _, place in read_tasks(path))
    keep_work("--output", path, tasks, lambda task: set(task) == {"data", "predictions"})
    keep_configuration(beside(path))


def write_sample(path: Path, candidates: Candidates, sample: Sample, schema: Schema) -> list[str]:
    """Write rows (.jsonl) or tasks and their labelling configuration (.json); returns what should be said about it."""
    if path.suffix == ".jsonl":
        write_atomic(path, map(dump_line, sample_rows(candidates, sample)))
        return []
    names = {label.id: label.name_zh for label in schema.labels}
    # All of the schema's, also those that no model knows yet: the first rows of a new label come from here.
    write_atomic(path, [b"[\n", b",".join(map(dump_line, sample_tasks(candidates, sample, schema.ids))), b"]\n"])
    write_atomic(beside(path), [configuration([*names.items()]).encode()])
    left_out = [
        f"{one.model}: the schema lacks {', '.join(lacking)}, so annotators aren't offered what this model means by it"
        for one in candidates.opinions
        if (lacking := [label for label in one.labels if label not in names])
    ]
    return [f"labelling configuration for the project: {beside(path)}", *left_out]


def sample_rows(candidates: Candidates, sample: Sample) -> Iterator[dict[str, Any]]:
    """Contract rows with the models' mean scores, `labels` as they propose them, and why each was chosen.

    `annotated` is empty, for nobody has looked yet: a row that gets into training by mistake teaches nothing. The
    annotator sets `labels` and takes `annotated` out, or names there what was looked for.
    """
    labels = candidates.labels
    opinions = [opinion.of(labels) for opinion in candidates.opinions]
    scores = expit(np.mean([logit(one.probabilities) for one in opinions], axis=0))
    for one in sample.chosen:
        margin = sample.doubts.margin[one.row]
        yield candidates.records[one.row] | {
            "labels": [label for label, m in zip(labels, margin, strict=True) if m >= 0],
            "annotated": [],
            "scores": {label: round(float(p), 5) for label, p in zip(labels, scores[one.row], strict=True)},
            "models": [opinion.model for opinion in opinions],
            "chosen_for": labels[one.column],
            "margin": round(float(margin[one.column]), 4),
            "disagreement": round(float(sample.doubts.disagreement[one.row, one.column]), 4),
            "distance": round(one.distance, 4),
            "why": why(labels, opinions, sample, one),
        }


def why(labels: list[str], opinions: list[Opinion], sample: Sample, one: Chosen) -> str:
    """The reason in words, with the numbers behind it."""
    margin = sample.doubts.margin[one.row, one.column]
    side = "over" if margin >= 0 else "under"
    parts = [f"{labels[one.column]} is {abs(margin):.2f} logits {side} its threshold"]
    if len(opinions) > 1:
        scores = ", ".join(f"{opinion.probabilities[one.row, one.column]:.2f}" for opinion in opinions)
        bits = sample.doubts.disagreement[one.row, one.column]
        parts.append(f"{len(opinions)} models disagree by {bits:.2f} bits ({scores})")
    parts.append(f"{one.distance:.2f} away from the nearest line that is labelled or chosen")
    return "; ".join(parts) + ("; chosen for the label's quota" if one.by_quota else "")


def sample_tasks(candidates: Candidates, sample: Sample, offered: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Label Studio tasks: a prediction for each model, with controls as `configuration` names them.

    `annotated` holds the labels that the configuration offers, for `zhenyan data import` gives it to the row; predictions
    choose among them.
    """
    labels = candidates.labels
    opinions = [opinion.of(labels) for opinion in candidates.opinions]
    for one, row in zip(sample.chosen, sample_rows(candidates, sample), strict=True):
        told = {key: value for key, value in row.items() if key not in ("labels", "scores", "models")}
        yield {
            "data": {"before": "", "after": "", **told, "annotated": list(offered)},
            "predictions": [_prediction(opinion, one, offered) for opinion in opinions],
        }


def _prediction(opinion: Opinion, one: Chosen, offered: Sequence[str]) -> dict[str, Any]:
    scores = opinion.probabilities[one.row]
    over = (label for label, p, t in zip(opinion.labels, scores, opinion.thresholds, strict=True) if p >= t)
    decided = [label for label in over if label in offered]
    return {
        "model_version": opinion.model,
        "score": round(float(scores[one.column]), 5),
        "result": [choices(decided)] if decided else [],
    }
