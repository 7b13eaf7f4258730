"""JSON lines that any value survives, and files that are written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from zhenyan.inference.errors import InputError

_BUFFER = 1 << 20
# Built once: json.dumps with options of its own builds a new encoder for each call.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str)
_ESCAPER = json.JSONEncoder(separators=(",", ":"), default=str)


def dump_line(record: Mapping[str, Any]) -> bytes:
    """One JSON line; lone surrogates are escaped, NaN becomes null, dates and the like become text."""
    try:
        return _ENCODER.encode(record).encode() + b"\n"
    except ValueError:  # rare, so it isn't looked for in advance
        finite = json.loads(_ESCAPER.encode(record), parse_constant=lambda _: None)  # as deep as the reader goes
        return _ESCAPER.encode(finite).encode() + b"\n"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write beside `path`, flushed and renamed to it at the end: a reader sees the whole file or the old one.

    Of a link, the file behind it is replaced. InputError names `path`, also when a device or a pipe is there.
    """
    if not path.name:
        raise InputError(f"{path}: is a folder; name a file")
    real = Path(os.path.realpath(path))
    if os.path.exists(real) and not (os.path.isfile(real) or os.path.isdir(real)):  # Path's raise for a name too long
        raise InputError(f"{path}: is a device or a pipe, which can't be replaced; name a file")
    part = real.with_name(f".{real.name}.tmp")
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(real)
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror or error}; name a file in a folder that exists and can be written, on a disk with room"
        ) from None
    finally:
        with suppress(OSError):  # such as a name too long, which the error above has told
            part.unlink(missing_ok=True)


def write_atomic(path: Path, chunks: Iterable[bytes]) -> None:
    """Write all chunks, or leave `path` as it was; InputError when the disk is full or the folder can't be written."""
    with replacing(path) as part, part.open("wb", buffering=_BUFFER) as out:
        out.writelines(chunks)
