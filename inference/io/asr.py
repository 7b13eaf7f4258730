"""Reader of the JSON that speech recognisers write, in the forms of io.recognisers.

Also FunASR with a time for each word (`timestamp`), objects that hold a text, such as one for each minute of a room,
lists of these, and objects that hold them by room. A line of JSON Lines may hold what a file does (`read_row`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from zhenyan.inference.errors import InputError
from zhenyan.inference.io import faults
from zhenyan.inference.io.amazon import amazon_lines
from zhenyan.inference.io.bounds import read_whole
from zhenyan.inference.io.documents import file_name, stream_name
from zhenyan.inference.io.faults import fault
from zhenyan.inference.io.items import (
    PLATFORM_COLUMNS,
    RECORDING_COLUMNS,
    ROOM_COLUMNS,
    STREAM_COLUMNS,
    TEXT_COLUMNS,
    TITLE_COLUMNS,
    Columns,
    Item,
    Options,
    Reject,
    find_columns,
    find_times,
    keep_aside,
    make_item,
    recording_of,
)
from zhenyan.inference.io.note_kinds import MILLISECONDS, ROWS_INSIDE
from zhenyan.inference.io.notes import NOTHING, Words, chained
from zhenyan.inference.io.opening import open_text
from zhenyan.inference.io.recognisers import (
    FORMS,
    SIGNS,
    WORD_LISTS,
    Record,
    bare_sentences,
    draft_texts,
    form_of,
    has_segments,
    is_word,
    leave_out,
    nameless_form,
    objects_in,
    result_lines,
    says_nothing,
    unpacked,
    untimed,
    who_speaks,
    word_lines,
    word_times,
)
from zhenyan.inference.io.splitting import is_short, untagged
from zhenyan.inference.io.unread import Unread
from zhenyan.inference.json_objects import RepeatedKey, distinct
from zhenyan.inference.normalise import letters

_WRAPPERS = ("data", "result", "results", "rows", "items", "videos", "list", "response", "resp", "output", "transcripts",
             "flash_result", "tasks_info", "task_result", "content", "orderresult")  # keys, in any case, that name no room  # fmt: skip
# Names of a text that may be no more than a heading of rows: how little they say, where any other name has 0.
_HEADINGS = dict.fromkeys(("content", "内容", *PLATFORM_COLUMNS), 1) | dict.fromkeys(TITLE_COLUMNS, 2)
_WHOLE = frozenset(("asr", "transcript", "asr_result"))  # names of all that was said: what is inside says it once more
_NOTHING = 3
_MADE_UP = "rand_key_"  # begins the keys that FunASR makes for sound without a name


class _Found(NamedTuple):
    """What stands at one place, and how little the name says under which its text stands."""

    item: Item | Reject | None  # None: a recogniser's list without segments, because nothing was said
    rank: int = _NOTHING


@dataclass(frozen=True)
class _File:
    """What is read, how, and which of the columns asked for stand in it anywhere, which nowhere."""

    path: str
    options: Options
    present: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()

    @property
    def stream(self) -> str:
        """The stream of rows that name none."""
        return stream_name(self.path)

    @property
    def names(self) -> tuple[str, ...]:
        """The names under which a text may stand."""
        asked = self.options.text_column
        return TEXT_COLUMNS if asked is None else (asked,)

    @cached_property
    def signs(self) -> frozenset[str]:
        """Fields of which one stands in whatever may hold a text."""
        return SIGNS.union(self.names)


def read_asr_json(path: str, options: Options) -> Iterator[Item | Reject]:
    """Items of every transcript in the file; InputError when it isn't JSON, repeats a key in an object or holds none."""
    number, silent, unread = 0, False, Unread(options, path)
    try:
        with open_text(path, options) as file:
            value = draft_texts(json.loads(read_whole(file, path, faults.AS_LINES), object_pairs_hook=distinct))
        silent = value == []  # faster-whisper's segments, where nothing was said
        for item, _ in _transcripts(value, None, _file(value, path, options)):
            if item is None:
                silent = True
            else:
                number += 1
                yield unread.seen(_placed(item, f"segment {number}"))
        if number:
            unread.tell(value)
    except RepeatedKey as error:
        raise fault(path, faults.REPEATED.of(error=str(error), name=error.name[:80])) from None
    except (ValueError, RecursionError) as error:
        raise fault(path, _no_json(path, error)) from None
    if not number and not silent:
        raise fault(path, faults.NO_TRANSCRIPT)


