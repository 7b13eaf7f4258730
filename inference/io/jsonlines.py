"""JSON lines that any value survives, and files that are written whole or not at all."""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from zhenyan.inference import locks
from zhenyan.inference.errors import InputError

_BUFFER = 1 << 20
_REMEDY = "name a file in a folder that exists and can be written, on a disk with room"
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
def replacing(path: Path, remedy: str = _REMEDY) -> Iterator[Path]:
    """A file to write beside `path`, flushed and renamed to it at the end: a reader sees the whole file or the old one.

    Its name is its own: of two that write at once each writes a whole file, and the later one's stays. It gets the mode
    of the file that it replaces. Of a link, the file behind it is replaced.
    InputError names `path` and what to do (`remedy`), also when a device or a pipe is there.
    """
    if not path.name:
        raise InputError(f"{path}: is a folder; name a file")
    real = Path(os.path.realpath(path))
    if os.path.exists(real) and not (os.path.isfile(real) or os.path.isdir(real)):  # Path's raise for a name too long
        raise InputError(f"{path}: is a device or a pipe, which can't be replaced; name a file")
    try:
        before = _mode(real) if os.path.exists(real) else None
        _sweep(real)
        with ExitStack() as stack:
            part = _begun(real, 0o666 if before is None else 0o600, stack)
            yield part
            with part.open("rb") as written:
                os.fsync(written.fileno())
            if before is not None and _mode(part) != before:  # not earlier: it may forbid to write or read
                part.chmod(before)
            part.replace(real)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; {remedy}") from None


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _begun(real: Path, mode: int, stack: ExitStack) -> Path:
    """A new file beside `real`, locked where the disk has locks, until the stack ends; what is left of it goes then."""
    while True:
        part = real.with_name(f".{real.name}.{secrets.token_hex(4)}.tmp")
        handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)  # never a file or link that is there
        if locks.take(handle, wait=True):
            stack.callback(os.close, handle)
        else:
            os.close(handle)  # no locks: Windows, which renames no open file
        stack.callback(_remove, part)
        if part.exists():  # else it was swept before it was locked
            return part


def _sweep(real: Path) -> None:
    """Remove what writers of `real` left that were killed: nobody holds its lock."""
    left = re.compile(rf"\.{re.escape(real.name)}\.[0-9a-f]{{8}}\.tmp")
    with suppress(OSError):  # such as a folder that can't be listed
        for part in [real.with_name(name) for name in os.listdir(real.parent) if left.fullmatch(name)]:
            with suppress(OSError), part.open("r+b") as file:  # such as somebody else's
                if locks.take(file.fileno()):
                    _remove(part)


def _remove(part: Path) -> None:
    with suppress(OSError):  # such as a disk that can only be read by now; the next writer sweeps it
        part.unlink(missing_ok=True)


def write_atomic(path: Path, chunks: Iterable[bytes]) -> None:
    """Write all chunks, or leave `path` as it was; InputError when the disk is full or the folder can't be written."""
    with replacing(path) as part, part.open("wb", buffering=_BUFFER) as out:
        out.writelines(chunks)
