"""Reader of XLSX workbooks."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from zhenyan.inference.errors import InputError
from zhenyan.inference.io.items import Item, Options, Reject, make_item, table_columns
from zhenyan.inference.io.opening import open_seekable

_OLE = bytes.fromhex("d0cf11e0a1b11ae1")  # what encrypted workbooks and those of the old format begin with
_LOOKED_AT = 100  # rows of a sheet that isn't read, to tell whether it holds anything
Cells = tuple[Any, ...]


def read_xlsx(path: str, options: Options) -> Iterator[Item | Reject]:
    """The first sheet with rows, its first row as header, streamed; other sheets with rows are noted in the options."""
    from openpyxl.utils.exceptions import InvalidFileException

    # AttributeError: what openpyxl makes of a chart sheet without its drawing; XML's ParseError is a SyntaxError
    broken = (
        InvalidFileException, zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, SyntaxError, AttributeError,
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
    book = openpyxl.load_workbook(raw, read_only=True, data_only=True)
    if not book.worksheets:
        raise InputError(f"{path}: has no worksheet")
    sheet = next((sheet for sheet in book.worksheets if next(_rows(sheet), None)), None)
    if sheet is None:
        return
    others = [other for other in book.worksheets if other is not sheet and next(_rows(other, _LOOKED_AT), None)]
    if others:
        names = ", ".join(other.title for other in others)
        options.notes.append(f"{path}: read sheet {sheet.title}; not read: {names}")
    rows = _rows(sheet)
    first = next(rows)[1]
    header = [str(name).strip() if name is not None else f"column{i}" for i, name in enumerate(first, 1)]
    names, columns = table_columns(header, options, f"{path} sheet {sheet.title}")
    for number, row in rows:
        yield make_item(_plain(dict(zip(names, row, strict=False))), columns, f"row {number}")


def _rows(sheet: Any, most: int | None = None) -> Iterator[tuple[int, Cells]]:
    """Number, from 1, and cells of each row, of the first `most`, that holds something."""
    for number, row in enumerate(sheet.iter_rows(values_only=True, max_row=most), 1):
        if any(value is not None for value in row):
            yield number, row


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """Cell values that JSON can hold: dates and times as text."""
    return {
        key: value if isinstance(value, str | int | float | bool | None) else str(value)
        for key, value in record.items()
    }