def _no_json(path: str, error: Exception) -> Words:
    """Why a file isn't read, and what to do."""
    text = error.doc.strip() if isinstance(error, json.JSONDecodeError) else ""
    if file_name(path).startswith("draft_") and text and not re.search(r"[{\[]", text):
        return faults.ENCRYPTED
    more = faults.PERHAPS_LINES if "Extra data" in str(error) else NOTHING
    return chained(faults.NOT_JSON.of(error=str(error)), more)


def is_recognised(row: Record, options: Options) -> bool:
    """Whether a row of JSON Lines is a recogniser's result, and none of a table: its segments or words have times."""
    return _by_segments(row, options) or bool(word_times(row.get("timestamp")))


def holds_segments(row: Record) -> bool:
    """Whether a recogniser's segments, or words alone, stand anywhere in a row."""
    return any(has_segments(record) or word_lines(record) or amazon_lines(record) for record in objects_in(row))


def read_row(row: Record, place: str, path: str, options: Options) -> Iterator[Item | Reject]:
    """Items of a recogniser's result in one row, as of one in a JSON file; each segment with the row's short fields."""
    file, short = _File(path, options), {name: value for name, value in row.items() if is_short(value)}
    recording = next((str(row[name]) for name in RECORDING_COLUMNS if row.get(name)), None)
    around = recording or (row["key"] if _is_recording(row) else None)
    try:
        if word_times(row.get("timestamp")) and not _by_segments(row, options):
            found, short = [_row(row, _room(row, around, options), file)], {}
        else:
            found = list(_transcripts(row, around, file))
    except (InputError, RecursionError, RepeatedKey) as error:
        yield Reject.of(place, faults.without_path(error, path), repr(row)[:80])
        return
    items = [item for item, _ in found if item is not None]
    for number, item in enumerate(items, 1):
        placed = _placed(item, f"{place} segment {number}" if len(items) > 1 else place)
        yield _with_fields(placed, short) if isinstance(placed, Item) else placed


def _by_segments(row: Record, options: Options) -> bool:
    """Whether a row is read by its segments: not where its text was asked for."""
    return options.text_column not in row and has_segments(row)


def _with_fields(item: Item, fields: Record) -> Item:
    """The item with the fields of its row; one that is called like a field of its own, or is a time, is kept aside."""
    own, times = item.record, ("start", "end")
    kept = {k: v for k, v in fields.items() if k != "text" and not (k in times and v in (None, ""))}
    other = {k for k, v in kept.items() if own.get(k, None if k in times else v) != v}
    return replace(item, record=own | keep_aside(kept, other))


def _file(value: Any, path: str, options: Options) -> _File:
    columns = (options.start_column, options.end_column, options.stream_column)
    asked = frozenset(name for name in columns if name is not None)
    named = _names(value) if asked else set()
    return _File(path, options, asked & named, asked - named)


def _names(value: Any) -> set[str]:
    """The names of all fields in a JSON value."""
    return {name for record in objects_in(value) for name in record}


def _placed(found: Item | Reject, place: str) -> Item | Reject:
    if isinstance(found, Reject):
        return replace(found, place=place)
    text = found.record.get("text")
    if not isinstance(text, str) or not text.strip():
        return Reject.of(place, faults.SILENT_SEGMENT, repr(text)[:80])
    return replace(found, record=found.record | {"text": text.strip()}, place=place)


def _transcripts(value: Any, room: str | None, file: _File) -> Iterator[_Found]:
    """Every segment or row under a JSON value, in order; their places are given later."""
    if isinstance(value, list) and (form := nameless_form(value)):
        yield from _segments(value, form.read, {"stream": room or file.stream})
    elif isinstance(value, list):
        yield from _in_list(_with_units(value, file), room, file)
    elif isinstance(value, dict):
        yield from _in_object(value, _room(value, room, file.options), file)


