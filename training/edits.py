"""Changing records of JSON Lines files in place: other lines keep their bytes, and all files change or none does."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from zhenyan.inference.errors import InputError
from zhenyan.training.rows import iter_records

Change = Callable[[dict[str, Any], str], dict[str, Any]]  # record and its "file:line" -> the record as it should be


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
            lines[int(origin.rpartition(":")[2]) - 1] = corpus_line(new)
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
    """Write every file beside its place, then rename them all: a full disk is met before anything has changed.

    Of a link, the file behind it is replaced; who may read a file stays as it was.
    """
    written: dict[Path, Path] = {}
    try:
        for path, chunks in contents.items():
            real = Path(os.path.realpath(path))
            real.parent.mkdir(parents=True, exist_ok=True)
            written[real] = real.with_name(f".{real.name}.tmp")
            with written[real].open("wb") as out:
                if real.exists():
                    shutil.copymode(real, written[real])
                out.writelines(chunks)
                out.flush()
                os.fsync(out.fileno())
        for real, new in written.items():
            new.replace(real)
    except OSError as error:
        raise InputError(f"{error.filename or path}: {error.strerror}; give room or rights, then repeat") from None
    finally:
        for new in written.values():
            with contextlib.suppress(OSError):
                new.unlink()
