"""Writing scored rows: the ending of the output picks the format."""

from __future__ import annotations

import contextlib
import csv
import functools
import itertools
import json
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zhenyan.inference.errors import InputError
from zhenyan.inference.io.bounds import COLUMNS
from zhenyan.inference.io.jsonlines import dump_line, replacing
from zhenyan.inference.io.names import is_text, shown
from zhenyan.inference.io.note_kinds import CUT_CELL
from zhenyan.inference.io.notes import Note, Words
from zhenyan.inference.io.opening import LOST

_PARQUET_ROWS = 1024  # converted at once: rows of Python take ten times the memory of Arrow's
_PARQUET_BATCHES = 32  # in a row group
_XLSX_ROWS = 1_048_575  # a sheet's limit, less the header
_TOO_MANY = (
    f"XLSX output: a sheet holds {_XLSX_ROWS:,} rows and this run has more; rename the run's folder from *.xlsx.run to "
    "*.csv.run or *.parquet.run and repeat the command with that ending: nothing is scored again"
)
# What XML 1.0 has no room for (section 2.2); openpyxl lets the last two pass.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_XLSX_CHARS = 32_767  # a cell's limit
_XLSX_INT = 10**15  # a spreadsheet keeps 15 digits of a number; a longer id has to be text
_ADDRESS = re.compile(r"[a-z][a-z0-9+]+:/")  # a path makes one slash of two; one letter is a Windows drive
_FORMULA = frozenset("=+-@\t\r\n＝＋－＠")  # the wide ones are read as the narrow ones in Chinese and Japanese
_NUMBER = re.compile(r"[-+]?[0-9][0-9.]*(?:[eE][-+]?[0-9]+)?")
_ADDED = ("labels", "evidence", "model", "truncated")
TABLES = (".csv", ".xlsx")  # of `write_table`
_TOO_LONG = f"XLSX table: a sheet holds {_XLSX_ROWS:,} rows and this table has more; write it as .csv"

Row = Mapping[str, Any]
Rows = Callable[[], Iterable[Row]]  # a new iterator over all rows each time
Writer = Callable[[Path, Rows, Rows], list[Words] | None]  # rows, and others that have all of their fields


def flat(row: Row) -> dict[str, Any]:
    """A row for a table: lists and objects as JSON text, labels joined by "; ", scores one column each."""
    record: dict[str, Any] = {}
    for key, value in row.items():
        if key == "labels":
            record[key] = "; ".join(value)
        elif key == "scores":
            record |= {f"score.{label}": score for label, score in value.items()}
        elif isinstance(value, dict | list):
            record[key] = json.dumps(value, ensure_ascii=False)
        else:
            record[key] = value
    return record


def _clean(value: Any) -> Any:
    """Text with another character for each that neither CSV nor spreadsheets can hold (NUL, lone surrogates).

    None is taken out: evidence counts characters, and a formula could begin behind it.
    """
    if not isinstance(value, str) or (value.isascii() and "\0" not in value):
        return value
    return value.encode("utf-8", "replace").decode().replace("\0", LOST)


def _columns(rows: Iterable[Row]) -> list[str]:
    """Every field of the rows, in order of first appearance, the added ones last."""
    names: dict[str, None] = {}
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        shape = (*row, *row.get("scores", ()))
        if shape not in seen:  # rows of one file have the same few shapes
            seen.add(shape)
            names.update(dict.fromkeys(flat(row)))
    added = [n for n in names if n in _ADDED or n.startswith("score.")]
    return [n for n in names if n not in added] + added


def _or_one(rows: Iterable[Row], labels: Sequence[str]) -> Iterator[Row]:
    """The rows; where there are none one with the fields of every row, so that programs find their columns."""
    row: Row | None = None
    for row in rows:
        yield row
    if row is None:
        scores = {"scores": dict.fromkeys(labels, 0.0)} if labels else {}
        yield {"text": "", "labels": [], **scores, "evidence": [], "model": ""}


def _write_jsonl(path: Path, rows: Rows, _: Rows) -> None:
    with path.open("wb") as out:
        out.writelines(map(dump_line, rows()))


def _write_csv(path: Path, rows: Rows, shapes: Rows, delimiter: str = ",") -> None:
    _write_csv_columns(path, rows, _columns(shapes()), delimiter)


def _write_csv_columns(path: Path, rows: Rows, names: Sequence[str], delimiter: str = ",") -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as out:  # the mark lets spreadsheets see UTF-8
        writer = csv.writer(out, delimiter=delimiter)
        writer.writerow(map(_guard, map(_clean, names)))
        for record in map(flat, rows()):
            writer.writerow([v if type(v) is float else _guard(_clean(v)) for v in map(record.get, names)])


