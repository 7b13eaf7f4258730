"""Reader of XLSX workbooks."""

from __future__ import annotations

import datetime as dt
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from zhenyan.inference.errors import InputError
from zhenyan.inference.io.items import Columns, Item, Options, Reject, make_item, table_columns
from zhenyan.inference.io.opening import open_seekable

_OLE = bytes.fromhex("d0cf11e0a1b11ae1")  # what encrypted workbooks and those of the old format begin with
_LOOKED_AT = 100  # rows of a sheet that isn't read, to tell whether it holds anything
_WHOLE = 256 << 20  # bytes of XML; openpyxl takes nine times as much memory
_NO_DATE = dt.datetime(1900, 3, 1)  # what lies before is a length of time: nobody sold then
_CHUNK = 1 << 20  # bytes of a sheet's XML
_TAG = 256  # bytes; no tag of merged cells is longer
_MERGED = re.compile(rb"""<(?:\w+:)?mergeCell\s[^<>]*?ref=["']([A-Z]+)(\d+):[A-Z]+(\d+)["']""")
Cells = tuple[Any, ...]


def read_xlsx(path: str, options: Options) -> Iterator[Item | Reject]:
    """The first visible sheet with rows, its first row as header, streamed; other sheets with rows are noted in the options.

    Cells merged downwards have their value in every row, but for those of the text, which is scored once.
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
        except broken as error:
            raise InputError(f"{path}: not a readable XLSX workbook ({error})") from None


def _items(raw: BinaryIO, path: str, options: Options) -> Iterator[Item | Reject]:
    import openpyxl

    if raw.read(len(_OLE)) == _OLE:
        raise InputError(f"{path}: has a password or is an old .xls; save it as .xlsx without a password")
    raw.seek(0)
    _check_size(raw, path)
    book = openpyxl.load_workbook(raw, read_only=True, data_only=True)
    if not book.worksheets:
        raise InputError(f"{path}: has no worksheet")
    sheet = next((s for s in book.worksheets if s.sheet_state == "visible" and next(_rows(s), None)), None)
    others = [other for other in book.worksheets if other is not sheet and next(_rows(other, _LOOKED_AT), None)]
    if others:
        read = f"sheet {sheet.title}" if sheet else "no sheet"
        options.notes.append(f"{path}: read {read}; not read: {_titles(others)}")
    if sheet is None:
        return
    rows = _rows(sheet)
    first = next(rows)[1]
    header = [str(name).strip() if name is not None else f"column{i}" for i, name in enumerate(first, 1)]
    names, columns = _columns(header, options, f"{path} sheet {sheet.title}", others)
    filled = [at for at, name in enumerate(names) if name != columns.text]
    merged = {at: last for at, last in _merged(sheet).items() if at[1] in filled}
    for number, row in _filled(rows, merged):
        yield make_item(_plain(_named(names, row)), columns, f"row {number}")


def _columns(header: Sequence[str], options: Options, path: str, others: Sequence[Any]) -> tuple[list[str], Columns]:
    """The sheet's columns; the InputError says which other sheets with rows there are, of which one may be meant."""
    try:
        return table_columns(header, options, path)
    except InputError as error:
        if not others:
            raise
        shown = any(sheet.sheet_state == "visible" for sheet in others)
        remedy = (
            "move the one to be read to the front, or hide this one"
            if shown
            else "show the one to be read, hide this one"
        )
        raise InputError(f"{error}; other sheets: {_titles(others)} - {remedy}") from None


def _titles(sheets: Sequence[Any]) -> str:
    return ", ".join(f"{s.title}{'' if s.sheet_state == 'visible' else ' (hidden)'}" for s in sheets)


def _check_size(raw: BinaryIO, path: str) -> None:
    """InputError when what openpyxl reads whole (shared texts, styles) would fill the memory; sheets are streamed."""
    parts = zipfile.ZipFile(raw).infolist()
    size = sum(
        part.file_size for part in parts if part.filename.endswith(".xml") and "/worksheets/" not in part.filename
    )
    raw.seek(0)
    if size > _WHOLE:
        raise InputError(
            f"{path}: its texts and styles unpack to {size >> 20:,} MiB, over {_WHOLE >> 20}; save it as .csv, or in several files"
        )


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
    with sheet._get_source() as xml:
        kept = b""
        while chunk := xml.read(_CHUNK):
            for column, row, last in _MERGED.findall(kept + chunk):
                if int(last) > int(row):
                    found[int(row), column_index_from_string(column.decode()) - 1] = int(last)
            kept = (kept + chunk)[-_TAG:]
    return found


def _filled(rows: Iterator[tuple[int, Cells]], merged: Mapping[tuple[int, int], int]) -> Iterator[tuple[int, Cells]]:
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


def _rows(sheet: Any, most: int | None = None) -> Iterator[tuple[int, Cells]]:
    """Number, from 1, and cells of each row, of the first `most`, that holds something.

    The size that a sheet says it has is passed over: some programs that stream their sheets write A1.
    """
    sheet.reset_dimensions()
    for number, row in enumerate(sheet.iter_rows(values_only=True, max_row=most), 1):
        if any(value is not None for value in row):
            yield number, row


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
