"""What a change of the label schema does to one annotated row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import Field
from zhenyan.inference.errors import InputError
from zhenyan.training.rows import is_ids
from zhenyan.training.schema import Label, LabelChange


class Step(LabelChange):
    """A change that a migration file asks for. `define` holds the entries of labels that are new, as in configs/labels.yaml."""

    define: list[Label] = Field(default_factory=list)

    def after(self, ids: Sequence[str]) -> list[str]:
        """The schema's ids after this change: what stays keeps its order, what is new comes last (unless it was there)."""
        renamed = dict(zip(self.labels, self.into, strict=True)) if self.kind == "rename" else {}
        stay = [renamed.get(label, label) for label in ids if label not in self.gone or label in renamed]
        return [*stay, *(label for label in self.new if label not in ids)]


def check_record(record: dict[str, Any], origin: str) -> None:
    """InputError naming `origin` and the field when what a migration changes isn't made of lists of label ids."""
    for name in ("labels", "annotated", *(("window",) if _is_window(record) else ())):
        value = record.get(name, [])
        nested = name == "labels" and _is_window(record)
        if name == "annotated" and value is None:
            continue
        if not (isinstance(value, list) and all(map(is_ids, value)) if nested else is_ids(value)):
            expected = "a list of lists of label ids" if nested else "a list of label ids"
            raise InputError(f"{origin}: field {name!r} must be {expected}, found {value!r:.80}")


def _is_window(record: dict[str, Any]) -> bool:
    """Whether the record is of neighbouring lines that were read together; a row may have a field of that name."""
    return "window" in record and "text" not in record and isinstance(record.get("sha256"), list)


def migrate_record(record: dict[str, Any], step: Step, before: Sequence[str], after: Sequence[str]) -> dict[str, Any]:
    """The record under the schema after `step`: `labels`, `annotated` and `readings` follow, nothing else changes.

    `annotated` goes when the row is annotated for the whole schema. Ids that the schema doesn't know are left alone.
    Neighbouring lines that were read together are one record: `labels` is a list for each line, `window` that of all.
    """
    seen = _annotated(record, step, before)
    new = dict(record)
    if _is_window(record):
        new |= {"labels": [_mapped(line, step) for line in record["labels"]], "window": _mapped(record["window"], step)}
    elif "labels" in record:
        new["labels"] = _mapped(record["labels"], step)
    new.pop("annotated", None)
    if not seen.issuperset(after):
        unknown = [label for label in record.get("annotated") or [] if label not in before]
        new["annotated"] = [*(label for label in after if label in seen), *unknown]
    readings = record.get("readings")
    if isinstance(readings, list) and all(map(is_ids, readings)):
        new["readings"] = [_mapped(reading, step) for reading in readings]
    return new


def loses_all_labels(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether a row, not a window, has no label any more; a window's lines aren't rows to train on by themselves."""
    return not _is_window(before) and bool(before.get("labels")) and not after["labels"]


def needs_relabelling(record: dict[str, Any], step: Step) -> bool:
    """Whether a person has to say which of a split's labels the row carries."""
    return step.kind == "split" and any(step.labels[0] in labels for labels in _label_lists(record))


def _label_lists(record: dict[str, Any]) -> list[list[str]]:
    """The record's labels: of the row, or of each line of a window and of all together."""
    return [*record["labels"], record["window"]] if _is_window(record) else [record.get("labels", [])]


def _mapped(labels: Iterable[str], step: Step) -> list[str]:
    """Labels under their new ids, without repeats; what is split or retired is gone, a split's row awaits its label."""
    if step.kind == "add":
        return list(labels)
    target = step.into if step.kind in ("rename", "merge") else []
    return list(dict.fromkeys(new for label in labels for new in (target if label in step.labels else [label])))


def _annotated(record: dict[str, Any], step: Step, before: Sequence[str]) -> set[str]:
    """Labels whose presence or absence on the row is still known.

    A merged label is known when one of its parts is there, or when all were looked for. A split one is known only to be
    absent, where the old one was. An added one is not known anywhere.
    """
    old = set(before if record.get("annotated") is None else record["annotated"])
    known = old - set(step.labels)
    if step.kind == "rename" or step.kind == "merge":
        there = all(step.into[0] in _mapped(labels, step) for labels in _label_lists(record))
        known |= set(step.into) if old.issuperset(step.labels) or there else set()
    elif step.kind == "split" and step.labels[0] in old and not needs_relabelling(record, step):
        known |= set(step.into)
    return known
