"""Reader of Parquet."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from zhenyan.inference.io.faults import NO_PARQUET, fault
from zhenyan.inference.io.hints import Hints
from zhenyan.inference.io.items import Item, Options, Reject, make_item, table_columns
from zhenyan.inference.io.opening import open_seekable

_BATCH = 2048


def read_parquet(path: str, options: Options) -> Iterator[Item | Reject]:
    """Parquet, read in record batches of so many rows: values that stand once in a file and in many rows take memory for each row."""
    import pyarrow
    import pyarrow.parquet as parquet

    with open_seekable(path, options) as raw:
        try:
            file = parquet.ParquetFile(raw)
            names, columns = table_columns(file.schema_arrow.names, options, path)
            hints = Hints(names, columns, options, path)
            numbers = itertools.count(1)
            for batch in file.iter_batches(batch_size=_BATCH):
                for record in _whole_microseconds(batch.rename_columns(names)).to_pylist():
                    yield make_item(hints.seen(_decoded(record)), columns, f"row {next(numbers)}")
            hints.tell()
        except MemoryError:  # pyarrow's own is an ArrowException, too
            raise
        except (pyarrow.ArrowException, ValueError, OverflowError) as error:  # text that isn't UTF-8, a year over 9999
            raise fault(path, NO_PARQUET.of(error=str(error))) from None


def _decoded(record: dict[str, Any]) -> dict[str, Any]:
    """The record with bytes as the text they are, which some writers store without saying so; others stay bytes."""
    return {name: _text(value) if isinstance(value, bytes) else value for name, value in record.items()}


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _whole_microseconds(batch: Any) -> Any:
    """The batch with times in nanoseconds, as pandas writes them, cut to what Python's own types hold."""
    import pyarrow

    def fits(kind: Any) -> Any:
        if pyarrow.types.is_timestamp(kind) and kind.unit == "ns":
            return pyarrow.timestamp("us", kind.tz)
        if pyarrow.types.is_duration(kind) and kind.unit == "ns":
            return pyarrow.duration("us")
        return pyarrow.time64("us") if kind == pyarrow.time64("ns") else kind

    fields = [field.with_type(fits(field.type)) for field in batch.schema]
    return batch.cast(pyarrow.schema(fields), safe=False)
