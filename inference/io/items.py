"""What readers give: items to score, and rejects that say why a row can't be."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from zhenyan.inference.errors import InputError
from zhenyan.inference.io import faults
from zhenyan.inference.io.faults import fault
from zhenyan.inference.io.note_kinds import OTHER_TEXTS
from zhenyan.inference.io.notes import NOTHING, Note, Words, chained
from zhenyan.inference.io.times import (
    FIRST_DATE,
    begun,
    in_second,
    is_date,
    on_day,
    seconds,
    without_unit,
)
from zhenyan.inference.normalise import simplified

PLATFORM_COLUMNS = ("话术内容", "字幕内容", "转写文本", "识别结果", "评论内容", "弹幕内容", "详情描述", "商品描述", "商品详情", "卖点", "卖点文案",
                    "广告语", "宣传语")  # fmt: skip
# The last choice: what is sold or shown says more elsewhere.
TITLE_COLUMNS = ("标题", "title", "商品标题", "商品名称", "商品名", "产品名称")
# What the host says, by its name: beside it 内容 and content may be viewers' comments.
SPEECH_COLUMNS = ("主播话术", "主播发言", "主播讲解词", "主播讲解", "主播口播", "主播台词", "讲解词", "讲解内容", "口播", "口播内容",
                  "口播文案", "口播稿", "台词", "发言", "发言内容", "话术", "话术内容", "字幕", "字幕内容")  # fmt: skip
# text comes before all: a run's output holds there what was read
TEXT_COLUMNS = tuple(dict.fromkeys((
    "text", *SPEECH_COLUMNS, "content", "文本", "内容", "正文", "sentence", "utterance", "asr", "transcript", "文案", "asr_result",
    "asr_result_para", *PLATFORM_COLUMNS, *TITLE_COLUMNS,
)))  # fmt: skip
START_COLUMNS = ("start", "begin", "start_time", "begin_time", "开始", "开始时间", "起始时间", "时间", "时间戳", "时间点", "时间轴",
                 "time", "timestamp", "评论时间", "发布时间", "发言时间", "讲解时间", "时间段", "起止时间", "ts")  # fmt: skip
END_COLUMNS = ("end", "end_time", "结束", "结束时间", "终止时间")
DAY_COLUMNS = ("日期", "直播日期", "date")
ROOM_COLUMNS = (
    "stream",
    "room",
    "直播间",
    "room_name",
    "channel_name",
    "chanel_name",
    "直播间名称",
    "直播间ID",
    "房间号",
    "room_id",
    "live_room_id",
)
RECORDING_COLUMNS = ("file", "video", "file_name", "recording")
STREAM_COLUMNS = ROOM_COLUMNS + RECORDING_COLUMNS
# Whoever speaks, or whose account it is: a room only where nothing else tells rooms apart, and rows have times.
HOST_COLUMNS = ("主播昵称", "主播名称", "达人昵称", "账号名称", "主播")
MEDIA = (".mp4", ".flv", ".ts", ".mkv", ".mov", ".webm", ".mp3", ".m4a", ".aac", ".wav", ".flac", ".ogg", ".opus")
_TIMES = ("start", "end")
_BETWEEN_WORDS = re.compile(r"[\s_-]+")
_TOTALS = frozenset(("合计", "总计", "小计"))
_NUMBER = re.compile(r"-?[\d,]+(?:\.\d+)?%?")
# A spreadsheet's, also in its CSV
_FAULT = re.compile(r"#(?:REF!|N/A|VALUE!|NAME\?|DIV/0!|NUM!|NULL!|SPILL!|CALC!)|Err:\d{3}")
_LONGEST_NAME = 15  # characters; a longer one at the head of a table is likely said, not named
_NEXT_DAY = 86400.0  # seconds
_LISTED, _NAME_CHARS = 50, 40  # columns that a message names, and characters of each


class Untimed(NamedTuple):
    """A time that was given and can't be read: "start" or "end", its column, what that held."""

    name: str
    column: str
    value: str


