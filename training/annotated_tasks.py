"""`zhenyan data import`: what annotators said of sampled lines in Label Studio, as rows of the data contract."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zhenyan.inference.errors import InputError
from zhenyan.inference.review.labelstudio import Annotation, Unclear, annotations_of, newest, read_tasks
from zhenyan.training.rows import Row, is_ids, row_from_json, text_key
from zhenyan.training.schema import Schema

# What JSON_MIN puts among a task's own fields, its `id` over the row's.
_MINIMAL = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "labels", "evidence"}


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


def import_tasks(path: Path, schema: Schema) -> Imported:
    """Rows of a Label Studio export (JSON or JSON_MIN) of tasks that `zhenyan data sample` wrote, in its order.

    Of one annotator the last word counts. InputError or ConfigError names the task that is none of these, or whose
    choice the schema lacks; InputError when no task is annotated.
    """
    if path.suffix.lower() == ".csv":
        raise InputError(f"{path}: CSV doesn't tell a skip from a compliant line; export JSON from Label Studio")
    done, given = Imported(), list[Annotation]()
    records: dict[str, tuple[dict[str, Any], str]] = {}
    unclear = set[str]()  # texts that an annotator left without labels: whether all agree can't be told
    for task, data, place in read_tasks(path):
        record = _record(data, data is task, place)
        key = text_key(record["text"])
        records.setdefault(key, (record, place))
        before = done.unclear.rows
        given += annotations_of(task, key, place, done.unclear)
        if done.unclear.rows > before:
            unclear.add(key)
    said: dict[str, list[Annotation]] = defaultdict(list)
    for one in newest(given):
        schema.check(one.labels or (), one.place)
        said[one.key].append(one)
    done.tasks = len(records)
    for key, (record, place) in records.items():
        _take(done, record, place, [] if key in unclear else said[key], schema)
    if not done.rows:
        note = f"; {done.unclear.note}" if done.unclear.rows else ""
        raise InputError(f"{path}: none of {done.tasks:,} tasks gives a row, for want of labels or for skips{note}")
    _number(done.rows)
    return done


def _record(data: Any, minimal: bool, place: str) -> dict[str, Any]:
    """The sampled row's own fields."""
    if not isinstance(data, dict) or not isinstance(data.get("text"), str) or "chosen_for" not in data:
        raise InputError(
            f"{place}: no fields 'text' and 'chosen_for'; only tasks from `zhenyan data sample` can come back here, those "
            "of `zhenyan review-export` with `zhenyan review-import`"
        )
    if not is_ids(data.get("annotated", [])):
        raise InputError(f"{place}: field 'annotated' must be a list of label ids, found {data['annotated']!r:.80}")
    empty = {name for name in ("before", "after") if data.get(name) == ""}  # what the labelling configuration wants
    return {key: value for key, value in data.items() if key not in (empty | _MINIMAL if minimal else empty)}


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
    # As `zhenyan review-export` tells speech from copy where the row doesn't say it.
    found: dict[str, Any] = {"channel": record.get("channel") or ("copy" if record.get("start") is None else "live")}
    found |= {"labels": [label for label in schema.ids if label in agreed]}
    found |= {"annotated": known if known != schema.ids else None}
    found |= {"contested": True} if some > agreed else {}
    done.differing += some > agreed
    if len(readings) == 2:
        first, second = readings
        both = [sorted(labels) for labels in readings.values()]
        done.twice[first, second].append(Row(record["text"], annotated=tuple(offered), meta={"readings": both}))
    done.rows.append(row_from_json(record | found, place))


def _number(rows: list[Row]) -> None:
    """Give rows without an id of their own, or with that of another file's row, one made of their text."""
    often = Counter(row.id for row in rows)
    rows[:] = [row if row.id and often[row.id] == 1 else replace(row, id=text_key(row.text)[:12]) for row in rows]
