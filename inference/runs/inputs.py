"""What a run reads: its files with digests, and their items cut into parts."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zhenyan.inference.errors import InputError
from zhenyan.inference.io.items import Item, Options, Reject
from zhenyan.inference.io.opening import filesystem, is_remote
from zhenyan.inference.io.reading import read_items, resolve_inputs

PART_ROWS = 4096  # rows in one part: what a cut-off run may have to do again
PART_CHARS = 4_000_000  # characters after which a part of long texts is full, so that it fits in memory


@dataclass(frozen=True)
class Placed:
    """An item or reject with its file's number."""

    file: int
    item: Item | Reject


@dataclass(frozen=True)
class Work:
    """One part to score, and the item that came before it (for context across the cut)."""

    number: int
    before: Placed | None
    items: tuple[Placed, ...]


def input_files(inputs: Sequence[str], written: Sequence[Path]) -> list[str]:
    """Files that the inputs name, less what a run wrote; InputError when `written` holds one of them.

    An output may lie in a folder that is scored: its own rows and parts must not become input when the run goes on.
    """
    files = [path for path in resolve_inputs(inputs) if path in inputs or not _written_by_run(path)]
    if not files:
        raise InputError(f"{', '.join(inputs)}: holds nothing but outputs of earlier runs")
    read = {Path(path).resolve() for path in files if not is_remote(path)}
    for path in written:
        if path.resolve() in read:
            raise InputError(f"{path}: is one of the inputs; choose another output")
    return files


def _written_by_run(path: str) -> bool:
    if is_remote(path):
        return False
    name = Path(path)
    return Path(path + ".run").is_dir() or any(parent.suffix == ".run" for parent in name.parents)


def digest(path: str) -> str:
    """SHA-256 of a local file; for a remote one what its filesystem says of the version."""
    try:
        if is_remote(path):
            system, name = filesystem(path)
            return str(system.ukey(name))
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None


def size(path: str) -> int:
    """Bytes of a file as it lies there; 0 where they can't be known."""
    try:
        if is_remote(path):
            system, name = filesystem(path)
            return int(system.size(name) or 0)
        return Path(path).stat().st_size
    except (OSError, InputError):
        return 0


def describe_inputs(files: Sequence[str]) -> list[dict[str, Any]]:
    """Path and digest of each file; of several, one that can't be read says why and will be a reject."""
    described: list[dict[str, Any]] = []
    for path in files:
        try:
            described.append({"path": path, "sha256": digest(path)})
        except InputError as error:
            if len(files) == 1:
                raise
            described.append({"path": path, "sha256": None, "error": str(error)})
    return described


def _placed(files: Sequence[str], options: Options) -> Iterator[Placed]:
    """All items of all files; of several, one that can't be read is a reject and the next goes on."""
    for number, path in enumerate(files):
        try:
            for item in read_items(path, options):
                yield Placed(number, item)
        except InputError as error:
            if len(files) == 1:
                raise
            yield Placed(number, Reject("file", str(error)))


def work_units(
    files: Sequence[str], options: Options, done: Container[int] = (), part_rows: int = PART_ROWS
) -> Iterator[Work]:
    """Parts in order, of `part_rows` items or PART_CHARS characters; those in `done` are read over, not given."""
    buffer: list[Placed] = []
    before: Placed | None = None
    number = chars = 0
    for placed in _placed(files, options):
        buffer.append(placed)
        chars += len(placed.item.text) if isinstance(placed.item, Item) else 0
        if len(buffer) == part_rows or chars >= PART_CHARS:
            if number not in done:
                yield Work(number, before, tuple(buffer))
            before, number, buffer, chars = buffer[-1], number + 1, [], 0
    if buffer and number not in done:
        yield Work(number, before, tuple(buffer))
