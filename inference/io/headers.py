"""Headers that aren't a table's first row, or are two: titles above it, groups of columns (直播信息, 内容) above their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zhenyan.inference.io.items import (
    DAY_COLUMNS,
    END_COLUMNS,
    HOST_COLUMNS,
    START_COLUMNS,
    STREAM_COLUMNS,
    TEXT_COLUMNS,
    Options,
    plain_name,
)
from zhenyan.inference.io.note_kinds import HEADER_BELOW, HEADER_BELOW_GROUPS
from zhenyan.inference.io.notes import Kind, Note, Words, chinese_place

HEADER_ROWS = 6  # the first rows of a table, of which one may be its header
_TEXTS = frozenset(map(plain_name, TEXT_COLUMNS))
_KNOWN = _TEXTS.union(map(plain_name, (*START_COLUMNS, *END_COLUMNS, *STREAM_COLUMNS, *HOST_COLUMNS, *DAY_COLUMNS)))


def find_header(
    first: Sequence[tuple[int, Sequence[Any]]], unit: str, options: Options, path: str
) -> tuple[list[str], int]:
    """The columns' names, "" for one that has none, and how many of a table's first rows they and what is above take.

    `first`: HEADER_ROWS rows, at least one, with their numbers; `unit`: what these count, for the note that says where
    the header is read from when it isn't the first row.
    """
    at = header_at([cells for _, cells in first], options) or 0
    names = _names(first[at][1])
    number, below = first[at + 1] if len(first) > at + 1 else (0, ())
    width = max(len(names), len(below))
    above, below = ([*cells, *[""] * (width - len(cells))] for cells in (names, below))
    if lower := lower_header(above, below, options):
        options.notes.append(_note(HEADER_BELOW_GROUPS, path, f"{unit} {number}"))
        return lower, at + 2
    if at:
        groups = options.text_column is None and any(_known(_names(cells), _TEXTS) for _, cells in first[:at])
        options.notes.append(_note(HEADER_BELOW_GROUPS if groups else HEADER_BELOW, path, f"{unit} {first[at][0]}"))
    return names, at + 1


def header_at(rows: Sequence[Sequence[Any]], options: Options, sure: bool = False) -> int | None:
    """Which of a table's first rows names its columns, from 0: the first, where it names a text, or a later one.

    Cells of a later one may be data, or a group's name in each of its columns, so it names another usual column too;
    `sure`: so does the first. None where none is.
    """
    for at, cells in enumerate(rows[:HEADER_ROWS]):
        names = _names(cells)
        others = [name for name in names if name != options.text_column]
        has_text = len(others) < len(names) if options.text_column is not None else _known(names, _TEXTS) > 0
        if has_text and ((at == 0 and not sure) or _known(others, _KNOWN) > (options.text_column is None)):
            return at
    return None


def lower_header(above: Sequence[str], below: Sequence[Any], options: Options) -> list[str] | None:
    """The columns' names where the second row is the header and the first, which names a text too, one of groups.

    A cell that is blank below has its name above, as one merged over both rows. None where the second row is data.
    """
    cells = ["" if cell is None else cell for cell in below]
    if options.text_column is not None or len(cells) != len(above) or not all(isinstance(cell, str) for cell in cells):
        return None
    names = [cell.strip() for cell in cells]
    if names == list(above) or not _known(above, _TEXTS) or not _known(names, _TEXTS):
        return None
    pairs = list(zip(names, above, strict=True))
    spans = any(name and not group for name, group in pairs)
    return [name or group for name, group in pairs] if spans or _known(names, _KNOWN) > 1 else None


def _note(kind: Kind, path: str, row: str) -> Note:
    return kind.of(path, row=Words(row, chinese_place(row)))


def _names(cells: Sequence[Any]) -> list[str]:
    return ["" if cell is None else str(cell).strip().lstrip("\ufeff") for cell in cells]


def _known(names: Sequence[str], usual: frozenset[str]) -> int:
    """How many usual names there are, one that is repeated, as over each column of a group, once."""
    return len(usual & set(map(plain_name, names)))
