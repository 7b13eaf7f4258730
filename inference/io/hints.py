"""What the rows of a table tell of its columns, for notes: a text that isn't read, minutes that may be hours, a room."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from zhenyan.inference.io.items import (
    TEXT_COLUMNS,
    TITLE_COLUMNS,
    Columns,
    Item,
    Options,
    Reject,
    note_others,
    plain_name,
)
from zhenyan.inference.io.note_kinds import HOURS_AND_MINUTES, MINUTES, NO_ROOM, UNDATED
from zhenyan.inference.io.notes import Words
from zhenyan.inference.io.times import begun, on_day
from zhenyan.inference.io.unread import CHINESE, is_line, note_unread, texts_in, unread_in

_LOOKED_AT = 200  # rows, to tell which columns hold texts that aren't read
_TEXTS, _TITLES = frozenset(map(plain_name, TEXT_COLUMNS)), frozenset(map(plain_name, TITLE_COLUMNS))
_SHORT_TIME = re.compile(r"(\d{1,3}):[0-5]\d")
_HOURS = 24  # of a day
_ROOMLIKE = re.compile("房|直播间|店|主播|达人|账号|频道|room|channel|shop|account")


def _minutes(time: str) -> Words:
    minutes, seconds = map(int, time.split(":"))
    return Words(f"{minutes} min {seconds} s", f" {minutes} 分 {seconds} 秒")


class Hints:
    """Sees a table's records before they are read, and tells in the options' notes what nobody can be sure of."""

    def __init__(self, names: Sequence[str], columns: Columns, options: Options, path: str) -> None:
        self._columns, self._options, self._path = columns, options, path
        self._left = _LOOKED_AT if options.text_column is None else 0
        self._chars: defaultdict[str, Counter[str]] = defaultdict(Counter)  # Chinese texts' by column, by the text's
        self._lines: defaultdict[str, dict[str, None]] = defaultdict(dict)  # columns with lines of speech, likewise
        # The first time of hours and minutes, or of minutes and seconds; None: not all are
        self._short: str | None = ""
        self._beside: Counter[str] = Counter()  # times without seconds beside a date, by how they are read
        self._no_hour = ""  # the first of them that no day has
        self._undated = 0  # times without seconds whose day can't be read
        self._no_day = ("", "")  # the first such time and day
        self._note_room(names)

    def seen(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record as it is."""
        columns = self._columns
        if columns.day is not None:
            self._see_beside(record.get(columns.day), begun(record.get(columns.start or "")))
        elif self._short is not None and columns.start is not None:
            self._see_time(begun(record.get(columns.start)))
        if self._left:
            self._left -= 1
            self._see_texts(record)
        return record

    def tell(self) -> None:
        """Note what was seen; to be called after the last record."""
        for text, chars in self._chars.items():
            is_title = plain_name(text) in _TITLES
            longer = (name for name in chars if is_title and chars[name] > chars[text])
            others = dict.fromkeys((*self._lines[text], *longer))
            note_others(text, [name for name in others if plain_name(name) not in _TEXTS], self._options, self._path)
        if self._short:
            column, read = self._columns.start or "", _minutes(self._short)
            self._options.notes.append(MINUTES.of(self._path, column=column, hour=self._short, read=read))
        self._tell_beside()

    def _tell_beside(self) -> None:
        column = self._columns.day or ""
        if self._undated:
            hour, day = self._no_day
            said = Words(day or "(blank)", f"“{day}”" if day else "空白")
            self._options.notes.append(
                UNDATED.of(self._path, column=column, day=said, hour=hour, read=_minutes(hour), count=self._undated)
            )
        if len(self._beside) > 1:
            self._options.notes.append(
                HOURS_AND_MINUTES.of(
                    self._path, column=self._columns.start or "", hour=self._no_hour, day=column, **self._beside
                )
            )

    def _note_room(self, names: Sequence[str]) -> None:
        """Say that rooms may be mixed: of rows with times those that follow each other are read together."""
        others = (name for name in names if name not in self._columns.own.values())
        like = next((name for name in others if _ROOMLIKE.search(plain_name(name))), None)
        if like and self._columns.start and self._columns.stream is None:
            self._options.notes.append(NO_ROOM.of(self._path, column=like))

    def _see_time(self, value: Any) -> None:
        """One that begins at minute 0, or is over the hours of a day, is of a recording."""
        if value is None or not str(value).strip():
            return
        found = _SHORT_TIME.fullmatch(str(value).strip())
        if not found or int(found[1]) >= _HOURS or (not self._short and int(found[1]) == 0):
            self._short = None
        else:
            self._short = self._short or found[0]

    def _see_beside(self, day: Any, value: Any) -> None:
        """A time without seconds beside a date is an hour where a day has it, else of a recording."""
        found = _SHORT_TIME.fullmatch(str(value).strip())
        if not found:
            return
        if on_day(day, "0:00") == "0:00":
            if not self._undated:
                self._no_day = found[0], "" if day is None else str(day).strip()[:40]
            self._undated += 1
            return
        of_day = int(found[1]) < _HOURS
        self._beside["hours" if of_day else "minutes"] += 1
        self._no_hour = self._no_hour or ("" if of_day else found[0])

    def _see_texts(self, record: dict[str, Any]) -> None:
        text, own = self._columns.text, (*self._columns.own.values(), self._columns.day)
        for name, value in record.items():
            if isinstance(value, str) and CHINESE.search(value):
                self._chars[text][name] += len(value)
            if name in own or value == record.get(text):
                continue
            if any(is_line(name, inner) for _, inner in texts_in(value)):
                self._lines[text][name] = None


class LineHints(Hints):
    """The same for JSON Lines, where rows may lack columns or have others, or be a recogniser's results."""

    def __init__(self, options: Options, path: str) -> None:
        super().__init__((), Columns("", None, None, None), options, path)
        self._names: dict[str, None] = {}
        self._unread: dict[str, None] = {}

    def of(self, columns: Columns, record: dict[str, Any]) -> dict[str, Any]:
        """The record as it is, seen with its own columns."""
        known = self._columns
        self._columns = replace(columns, stream=columns.stream or known.stream)
        if self._left:
            self._names.update(dict.fromkeys(record))
        self.seen(record)
        if columns.start is None:  # the notes name the last column of times
            self._columns = replace(self._columns, start=known.start, day=known.day)
        return record

    def recognised(self, row: dict[str, Any], items: Sequence[Item | Reject]) -> Sequence[Item | Reject]:
        """What was read of a recogniser's result, as it is."""
        if self._left:
            self._left -= 1
            said = [item.text for item in items if isinstance(item, Item)]
            self._unread.update(dict.fromkeys(unread_in(row, said)))
        return items

    def tell(self) -> None:
        """Note what was seen; rooms, too, for only now it is known that no row has one."""
        self._note_room(tuple(self._names))
        super().tell()
        note_unread(tuple(self._unread), self._options, self._path)
