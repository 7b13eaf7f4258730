"""What a run reads: its files with digests, and their items cut into parts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from zhenyan.inference.errors import InputError
from zhenyan.inference.io.items import Item, Options, Reject
from zhenyan.inference.io.opening import is_remote
from zhenyan.inference.io.reading import read_items

PART_ROWS = 4096  # rows in one part: what a cut-off run may have to do again


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


def digest(path: str) -> str:
    """SHA-256 of a local file; for a remote one what its filesystem says of the version."""
    try:
        if is_remote(path):
            import fsspec

            system, name = fsspec.core.url_to_fs(path)
            return str(system.ukey(name))
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ImportError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None


def describe_inputs(files: Sequence[str]) -> list[dict[str, Any]]:
    """Path and digest of each file."""
    return [{"path": path, "sha256": digest(path)} for path in files]


def _placed(files: Sequence[str], options: Options) -> Iterator[Placed]:
    """All items of all files; a file that can't be read is one reject and the next file goes on."""
    for number, path in enumerate(files):
        try:
            for item in read_items(path, options):
                yield Placed(number, item)
        except InputError as error:
            if len(files) == 1:
                raise
            yield Placed(number, Reject("file", str(error)))
        except (UnicodeDecodeError, UnicodeError) as error:
            yield Placed(number, Reject("file", f"not readable as {options.encoding}: {error}"))


def work_units(files: Sequence[str], options: Options, skip: int, part_rows: int = PART_ROWS) -> Iterator[Work]:
    """Parts from number `skip` on; the earlier ones are read over, not scored."""
    buffer: list[Placed] = []
    before: Placed | None = None
    number = 0
    for placed in _placed(files, options):
        buffer.append(placed)
        if len(buffer) == part_rows:
            if number >= skip:
                yield Work(number, before, tuple(buffer))
            before, number, buffer = buffer[-1], number + 1, []
    if buffer and number >= skip:
        yield Work(number, before, tuple(buffer))