def _in_object(record: Record, room: str | None, file: _File) -> Iterator[_Found]:
    """An object's segments (after its own text where they don't say it), else its own text, else its lines, else what it holds."""
    texts = [text for name in file.names if isinstance(text := record.get(name), str)]
    silent = says_nothing(record)
    if key := form_of(record):
        named = room is not None and room == record.get("key")
        more = {"stream": room or file.stream} | _present(record, ("file", "key") if named else ("file",))
        segments = list(_segments(record[key], FORMS[key].read, more))
        yield from _text_apart({name: record[name] for name in record if name != key}, segments, room, file)
        yield from segments
    elif any(text.strip() or not silent for text in texts):
        yield from _own_or_inside(record, room, file)
    elif is_word(record):
        return
    elif lines := result_lines(record) or amazon_lines(record):
        yield from _lines(lines, room, file)
    else:
        yield from [_Found(None)] if silent else []
        yield from _inside(record, room, file)


def _text_apart(record: Record, segments: Sequence[_Found], room: str | None, file: _File) -> Iterator[_Found]:
    """An object's own text as a row, where that is no heading and its segments leave it out."""
    own = next((name for name in file.names if isinstance(text := record.get(name), str) and text.strip()), None)
    said = (str(item.record.get("text") or "") for item, _ in segments if isinstance(item, Item))
    if own and own not in _HEADINGS and leave_out(said, untagged(record[own])):
        yield _row(record, room, file)


def _inside(record: Record, room: str | None, file: _File) -> Iterator[_Found]:
    """Its lines of words and what its other fields hold; of one that names its room no key is taken for another."""
    lines = word_lines(record)
    yield from _lines(lines, room, file)
    roomless = record if _room(record, None, file.options) else _roomless(record, file)
    for key, item in record.items():
        if not lines or key not in WORD_LISTS:
            yield from _transcripts(unpacked(key, item), room if key in roomless else key, file)


def _lines(lines: Sequence[Record], room: str | None, file: _File) -> Iterator[_Found]:
    yield from (_Found(Item(line | {"stream": room or file.stream}, ""), 0) for line in lines)


def _own_or_inside(record: Record, room: str | None, file: _File) -> Iterator[_Found]:
    """An object's own text as a row; where that is only a heading of the rows inside it, these, and a note says so.

    Where they say as little (a product's title, those of its kinds), both: nobody can tell which is the heading.
    """
    own = [name for name in file.names if isinstance(text := record.get(name), str) and text.strip()]
    rank = min((_HEADINGS.get(name, 0) for name in own), default=_NOTHING)
    whole = file.options.text_column is not None or not _WHOLE.isdisjoint(own)
    inside = [] if whole else list(_inside(record, room, file))
    best = min((found.rank for found in inside), default=_NOTHING)
    if best == _NOTHING or best > max(rank, 1) or (rank < 2 and _says_all(record[own[0]], inside)):
        inside = []  # they say less, or are pieces of what it says, such as its words
    if not inside or best >= rank:
        yield _row(record, room, file)
    elif own:
        _note_heading(own[0], file)
    yield from inside


def _says_all(text: str, inside: Sequence[_Found]) -> bool:
    """Whether the rows are pieces of the text, such as its words, whatever their punctuation."""
    said = letters(text)
    return all(letters(item.text) in said for item, _ in inside if isinstance(item, Item))


def _note_heading(name: str, file: _File) -> None:
    file.options.unread.add(name)
    file.options.note_once(ROWS_INSIDE.of(file.path, name=name))


def _in_list(values: Sequence[Any], room: str | None, file: _File) -> Iterator[_Found]:
    """What the elements hold; one that holds nothing is a reject where it should: one names a text, or others hold rows."""
    empty: list[Any] = []
    rows = False
    rooms = [room] * len(values) if room is not None else _recordings(values)
    for value, own in zip(values, rooms, strict=True):
        nothing = True
        for found in _transcripts(value, own, file):
            yield from map(_without_text, empty)
            empty, rows, nothing = [], True, False
            yield found
        empty += [value] if nothing else []
        rows = rows or (isinstance(value, dict) and not value.keys().isdisjoint(file.names))
        if rows:
            yield from map(_without_text, empty)
            empty = []


