"""`zhenyan data migrate`: changes of the label schema, carried through configs/labels.yaml and every annotated row.

Bundles made before keep working: they carry their own labels. Training goes on from an old model with its head rows
copied by label id, also to a new one, so that only new, split and merged labels start afresh.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field
from rich.markup import escape
from rich.table import Table
from zhenyan.inference.errors import ConfigError
from zhenyan.training.edits import corpus_line, edit_lines, kind_for, replace_files
from zhenyan.training.migrated_rows import Step, check_record, loses_all_labels, migrate_record, needs_relabelling
from zhenyan.training.rows import expand, files_once
from zhenyan.training.schema import Schema, load_as, load_schema, read_yaml, validated, versions
from zhenyan.training.schema_text import SchemaText


class Migration(BaseModel):
    """A migration file: changes in the order they are made."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    changes: list[Step] = Field(min_length=1)


@dataclass
class Plan:
    """Everything a migration would write. `relabel`: rows of split labels, each with what it was and may become.

    `bared`: "file:line" of the rows whose labels all go with no other to come, so that they count as compliant.
    """

    number: int
    migration: Migration
    schema_path: Path
    schema_text: str
    version: int
    files: dict[Path, list[bytes]] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    relabel: list[dict[str, Any]] = field(default_factory=list)
    bared: list[str] = field(default_factory=list)
    mentions: list[str] = field(default_factory=list)


def load_migration(path: Path) -> Migration:
    """The checked migration file; ConfigError names each fault by its key."""
    return load_as(Migration, path)


def plan_migration(
    path: Path, schema_path: Path, data: Sequence[Path], records: Path, today: date | None = None
) -> Plan:
    """What `path` would change in the schema and in the rows of `data`; nothing is written.

    `records` is the folder that remembers migrations. ConfigError when a change doesn't fit the schema.
    """
    migration, schema = load_migration(path), load_schema(schema_path)
    try:
        layouts = list(_layouts(migration, schema.ids, path))
    except ConfigError as error:
        raise ConfigError(f"{error}{_made_before(migration, schema, schema_path)}") from None
    text = _schema_text(migration, schema_path, (today or date.today()).isoformat(), layouts[-1])
    new = validated(Schema, read_yaml(text), f"{schema_path} after {path}")
    plan = Plan(_next_number(records), migration, schema_path, text, new.version)
    for file in files_once(expand([str(item) for item in data])):
        _migrate_file(file, plan, layouts)
    plan.mentions = list(_mentions(SchemaText(text, schema_path), _given_up(migration, new.ids)))
    return plan


def _given_up(migration: Migration, ids: Sequence[str]) -> set[str]:
    """Ids that don't mean what they meant: they are gone, or another label bears them among the `ids` there are now."""
    first, *_, last = versions(migration.changes)
    same = {label for label in ids if last.get(label) == first.get(label)}
    return {label for step in migration.changes for label in step.gone} - same


def _made_before(migration: Migration, schema: Schema, path: Path) -> str:
    """What to say where the schema's record has these changes, one after the other: the file was applied; else nothing."""
    asked, made = (
        [(one.kind, one.labels, one.into) for one in changes] for changes in (migration.changes, schema.changes)
    )
    starts = [at for at in range(len(made)) if made[at : at + len(asked)] == asked]
    return f"; by `changes` in {path} this migration was made on {schema.changes[starts[-1]].date}" if starts else ""


def apply_migration(plan: Plan, records: Path) -> Path:
    """Write schema, rows and the migration's record, all or nothing; returns the record's path."""
    record = records / f"{plan.number:03d}.yaml"
    contents = plan.files | {plan.schema_path: [plan.schema_text.encode()]}
    if plan.relabel:
        contents[_relabel_path(plan, records)] = [corpus_line(row) for row in plan.relabel]
    contents[record] = [yaml.safe_dump(_record(plan), allow_unicode=True, sort_keys=False, width=118).encode()]
    replace_files(contents)
    return record


def _relabel_path(plan: Plan, records: Path) -> Path:
    return records / f"{plan.number:03d}.relabel.jsonl"


def _layouts(migration: Migration, ids: Sequence[str], path: Path) -> Iterator[list[str]]:
    """The schema's ids before the first change and after each; ConfigError when a change doesn't fit them."""
    now, awaiting = list(ids), set[str]()
    yield now
    for number, step in enumerate(migration.changes):
        where = f"{path}: changes.{number} ({step.kind})"
        existing = [] if step.kind == "add" else step.labels
        if unknown := [label for label in existing if label not in now]:
            raise ConfigError(f"{where}: no label {', '.join(unknown)}; the schema has {', '.join(now)}")
        come = step.into if step.kind == "rename" else step.new
        if taken := [label for label in come if label in now]:
            hint = ", or name it under `labels` too" if step.kind == "merge" else ""
            raise ConfigError(f"{where}: {', '.join(taken)} stands in the schema already; choose another id{hint}")
        if undecided := sorted(awaiting & {*step.labels, *step.into}):
            raise ConfigError(
                f"{where}: rows have yet to be labelled for {', '.join(undecided)}, which an earlier change splits off; "
                "migrate in two files, with the relabelling in between"
            )
        defined = [label.id for label in step.define]
        if sorted(defined) != sorted(step.new):
            raise ConfigError(
                f"{where}: `define` must hold the entries of {', '.join(step.new) or 'no label'}, "
                f"found {', '.join(defined) or 'none'}"
            )
        awaiting |= set(step.into) if step.kind == "split" else set()
        now = step.after(now)
        yield now


