"""JSON lines that any text survives, and files that are written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from zhenyan.inference.errors import InputError


def dump_line(record: Mapping[str, Any]) -> bytes:
    """One JSON line; what UTF-8 can't hold (lone surrogates) is escaped."""
    try:
        return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n"
    except UnicodeEncodeError:
        return json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"


def write_atomic(path: Path, chunks: Iterable[bytes]) -> None:
    """Write to a neighbour, flush to disk, rename: a reader sees the whole file or none."""
    part = path.with_name(path.name + ".tmp")
    try:
        with part.open("wb") as out:
            for chunk in chunks:
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(
            f"{path}: {error.strerror or error}; what was scored so far is kept, the same command goes on from there"
        ) from None
    part.replace(path)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Records of a JSON Lines file that this package wrote; none when it doesn't exist."""
    if path.exists():
        with path.open("rb") as lines:
            for line in lines:
                yield json.loads(line)
