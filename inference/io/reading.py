"""Files to items: one for each row or cue, in order, in constant memory; what can't be read becomes a Reject."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zhenyan.inference.errors import InputError
from zhenyan.inference.io import asr, documents, tables, workbooks
from zhenyan.inference.io.items import Item, Options, Reject
from zhenyan.inference.io.opening import COMPRESSIONS, filesystem, is_remote, plain_suffix
from zhenyan.inference.io.splitting import split_items

Reader = Callable[[str, Options], Iterator[Item | Reject]]

READERS: dict[str, Reader] = {
    ".jsonl": tables.read_jsonl,
    ".csv": tables.read_csv,
    ".tsv": tables.read_csv,
    ".parquet": tables.read_parquet,
    ".xlsx": workbooks.read_xlsx,
    ".txt": documents.read_txt,
    ".srt": documents.read_subtitles,
    ".vtt": documents.read_subtitles,
    ".ass": documents.read_subtitles,
    ".json": asr.read_asr_json,
}

_BY_PROGRAMS = ("~$", ".~lock.", "._")

__all__ = ["READERS", "Item", "Options", "Reject", "read_items", "resolve_inputs"]


@dataclass
class _Found:
    files: list[str] = field(default_factory=list)
    skipped: int = 0


def resolve_inputs(inputs: Sequence[str]) -> list[str]:
    """Files that the given files, folders (searched through), globs and addresses name, in a fixed order.

    InputError when one names nothing, or a file whose ending no reader knows.
    """
    files: list[str] = []
    for name in inputs:
        found = _resolve(name)
        if not found:
            raise InputError(
                f"{name}: no such file, folder or glob with readable files ({' '.join(READERS)}, also .gz .zst)"
            )
        files += found
    return list(dict.fromkeys(files))


def _resolve(name: str) -> list[str]:
    if name.startswith("file://"):
        name = filesystem(name)[1]
    if is_remote(name):
        return _resolve_remote(name)
    path = Path(name)
    try:
        if path.is_dir():
            return sorted(str(p) for p in path.rglob("*") if p.is_file() and _is_readable(p.name))
        if path.exists():
            _check_ending(name)
            return [name]
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or error}") from None
    return sorted(hit for hit in glob.glob(name, recursive=True) if os.path.isfile(hit) and _is_readable(hit))


def _resolve_remote(name: str) -> list[str]:
    system, path = filesystem(name)
    try:
        paths = system.glob(path) if glob.has_magic(path) else system.find(path)
    except (ValueError, OSError) as error:
        raise InputError(f"{name}: {error}") from None
    return sorted(system.unstrip_protocol(p) for p in paths if _is_readable(p))


def _is_readable(path: str) -> bool:
    """Whether a file that was found, not named, is for a reader: spreadsheets' lock files and macOS's forks aren't."""
    return plain_suffix(path) in READERS and not path.rsplit("/", 1)[-1].startswith(_BY_PROGRAMS)


def _check_ending(name: str) -> None:
    if plain_suffix(name) not in READERS:
        raise InputError(
            f"{name}: ending {plain_suffix(name) or '(none)'!r} is not known; "
            f"readable are {' '.join(READERS)}, each also with {' or '.join(COMPRESSIONS)}"
        )


def read_items(path: str, options: Options) -> Iterator[Item | Reject]:
    """Items and rejects of one file, in order. InputError when the file as a whole can't be read."""
    suffix = plain_suffix(path)
    return split_items(READERS[suffix](path, options), options, asr=suffix == ".json")