@dataclass(frozen=True)
class Item:
    """One row or cue: `record` holds its own fields, among them text, and start and end in seconds if known."""

    record: dict[str, Any]
    place: str  # line, row or cue number inside the file, for messages
    words: tuple[tuple[float, float], ...] = ()  # seconds of each spoken word, where the recogniser gave them
    untimed: tuple[Untimed, ...] = ()

    @property
    def mistimed(self) -> bool:
        """Whether a time was given and can't be read."""
        return bool(self.untimed)

    @property
    def text(self) -> str:
        """What is scored."""
        return str(self.record["text"])


@dataclass(frozen=True)
class Reject:
    """A row that could not be scored."""

    place: str
    reason: str
    value: str = ""
    reason_zh: str = field(default="", compare=False)

    @classmethod
    def of(cls, place: str, why: Words, value: str = "") -> Reject:
        """A row that could not be scored for a reason in both languages."""
        return cls(place, why.english, value, why.chinese)


@dataclass
class Meter:
    """How many bytes of the inputs have been read (as they lie there, compressed or not)."""

    read: int = 0


@dataclass
class Damage:
    """The encoding in which bytes of a file were read that it can't hold; empty as long as there were none."""

    encoding: str = ""


@dataclass(frozen=True)
class Options:
    """How to read: column names override what is found by name; `encoding` overrides what is detected.

    `split`: cut rows of running speech into utterances; None: only transcripts of recordings in JSON and lines of text files.
    """

    text_column: str | None = None
    start_column: str | None = None
    end_column: str | None = None
    stream_column: str | None = None
    encoding: str | None = None
    split: bool | None = None
    notes: list[Note] = field(default_factory=list, compare=False)  # what readers want said
    meter: Meter = field(default_factory=Meter, compare=False)
    damage: Damage | None = field(default=None, compare=False)  # of the file that is being read
    unread: set[str] = field(default_factory=set, compare=False)  # fields of that file which `notes` name as not read

    def note_once(self, note: Note) -> None:
        """Have a note said, unless it is already."""
        if note not in self.notes:
            self.notes.append(note)


@dataclass(frozen=True)
class Columns:
    """Which columns of a table hold text and times; `day`: the date of times that are those of a day alone."""

    text: str
    start: str | None
    end: str | None
    stream: str | None
    day: str | None = None

    @cached_property  # asked for by every row
    def own(self) -> dict[str, str]:
        """Each field of the contract, and the column that it is read from."""
        return {name: getattr(self, name) or name for name in ("text", *_TIMES, "stream")}


def find_columns(names: Iterable[str], options: Options, path: str, lenient: bool = False) -> Columns:
    """Columns by option or by usual name; other usual names of a text are noted in the options, as not read.

    `lenient`: a column asked for that isn't the text's may be absent, as in a row whose writer leaves out what is empty.

    InputError lists the columns there are when none holds the text.
    """
    names = list(names)
    plain, unitless = _by_plain_name(names)

    def pick(asked: str | None, usual: tuple[str, ...], flag: str, *more: dict[str, str]) -> str | None:
        if asked is not None:
            if asked not in names and lenient and flag != "--text-column":
                return None
            if asked not in names:
                raise fault(path, faults.NO_SUCH_COLUMN.of(asked=asked, flag=flag, columns=_listed(names)))
            return asked
        return _first(usual, plain, *more)

    text = pick(options.text_column, TEXT_COLUMNS, "--text-column")
    if text is None:
        raise fault(path, faults.NO_TEXT.of(columns=_listed(names)))
    if options.text_column is None:
        known = [
            name
            for usual in map(plain_name, TEXT_COLUMNS)
            if usual in plain
            for name in dict.fromkeys(names)
            if plain_name(name) == usual
        ]
        note_others(text, known, options, path)
    start = pick(options.start_column, START_COLUMNS, "--start-column", unitless)
    end = pick(options.end_column, END_COLUMNS, "--end-column", unitless)
    rooms = STREAM_COLUMNS if start is None else STREAM_COLUMNS + HOST_COLUMNS
    stream = pick(options.stream_column, rooms, "--stream-column")
    return Columns(text, start, end, stream, None if start is None else _first(DAY_COLUMNS, plain))


