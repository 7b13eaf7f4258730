"""Reader of XLSX workbooks."""

from __future__ import annotations

import datetime as dt
import itertools
import re
import zipfile
import zlib
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, BinaryIO, TypeAlias

from zhenyan.inference.errors import InputError
from zhenyan.inference.io import faults
from zhenyan.inference.io.bounds import ROWS
from zhenyan.inference.io.faults import fault
from zhenyan.inference.io.headers import HEADER_ROWS, find_header, header_at
from zhenyan.inference.io.hints import Hints
from zhenyan.inference.io.items import Columns, Item, Options, Reject, make_item, table_columns
from zhenyan.inference.io.note_kinds import NO_SHEET, SHEET
from zhenyan.inference.io.notes import Words
from zhenyan.inference.io.opening import OLE, ZIP, open_seekable

_LOOKED_AT = 100  # rows of a sheet that isn't read, to tell whether it holds anything
_WHOLE = 256 << 20  # bytes of XML; openpyxl takes nine times as much memory
_SHEET = 1 << 30  # bytes of a sheet's XML, which is streamed
_TYPES = "[Content_Types].xml"
_OVERRIDE = re.compile(r"<(?:\w+:)?Override\b[^>]*>")
_OF_PART, _OF_TYPE = (re.compile(rf"""\b{name}=["']/?([^"']+)""") for name in ("PartName", "ContentType"))
_NO_DATE = dt.datetime(1900, 3, 1)  # what lies before is a length of time: nobody sold then
_CHUNK = 1 << 20  # bytes of a sheet's XML
_TAG = 256  # bytes; no tag of merged cells is longer
_MERGED = re.compile(rb"""<(?:\w+:)?mergeCell\s[^<>]*?ref=["']([A-Z]+)(\d+):[A-Z]+(\d+)["']""")
# A cell with a formula and no value; one whose value is a text may have an empty one. Each attribute is tried once.
_FORMULA = (
    r"""<(?:\w+:)?c\s(?![^<>]*\st="str")(?>(?:[^<>]*?\s)?r="{column}(\d+)")[^<>]*>\s*<(?:\w+:)?f\b[^<>]*(?:/>|>[^<]*</(?:\w+:)?f>)"""
    r"""\s*(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</(?:\w+:)?c>"""
)
_LONGEST = 1 << 16  # bytes of such a cell
_BEGINNING = 256  # bytes
_MIDNIGHT = dt.time()
# What in a format is no sign of an hour: [$-zh-CN], [White], "h", \h; a cell with [h] is a length of time
_NO_LETTERS = re.compile(r"""\[[^\]]*\]|"[^"]*"|\\.""")
Cells = tuple[Any, ...]
Row: TypeAlias = tuple[int, Cells]


def read_xlsx(path: str, options: Options) -> Iterator[Item | Reject]:
    """The first visible sheet with rows, streamed, its header found by io.headers; other sheets with rows are noted in
    the options. Where it names no text among its first rows, the first visible sheet that surely does is read.

    Cells merged downwards have their value in every row, but for those of the text, which is scored once: its further
    rows are passed over.
    """
    from openpyxl.utils.exceptions import InvalidFileException

    # What openpyxl makes of damage and of other programs' liberties; XML's ParseError is a SyntaxError, encryption a RuntimeError
    broken = (
        InvalidFileException, zipfile.BadZipFile, zlib.error, EOFError, LookupError, ValueError, SyntaxError, AttributeError,
        TypeError, ArithmeticError, RuntimeError,
    )  # fmt: skip
    with open_seekable(path, options) as raw:
        try:  # damage inside a sheet shows only while its rows are read
            yield from _items(raw, path, options)
        except zipfile.BadZipFile as error:
            raise fault(path, faults.CUT_WORKBOOK.of(error=str(error))) from None
        except broken as error:
            raise fault(path, faults.NO_WORKBOOK.of(error=str(error))) from None


def _items(raw: BinaryIO, path: str, options: Options) -> Iterator[Item | Reject]:
    _check_beginning(raw, path)
    _check_size(raw, path)
    book = _book(raw)
    if not book.worksheets:
        raise fault(path, faults.NO_WORKSHEET)
    sheet = _chosen(book.worksheets, options)
    others = [other for other in book.worksheets if other is not sheet and next(_rows(other, _LOOKED_AT), None)]
    if others:
        left = _titles(others)
        note = SHEET.of(path, sheet=sheet.title, others=left) if sheet else NO_SHEET.of(path, others=left)
        options.notes.append(note)
    if sheet is None:
        return
    rows = _rows(sheet)
    first = list(itertools.islice(rows, HEADER_ROWS))
    header, taken = find_header(first, "row", options, path)
    rows = itertools.chain(first[taken:], rows)
    header = [name or f"column{i}" for i, name in enumerate(header, 1)]
    names, columns = _columns(header, options, f"{path} sheet {sheet.title}", others)
    at = names.index(columns.text)
    merged = _merged(sheet)
    texts = {row: merged.pop((row, column)) for row, column in list(merged) if column == at}
    merged = {cell: last for cell, last in merged.items() if cell[1] < len(names)}
    unsaved = {row for row in _unsaved(sheet, at) if not taken or row > first[taken - 1][0]}
    hints = Hints(names, columns, options, f"{path} sheet {sheet.title}")
    for number, row in _once(_filled(_with(rows, unsaved), merged), texts):
        item = make_item(hints.seen(_plain(_named(names, row))), columns, f"row {number}")
        if isinstance(item, Reject) and row[at : at + 1] in ((), (None,)) and number in unsaved:
            item = Reject.of(item.place, faults.UNSAVED.of(column=columns.text), item.value)
        yield item
    hints.tell()


