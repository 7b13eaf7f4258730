"""Transcripts in the tables of Word documents: a header names the columns of times and words (时间, 主播, 话术)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from zhenyan.inference.errors import InputError
from zhenyan.inference.io.headers import HEADER_ROWS, find_header, header_at
from zhenyan.inference.io.hints import Hints
from zhenyan.inference.io.items import Item, Options, Reject, make_item, table_columns


def timed_rows(rows: Sequence[Sequence[str]], table: int, path: str, options: Options) -> list[Item | Reject]:
    """What the rows of a document's table hold below its header; none where it is no transcript.

    A form (时间, 11月24日, 内容, …) names columns, too: only where half of the rows have times do these go down the table.
    Notes are added to the options for a transcript alone.
    """
    if header_at(rows, options, sure=True) is None or len({len(cells) for cells in rows}) > 1:
        return []
    own = replace(options, notes=[])
    try:
        found = _items(list(enumerate(rows, 1)), table, path, own)
    except InputError:
        return []
    if 2 * sum(isinstance(one, Item) and "start" in one.record for one in found) < max(1, len(found)):
        return []
    options.notes.extend(own.notes)
    return found


def _items(rows: Sequence[tuple[int, Sequence[str]]], table: int, path: str, options: Options) -> list[Item | Reject]:
    place = f"{path} table {table}"
    header, taken = find_header(rows[:HEADER_ROWS], "row", options, place)
    names, columns = table_columns([name or f"column{at}" for at, name in enumerate(header, 1)], options, place)
    hints = Hints(names, columns, options, place)
    said = [(number, dict(zip(names, cells, strict=True))) for number, cells in rows[taken:] if any(cells)]
    found = [make_item(hints.seen(record), columns, f"table {table} row {number}") for number, record in said]
    hints.tell()
    return found
