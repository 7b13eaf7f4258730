"""Readers of tables: JSON Lines, CSV, TSV (XLSX: see io.workbooks; Parquet: io.parquet)."""

from __future__ import annotations

import csv
import itertools
import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from zhenyan.inference.errors import InputError
from zhenyan.inference.io import asr, faults
from zhenyan.inference.io.bounds import COLUMNS, LINE, LongLine, beginning, lines_of, too_long
from zhenyan.inference.io.faults import fault
from zhenyan.inference.io.headers import HEADER_ROWS, find_header
from zhenyan.inference.io.hints import Hints, LineHints
from zhenyan.inference.io.items import Columns, Item, Options, Reject, find_columns, make_item, table_columns
from zhenyan.inference.io.note_kinds import MILLISECONDS
from zhenyan.inference.io.notes import Words, chinese_place
from zhenyan.inference.io.opening import LOST, open_text, plain_suffix, read_as
from zhenyan.inference.io.recognisers import IN_MILLISECONDS, are_milliseconds
from zhenyan.inference.json_objects import RepeatedKey, distinct

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
_FIRST = 1000  # rows that are looked through for the column asked for, or for the unit of their times
_SHAPES = 1000  # kinds of rows of a file whose columns are kept
_FIRST_CHARS = 8_000_000  # in them, so that they fit in memory
_WHISPERS = ["start", "end", "text"]  # columns of its table, whose times are milliseconds
_DELIMITERS = "\t;|，,"
_SEPARATOR_LINE = ["sep=", ""]  # sep=, above the header is said to Excel alone

Record: TypeAlias = tuple[int, list[str]] | Reject  # last line, from 1, and fields


def read_jsonl(path: str, options: Options) -> Iterator[Item | Reject]:
    """One JSON object a line, a row or a recogniser's result; a broken line is a reject.

    InputError when all rows of a short file lack the column asked for, or the file is a JSON array.
    """
    with open_text(path, options) as text:
        file, path, lines = path, read_as(path, text), lines_of(text)
        first = _first(lines) if _asked(options) else []
        _check_asked(first, options, path)
        known: dict[tuple[str, ...], Columns] = {}  # by a row's names: writers leave out what is empty
        hints = LineHints(options, file)
        for at, (number, row) in enumerate(_objects(itertools.chain(first, lines))):
            if isinstance(row, Reject):
                if at == 0 and row.value.startswith("["):
                    raise fault(path, faults.AN_ARRAY)
                yield row
                continue
            place = f"line {number}"
            if asr.is_recognised(row, options):
                yield from hints.recognised(row, list(asr.read_row(row, place, file, options)))
                continue
            if (names := tuple(row)) not in known:
                try:
                    columns = find_columns(row, options, path, lenient=True)
                except InputError as error:
                    if not known and options.text_column is None and number == 1 and not row:
                        raise
                    if asr.holds_segments(row):
                        yield from hints.recognised(row, list(asr.read_row(row, place, file, options)))
                    else:
                        yield Reject.of(place, faults.without_path(error, path))
                    continue
                if len(known) >= _SHAPES:
                    known.clear()
                known[names] = columns
            yield make_item(hints.of(known[names], row), known[names], place)
        hints.tell()


def _objects(lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any] | Reject]]:
    """Number, from 1, and JSON object of each line that isn't blank."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if isinstance(line, LongLine):
            yield number, Reject.of(f"line {number}", too_long(faults.LONG_LINE), line)
            continue
        try:
            row = json.loads(line, object_pairs_hook=distinct)
        except (ValueError, RecursionError) as error:
            yield number, Reject.of(f"line {number}", faults.NOT_JSON_LINE.of(error=str(error)), line.strip()[:80])
            continue
        except RepeatedKey as error:
            why = faults.REPEATED.of(error=str(error), name=error.name[:80])
            yield number, Reject.of(f"line {number}", why, line.strip()[:80])
            continue
        if not isinstance(row, dict):
            row = Reject.of(f"line {number}", faults.NO_OBJECT.of(kind=type(row).__name__), line.strip()[:80])
        yield number, row


def _first(lines: Iterator[str]) -> list[str]:
    """The lines up to _FIRST of them, or to the one that makes them _FIRST_CHARS long."""
    return beginning(lines, _FIRST, _FIRST_CHARS, len)


def _asked(options: Options) -> set[str]:
    """The columns that were asked for by name."""
    named = (options.text_column, options.start_column, options.end_column, options.stream_column)
    return {name for name in named if name is not None}


def _check_asked(first: Sequence[str], options: Options, path: str) -> None:
    """InputError when no row has a column that was asked for; a longer file may begin with rows without the text's."""
    names = {name: None for _, row in _objects(first) if isinstance(row, dict) for name in row}
    longer = len(first) >= _FIRST or sum(map(len, first)) >= _FIRST_CHARS
    if names and _asked(options) - {options.text_column if longer else None} - names.keys():
        find_columns(names, options, path)


def read_csv(path: str, options: Options) -> Iterator[Item | Reject]:
    """CSV or TSV with a header; quoted fields may hold line breaks.

    Rows with too few or many fields, or with a quote that is never closed, are rejects.
    """
    delimiter = "\t" if plain_suffix(path) == ".tsv" else ","
    with open_text(path, options) as text:
        path = read_as(path, text)
        lines = (line.replace("\0", "") if "\0" in line else line for line in lines_of(text))
        header, rows = _header(_records(lines, delimiter), options, path)
        if not header:
            return
        if delimiter == "\t" and header == _WHISPERS and not (options.start_column or options.end_column):
            header, rows = _with_units(rows, options, path)
        names, columns = _csv_columns(header, delimiter, options, path)
        hints = Hints(names, columns, options, path)
        for record in rows:
            if isinstance(record, Reject):
                yield record
                continue
            place, row = f"line {record[0]}", record[1]
            if len(row) != len(names):
                why = faults.WIDTH.of(count=str(len(row)), wanted=str(len(names)))
                yield Reject.of(place, why, delimiter.join(row)[:80])
                continue
            yield make_item(hints.seen(dict(zip(names, row, strict=True))), columns, place)
        hints.tell()


