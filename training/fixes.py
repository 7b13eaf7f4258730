"""`zhenyan data fix`: put decided label fixes into the corpus files, checked against what the audit saw."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from zhenyan.inference.errors import InputError
from zhenyan.training.edits import Change, edit_lines, kind_for, replace_files
from zhenyan.training.rows import TABLES, expand, is_ids, iter_records, row_id, text_key
from zhenyan.training.schema import Schema, explain


class Fix(BaseModel):
    """One entry of a fix file: the label to give or take away, and the row as the audit saw it."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)
    apply: bool
    file: str
    id: str
    sha256: str  # of the row's text
    label: str
    given: bool
    suggested: bool
    labels: list[str]  # the row's labels at the audit
    applied: str | None = None  # the day on which it was put into the row


@dataclass
class Applied:
    """What a fix file did, or would do."""

    labels: int = 0  # labels given or taken away
    rows: int = 0
    files: int = 0
    already: int = 0  # rows that were so already
    left: int = 0  # entries with `apply` false, or with the value that is given


@dataclass
class _Edit:
    """All fixes of one row, and where they stand."""

    fixes: list[Fix] = field(default_factory=list)
    dropped: list[Fix] = field(default_factory=list)  # not to be applied any more, but they were
    origin: str = ""
    found: bool = False

    def before(self, now: Collection[str]) -> list[str]:
        """The row's labels as the audit saw them, with the fixes in that are marked as applied.

        Of the dropped ones those that the row still has: they may have been taken back by hand.
        """
        return self._with([*self._kept(now), *(fix for fix in self.fixes if fix.applied)])

    def after(self, now: Collection[str]) -> list[str]:
        """The row's labels with all fixes in, the old ones in their order; a dropped fix stays as it is now."""
        return self._with([*self._kept(now), *self.fixes])

    def _kept(self, now: Collection[str]) -> list[Fix]:
        return [fix for fix in self.dropped if (fix.label in now) != fix.given]

    def _with(self, fixes: Sequence[Fix]) -> list[str]:
        gone = {fix.label for fix in fixes if fix.given}
        new = [fix.label for fix in fixes if not fix.given]
        return list(dict.fromkeys([*(label for label in self.fixes[0].labels if label not in gone), *new]))


def apply_fixes(path: Path, schema: Schema, dry_run: bool = False) -> Applied:
    """Apply a fix file's decided entries to the files they name, all or none, and mark them as applied there.

    Applying twice changes nothing more. InputError names the entry when its row is gone or has other labels now,
    when the entry isn't complete, when a label is unknown to the schema, when there is no entry at all, or for a table.
    """
    if path.suffix.lower() in TABLES:
        raise InputError(
            f"{path}: is a table; give the .jsonl that `zhenyan data audit` wrote, with `apply` set to true in it"
        )
    done = Applied()
    path, *others = expand(path)
    if others:
        raise InputError(f"{path} and {len(others)} more: give one file of fixes")
    by_file = _decided(path, schema, done)
    if not by_file and not done.left:
        raise InputError(f"{path}: no entry; expected those of `zhenyan data audit`")
    contents: dict[Path, Iterable[bytes]] = {}
    for file, edits in by_file.items():
        target = Path(os.path.realpath(file))
        if not target.is_file():
            raise InputError(
                f"{next(iter(edits.values())).origin}: {file}: no such file; run from the repository's root"
            )
        lines, changed = edit_lines(target, _change(edits, done))
        if missing := [edit for edit in edits.values() if not edit.found]:
            raise InputError("\n".join(_missing(edit, file) for edit in missing))
        if changed:
            contents[target] = lines
            done.rows += changed
            done.files += 1
    if not dry_run and by_file:
        contents[path], _ = edit_lines(path, lambda record, _: _marked(record))
        replace_files(contents)
    return done


def _decided(path: Path, schema: Schema, done: Applied) -> dict[str, dict[tuple[str, str], _Edit]]:
    """Edits by file and by (id, hash of the text); a file that is named in several spellings goes by the first."""
    by_file: dict[str, dict[tuple[str, str], _Edit]] = defaultdict(lambda: defaultdict(_Edit))
    spelling: dict[str, str] = {}
    for record, origin in iter_records(path):
        fix = _read(record, origin)
        file = spelling.setdefault(os.path.realpath(fix.file), fix.file)
        edit = by_file[file][fix.id, fix.sha256]
        if not fix.apply or fix.suggested == fix.given:
            done.left += 1
            edit.dropped += [fix] if fix.applied else []
            continue
        schema.check([fix.label], origin)
        if edit.fixes and (edit.fixes[0].labels != fix.labels or fix.label in [one.label for one in edit.fixes]):
            raise InputError(f"{origin}: contradicts {edit.origin}, which decides on the same row; keep one of them")
        edit.fixes.append(fix)
        edit.origin = edit.origin or origin
    decided = {file: {row: edit for row, edit in edits.items() if edit.fixes} for file, edits in by_file.items()}
    return {file: edits for file, edits in decided.items() if edits}


def _read(record: Any, origin: str) -> Fix:
    try:
        return Fix.model_validate(record)
    except ValidationError as error:
        raise InputError(f"{explain(error, origin)}; expected an entry of `zhenyan data audit`") from None


def _check(record: dict[str, Any], origin: str) -> None:
    """InputError where a row's text is no text, or its labels are no ids."""
    if not isinstance(record.get("text", ""), str):
        raise InputError(f"{origin}: field 'text' must be text, found {record['text']!r:.80}; mend the row first")
    if not is_ids(record.get("labels", [])):
        raise InputError(
            f"{origin}: field 'labels' must be a list of ids, found {record['labels']!r:.80}; mend the row first"
        )


def _change(edits: dict[tuple[str, str], _Edit], done: Applied) -> Change:
    """The change of one file's records; counts in `done` and marks the edits whose row was found."""

    def change(record: dict[str, Any], origin: str) -> dict[str, Any]:
        _check(record, origin)
        digest = text_key(record["text"]) if "text" in record else record.get("sha256", "")
        edit = edits.get((row_id(record), digest))
        if edit is None:
            return record
        edit.found = True
        now = record.get("labels", [])
        after = edit.after(now)
        if set(now) == set(after):
            done.already += 1
            return record
        if set(now) not in (set(edit.before(now)), set(edit.fixes[0].labels)):
            raise InputError(_changed(edit, now, origin))
        done.labels += len(set(now) ^ set(after))
        return record | {"labels": after} | kind_for(record, after)

    return change


def _marked(record: dict[str, Any]) -> dict[str, Any]:
    if not record["apply"] or record["suggested"] == record["given"] or record.get("applied"):
        return record
    return record | {"applied": date.today().isoformat()}


def _changed(edit: _Edit, now: Sequence[str], origin: str) -> str:
    seen, before = edit.fixes[0].labels, edit.before(now)
    fixed = "" if before == seen else f", and {_words(before)} stood there once its fixes were applied"
    return (
        f"{edit.origin}: the labels at {origin} are {_words(now)} now, the audit saw {_words(seen)}{fixed}; "
        "run `zhenyan data audit` again"
    )


def _missing(edit: _Edit, file: str) -> str:
    name = edit.fixes[0].id or edit.fixes[0].sha256[:12]
    return f"{edit.origin}: {file} holds no row {name} with this text any more; run `zhenyan data audit` again"


def _words(labels: Sequence[str]) -> str:
    return ", ".join(labels) or "none"