def _book(raw: BinaryIO) -> Any:
    """The workbook without its sheets of charts, of which an empty one can't be loaded."""
    from openpyxl.reader.excel import ExcelReader

    class Reader(ExcelReader):
        def read_chartsheet(self, sheet: Any, rel: Any) -> None:
            """Nothing: a chart holds no rows."""

    reader = Reader(raw, read_only=True, data_only=True)
    reader.read()
    return reader.wb


def _chosen(sheets: Sequence[Any], options: Options) -> Any:
    """The first visible sheet with rows, or, where it has no text, the first that has a text and another usual column."""
    filled = (sheet for sheet in sheets if sheet.sheet_state == "visible" and next(_rows(sheet), None))
    if (first := next(filled, None)) is None or header_at(_first_rows(first), options) is not None:
        return first
    return next((sheet for sheet in filled if header_at(_first_rows(sheet), options, sure=True) is not None), first)


def _first_rows(sheet: Any) -> list[Cells]:
    return [cells for _, cells in itertools.islice(_rows(sheet), HEADER_ROWS)]


def _check_beginning(raw: BinaryIO, path: str) -> None:
    """InputError when the file is something else than its name says."""
    begin = raw.read(_BEGINNING)
    raw.seek(0)
    if begin.startswith(OLE):
        raise fault(path, faults.OLD_WORKBOOK)
    if not begin.startswith(ZIP):
        is_markup = begin.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
        what = faults.MARKUP if is_markup else faults.PLAIN if begin else faults.NOTHING
        raise fault(path, faults.OTHER_FORMAT.of(what=what))


def _columns(header: Sequence[str], options: Options, path: str, others: Sequence[Any]) -> tuple[list[str], Columns]:
    """The sheet's columns; the InputError says which other sheets with rows there are, of which one may be meant."""
    try:
        return table_columns(header, options, path)
    except InputError as error:
        if not others:
            raise
        shown = any(sheet.sheet_state == "visible" for sheet in others)
        remedy = faults.MOVE_SHEET if shown else faults.SHOW_SHEET
        raise faults.said_more(error, faults.OTHER_SHEETS.of(sheets=_titles(others), remedy=remedy)) from None


def _titles(sheets: Sequence[Any]) -> Words:
    hidden = {False: Words("", ""), True: Words(" (hidden)", "（隐藏）")}
    named = [(sheet.title, hidden[sheet.sheet_state != "visible"]) for sheet in sheets]
    english, chinese = (", ".join(t + h.english for t, h in named), "、".join(t + h.chinese for t, h in named))
    return Words(english, chinese)


def _check_size(raw: BinaryIO, path: str) -> None:
    """InputError when what openpyxl reads whole (shared texts, styles), whatever it is called, or a sheet is too large."""
    with zipfile.ZipFile(raw) as book:
        streamed = _sheets_in(book)
        # Pictures are never opened.
        parts = [part for part in book.infolist() if not part.filename.startswith("xl/media/")]
        whole = sum(part.file_size for part in parts if part.filename not in streamed)
        largest = max((part.file_size for part in parts if part.filename in streamed), default=0)
    raw.seek(0)
    for what, size, most in ((faults.TEXTS_UNPACK, whole, _WHOLE), (faults.SHEET_UNPACKS, largest, _SHEET)):
        if size > most:
            raise fault(path, faults.LARGE_WORKBOOK.of(what=what, size=size >> 20, most=most >> 20))


def _sheets_in(book: zipfile.ZipFile) -> set[str]:
    """The parts that are worksheets by their type, and nothing else: openpyxl finds texts and styles by type as well."""
    if _TYPES not in book.namelist() or book.getinfo(_TYPES).file_size > _WHOLE:
        return set()
    types: dict[str, set[str]] = defaultdict(set)
    for override in _OVERRIDE.findall(book.read(_TYPES).decode(errors="replace")):
        if (part := _OF_PART.search(override)) and (kind := _OF_TYPE.search(override)):
            types[part[1]].add(kind[1])
    return {part for part, kinds in types.items() if all(kind.endswith("worksheet+xml") for kind in kinds)}


