"""Time codes of a recording, dates of the clock, and how either is shown."""

from __future__ import annotations

import re
import unicodedata
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta, timezone
from functools import lru_cache
from typing import Any

BEIJING = timedelta(hours=8)  # the pages say so; a day of UTC would end in the middle of a morning there
FIRST_DATE = 1e8  # seconds since 1970 from which a number is a date (1973); no recording is three years long
_LAST_DATE = 2.5e11  # the year 9892: a larger number is a date that isn't written in seconds
_LONGEST = 1e15  # a larger number is no time, not even one in microseconds: it is an id, or infinity
# 2026-11-27 20:15:03, 20261127 20:15; without separators all eight digits of the day are there
_DATE = re.compile(
    r"(?=\d{4}[-/.年]\d{1,2}[-/.月]|\d{8}\D)(\d{4})[-/.年]?(\d{1,2})[-/.月]?(\d{1,2})(?:日T?|[T\s])\s*"
    r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*(?:Z|[+-]\d{2}:?\d{2})?"
)
_DIGITS = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)()")  # 20261127201503, without a fraction
_DAY_DIGITS = re.compile(r"20\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")  # as seconds 234 days
_DAY = re.compile(  # with the hour that a cell with a format of hours has, or its day of the week
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:\s+0?0:00(?::00)?|\s*[(（]?(?:周|星期|礼拜)[一二三四五六日天][)）]?)?"
)
_OF_DAY = re.compile(r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.,]\d{1,9})?)?")
_START = datetime(1970, 1, 1)
# 20时15分03秒, 1小时2分, 10分5秒; what stands before is a date or half a day, and no sign or other part of a number
_UNITS = re.compile(
    r"(?:^|(?<=[\s日T午Mm]))(?=\d+\s*(?:小时|小時|[时時点點分秒]))"
    r"(?:(\d{1,3})\s*(?:小时|小時|[时時点點])\s*)?(?:(\d{1,2})\s*分[钟鐘]?\s*)?(?:(\d{1,2}(?:\.\d+)?)\s*秒)?$"
)
# 1.5小时, 120分; not 8.30点, which may be half past eight
_ONE_UNIT = re.compile(r"(\d+(?:\.\d+)?)\s*(?:(小时|小時|[时時])|(分[钟鐘]?)|秒)")
_BEFORE_HOUR = re.compile(r"(上午|下午|[AaPp][Mm])\s*(\d{1,2})(:\d{2})(:\d{2})?$")
_AFTER_HOUR = re.compile(r"(\d{1,2}:\d{2}(?::\d{2})?)\s*([AaPp][Mm])$")
_RANGE = re.compile(r"(.*?\d:\d{2}(?:[.,]\d+)?)\s*[-~～–—至到]{1,2}\s*(\d.*:\d{2}.*)")
_RANGE_CHARS = 100  # no range is longer
_RANGE_MARKS = frozenset("-~～–—至到")
# What ends the name of a column of milliseconds: start_ms, startMs, begin (ms), 时间ms, 开始时间(毫秒), 开始毫秒
_MILLISECONDS = re.compile(
    r"(?:(?:[\s_.(\[（-]|(?<=[\u4e00-\u9fff]))(?i:ms|msecs?|millis(?:econds?)?)"
    r"|(?<=[a-z])M(?:[sS]|illis(?:econds?)?)|毫秒)[)\]）]?\s*$"
)
# and of one of seconds: start_s, 时间（秒）, begin (sec)
_SECONDS = re.compile(r"(?:[\s_.(\[（-](?i:s|secs?|seconds?)|(?<=[a-z])S(?:ec(?:ond)?s?)|秒)[)\]）]?\s*$")
_CLOCK = re.compile(r"\d+[:：](\d+)[:：](\d+)(?:[.,]\d*)?")  # h:mm:ss as it is written
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")


def without_unit(name: str) -> str:
    """A column's name without the end that says that it holds milliseconds or seconds."""
    return _SECONDS.sub("", _MILLISECONDS.sub("", name)).rstrip(" _.([（-")


@lru_cache(maxsize=64)
def in_second(name: str) -> float:
    """How many of a column's units are a second, as its name says."""
    return 1000.0 if _MILLISECONDS.search(name) else 1.0