def _guard(value: Any) -> Any:
    """A cell that a spreadsheet would run as a formula, made text (OWASP: CSV injection)."""
    return "'" + value if isinstance(value, str) and value[:1] in _FORMULA and not _NUMBER.fullmatch(value) else value


def _write_parquet(path: Path, rows: Rows, shapes: Rows) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    schema = _arrow_schema(shapes())
    with parquet.ParquetWriter(path, schema) as writer:
        text = {field.name: field.type == pa.string() for field in schema}
        records = _batches((_arrow_row(row, text) for row in rows()), _PARQUET_ROWS)
        for group in _batches((pa.RecordBatch.from_pylist(some, schema) for some in records), _PARQUET_BATCHES):
            writer.write_table(pa.Table.from_batches(group, schema))


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def _arrow_row(row: Row, text: Mapping[str, bool]) -> dict[str, Any]:
    """Fields as the schema wants them; those of mixed kinds become text where `text` says so."""
    named = ((_clean(key), _clean_spans(value) if key == "evidence" else value) for key, value in row.items())
    return {key: _as_text(value) if text[key] and value is not None else value for key, value in named}


def _clean_spans(evidence: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**span, "text": _clean(span["text"])} for span in evidence]


def _as_text(value: Any) -> str:
    return _clean(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _kind(value: Any) -> str:
    """What a column needs to hold `value`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return "int" if abs(value) <= 2**53 else "long" if -(2**63) <= value < 2**63 else "text"
    return type(value).__name__ if isinstance(value, bool | float) else "text"


def _arrow_type(kinds: set[str]) -> Any:
    """The one type of a column with values of these kinds; text where no number holds all of them exactly."""
    import pyarrow as pa

    for held, kind in (({"bool"}, pa.bool_()), ({"int", "long"}, pa.int64()), ({"int", "float"}, pa.float64())):
        if kinds and kinds <= held:
            return kind
    return pa.string()


def _arrow_schema(rows: Iterable[Row]) -> Any:
    import pyarrow as pa

    kinds: dict[str, set[str]] = {}
    scores: list[str] = []
    for row in rows:
        scores = scores or list(row.get("scores", ()))
        for key, value in row.items():
            seen = kinds.setdefault(_clean(key), set())
            if value is not None:
                seen.add(_kind(value))
    fixed = {
        "labels": pa.list_(pa.string()),
        "scores": pa.struct([(label, pa.float64()) for label in scores]) if scores else pa.string(),
        "evidence": pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("text", pa.string()),
                                        ("label", pa.string())])),
    }  # fmt: skip
    return pa.schema([(key, fixed.get(key) or _arrow_type(seen)) for key, seen in kinds.items()])


def _write_xlsx(path: Path, rows: Rows, shapes: Rows) -> list[Words]:
    return _write_xlsx_columns(path, rows, _columns(shapes()))


def _write_xlsx_columns(path: Path, rows: Rows, names: Sequence[str], widths: Sequence[int] = ()) -> list[Words]:
    """The cells that can't hold their texts whole. With `widths`, one for each column, the sheet is laid out to be read."""
    import openpyxl
    from openpyxl.writer.excel import ExcelWriter

    book = openpyxl.Workbook(write_only=True)
    cut = _fill_sheet(book.create_sheet("zhenyan"), rows, names, widths)
    # Closed by us: one that openpyxl leaves open on a full disk prints a traceback when it is let go.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        ExcelWriter(book, archive).save()
    return cut


@contextlib.contextmanager
def _in_temporary_folder() -> Iterator[None]:
    """Round what writes to a sheet: openpyxl keeps it in a file there until the book is saved."""
    try:
        yield
    except _unwritten() as error:
        raise InputError(
            f"XLSX output: the temporary folder {tempfile.gettempdir()} can't be written ({error}); make room there, or set TMPDIR"
        ) from None


def _unwritten() -> tuple[type[Exception], ...]:
    """Errors of a sheet that can't be written: openpyxl writes by lxml where that is installed, which has its own."""
    try:
        from lxml.etree import SerialisationError
    except ImportError:
        return (OSError,)
    return (OSError, SerialisationError)


def _fill_sheet(sheet: Any, rows: Rows, names: Sequence[str], widths: Sequence[int]) -> list[Words]:
    if len(names) > COLUMNS:
        raise InputError(
            f"XLSX output: a sheet holds {COLUMNS:,} columns and these rows have {len(names):,} fields; write them as .jsonl or .parquet"
        )
    cut: list[Words] = []
    cell = _laid_out(sheet, widths) if widths else _cell
    guarded = _in_temporary_folder()
    append, close = guarded(sheet.append), guarded(sheet.close)
    with contextlib.ExitStack() as stack:
        stack.callback(close)
        append([cell(name) for name in names])
        number = 0
        for number, record in enumerate(map(flat, rows()), 1):
            if number > _XLSX_ROWS:
                raise InputError(_TOO_LONG if widths else _TOO_MANY)
            append([cell(record.get(name)) for name in names])
            cut += [
                Words(f"row {number + 1}, column {name}", f"第{number + 1}行“{name}”列")
                for name, value in record.items()
                if isinstance(value, str) and len(value) > _XLSX_CHARS
            ]
        if widths:  # it stands behind the rows, and has to name the last
            sheet.auto_filter.ref = f"A1:{_letter(len(names))}{number + 1}"
    return cut


def _laid_out(sheet: Any, widths: Sequence[int]) -> Callable[[Any], Any]:
    """Give a sheet its columns' widths and a header that stays in sight; returns what makes its cells, with wrapped text."""
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Alignment

    sheet.freeze_panes = "A2"
    for column, width in enumerate(widths, 1):
        sheet.column_dimensions[_letter(column)].width = width
    alignment = Alignment(wrap_text=True, vertical="top")

    def cell(value: Any) -> Any:
        made = WriteOnlyCell(sheet, _cell(value))
        made.alignment = alignment
        return made

    return cell


def _letter(column: int) -> str:
    from openpyxl.utils import get_column_letter

    return str(get_column_letter(column))


def _cell(value: Any) -> Any:
    if isinstance(value, int) and abs(value) >= _XLSX_INT:
        return str(value)
    return _guard(_NOT_XML.sub(LOST, _clean(value)))[:_XLSX_CHARS] if isinstance(value, str) else value


WRITERS: dict[str, Writer] = {
    ".jsonl": _write_jsonl,
    ".csv": _write_csv,
    ".tsv": functools.partial(_write_csv, delimiter="\t"),
    ".parquet": _write_parquet,
    ".xlsx": _write_xlsx,
}


def check_output(path: Path) -> None:
    """InputError when the ending is no output format, a folder is there, or an address is meant."""
    if _ADDRESS.match(str(path)):
        raise InputError(
            f"{path}: outputs are written to this machine's disks; name a local file and copy it from there"
        )
    if not is_text(str(path)):  # it stands in the run's manifest and on the page
        raise InputError(f"{shown(str(path))}: the output's name isn't UTF-8; name another")
    if path.suffix.lower() not in WRITERS:
        raise InputError(
            f"{path}: ending {path.suffix or '(none)'!r} is no output format; writable are {' '.join(WRITERS)}"
        )
    try:
        folder = path.is_dir()
    except OSError as error:  # such as a name too long
        raise InputError(f"{path}: {error.strerror or error}") from None
    if folder:
        raise InputError(f"{path}: is a folder; name a file")


def check_table(path: Path) -> None:
    """InputError as of `check_output`, or when the ending is no table's."""
    check_output(path)
    if path.suffix.lower() not in TABLES:
        raise InputError(f"{path}: ending {path.suffix!r} is no table's; name it {' or '.join(TABLES)}")


def write_table(path: Path, columns: Mapping[str, int], rows: Iterable[Row]) -> list[Note]:
    """Write rows whose columns are known as .csv or .xlsx, in one pass over them, atomically.

    `columns`: their names in order, each with its width in a workbook, in characters. A workbook has a frozen header, a
    filter and wrapped text. Notes as of `write_output`.
    """
    check_table(path)
    with replacing(path) as part:
        if path.suffix.lower() == ".csv":
            _write_csv_columns(part, lambda: rows, list(columns))
            return []
        return _cut(path, _write_xlsx_columns(part, lambda: rows, list(columns), list(columns.values())))


def write_output(path: Path, rows: Rows, labels: Sequence[str] = ()) -> list[Note]:
    """Write all rows (`rows()` gives a new iterator over them each time) in the format of the ending, atomically.

    `labels`: those of the scores' columns where there is no row.

    Notes of what the format couldn't hold come back, each with its place.
    """
    check_output(path)
    with replacing(path) as part:
        return _cut(path, WRITERS[path.suffix.lower()](part, rows, lambda: _or_one(rows(), labels)) or ())


def _cut(path: Path, cells: Iterable[Words]) -> list[Note]:
    """Notes of texts that a cell couldn't hold whole."""
    limit = f"{_XLSX_CHARS:,}"
    return [CUT_CELL.of(Words(f"{path} {cell.english}", f"{path} {cell.chinese}"), limit=limit) for cell in cells]