def _named(names: Sequence[str], row: Cells) -> dict[str, Any]:
    """A row's cells by the header's names; cells right of the header are numbered."""
    cells = dict(zip(names, [*row, *[None] * (len(names) - len(row))], strict=False))
    beyond = {f"column{at}": value for at, value in enumerate(row[len(names) :], len(names) + 1) if value is not None}
    return cells | {name: value for name, value in beyond.items() if name not in cells}


def _merged(sheet: Any) -> dict[tuple[int, int], int]:
    """The last row of all cells merged downwards, by first row, from 1, and column, from 0.

    Looked for in the XML, where they stand after all rows: openpyxl doesn't tell them of a sheet that is streamed.
    """
    from openpyxl.utils import column_index_from_string

    found: dict[tuple[int, int], int] = {}
    for match in _in_xml(sheet, _MERGED, _TAG):
        column, row, last = match.groups()
        if int(last) > int(row):
            found[int(row), column_index_from_string(column.decode()) - 1] = int(last)
    return found


def _unsaved(sheet: Any, column: int) -> set[int]:
    """Rows in which the cell of a column, from 0, has a formula whose value the program that wrote it didn't store."""
    from openpyxl.utils import get_column_letter

    pattern = re.compile(_FORMULA.format(column=get_column_letter(column + 1)).encode())
    return {int(match[1]) for match in _in_xml(sheet, pattern, _LONGEST)}


def _in_xml(sheet: Any, pattern: re.Pattern[bytes], longest: int) -> Iterator[re.Match[bytes]]:
    """What matches in a sheet's XML; twice where it stands near the end of a chunk."""
    with sheet._get_source() as xml:
        kept = b""
        while chunk := xml.read(_CHUNK):
            yield from pattern.finditer(kept + chunk)
            kept = (kept + chunk)[-longest:]


def _with(rows: Iterator[Row], numbers: Iterable[int]) -> Iterator[Row]:
    """The rows, and an empty one for each of `numbers` that isn't among them."""
    left = deque(sorted(numbers))
    for number, row in rows:
        while left and left[0] <= number:
            if (earlier := left.popleft()) < number:
                yield earlier, ()
        yield number, row
    yield from ((number, ()) for number in left)


def _once(rows: Iterator[Row], texts: Mapping[int, int]) -> Iterator[Row]:
    """The rows without those over which a text is merged, but for its first; `texts`: the last row of each by its first."""
    last = 0  # of the text that is merged over the rows at hand
    for number, row in rows:
        if number > last:
            yield number, row
        last = max(last, texts.get(number, 0))


def _filled(rows: Iterator[Row], merged: Mapping[tuple[int, int], int]) -> Iterator[Row]:
    """The rows, each merged cell with the value of its first row."""
    columns = {column for _, column in merged}
    values: dict[int, tuple[Any, int]] = {}  # of the merged cell of a column, and its last row
    for number, row in rows:
        cells = [*row, *[None] * (max(columns, default=-1) + 1 - len(row))]
        for column in columns:
            if (number, column) in merged:
                values[column] = cells[column], merged[number, column]
            value, last = values.get(column, (None, 0))
            if number <= last:
                cells[column] = value
        yield number, tuple(cells)


def _rows(sheet: Any, most: int | None = None) -> Iterator[Row]:
    """Number, from 1, and cells of each row, of the first `most`, that holds something.

    The size that a sheet says it has is passed over: some programs that stream their sheets write A1. ValueError where a row
    has a number that no spreadsheet has: openpyxl would make all rows before it.
    """
    sheet.reset_dimensions()
    for number, cells in enumerate(sheet.iter_rows(max_row=most or ROWS + 1), 1):
        if number > ROWS:
            raise ValueError(
                f"sheet {sheet.title} has a row with a number over {ROWS:,}; save it anew in a spreadsheet program"
            )
        row = tuple(map(_held, cells))
        if any(value is not None for value in row):
            yield number, row


def _held(cell: Any) -> Any:
    """A cell's value; a date alone where the cell shows no hour."""
    value = cell.value
    if isinstance(value, dt.datetime) and value.time() == _MIDNIGHT and value >= _NO_DATE:
        return value if _shows_hour(cell.number_format) else value.date()
    return value


@lru_cache(maxsize=64)
def _shows_hour(number_format: str) -> bool:
    return "h" in _NO_LETTERS.sub("", number_format.lower())


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """Cell values that JSON can hold: dates and times as text, times of a day and more as hours."""
    return {key: _value(value) for key, value in record.items()}


def _value(value: Any) -> Any:
    from openpyxl.utils.escape import unescape

    if isinstance(value, str):
        return unescape(value) if "_x" in value else value
    if isinstance(value, dt.datetime) and value < _NO_DATE:  # 25:30 in a cell for times of a day
        value -= dt.datetime(1899, 12, 31)
    if isinstance(value, dt.timedelta):
        seconds, rest = divmod(value, dt.timedelta(seconds=1))
        clock = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        return f"{clock}.{rest.microseconds:06}" if rest else clock
    return value if isinstance(value, int | float | bool | None) else str(value)
