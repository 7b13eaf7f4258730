"""The journal of a run, read: an entry a line, each found to be one before anything is made of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zhenyan.inference.errors import ConfigError

JOURNAL = "tracking.jsonl"
_VALUES = {"params": dict, "metrics": dict, "tags": dict, "artifacts": dict, "restart": object, "finish": object}


def entries(run: Path) -> Iterator[dict[str, Any]]:
    """The entries of a run's journal, none where it has no journal; ConfigError names file and line of one that is none.

    A last line without its end, which a kill amid a write leaves, is passed over, and so are empty lines.
    """
    path = run / JOURNAL
    *lines, _ = path.read_bytes().split(b"\n") if path.exists() else [b""]
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _entry(line, f"{path}:{number}")


def _entry(line: bytes, where: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
        if isinstance(entry["value"], _VALUES[entry["kind"]]) and isinstance(entry["time"], int):
            return dict(entry)
        reason = "its time is no number, or its value another than its kind has"
    except (ValueError, RecursionError) as error:
        reason = f"not JSON: {error}"
    except (LookupError, TypeError):
        reason = "it needs a kind that a run notes, a time and a value"
    raise ConfigError(
        f"{where}: no entry of a run's journal ({reason}); put the line back, or empty it, and what it held is lost; leave "
        "the empty line there, for lines are counted"
    )