def _listed(names: Sequence[str]) -> Words:
    """The columns for a message: of a file that is no table, such as a picture called .csv, they would fill pages."""
    if not names:
        return faults.NO_COLUMNS
    more = faults.MORE_COLUMNS.of(count=len(names) - _LISTED) if len(names) > _LISTED else NOTHING
    shown = [str(name)[:_NAME_CHARS] for name in names[:_LISTED]]
    return chained(Words(", ".join(shown), "、".join(shown)), more)


def find_times(names: Iterable[str]) -> tuple[str | None, str | None]:
    """The columns of start and end by their usual names."""
    known = _by_plain_name(names)
    return _first(START_COLUMNS, *known), _first(END_COLUMNS, *known)


def _by_plain_name(names: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The columns by what their names are compared by, and by that without the end that says milliseconds or seconds."""
    plain: dict[str, str] = {}
    unitless: dict[str, str] = {}
    for name in names:  # of text and Text the first is read; the other stays a field of its own
        plain.setdefault(plain_name(name), name)
        unitless.setdefault(plain_name(without_unit(str(name))), name)
    return plain, unitless


def _first(usual: Sequence[str], *known: Mapping[str, str]) -> str | None:
    """The column that has the first of the usual names."""
    return next((names[name] for names in known for name in map(plain_name, usual) if name in names), None)


@lru_cache(maxsize=1 << 12)
def plain_name(name: str) -> str:
    """What a column's name is compared by: Start Time, start-time, start_time and startTime are one.

    Simplified, in narrow small letters and brackets, without spaces, hyphens and underscores.
    """
    return _BETWEEN_WORDS.sub("", simplified(unicodedata.normalize("NFKC", str(name)))).lower()


def note_others(text: str, known: Iterable[str], options: Options, path: str) -> None:
    """Say once which columns that could be the text aren't read as it."""
    if others := [name for name in known if name != text]:
        options.unread.update(others)
        options.note_once(OTHER_TEXTS.of(path, text=text, others=others))


def table_columns(names: Sequence[str], options: Options, path: str) -> tuple[list[str], Columns]:
    """The names of a table's columns, a repeated one numbered (文案, 文案.2), and which of them are read.

    InputError when the text's column is there twice, or not at all.
    """
    try:
        columns = find_columns(names, options, path)
    except InputError as error:
        raise faults.said_more(error, _about_header(names)) from None
    if (count := names.count(columns.text)) > 1:
        raise fault(path, faults.TWO_TEXTS.of(count=count, column=columns.text))
    return _numbered(names), columns


def _about_header(names: Sequence[str]) -> Words:
    """What to do where the first row's cells don't look like the names of columns."""
    alone = sum(name not in ("", f"column{at}") for at, name in enumerate(names, 1)) < 2
    row = alone or any(name.isdecimal() or len(name) > _LONGEST_NAME for name in names)
    return chained(faults.TITLE_ABOVE if alone else NOTHING, faults.NO_HEADER if row else NOTHING)


def _numbered(names: Sequence[str]) -> list[str]:
    """The names, the second of one called NAME.2, and so on."""
    taken, last = set(names), dict.fromkeys(names, 0)
    found = []
    for name in names:
        last[name] += 1
        new = name if last[name] == 1 else f"{name}.{last[name]}"
        while last[name] > 1 and new in taken:
            last[name] += 1
            new = f"{name}.{last[name]}"
        taken.add(new)
        found.append(new)
    return found


def recording_of(record: Mapping[str, Any]) -> str | None:
    """The sound or video file that a row says it was heard in."""
    named = (record.get(name) for name in RECORDING_COLUMNS)
    return next((name for name in named if isinstance(name, str) and name.lower().endswith(MEDIA)), None)


def make_item(record: dict[str, Any], columns: Columns, place: str) -> Item | Reject:
    """An item from a table row; a Reject when its text is missing, empty or no text."""
    text = record.get(columns.text)
    if text is None or (isinstance(text, float) and text != text):
        return Reject.of(place, faults.EMPTY.of(column=columns.text))
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        return Reject.of(place, faults.NO_STRING.of(column=columns.text, kind=type(text).__name__), repr(text)[:80])
    if not str(text).strip():
        return Reject.of(place, faults.EMPTY.of(column=columns.text))
    if _FAULT.fullmatch(str(text).strip()):
        found = str(text).strip()
        return Reject.of(place, faults.FORMULA.of(column=columns.text, found=found), found)
    if _NUMBER.fullmatch(str(text).strip()) and (total := _total(record)):
        return Reject.of(place, faults.TOTALS.of(total=total), str(text)[:80])
    own = columns.own
    given = {name: value for name in _TIMES if not _is_blank(value := record.get(own[name]))}
    if "start" in given:
        given["start"] = begun(given["start"])
    times = _seconds(given, record, columns)
    read: dict[str, Any] = {"text": str(text)} | times
    if not _is_blank(room := record.get(own["stream"])):
        read["stream"] = str(room).strip()
    taken = {name for name, column in own.items() if name in record and _is_other(name, column, record, read)}
    aside = keep_aside(record, taken) if taken else record
    unnamed = ("stream",) if own["stream"] == "stream" else ()  # with nothing but spaces it would be a room of its own
    kept = {k: v for k, v in aside.items() if k in read or k not in (*_TIMES, *unnamed)}
    untimed = tuple(Untimed(name, own[name], str(given[name])[:40]) for name in given if name not in times)
    return Item({"text": read["text"]} | kept | read, place, untimed=untimed)


def _total(record: Mapping[str, Any]) -> str | None:
    """What the first cell that isn't blank says, where the row sums up others: 合计."""
    first = next((str(value).strip(" :：") for value in record.values() if not _is_blank(value)), "")
    return first if first in _TOTALS else None


def _seconds(given: Mapping[str, Any], record: Mapping[str, Any], columns: Columns) -> dict[str, float]:
    """The times that can be read, in seconds; of those of a day beside a date an end after midnight is the next day's."""
    day = record.get(columns.day) if columns.day else None
    dated = {name: on_day(day, value) for name, value in given.items()} if day else given
    timed = {name: seconds(value, in_second(columns.own[name])) for name, value in dated.items()}
    times = {name: time for name, time in timed.items() if time is not None}
    if times.keys() >= {*_TIMES} and times["end"] < times["start"] and dated["end"] is not given["end"]:
        times["end"] += _NEXT_DAY
    return in_order(times)


def in_order(times: dict[str, float]) -> dict[str, float]:
    """The times; an end that lies before its start is none."""
    return {"start": times["start"]} if times.keys() >= {*_TIMES} and times["end"] < times["start"] else times


def _is_blank(value: Any) -> bool:
    return value is None or value != value or value == [] or not str(value).strip()


def _is_other(name: str, column: str, record: Mapping[str, Any], read: Mapping[str, Any]) -> bool:
    """Whether the field that is called as the contract has it says something else than what was read under this name."""
    value = record.get(name)
    if name in _TIMES and (name not in read or name == column):  # times hold seconds, whatever the input wrote there
        if name not in read:
            return not _is_blank(value)
        dated = read[name] >= FIRST_DATE and (is_date(value) or ":" in str(value))  # or a time beside its date
        return dated or begun(value) is not value
    if name not in read or name == column or value in (None, read[name]):
        return False
    return name not in _TIMES or seconds(value) != read[name]  # tables hold it as text


def keep_aside(record: Mapping[str, Any], names: Container[str]) -> dict[str, Any]:
    """The record with fields whose names are needed otherwise called `input.NAME`, so that none is lost."""
    return {_aside(key, record) if key in names else key: value for key, value in record.items()}


def _aside(name: str, record: Mapping[str, Any]) -> str:
    while (name := f"input.{name}") in record:
        pass
    return name
