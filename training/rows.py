"""The row of the data contract, and reading it with messages that name file and line."""

from __future__ import annotations

import functools
import glob
import json
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zhenyan.inference.bundle import text_digest
from zhenyan.inference.errors import InputError
from zhenyan.inference.io.times import seconds
from zhenyan.inference.json_objects import RepeatedKey, distinct
from zhenyan.inference.runs.findings import CHANNELS


@dataclass(frozen=True)
class Row:
    """One utterance or piece of copy with its labels (ids of the schema; empty means compliant).

    `annotated` names the labels an annotator looked for; None means all of the schema. `origin` is "file:line".
    Of a public line `base` is the key of the line that it was rewritten from (`leaks.base_key`), and `kept_apart` says
    whether that or the line itself was said in a room that is held out or for measuring only.
    """

    text: str
    labels: tuple[str, ...] = ()
    id: str = ""
    channel: str = "live"
    annotated: tuple[str, ...] | None = None
    contested: bool = False
    origin: str = ""
    base: str = ""
    kept_apart: bool = False
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """What a split must never cut: the room of a real line, the author batch of a written or rewritten one, or the source."""
        return self._first("room", "batch", "rewriter", "source")

    @property
    def writer(self) -> str:
        """The batch of who wrote or rewrote the row, also where its group is one of the writer's rooms; empty where neither is named."""
        return self._first("batch", "rewriter")

    @property
    def author(self) -> str:
        """What is held out together: the writer's batch, or the group of a row that nobody wrote."""
        return self.writer or self.group

    @property
    def compliant(self) -> bool:
        """Whether it was looked at and has no label. A violation without one waits for a person to choose the part of a split."""
        return not self.labels and self.annotated != () and self.meta.get("kind") != "violation"

    def _first(self, *names: str) -> str:
        return str(next((self.meta[name] for name in names if self.meta.get(name)), ""))


_OWN_FIELDS = {"text", "labels", "id", "channel", "annotated", "contested"}
TABLES = (".csv", ".tsv", ".xlsx", ".xls", ".parquet")
_NAMES = ("room", "batch", "rewriter", "source", "pair", "domain", "kind")  # what rows are grouped and counted by


def text_key(text: str) -> str:
    """The key under which labels of public text are committed: hexadecimal SHA-256."""
    return text_digest(text)


def row_id(record: Mapping[str, Any]) -> str:
    """A record's id as text; empty where it has none, which many programs write as null."""
    value = record.get("id")
    return "" if value is None else str(value)


def row_from_json(record: Any, origin: str) -> Row:
    """Check one JSON record against the contract; InputError names `origin`, every wrong field and what is expected."""
    if not isinstance(record, dict):
        raise InputError(f"{origin}: expected a JSON object, found {type(record).__name__}")
    if faults := [f"{origin}: field {fault}" for fault in _faults(record)]:
        raise InputError("\n".join(faults))
    annotated = record.get("annotated")
    meta = {
        key: value for key, value in record.items() if key not in _OWN_FIELDS and not (key in _NAMES and _blank(value))
    }
    if "pair" in meta:  # 7 and "7" name one pair
        meta["pair"] = str(meta["pair"])
    return Row(
        text=record["text"],
        labels=tuple(record["labels"]),
        id=row_id(record),
        channel=record.get("channel", "live"),
        annotated=None if annotated is None else tuple(annotated),
        contested=record.get("contested", False),
        origin=origin,
        meta=meta,
    )


