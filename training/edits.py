"""Changing records of JSON Lines files in place: other lines keep their bytes, and all files change or none does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from zhenyan.inference.errors import InputError
from zhenyan.inference.io.jsonlines import write_atomic
from zhenyan.training.rows import iter_records

Change = Callable[[dict[str, Any], str], dict[str, Any]]  # record and its "file:line" -> the record as it should be


def edit_lines(path: Path, change: Change) -> tuple[list[bytes], int]:
    """The file's lines after `change`, and how many of them differ; nothing is written.

    `change` must leave its argument alone. InputError names file and line of what isn't a JSON object.
    """
    lines = path.read_bytes().splitlines(keepends=True)
    changed = 0
    for record, origin in iter_records(path):
        if not isinstance(record, dict):
            raise InputError(f"{origin}: expected a JSON object, found {type(record).__name__}")
        new = change(record, origin)
        if new != record:
            changed += 1
            lines[int(origin.rpartition(":")[2]) - 1] = corpus_line(new)
    return lines, changed


def corpus_line(record: Mapping[str, Any]) -> bytes:
    """A JSON line spaced as the corpus files are, so that a diff shows only what changed."""
    try:
        return json.dumps(record, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate
        return json.dumps(record).encode() + b"\n"


def replace_files(contents: Mapping[Path, Iterable[bytes]]) -> None:
    """Write every file beside its place, then rename them all: a full disk is met before anything has changed."""
    beside = {path: path.with_name(path.name + ".new") for path in contents}
    try:
        for path, chunks in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(beside[path], chunks)
        for path, new in beside.items():
            new.replace(path)
    except (OSError, InputError) as error:
        raise InputError(f"could not write ({error}); free space or rights, then repeat the command") from None
    finally:
        for new in beside.values():
            new.unlink(missing_ok=True)