def seconds(value: Any, units: float = 1.0) -> float | None:
    """Seconds of a number, "12.5", "01:02:03.4", "02:03,4" or a date with a time; None where it is no time from 0.

    `units`: how many a plain number has in a second. A date counts from 1970 as the clock showed it, whatever its zone:
    rows of one table are compared and shown. A number too large for seconds is a date: 20261127201503, 202611272015, or
    milliseconds since 1970. 20261127 is a day, and no time. Of h:mm:ss minutes and seconds end at 59, hours nowhere.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return _number_seconds(value, units)
    if isinstance(value, timedelta):
        return seconds(value.total_seconds())
    if (clock := _CLOCK.fullmatch(text := str(value).strip())) and any(float(part) > 59 for part in clock.groups()):
        return None
    text = _plainly(text)
    date = _DATE.fullmatch(text) if ":" in text else None
    try:
        return _date_seconds(date) if date else _code_seconds(text, units)
    except ValueError:
        return None


def is_date(value: Any) -> bool:
    """Whether a cell is a date with a time, such as 2026-11-27 20:15:03, 2026/11/27T20:15:03+08:00 or 20261127201503."""
    text = _plainly(str(value).strip())
    if ":" in text:
        return _DATE.fullmatch(text) is not None
    with suppress(ValueError):
        return _is_minute(number := float(text)) or _LAST_DATE <= number < _LONGEST
    return False


def on_day(day: Any, value: Any) -> Any:
    """The date with the time of day, as text: 2026-11-27 20:15; the value as it is where one of the two is none.

    Beside a date 20:15 is an hour, not 20 minutes.
    """
    if not isinstance(value, str | time) or not (found := _day(str(day).strip())):
        return value
    hour = _plainly(str(value).strip())
    return f"{found} {hour}" if _OF_DAY.fullmatch(hour) else value


@lru_cache(maxsize=64)
def _day(text: str) -> str | None:
    """A date alone, such as 2026/11/27, 20261127 or one of a workbook, as 2026-11-27."""
    if _DAY_DIGITS.fullmatch(text):
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"
    return "-".join(found.groups()) if (found := _DAY.fullmatch(text)) else None


def begun(value: Any) -> Any:
    """The first of two times such as 20:15-20:16; else the value as it is."""
    if not isinstance(value, str) or value.count(":") < 2 or len(value) > _RANGE_CHARS:  # nearly always
        return value
    if _RANGE_MARKS.isdisjoint(value) or is_date(value):
        return value
    found = _RANGE.fullmatch(value.strip())
    return value if found is None or seconds(found[2]) is None else found[1]


def _plainly(text: str) -> str:
    """A time with colons, of 24 hours, where it is written 下午8:15, 20时15分03秒, 20：15 or 8:15 PM."""
    if text.isascii() and text[-1:] not in ("M", "m"):  # nearly always
        return text
    text = unicodedata.normalize("NFKC", text)
    if one := _ONE_UNIT.fullmatch(text):
        number, hours, minutes = one.groups()
        return f"{number}:0:0" if hours else f"{number}:0" if minutes else f"0:{number}"
    text = _AFTER_HOUR.sub(r"\2\1", _UNITS.sub(_with_colons, text))
    return _BEFORE_HOUR.sub(_of_24_hours, text)


def _with_colons(found: re.Match[str]) -> str:
    return "{:0>2}:{:0>2}:{:0>2}".format(*found.groups("0"))


def _of_24_hours(found: re.Match[str]) -> str:
    """The hour of a day with its seconds, for 20:15 would be minutes; as it was for an hour that there isn't."""
    half, hour, minute, second = found.groups(":00")
    late = half[0] in "下Pp"
    if late or int(hour) <= 12:
        return f"{int(hour) % 12 + 12 * late if int(hour) <= 12 else hour}{minute}{second}"
    return found[0]


def _date_seconds(found: re.Match[str]) -> float | None:
    """ValueError for a day or an hour that there isn't; None for one before 1973, which stands for a missing one."""
    *whole, fraction = found.groups(default="0")
    total = (datetime(*map(int, whole)) - _START).total_seconds() + float(f"0.{fraction}")  # type: ignore[arg-type]
    return total if total >= FIRST_DATE else None


def _code_seconds(text: str, units: float) -> float | None:
    if units != 1 and _THOUSANDS.fullmatch(text):  # no part of a millisecond; of seconds 1,234 may be one and a bit
        text = text.replace(",", "")
    parts = text.replace(",", ".").split(":")
    if len(parts) > 3:
        return None
    total = 0.0
    for part in parts:
        total = total * 60 + float(part)
    if len(parts) == 1:
        return _number_seconds(total, units)
    return total if 0 <= total < _LONGEST else None


def _number_seconds(number: float, units: float) -> float | None:
    if not 0 <= number < _LONGEST or (units == 1 and _is_day(number)):
        return None
    if units == 1 and _is_minute(number):
        return _dated(number)
    return number / units if number / units < _LAST_DATE else _dated(number)


def _is_day(number: float) -> bool:
    return 2e7 < number < 2.1e7 and number == int(number) and _DAY_DIGITS.fullmatch(str(int(number))) is not None


def _is_minute(number: float) -> bool:
    return 1.9e11 <= number < 2.1e11 and number == int(number)


def _dated(number: float) -> float | None:
    """Seconds of a number that has too many of them: a date with all its digits, or milliseconds since 1970."""
    digits = f"{int(number)}{'00' * _is_minute(number)}"
    if not (written := _DIGITS.fullmatch(digits)):
        return number / 1000 if number / 1000 < _LAST_DATE else None
    try:
        return _date_seconds(written)
    except ValueError:
        return None


def clock(value: float) -> str:
    """Seconds as h:mm:ss, those of a date as that date."""
    if FIRST_DATE <= value < _LAST_DATE:
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S")
    whole = int(value)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def beijing_day(moment: datetime) -> str:
    """The day of a moment by Beijing's clock, as YYYY-MM-DD."""
    return moment.astimezone(timezone(BEIJING)).date().isoformat()


def beijing_time(moment: datetime) -> str:
    """A moment by Beijing's clock, as YYYY-MM-DD HH:MM:SS."""
    return moment.astimezone(timezone(BEIJING)).isoformat(" ", "seconds")[:19]