def _faults(record: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the fields that the contract knows; others may hold anything."""
    text, channel = record.get("text"), record.get("channel", "live")
    if not isinstance(text, str) or not text.strip():
        yield f"'text' must be a non-empty string, found {text!r:.80}"
    if "labels" not in record:
        yield "'labels' is missing; write [] where a compliant line was looked at and has none"
    elif not is_ids(record["labels"]):
        yield f"'labels' must be a list of label ids, found {record['labels']!r:.80}"
    if channel not in CHANNELS:
        yield f"'channel' must be one of {', '.join(CHANNELS)}, found {channel!r:.80}"
    if record.get("annotated") is not None and not is_ids(record["annotated"]):
        yield f"'annotated' must be a list of label ids, found {record['annotated']!r:.80}"
    if not isinstance(record.get("contested", False), bool):
        yield f"'contested' must be true or false, found {record['contested']!r:.80}"
    yield from _wrong_times(record.get("start"), record.get("end"))
    for name in _NAMES:
        if isinstance(value := record.get(name), list | dict | bool):
            yield f"{name!r} must be a single name, found {value!r:.80}"
        elif isinstance(value, str) and value.strip() and value != value.strip():
            yield f"{name!r} must not begin or end with a space, found {value!r:.80}"
    if isinstance(record.get("id"), list | dict | bool):
        yield f"'id' must be text or a number, found {record['id']!r:.80}"


def _blank(value: Any) -> bool:
    """Whether a name is none, as programs that know no missing field write it."""
    return value is None or (isinstance(value, str) and not value.strip())


def _wrong_times(start: Any, end: Any) -> Iterator[str]:
    wrong = {
        name: value
        for name, value in (("start", start), ("end", end))
        if value is not None and (not isinstance(value, int | float) or seconds(value) is None)
    }
    yield from (f"{name!r} must be seconds, a number from 0, found {value!r:.80}" for name, value in wrong.items())
    if not wrong and None not in (start, end) and end < start:
        yield f"'end' must not lie before 'start', {start!r:.80}, found {end!r:.80}"


def reading_fault(row: Row, labels: Sequence[str]) -> str:
    """What is wrong with a row's `readings`, the labels that each of two readers gave; empty where nothing is, or there are none."""
    readings = row.meta.get("readings")
    if readings is None:
        return ""
    if not isinstance(readings, list) or len(readings) != 2 or not all(map(is_ids, readings)):
        return f"field 'readings' must be two lists of label ids, one of each reader, found {readings!r:.80}; leave it out if one read"
    if unknown := sorted({label for reading in readings for label in reading if label not in labels}):
        return f"unknown label {', '.join(unknown)} in `readings`; the schema has {', '.join(labels)}"
    return ""


def is_ids(value: Any) -> bool:
    """Whether a JSON value is a list of strings, as lists of label ids are."""
    return isinstance(value, list) and all(isinstance(label, str) for label in value)


def row_to_json(row: Row) -> dict[str, Any]:
    """The row as its JSON record, without empty optional fields."""
    record: dict[str, Any] = {"id": row.id, "text": row.text, "labels": list(row.labels), "channel": row.channel}
    if row.annotated is not None:
        record["annotated"] = list(row.annotated)
    if row.contested:
        record["contested"] = True
    return record | row.meta


def expand(patterns: str | Path | Sequence[str | Path]) -> list[Path]:
    """Files that the given paths, folders (their *.jsonl) and globs name, sorted; InputError when one names none, or a table."""
    found: list[Path] = []
    for pattern in [patterns] if isinstance(patterns, str | Path) else patterns:
        hits = _named(Path(pattern))
        if not hits:
            lacking = "holds no .jsonl file" if Path(pattern).is_dir() else "no such file"
            raise InputError(f"{pattern}: {lacking}; give a .jsonl file, a folder of them or a glob")
        if table := next((path for path in hits if path.suffix.lower() in TABLES), None):
            first = ", once it is saved as .xlsx" if table.suffix.lower() == ".xls" else ""
            raise InputError(
                f"{table}: is a table; labelled rows are read from .jsonl, one JSON object a line: `zhenyan data import "
                f"{shlex.quote(str(table))} --labels-column NAME --batch NAME -o rows.jsonl` makes them{first}"
            )
        found += hits
    return found


def _named(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.glob("*.jsonl"))
    # The file first: a name may hold brackets, which a glob takes for a choice of characters.
    return [path] if path.exists() else [Path(name) for name in sorted(glob.glob(str(path)))]


def iter_records(path: Path) -> Iterator[tuple[Any, str]]:
    """Parsed lines of a JSON Lines file with their "file:line"; blank lines are skipped.

    InputError names the first line that is no UTF-8 or no JSON, or the file that can't be read.
    """
    return ((_parsed(line, origin), origin) for line, origin in _lines(path))


def sound_records(path: Path, faults: list[str]) -> Iterator[tuple[Any, str]]:
    """As `iter_records`; what is wrong with the other lines goes into `faults`."""
    for line, origin in _lines(path):
        try:
            yield _parsed(line, origin), origin
        except InputError as error:
            faults += str(error).splitlines()


def files_once(files: Iterable[Path]) -> list[Path]:
    """Each file once, however often and in whatever spelling it is named: else its rows would count twice."""
    return list({os.path.realpath(file): file for file in files}.values())


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    try:
        # Bytes that are no UTF-8 come as lone surrogates, so that `_parsed` can name their line.
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
            yield from ((line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give a .jsonl file, a folder of them or a glob") from None


def _parsed(line: str, origin: str) -> Any:
    try:
        line.encode()
        return json.loads(line, object_pairs_hook=distinct)
    except UnicodeEncodeError:
        raise InputError(f"{origin}: not UTF-8; save it as UTF-8") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{origin}: not JSON: {error.msg} at column {error.colno}") from None
    except RepeatedKey as error:
        raise InputError(f"{origin}: {error}; keep one of them") from None
    except ValueError:  # Python reads numbers of up to 4,300 digits
        raise InputError(f"{origin}: not JSON that can be read: a number has too many digits") from None
    except RecursionError:
        raise InputError(f"{origin}: not JSON that can be read: lists or objects are nested too deeply") from None


def read_rows(patterns: str | Path | Sequence[str | Path]) -> list[Row]:
    """All rows of the named JSON Lines files, in order."""
    return [row_from_json(record, origin) for path in expand(patterns) for record, origin in iter_records(path)]


def once(rows: Iterable[Row]) -> list[Row]:
    """Each row once, in order, however many patterns name its file: it weighs so often in training, but isn't measured so often."""
    real = functools.cache(os.path.realpath)  # a file may be named in several spellings

    def place(row: Row) -> object:
        file, _, line = row.origin.rpartition(":")
        return (real(file), line) if row.origin else id(row)  # rows made in code have none

    return list({place(row): row for row in rows}.values())


def read_all(patterns: Sequence[str | Path]) -> tuple[list[Row], list[str]]:
    """Rows that can be read, in order, and what is wrong with the other lines; InputError when there is no line at all."""
    rows: list[Row] = []
    faults: list[str] = []
    for path in expand(patterns):
        for record, origin in sound_records(path, faults):
            try:
                rows.append(row_from_json(record, origin))
            except InputError as error:
                faults += str(error).splitlines()
    if not rows and not faults:
        raise InputError(f"{', '.join(map(str, patterns))}: no row; write one JSON object a line")
    return rows, faults
