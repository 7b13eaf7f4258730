"""Changing records of JSON Lines files in place: other lines keep their bytes, and all files change or none does."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from zhenyan.inference.errors import InputError
from zhenyan.inference.io.jsonlines import replacing
from zhenyan.training.rows import iter_records

Change = Callable[[dict[str, Any], str], dict[str, Any]]  # record and its "file:line" -> the record as it should be
_REMEDY = "give room or rights, then repeat"


def edit_lines(path: Path, change: Change) -> tuple[list[bytes], int]:
    """The file's lines after `change`, and how many of them differ; nothing is written.

    `change` must leave its argument alone. InputError names file and line of what isn't a JSON object.
    """
    records = list(iter_records(path))  # first, for it names a file that can't be read
    lines = path.read_bytes().splitlines(keepends=True)
    changed = 0
    for record, origin in records:
        if not isinstance(record, dict):
            raise InputError(f"{origin}: expected a JSON object, found {type(record).__name__}")
        new = change(record, origin)
        if new != record:
            changed += 1
            at = int(origin.rpartition(":")[2]) - 1
            ending = b"\r\n" if lines[at].endswith(b"\r\n") else b"\n"  # as the file's other lines have it
            lines[at] = corpus_line(new).removesuffix(b"\n") + ending
    return lines, changed


def kind_for(record: Mapping[str, Any], labels: Sequence[str]) -> dict[str, str]:
    """The field `kind` of a written row with these labels now, where it changes: what was thought a violation and isn't
    only looked like one."""
    if "kind" not in record or bool(labels) == (record["kind"] == "violation"):
        return {}
    return {"kind": "violation" if labels else "hard"}


def corpus_line(record: Mapping[str, Any]) -> bytes:
    """A JSON line spaced as the corpus files are, so that a diff shows only what changed."""
    try:
        return json.dumps(record, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate
        return json.dumps(record).encode() + b"\n"


def replace_files(contents: Mapping[Path, Iterable[bytes]]) -> None:
    """Write every file beside its place, then rename them all in their order: a full disk is met before anything has changed.

    Folders that aren't there are made. Of a link, the file behind it is replaced; who may read a file stays as it was.
    InputError names the file that can't be written.
    """
    with ExitStack() as renamed:
        for path, chunks in reversed(list(contents.items())):  # what was entered last is renamed first
            _make_parents(path)
            with renamed.enter_context(replacing(path, _REMEDY)).open("wb") as out:
                out.writelines(chunks)
                out.flush()
                os.fsync(out.fileno())  # `replacing` does so too, but only when the files before this one are in place


def _make_parents(path: Path) -> None:
    folder = Path(os.path.realpath(path)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror}; {_REMEDY}") from None
