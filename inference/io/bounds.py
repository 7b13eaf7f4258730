"""Bounds of what is held in memory at once, whatever a file of a few bytes unpacks to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TextIO, TypeVar

from zhenyan.inference.errors import Unavailable
from zhenyan.inference.io.faults import OVER_CHARACTERS, fault
from zhenyan.inference.io.notes import Words

LINE = 1 << 24  # characters of a line, a record, a text
ROWS, COLUMNS = 1_048_576, 16_384  # of a sheet in any spreadsheet program; a table of text has no more columns either
WHOLE = 1 << 28  # characters of a text that is read whole; as JSON it may take twenty times as much memory
_REST = 1 << 16  # characters of a line over the bound that are passed over at once
_SHOWN = 80
T = TypeVar("T")


class LongLine(str):
    """The beginning of a line over the bound; what comes after it was passed over."""


def too_long(what: Words) -> Words:
    """Why a line or a text is a reject, and what to do."""
    return what.of(most=LINE)


def lines_of(file: TextIO) -> Iterator[str]:
    """The lines of a text, one over the bound as a LongLine."""
    read = file.readline
    while line := read(LINE):
        yield _passed_over(line, file) if len(line) == LINE and not _is_ended(line) else line


def _passed_over(begin: str, file: TextIO) -> LongLine:
    while (rest := file.readline(_REST)) and not _is_ended(rest):
        pass
    return LongLine(begin[:_SHOWN].replace("\0", "").strip())


def _is_ended(line: str) -> bool:
    return line.endswith(("\n", "\r"))


def beginning(rows: Iterator[T], most: int, chars: int, length: Callable[[T], int]) -> list[T]:
    """The first `most` rows, or those up to the one that makes them `chars` long."""
    first: list[T] = []
    total = 0
    while len(first) < most and total < chars and (row := next(rows, None)) is not None:
        first.append(row)
        total += length(row)
    return first


def read_whole(file: TextIO, path: str, remedy: Words, most: int | None = None) -> str:
    """All of a text; InputError where it has more characters than WHOLE, or than `most`."""
    most = WHOLE if most is None else most
    parts: list[str] = []
    chars = 0
    while part := file.read(_REST):
        parts.append(part)
        chars += len(part)
        if chars > most:
            raise fault(path, OVER_CHARACTERS.of(most=most, remedy=remedy))
    return "".join(parts)


def within_memory(items: Iterable[T], path: str) -> Iterator[T]:
    """The items. Unavailable instead of MemoryError: with more memory the file can be read, as a lost disk's can later."""
    try:
        yield from items
        return
    except MemoryError:
        pass  # what was being read is let go with the error, before anything else is made
    raise Unavailable(
        f"{path}: there is not enough memory to read it; close other programs, or save it in several files"
    )
