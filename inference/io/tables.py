"""Readers of tables: JSON Lines, CSV, TSV, Parquet, XLSX."""

from __future__ import annotations

import csv
import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

from zhenyan.inference.errors import InputError
from zhenyan.inference.io.items import Columns, Item, Options, Reject, find_columns, make_item
from zhenyan.inference.io.opening import open_bytes, open_text, plain_suffix

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
_BATCH = 2048


def read_jsonl(path: str, options: Options) -> Iterator[Item | Reject]:
    """One JSON object a line; a broken line is a reject."""
    with open_text(path, options) as lines:
        columns: Columns | None = None
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield Reject(f"line {number}", f"not JSON: {error}", line.strip()[:80])
                continue
            if not isinstance(record, dict):
                yield Reject(
                    f"line {number}", f"expected a JSON object, found {type(record).__name__}", line.strip()[:80]
                )
                continue
            if columns is None or columns.text not in record:
                try:
                    columns = find_columns(record, options, f"{path} line {number}")
                except InputError:
                    if columns is None and options.text_column is None and number == 1 and not record:
                        raise
                    yield Reject(f"line {number}", f"no text; its fields are {', '.join(record) or '(none)'}; "
                                                   "name one with --text-column")  # fmt: skip
                    continue
            yield make_item(record, columns, f"line {number}")


def read_csv(path: str, options: Options) -> Iterator[Item | Reject]:
    """CSV or TSV with a header; quoted fields may hold line breaks. Rows with too few or many fields are rejects."""
    delimiter = "\t" if plain_suffix(path) == ".tsv" else ","
    with open_text(path, options) as lines:
        rows = csv.reader((line.replace("\0", "") for line in lines), delimiter=delimiter)
        header = next(rows, None)
        if header is None:
            return
        header = [name.strip().lstrip("\ufeff") for name in header]
        columns = find_columns(header, options, path)
        for row in rows:
            place = f"line {rows.line_num}"
            if not any(field.strip() for field in row):
                continue
            if len(row) != len(header):
                yield Reject(place, f"{len(row)} fields, the header has {len(header)}", delimiter.join(row)[:80])
                continue
            yield make_item(dict(zip(header, row, strict=True)), columns, place)


def read_parquet(path: str, options: Options) -> Iterator[Item | Reject]:
    """Parquet, read in record batches."""
    import pyarrow
    import pyarrow.parquet as parquet

    with open_bytes(path, options) as raw:
        try:
            file = parquet.ParquetFile(raw)
            columns = find_columns(file.schema_arrow.names, options, path)
            numbers = itertools.count(1)
            for batch in file.iter_batches(batch_size=_BATCH):
                for record in batch.to_pylist():
                    yield make_item(record, columns, f"row {next(numbers)}")
        except pyarrow.ArrowException as error:
            raise InputError(f"{path}: not a readable Parquet file ({error})") from None


def read_xlsx(path: str, options: Options) -> Iterator[Item | Reject]:
    """The first sheet of a workbook, its first row as header, streamed."""
    rows = _xlsx_rows(path, options)
    header = [str(name).strip() if name is not None else f"column{i}" for i, name in enumerate(next(rows, ()), 1)]
    if not header:
        return
    columns = find_columns(header, options, path)
    for number, row in enumerate(rows, 2):
        if any(value is not None for value in row):
            yield make_item(_plain(dict(zip(header, row, strict=False))), columns, f"row {number}")


def _xlsx_rows(path: str, options: Options) -> Iterator[tuple[Any, ...]]:
    import zipfile
    import zlib

    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    broken = (InvalidFileException, zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, SyntaxError)
    with open_bytes(path, options) as raw:
        try:  # damage inside a sheet shows only while its rows are read; XML's ParseError is a SyntaxError
            book = openpyxl.load_workbook(raw, read_only=True, data_only=True)
            yield from book.worksheets[0].iter_rows(values_only=True)
        except broken as error:
            raise InputError(f"{path}: not a readable XLSX workbook ({error})") from None


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """Cell values that JSON can hold: dates and times as text."""
    return {
        key: value if isinstance(value, str | int | float | bool | None) else str(value)
        for key, value in record.items()
    }
