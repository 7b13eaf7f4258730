"""Writing scored rows: the ending of the output picks the format."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from zhenyan.inference.errors import InputError
from zhenyan.inference.io.jsonlines import dump_line

_PARQUET_ROWS = 8192
_XLSX_ROWS = 1_048_575  # a sheet's limit, less the header


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
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
    """Text without what neither CSV nor spreadsheets can hold (NUL, lone surrogates)."""
    return value.encode("utf-8", "replace").decode().replace("\0", "") if isinstance(value, str) else value


def _columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every field of the rows, in order of first appearance, the added ones last."""
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(flat(row)))
    added = [n for n in names if n in ("labels", "evidence", "model", "truncated") or n.startswith("score.")]
    return [n for n in names if n not in added] + added


def _write_jsonl(path: Path, rows: Any) -> None:
    with path.open("wb") as out:
        out.writelines(dump_line(row) for row in rows())


def _write_csv(path: Path, rows: Any) -> None:
    names = _columns(rows())
    with path.open("w", encoding="utf-8-sig", newline="") as out:  # the mark lets spreadsheets see UTF-8
        writer = csv.DictWriter(out, names, restval="", delimiter="\t" if ".tsv" in path.suffixes else ",")
        writer.writeheader()
        writer.writerows({key: _guard(_clean(value)) for key, value in flat(row).items()} for row in rows())


def _guard(value: Any) -> Any:
    """A cell that a spreadsheet would run as a formula, made text (OWASP: CSV injection)."""
    return "'" + value if isinstance(value, str) and value[:1] in "=+-@\t\r" and not _is_number(value) else value


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _write_parquet(path: Path, rows: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    schema = _arrow_schema(rows())
    with parquet.ParquetWriter(path, schema) as writer:
        batch: list[dict[str, Any]] = []
        for row in rows():
            batch.append(_arrow_row(row, schema))
            if len(batch) == _PARQUET_ROWS:
                writer.write_table(pa.Table.from_pylist(batch, schema))
                batch = []
        writer.write_table(pa.Table.from_pylist(batch, schema))


def _arrow_row(row: Mapping[str, Any], schema: Any) -> dict[str, Any]:
    """Fields as the schema wants them; own fields of mixed kinds become text."""
    record = {}
    for field in schema:
        value = row.get(field.name)
        if value is not None and str(field.type) == "string":
            value = _clean(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        record[field.name] = value
    return record


def _arrow_schema(rows: Iterable[Mapping[str, Any]]) -> Any:
    import pyarrow as pa

    kinds: dict[str, set[type]] = {}
    scores: list[str] = []
    for row in rows:
        scores = scores or list(row.get("scores", ()))
        for key, value in row.items():
            kinds.setdefault(key, set()).add(type(value))
    fixed = {
        "labels": pa.list_(pa.string()),
        "scores": pa.struct([(label, pa.float64()) for label in scores]) if scores else pa.string(),
        "evidence": pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("text", pa.string()),
                                        ("label", pa.string())])),
    }  # fmt: skip
    simple = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
    fields = []
    for key, seen in kinds.items():
        seen = seen - {type(None)}
        kind = fixed.get(key) or (simple.get(next(iter(seen))) if len(seen) == 1 else None)
        kind = kind or (pa.float64() if seen == {int, float} else pa.string())
        fields.append((key, kind))
    return pa.schema(fields)


def _write_xlsx(path: Path, rows: Any) -> None:
    import openpyxl
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    names = _columns(rows())
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("zhenyan")
    sheet.append(names)
    for number, row in enumerate(rows(), 1):
        if number > _XLSX_ROWS:
            raise InputError(
                f"{path}: a sheet holds {_XLSX_ROWS:,} rows and this run has more; choose .csv or .parquet"
            )
        record = flat(row)
        cells = [_clean(record.get(name)) for name in names]
        sheet.append([ILLEGAL_CHARACTERS_RE.sub("", _guard(c))[:32_767] if isinstance(c, str) else c for c in cells])
    book.save(path)


WRITERS = {
    ".jsonl": _write_jsonl,
    ".csv": _write_csv,
    ".tsv": _write_csv,
    ".parquet": _write_parquet,
    ".xlsx": _write_xlsx,
}


def check_output(path: Path) -> None:
    """InputError when the ending is no output format."""
    if path.suffix not in WRITERS:
        raise InputError(
            f"{path}: ending {path.suffix or '(none)'!r} is no output format; writable are {' '.join(WRITERS)}"
        )


def write_output(path: Path, rows: Any) -> None:
    """Write all rows (`rows()` gives a new iterator over them each time) in the format of the ending, atomically."""
    check_output(path)
    part = path.with_name(f".{path.stem}.tmp{path.suffix}")
    try:
        WRITERS[path.suffix](part, rows)
        with part.open("rb") as written:
            os.fsync(written.fileno())
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(f"{path}: {error.strerror or error}; the scored parts are kept, repeat the command") from None
    part.replace(path)
