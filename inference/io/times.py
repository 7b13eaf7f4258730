"""Time codes of a recording, dates of the clock, and how either is shown."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

FIRST_DATE = 1e8  # seconds since 1970 from which a number is a date (1973); no recording is three years long
_LAST_DATE = 2.5e11  # the year 9892: later ones aren't dates
_LONGEST = 1e15  # a larger number is no time, not even one in microseconds: it is an id, or infinity
_DATE = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?[T\s]\s*"
    r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*(?:Z|[+-]\d{2}:?\d{2})?"
)
_START = datetime(1970, 1, 1)


def seconds(value: Any) -> float | None:
    """Seconds of a number, "12.5", "01:02:03.4", "02:03,4" or a date with a time; None where it is no time from 0.

    A date counts from 1970 as the clock showed it, whatever its zone: rows of one table are compared and shown.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value) if 0 <= value < _LONGEST else None
    if isinstance(value, timedelta):
        return seconds(value.total_seconds())
    text = str(value).strip()
    try:
        return _date_seconds(text) if is_date(text) else _code_seconds(text)
    except ValueError:
        return None


def is_date(value: Any) -> bool:
    """Whether a cell is a date with a time, such as 2026-11-27 20:15:03 or 2026/11/27T20:15:03+08:00."""
    return _DATE.fullmatch(str(value).strip()) is not None


def _date_seconds(text: str) -> float | None:
    """ValueError for a day or an hour that there isn't; None for one before 1973, which stands for a missing one."""
    found = _DATE.fullmatch(text)
    assert found is not None
    *whole, fraction = found.groups(default="0")
    total = (datetime(*map(int, whole)) - _START).total_seconds() + float(f"0.{fraction}")  # type: ignore[arg-type]
    return total if total >= FIRST_DATE else None


def _code_seconds(text: str) -> float | None:
    parts = text.replace(",", ".").split(":")
    total = 0.0
    for part in parts:
        total = total * 60 + float(part)
    return total if len(parts) <= 3 and 0 <= total < _LONGEST else None


def clock(value: float) -> str:
    """Seconds as h:mm:ss, those of a date as that date."""
    if FIRST_DATE <= value < _LAST_DATE:
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S")
    whole = int(value)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
