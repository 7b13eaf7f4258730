"""`zhenyan data import`: what annotators said of lines in Label Studio, as rows of the data contract."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zhenyan.inference.errors import InputError
from zhenyan.inference.io.items import keep_aside
from zhenyan.inference.review.labelstudio import (
    CHOICES,
    NOTE,
    Annotation,
    Unclear,
    annotations_of,
    newest,
    read_tasks,
    regions,
)
from zhenyan.inference.runs.findings import CHANNELS
from zhenyan.training.corpus_check import contradictions
from zhenyan.training.label_names import read_labels, refuse
from zhenyan.training.rows import Row, is_ids, row_from_json, text_key
from zhenyan.training.schema import Schema

# What JSON_MIN puts among a task's own fields, its `id` over the row's.
_MINIMAL = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "labels", "evidence"}


@dataclass(frozen=True)
class Project:
    """A Label Studio project of one's own: who labelled it, the field of the text and the control that the labels are chosen in.

    Without `control` the choices of all are labels; in JSON_MIN, which doesn't tell controls from fields, those of `labels`.
    """

    batch: str
    text: str = "text"
    control: str | None = None


@dataclass
class Imported:
    """The rows of annotated tasks, and how many tasks gave none."""

    rows: list[Row] = field(default_factory=list)
    tasks: int = 0
    skipped: int = 0  # by all who opened them
    untouched: int = 0  # nobody's labels stand there
    differing: int = 0  # rows whose annotators don't agree on every label
    # By annotators' names: rows that just these two read, with what the first and the second said in `readings`.
    twice: dict[tuple[str, str], list[Row]] = field(default_factory=lambda: defaultdict(list))
    unclear: Unclear = field(default_factory=Unclear)


def import_tasks(path: Path, schema: Schema, project: Project | None = None) -> Imported:
    """Rows of a Label Studio export (JSON or JSON_MIN) of tasks that `zhenyan data sample` wrote, or of one's own `project`.

    They are in its order; of one annotator the last word counts. InputError names the task that is none of these, or
    lists the choices that the schema lacks; InputError, too, when no task is annotated.
    """
    if path.suffix.lower() != ".json":
        raise InputError(
            f"{path}: no JSON of Label Studio, whose CSV doesn't tell a skip from a compliant line; export JSON, or name the "
            "column of a table's labels with --labels-column"
        )
    exported = list(read_tasks(path))
    done, given = Imported(), list[Annotation]()
    records: dict[str, tuple[dict[str, Any], str]] = {}
    unclear = set[str]()  # texts that an annotator left without labels: whether all agree can't be told
    for task, data, place in exported:
        record = _of_project(data, data is task, place, project) if project else _record(data, data is task, place)
        key = text_key(record["text"])
        records.setdefault(key, (record, place))
        before = done.unclear.rows
        control = project.control if project else CHOICES
        given += annotations_of(task, key, place, done.unclear, control, notes=project is None)
        if done.unclear.rows > before:
            unclear.add(key)
    if project:
        _check_control(path, [task for task, *_ in exported], project.control)
    said = _by_task(given, schema)
    done.tasks = len(records)
    for key, (record, place) in records.items():
        _take(done, record, place, [] if key in unclear else said[key], schema)
    if faults := [f"{row.origin}: {fault}" for row in done.rows for fault in contradictions(row, schema)]:
        refuse(faults, schema)
    if not done.rows:
        note = f"; {done.unclear.note}" if done.unclear.rows else ""
        if project and not project.control and done.unclear.rows:
            note += f", or name the field of the labels, where it isn't {CHOICES!r}, with --labels-column"
        raise InputError(f"{path}: none of {done.tasks:,} tasks gives a row, for want of labels or for skips{note}")
    number(done.rows)
    return done


def _check_control(path: Path, tasks: Sequence[dict[str, Any]], control: str | None) -> None:
    """InputError where other controls were answered than that of the labels, or several may be it.

    Every line would count as compliant, or another question's answers as labels.
    """
    answered = {(str(one.get("from_name")), str(one.get("type"))) for task in tasks for one in regions(task)}
    choices = [name for name, kind in answered if kind == "choices"]
    if answered and (control not in choices if control else len(choices) != 1):
        there = ", ".join(f"{name} ({kind})" for name, kind in sorted(answered))
        wanted = f"no choices of a control {control!r}" if control else "not choices of one control"
        raise InputError(f"{path}: {wanted}, but answers of {there}; name that of the labels with --labels-column")


def _by_task(given: Sequence[Annotation], schema: Schema) -> dict[str, list[Annotation]]:
    """Each annotator's last word on each task, with labels by their ids; InputError lists those that the schema lacks."""
    said: dict[str, list[Annotation]] = defaultdict(list)
    faults: list[str] = []
    for one in newest(given):
        labels = None if one.labels is None else tuple(read_labels([*one.labels], schema, one.place, faults))
        said[one.key].append(replace(one, labels=labels))
    if faults:
        refuse(faults, schema)
    return said


