"""The row of the data contract, and reading and writing it with messages that name file and line."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zhenyan.inference.errors import InputError

CHANNELS = ("live", "copy")


@dataclass(frozen=True)
class Row:
    """One utterance or piece of copy with its labels (ids of the schema; empty means compliant).

    `annotated` names the labels an annotator looked for; None means all of the schema. `origin` is "file:line".
    """

    text: str
    labels: tuple[str, ...] = ()
    id: str = ""
    channel: str = "live"
    annotated: tuple[str, ...] | None = None
    contested: bool = False
    origin: str = ""
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """What a split must never cut: the room of a real line, the author batch of a written or rewritten one, or the source."""
        return str(next((self.meta[key] for key in ("room", "batch", "rewriter", "source") if self.meta.get(key)), ""))


_OWN_FIELDS = {"text", "labels", "id", "channel", "annotated", "contested"}


def text_key(text: str) -> str:
    """SHA-256 of the text's UTF-8 bytes, hexadecimal: the key under which labels of public text are committed."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def row_from_json(record: Any, origin: str) -> Row:
    """Check one JSON record against the contract; InputError names `origin`, the field and what is expected."""
    if not isinstance(record, dict):
        raise InputError(f"{origin}: expected a JSON object, found {type(record).__name__}")
    text = record.get("text")
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{origin}: field 'text' must be a non-empty string, found {text!r}")
    labels = record.get("labels", [])
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise InputError(f"{origin}: field 'labels' must be a list of label ids, found {labels!r}")
    channel = record.get("channel", "live")
    if channel not in CHANNELS:
        raise InputError(f"{origin}: field 'channel' must be one of {', '.join(CHANNELS)}, found {channel!r}")
    annotated = record.get("annotated")
    return Row(
        text=text,
        labels=tuple(labels),
        id=str(record.get("id", "")),
        channel=channel,
        annotated=None if annotated is None else tuple(annotated),
        contested=bool(record.get("contested", False)),
        origin=origin,
        meta={key: value for key, value in record.items() if key not in _OWN_FIELDS},
    )


def row_to_json(row: Row) -> dict[str, Any]:
    """The row as its JSON record, without empty optional fields."""
    record: dict[str, Any] = {"id": row.id, "text": row.text, "labels": list(row.labels), "channel": row.channel}
    if row.annotated is not None:
        record["annotated"] = list(row.annotated)
    if row.contested:
        record["contested"] = True
    return record | row.meta


def expand(patterns: str | Path | Sequence[str | Path]) -> list[Path]:
    """Files that the given paths, folders (their *.jsonl) and globs name, sorted; InputError when one names none."""
    found: list[Path] = []
    for pattern in [patterns] if isinstance(patterns, str | Path) else patterns:
        path = Path(pattern)
        hits = sorted(path.glob("*.jsonl")) if path.is_dir() else [Path(p) for p in sorted(glob.glob(str(pattern)))]
        if not hits:
            raise InputError(f"{pattern}: no such file; give a .jsonl file, a folder of them or a glob")
        found += hits
    return found


def iter_records(path: Path) -> Iterator[tuple[Any, str]]:
    """Parsed lines of a JSON Lines file with their "file:line"; blank lines are skipped."""
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                origin = f"{path}:{number}"
                try:
                    yield json.loads(line), origin
                except json.JSONDecodeError as error:
                    raise InputError(f"{origin}: not JSON: {error.msg} at column {error.colno}") from None


def read_rows(patterns: str | Path | Sequence[str | Path]) -> list[Row]:
    """All rows of the named JSON Lines files, in order."""
    return [row_from_json(record, origin) for path in expand(patterns) for record, origin in iter_records(path)]


def write_rows(path: Path, rows: Iterable[Row]) -> int:
    """Write rows as JSON Lines; returns how many."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with path.open("w", encoding="utf-8") as out:
        for row in rows:
            count += 1
            out.write(json.dumps(row_to_json(row), ensure_ascii=False) + "\n")
    return count
