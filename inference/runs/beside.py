"""What a command writes of a finished run beside its output: where it may go, and what stands there already."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from zhenyan.inference.bundle import sha256
from zhenyan.inference.errors import InputError
from zhenyan.inference.io.jsonlines import write_atomic
from zhenyan.inference.io.writing import check_table
from zhenyan.inference.runs.store import RunFolder

_TABLES = "tables.txt"  # in the run's folder: SHA-256 of each table and export that was written, one a line


def check_place(option: str, path: Path, folder: RunFolder) -> None:
    """InputError, which names the option, when a file can't be written there, or would destroy what the run writes."""
    folder.keep_from(path)
    made = folder.path.resolve().parents  # a run makes the folders of its output
    try:
        unfit = path.is_dir() or not (path.parent.is_dir() or path.parent.resolve() in made)
    except OSError as error:  # such as a name too long
        raise InputError(f"{option} {path}: {error.strerror or error}; name another file") from None
    if unfit:
        raise InputError(f"{option} {path}: is a folder or lies in none that exists; make the folder, or name a file")


def check_own_table(path: Path, folder: RunFolder) -> None:
    """InputError when the ending is no table's, or as of `check_own`."""
    check_table(path)
    check_own(path, folder)


def check_own(path: Path, folder: RunFolder) -> None:
    """InputError when a file is there that isn't as this run wrote it: a reviewer's remarks may stand in it."""
    with suppress(OSError):  # what can't be read can't be written either, which is told there
        if path.is_file() and path.stat().st_size and sha256(path) not in _written(folder):
            raise InputError(
                f"{path}: is there already and isn't as this run wrote it, so that remarks may stand in it; "
                "move it away or name another file"
            )


def check_apart(path: Path, inputs: Sequence[str]) -> None:
    """InputError when a table lies in a folder that is scored: a later run would read its rows as speech."""
    above = path.resolve().parents
    if read := next((name for name in inputs if os.path.isdir(name) and Path(name).resolve() in above), None):
        raise InputError(
            f"{path}: lies in {read}, which is scored, and would be read as rows there the next time; name a file elsewhere"
        )


def note_own(path: Path, folder: RunFolder) -> None:
    """Remember a file as it was written, so that it may be written again while nobody has changed it."""
    digest = sha256(path)
    if digest not in _written(folder):
        write_atomic(folder.path / _TABLES, (f"{known}\n".encode() for known in [*_written(folder), digest]))


def _written(folder: RunFolder) -> list[str]:
    path = folder.path / _TABLES
    return path.read_text(encoding="ascii", errors="replace").splitlines() if path.exists() else []