def _record(data: Any, minimal: bool, place: str) -> dict[str, Any]:
    """The sampled row's own fields."""
    if not isinstance(data, dict) or not isinstance(data.get("text"), str) or "chosen_for" not in data:
        raise InputError(
            f"{place}: no fields 'text' and 'chosen_for', which tasks of `zhenyan data sample` have; name who labelled a "
            "project of your own with --batch; tasks of `zhenyan review-export` come back with `zhenyan review-import`"
        )
    _check_annotated(data, place)
    empty = {name for name in ("before", "after") if data.get(name) == ""}  # what the labelling configuration wants
    return with_channel({k: v for k, v in data.items() if k not in (empty | _MINIMAL | {NOTE} if minimal else empty)})


def _of_project(data: Any, minimal: bool, place: str, project: Project) -> dict[str, Any]:
    """The fields of a task of one's own project; what is empty, or says the text once more, is left out."""
    if not isinstance(data, dict) or not isinstance(text := data.get(project.text), str) or not text.strip():
        fields = f"; its fields are {', '.join(map(str, data))}" if isinstance(data, dict) else ""
        raise InputError(f"{place}: no text in field {project.text!r}{fields}; name another with --text-column")
    if "finding" in data:
        raise InputError(f"{place}: is a task of `zhenyan review-export`; take it back with `zhenyan review-import`")
    _check_annotated(data, place)
    not_its_own = {*_MINIMAL, project.control} if minimal else set()
    kept = {k: v for k, v in data.items() if k not in not_its_own and v not in (None, "", text)}
    return with_channel({"batch": project.batch} | kept | {"text": text})


def _check_annotated(data: dict[str, Any], place: str) -> None:
    if not is_ids(data.get("annotated", [])):
        raise InputError(f"{place}: field 'annotated' must be a list of label ids, found {data['annotated']!r:.80}")


def with_channel(record: dict[str, Any]) -> dict[str, Any]:
    """The record with a channel: as `zhenyan review-export` tells speech from copy where the record doesn't say it.

    What else its `channel` holds, such as a platform's name, is kept as `input.channel`.
    """
    if record.get("channel") in CHANNELS:
        return record
    other = keep_aside(record, {"channel"}) if record.get("channel") else record
    return other | {"channel": "copy" if record.get("start") is None else "live"}


def _take(done: Imported, record: dict[str, Any], place: str, said: Sequence[Annotation], schema: Schema) -> None:
    """Add the task's row, or count why there is none.

    A label that only some annotators chose is left out of `annotated`, so that it teaches nothing.
    """
    by_name = sorted(said, key=lambda one: one.annotator)
    readings = {one.annotator: set(one.labels) for one in by_name if one.labels is not None}
    if not readings:
        done.skipped += bool(said)
        done.untouched += not said
        return
    agreed, some = set.intersection(*readings.values()), set.union(*readings.values())
    offered = some.union(record.get("annotated") or schema.ids)
    known = [label for label in schema.ids if label in offered and (label in agreed or label not in some)]
    found: dict[str, Any] = {"labels": [label for label in schema.ids if label in agreed]}
    found |= {"annotated": known if known != schema.ids else None}
    found |= {"contested": True} if some > agreed else {}
    found |= {"notes": notes} if (notes := [one.note for one in by_name if one.note]) else {}
    done.differing += some > agreed
    if len(readings) == 2:
        first, second = readings
        both = [sorted(labels) for labels in readings.values()]
        done.twice[first, second].append(Row(record["text"], annotated=tuple(offered), meta={"readings": both}))
    done.rows.append(row_from_json(record | found, place))


def number(rows: list[Row]) -> None:
    """Give rows without an id of their own, or with that of another file's row, one made of their text."""
    often = Counter(row.id for row in rows)
    rows[:] = [row if row.id and often[row.id] == 1 else replace(row, id=text_key(row.text)[:12]) for row in rows]