def _header(rows: Iterator[Record], options: Options, path: str) -> tuple[list[str], Iterator[Record]]:
    """The columns' names, none in a file without records, and the records below them."""
    first = list(itertools.islice(rows, HEADER_ROWS))
    if first and isinstance(first[0], tuple) and [name.lstrip("\ufeff") for name in first[0][1]] == _SEPARATOR_LINE:
        del first[0]
    if not first:
        return [], rows
    if isinstance(first[0], Reject):
        place, why = first[0].place, Words(first[0].reason, first[0].reason_zh)
        raise fault(path, faults.IN_HEADER.of(place=Words(place, chinese_place(place)), reason=why))
    whole = itertools.takewhile(lambda record: isinstance(record, tuple), first)
    names, taken = find_header([record for record in whole if isinstance(record, tuple)], "line", options, path)
    return names, itertools.chain(first[taken:], rows)


def _with_units(rows: Iterator[Record], options: Options, path: str) -> tuple[list[str], Iterator[Record]]:
    """The columns' names in Whisper's own table, which say milliseconds where the first rows have these, and all rows."""
    first = beginning(rows, _FIRST, _FIRST_CHARS, _chars)
    rows = itertools.chain(first, rows)
    fields = [row[1] for row in first if isinstance(row, tuple) and len(row[1]) == len(_WHISPERS)]
    if not are_milliseconds([(start, end, text) for start, end, text in fields]):
        return _WHISPERS, rows
    options.notes.append(MILLISECONDS.of(path))
    return [IN_MILLISECONDS.get(name, name) for name in _WHISPERS], rows


def _chars(record: Record) -> int:
    return 0 if isinstance(record, Reject) else sum(map(len, record[1]))


def _csv_columns(names: list[str], delimiter: str, options: Options, path: str) -> tuple[list[str], Columns]:
    other = next((mark for mark in _DELIMITERS if mark != delimiter and mark in names[0]), None)
    try:
        return table_columns(names, options, path)
    except InputError as error:
        if (damage := options.damage) and damage.encoding and LOST in "".join(names):
            raise faults.said_more(error, faults.LOST_HEADER.of(encoding=damage.encoding)) from None
        if len(names) > 1 or other is None:
            raise
        remedy = faults.AS_TSV if other == "\t" else faults.AS_CSV
        raise faults.said_more(error, faults.SEPARATED.of(mark=other, remedy=remedy)) from None


def _records(lines: Iterator[str], delimiter: str) -> Iterator[Record]:
    """Last line, from 1, and fields of each record that isn't blank.

    One whose quote is never closed, or closed in a later record, is a reject, and the lines after its first are read
    again: csv would make one field of them all. So is one with a line over the bound, or with more fields than a table has.
    """
    number = width = 0
    taken: list[str] = []  # of this record
    again: deque[str] = deque()

    def feed() -> Iterator[str]:
        chars = 0
        while not taken or chars < LINE:  # a quote that is never closed is found out here at the latest
            line = again.popleft() if again else next(lines, None)
            if line is None:
                return
            taken.append(line)
            chars = chars + len(line) if len(taken) > 1 else len(line)
            yield line

    reader = csv.reader(feed(), delimiter=delimiter)
    while (row := next(reader, None)) is not None:
        if reason := _fault(row, taken, width, delimiter):
            number += 1
            yield Reject.of(f"line {number}", reason, taken[0].strip()[:80])
            again.extendleft(reversed(taken[1:]))
            reader = csv.reader(feed(), delimiter=delimiter)
        else:
            number, width = number + len(taken), width or len(row)
            if any(field.strip() for field in row):
                yield number, row
        taken.clear()


def _fault(row: list[str], lines: Sequence[str], width: int, delimiter: str) -> Words | None:
    """Why the first line of a record isn't read, and those below it are once more; None for a sound one."""
    if any(isinstance(line, LongLine) for line in lines):
        return too_long(faults.LONG_LINE)
    if len(row) > COLUMNS:
        return faults.OVER_COLUMNS.of(count=len(row), most=COLUMNS)
    broken = len(lines) > 1 and not (_is_closed(lines, delimiter) or _is_whole(row, lines, width, delimiter))
    return faults.OPEN_QUOTE if broken else None


def _is_closed(lines: Sequence[str], delimiter: str) -> bool:
    """Whether a record of several lines is quoted as the format has it, and not by chance."""
    try:
        return bool(list(csv.reader(lines, delimiter=delimiter, strict=True)))
    except csv.Error:
        return False


def _is_whole(row: list[str], lines: Sequence[str], width: int, delimiter: str) -> bool:
    """Whether a record that isn't quoted quite as the format has it still has all its fields, and swallowed no row."""
    ends = len(list(csv.reader([*lines, "x\n"], delimiter=delimiter))) == 2  # what follows isn't taken for more of it
    # The first line with its quote as a letter: one too short for a row can't have swallowed the last.
    first = next(csv.reader(lines[:1], delimiter=delimiter, quoting=csv.QUOTE_NONE))
    below = lines[1:] if len(first) >= width else lines[1:-1]
    swallowed = csv.reader(below, delimiter=delimiter)
    return ends and len(row) == width and not any(len(one) == width for one in swallowed)
