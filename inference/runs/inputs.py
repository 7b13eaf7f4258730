"""What a run reads: its files with digests, and their items cut into parts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

from zhenyan.inference.errors import InputError, Unavailable
from zhenyan.inference.io.items import Item, Options, Reject
from zhenyan.inference.io.names import real_path
from zhenyan.inference.io.note_kinds import SAME_FILE
from zhenyan.inference.io.notes import Note, Words
from zhenyan.inference.io.opening import filesystem, is_remote, open_raw
from zhenyan.inference.io.reading import read_items, resolve_inputs

PART_ROWS = 4096  # rows in one part: what a cut-off run may have to do again
PART_CHARS = 4_000_000  # characters after which a part of long rows is full, so that it fits in memory
_VALUE_CHARS = 8  # what a number counts as


@dataclass(frozen=True)
class Placed:
    """An item or reject with its file's number."""

    file: int
    item: Item | Reject

    @property
    def row(self) -> Item:
        """The item, where it is known to be no reject."""
        return cast(Item, self.item)


@dataclass(frozen=True)
class Work:
    """One part to score, and the last item before it (for context across the cut); rejects between don't part them."""

    number: int
    before: Placed | None
    items: tuple[Placed, ...]


def input_files(inputs: Sequence[str], written: Sequence[Path], notes: list[Note]) -> list[str]:
    """Files that the inputs name, each once, less what a run wrote; InputError when `written` holds one of them.

    An output may lie in a folder that is scored: its own rows and parts must not become input when the run goes on.
    A file that is named twice, by two paths, goes to `notes`.
    """
    asked = set(inputs)
    named = [path for path in resolve_inputs(inputs, notes) if path in asked or not _written_by_run(path)]
    files = list(_each_once(named, notes))
    if not files:
        raise InputError(f"{', '.join(inputs)}: holds nothing but outputs of earlier runs")
    read = {Path(path).resolve() for path in files if not is_remote(path)}
    for path in written:
        if path.resolve() in read:
            raise InputError(f"{path}: is one of the inputs; choose another output")
    return files


def _each_once(files: Sequence[str], notes: list[Note]) -> Iterator[str]:
    first: dict[Path, str] = {}
    for path in files:
        known = path if is_remote(path) else first.setdefault(Path(path).resolve(), path)
        if known == path:
            yield path
        else:
            notes.append(SAME_FILE.of(path, other=known))


def _written_by_run(path: str) -> bool:
    if is_remote(path):
        return False
    name = Path(path)
    return os.path.isdir(path + ".run") or any(parent.suffix == ".run" for parent in name.parents)


def sha256(path: str) -> str:
    """SHA-256 of a file's bytes as they lie there; InputError, OSError or an archive's own when they can't be read."""
    with open_raw(path) as file:
        # typeshed wants a readinto, which BinaryIO lacks and every file here has
        return hashlib.file_digest(cast(BufferedReader, file), "sha256").hexdigest()


def digest(path: str) -> str | None:
    """SHA-256 of a file; None where its archive is damaged or locked: some of it may be read, whoever reads it says so.

    What lies elsewhere is known by its filesystem's own token, such as address, size and date: it isn't fetched for that.
    """
    try:
        if is_remote(path.rpartition("::")[2]):
            system, name = filesystem(path)
            return str(system.ukey(name))
        return sha256(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except InputError:
        raise
    except Exception:  # every archive has errors of its own
        return None


def size(path: str) -> int:
    """Bytes of a file as it lies there; 0 where they can't be known."""
    try:
        if is_remote(path):
            system, name = filesystem(path)
            return int(system.size(name) or 0)
        return Path(real_path(path)).stat().st_size
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
            described.append({"path": path, "sha256": None, "error": str(error), "error_zh": error.chinese})
    return described


def unread_of(described: Sequence[Mapping[str, Any]]) -> dict[int, Words]:
    """Why files, by number, could not be read when they were described; manifests of before say it in English alone."""
    return {
        number: Words(item["error"], item.get("error_zh", item["error"]))
        for number, item in enumerate(described)
        if "error" in item
    }


def stamps(files: Sequence[str]) -> list[tuple[int, int] | None]:
    """Size and time of change of each local file, by which `check_unchanged` sees whether to look closer."""
    return [None if is_remote(path) else _stamp(path) for path in files]


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        found = Path(real_path(path)).stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def check_unchanged(described: Sequence[Mapping[str, Any]], before: Sequence[tuple[int, int] | None]) -> None:
    """InputError when a local file isn't any more what was described: then nobody knows which of the two was scored."""
    for item, stamp in zip(described, before, strict=True):
        path = item["path"]
        if stamp is not None and item["sha256"] and _stamp(path) != stamp and _digest_now(path) != item["sha256"]:
            raise InputError(f"{path}: changed while it was read; score it again with --restart once it is complete")


def _digest_now(path: str) -> str | None:
    try:
        return digest(path)
    except InputError:
        return None


def _placed(files: Sequence[str], options: Options, unread: Mapping[int, Words]) -> Iterator[Placed]:
    """All items of all files; of several, one that is damaged, or is in `unread`, is a reject and the next goes on.

    Unavailable is raised instead: a reject that comes and goes would shift the parts of a run that is gone on with.
    """
    for number, path in enumerate(files):
        if number in unread:
            yield Placed(number, Reject.of("file", unread[number]))
            continue
        try:
            for item in read_items(path, options):
                yield Placed(number, item)
        except Unavailable as error:
            raise Unavailable(f"{error}; what was scored is kept, the same command goes on from there") from None
        except InputError as error:
            if len(files) == 1:
                raise
            yield Placed(number, Reject.of("file", Words(*error.both)))


def work_units(
    files: Sequence[str],
    options: Options,
    done: Container[int] = (),
    part_rows: int = PART_ROWS,
    unread: Mapping[int, Words] | None = None,
) -> Iterator[Work]:
    """Parts in order, of `part_rows` items or PART_CHARS characters; those in `done` are read over, not given.

    `unread`: why files, by number, could not be read when the run began.
    """
    buffer: list[Placed] = []
    before: Placed | None = None
    number = chars = 0
    for placed in _placed(files, options, unread or {}):
        buffer.append(placed)
        chars += _chars(placed.item.record) if isinstance(placed.item, Item) else 0
        if len(buffer) == part_rows or chars >= PART_CHARS:
            if number not in done:
                yield Work(number, before, tuple(buffer))
            before = next((placed for placed in reversed(buffer) if isinstance(placed.item, Item)), before)
            number, buffer, chars = number + 1, [], 0
    if buffer and number not in done:
        yield Work(number, before, tuple(buffer))


def _chars(record: Mapping[str, Any]) -> int:
    """Roughly how many characters a row's fields hold, nested ones too."""
    total, left = 0, list(record.values())
    while left:
        value = left.pop()
        if isinstance(value, Mapping):
            left += [*value, *value.values()]
        elif isinstance(value, list | tuple):
            left += value
        else:
            total += len(value) if isinstance(value, str | bytes) else _VALUE_CHARS
    return total