def _schema_text(migration: Migration, path: Path, today: str, ids: Sequence[str]) -> str:
    """The schema file's text after all changes; ConfigError unless it is YAML with the labels `ids` then."""
    try:
        text = _edited(migration, path, today)
        parsed = read_yaml(text)
    except yaml.YAMLError:
        parsed = {"labels": [{}]}
    if [label.get("id") for label in parsed["labels"] or []] != ids:
        raise ConfigError(f"{path}: could not be edited line by line; give it the layout of the committed file")
    return text


def _edited(migration: Migration, path: Path, today: str) -> str:
    text = SchemaText(path.read_text(encoding="utf-8"), path)
    for step in migration.changes:
        if step.kind == "rename":
            text = text.rename(step.labels[0], step.into[0])
            continue
        for defined in step.define:
            text = text.append(defined.model_dump(mode="json", exclude_unset=True))
        for label in step.labels if step.kind != "add" else []:
            text = text.remove(label) if label in step.gone else text
    changes = [
        {"date": today} | step.model_dump(exclude={"define"}, exclude_defaults=True) for step in migration.changes
    ]
    return text.record(changes).count_up().text


def _next_number(records: Path) -> int:
    return 1 + max((int(path.stem) for path in records.glob("[0-9][0-9][0-9].yaml")), default=0)


def _migrate_file(path: Path, plan: Plan, layouts: Sequence[list[str]]) -> None:
    """Add the file's changed rows to the plan."""

    def change(record: dict[str, Any], origin: str) -> dict[str, Any]:
        check_record(record, origin)
        old, awaiting = record, len(plan.relabel)
        for step, before, after in zip(plan.migration.changes, layouts, layouts[1:], strict=False):
            if needs_relabelling(record, step):
                plan.relabel.append(_to_relabel(record, step, path))
            record = migrate_record(record, step, before, after)
        if loses_all_labels(old, record):
            if (
                len(plan.relabel) > awaiting
            ):  # a violation, of which part a person has to say: `Row.compliant` knows it so
                return record | {"kind": "violation"}
            plan.bared.append(origin)
            record |= kind_for(old, [])
        return record

    lines, changed = edit_lines(path, change)
    if changed:
        plan.files[Path(os.path.realpath(path))] = lines  # a link stays one
        plan.changed[str(path)] = changed


def _to_relabel(record: dict[str, Any], step: Step, path: Path) -> dict[str, Any]:
    """Enough to find the row and to decide; a public line is named by its hash, never by its text."""
    known = {key: value for key, value in record.items() if key in ("id", "sha256", "text")}
    return {"file": str(path), **known, "was": step.labels[0], "choose_from": step.into}


def _mentions(schema: SchemaText, gone: set[str]) -> Iterator[str]:
    """Lines of the schema as it will be, and of other configuration files, that name a label which is gone; they are a person's to change."""
    if not gone:
        return
    words = re.compile(r"\b(" + "|".join(map(re.escape, sorted(gone))) + r")\b")
    for path in sorted(schema.path.parent.rglob("*.yaml")):
        # In another encoding ids, which are ASCII, are found as well.
        lines = schema.prose() if path == schema.path else _numbered(path.read_text(encoding="utf-8", errors="replace"))
        for number, line in lines:
            if found := words.search(line):
                yield f"{path}:{number} names {found.group()}"


def _numbered(text: str) -> list[tuple[int, str]]:
    return list(enumerate(text.splitlines(), 1))


def _record(plan: Plan) -> dict[str, Any]:
    return {
        "number": plan.number,
        "schema_version": plan.version,
        "changes": [step.model_dump(exclude={"define"}, exclude_defaults=True) for step in plan.migration.changes],
        "rows_changed": plan.changed,
        "rows_to_relabel": len(plan.relabel),
        "rows_now_compliant": len(plan.bared),
    }


def plan_table(plan: Plan) -> Table:
    """The changes, and how many rows of each file they touch."""
    table = Table("file", "rows changed", title=f"migration {plan.number:03d}: schema version {plan.version}")
    for step in plan.migration.changes:
        into = f" into {', '.join(step.into)}" if step.into else ""
        table.add_row(escape(f"{plan.schema_path}"), f"{step.kind} {', '.join(step.labels)}{into}")
    table.add_section()
    for path, count in plan.changed.items():
        table.add_row(escape(path), f"{count:,}")
    return table