def _with_units(values: Sequence[Any], file: _File) -> Sequence[Any]:
    """The values; of FunASR's sentences saved without what is around them the names of times say milliseconds."""
    if file.options.start_column or file.options.end_column or not (found := bare_sentences(values)):
        return values
    file.options.note_once(MILLISECONDS.of(file.path))
    return found


def _recordings(values: Sequence[Any]) -> Sequence[str | None]:
    """The recording of each element, as FunASR names it by `key` where it heard several; else None for each.

    None too where it was given sound without a name, or the rows have times of their own: these are ids of segments.
    """
    keys = [value["key"] for value in values if _is_recording(value)]
    return keys if 1 < len(values) == len(set(keys)) else [None] * len(values)


def _is_recording(value: Any) -> bool:
    key = value.get("key") if _is_plain(value) else None
    if not isinstance(key, str) or not key.strip() or key.startswith(_MADE_UP):
        return False
    start, _ = find_times(value)
    return start is None or isinstance(value[start], list)  # FunASR's of every word


def _without_text(value: Any) -> _Found:
    return _Found(Reject.of("", faults.SILENT_ROW, repr(value)[:80]))


def _segments(segments: Sequence[Any], read: Callable[[Record], Record], more: Record) -> Iterator[_Found]:
    """Every segment of a recogniser's list, with what holds for all of them."""
    for segment in segments:
        if isinstance(segment, dict):
            line = read(segment)
            record = line | _present(segment, ("id",)) | who_speaks(segment) | more
            yield _Found(Item(record, "", untimed=untimed(segment, line)), 0)
        else:
            yield _Found(Reject.of("", faults.NO_SEGMENT, repr(segment)[:80]))


def _room(record: Record, around: str | None, options: Options) -> str | None:
    """The room that an object names, else the one whose key it lies under."""
    names = (options.stream_column,) if options.stream_column else ROOM_COLUMNS
    return next((str(record[name]) for name in names if record.get(name)), around)


def _roomless(record: Record, file: _File) -> set[str]:
    """Keys that name no room: recognisers' words, and the only word over a list of plain segments, or over an object."""
    over = {key: value for key, value in record.items() if _has_text(value, file)}
    lists = [key for key, value in over.items() if isinstance(value, list) and _is_plain(value[0])]
    objects = [key for key, value in over.items() if _is_plain(value)]
    words = {keys[0] for keys in (lists, objects) if len(keys) == 1 and keys[0].isascii() and keys[0].isidentifier()}
    numbered = {key for key in objects if not key.replace("_", "").isalpha()}  # shop1 is one of several
    return words - numbered | {key for key in record if key.lower() in _WRAPPERS or key in FORMS}


def _has_text(value: Any, file: _File) -> bool:
    """Whether some object in it may hold a text."""
    return any(not record.keys().isdisjoint(file.signs) for record in objects_in(value))


def _is_plain(row: Any) -> bool:
    """Whether a row says nothing of a room or a recording."""
    return isinstance(row, dict) and row.keys().isdisjoint(STREAM_COLUMNS)


def _present(record: Record, names: Sequence[str]) -> Record:
    return {name: record[name] for name in names if name in record}


def _row(record: Record, room: str | None, file: _File) -> _Found:
    """An object that holds its text itself, with its own fields; FunASR's times of every word become its words."""
    words = word_times(record.get("timestamp"))
    own = {key: value for key, value in record.items() if key != "timestamp" or not words}
    columns = _columns(record, file)
    found = make_item(own, columns, "")
    if isinstance(found, Reject):
        return _Found(found)
    named = found.record.get("stream")
    stream = room or named or recording_of(record) or file.stream
    times = {"start": words[0][0], "end": words[-1][1]} if words else {}
    other = ("stream",) if named != stream and str(record.get("stream") or "") == named else ()
    item = replace(found, record=keep_aside(found.record, other) | {"stream": stream} | times, words=words)
    return _Found(item, _HEADINGS.get(columns.text.strip().lower(), 0))


def _columns(record: Record, file: _File) -> Columns:
    """What an object's row is read from; InputError when a column asked for stands nowhere in the file."""
    if file.absent:
        find_columns([*record, *file.present], replace(file.options, notes=[], unread=set()), file.path)
    return find_columns(record, file.options, file.path, lenient=True)
