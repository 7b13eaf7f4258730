"""Reader of the JSON that speech recognisers write.

Known are Whisper, faster-whisper and WhisperX (`segments`), whisper.cpp (`transcription`), the transformers pipeline
(`chunks`), FunASR with sentences (`sentence_info`, `stamp_sents`) or with a time for each word (`timestamp`),
Volcengine (`utterances`), DashScope Paraformer (`sentences`), Aliyun (`Sentences`), Tencent (`ResultDetail`,
`sentence_list`, else `Result`), Azure (`recognizedPhrases`, `phrases`), Bilibili's subtitles (`body`), and objects that hold a text, such as one
for each minute of a room; also lists of these, and objects that hold them by room.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from zhenyan.inference.errors import InputError
from zhenyan.inference.io.documents import stream_name
from zhenyan.inference.io.items import (
    ROOM_COLUMNS,
    STREAM_COLUMNS,
    TEXT_COLUMNS,
    Columns,
    Item,
    Options,
    Reject,
    find_columns,
    keep_aside,
    make_item,
    recording_of,
    seconds,
)
from zhenyan.inference.io.opening import open_text

Record = dict[str, Any]
Found: TypeAlias = Item | Reject | None  # None: a recogniser's list without segments, because nothing was said
_WRAPPERS = ("data", "result", "results", "rows", "items", "videos", "list", "response", "resp", "output", "transcripts",
             "flash_result")  # keys, in any case, that name no room  # fmt: skip
# Names of a text that may be no more than a heading of rows: how little they say, where any other name has 0.
_HEADINGS = {"content": 1, "内容": 1, "标题": 2, "title": 2}
_NOTHING = 3
_KEPT = ("id", "speaker", "spk", "speaker_id", "SpeakerId")  # of a segment's fields
_ISO_DURATION = re.compile(r"PT(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?")
_RESULT_TIMES = re.compile(r"\s*\[\s*([\d:.]+)\s*,\s*([\d:.]+)\s*(?:,[^\]]*)?\]")  # Tencent's; a speaker may follow
_MS, _TICKS = 1e3, 1e7  # in a second


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


def read_asr_json(path: str, options: Options) -> Iterator[Item | Reject]:
    """Items of every transcript in the file; InputError when it isn't JSON or holds none."""
    number, silent = 0, False
    try:
        with open_text(path, options) as file:
            value = json.load(file)
        silent = value == []  # faster-whisper's segments, where nothing was said
        for found in _transcripts(value, None, _file(value, path, options)):
            if found is None:
                silent = True
            else:
                number += 1
                yield _placed(found, f"segment {number}")
    except (ValueError, RecursionError) as error:
        lines = "; one object a line? Then rename it to .jsonl" if "Extra data" in str(error) else ""
        raise InputError(f"{path}: not JSON ({error}){lines}") from None
    if not number and not silent:
        raise InputError(
            f"{path}: no transcript found; known are Whisper (segments), FunASR (sentence_info), Volcengine (utterances), "
            f"Paraformer and Aliyun (sentences), Tencent (ResultDetail), Azure (recognizedPhrases, phrases), Bilibili (body), "
            f"objects with {' or '.join(TEXT_COLUMNS[:3])}, and lists of these; name another field with --text-column"
        )


def _file(value: Any, path: str, options: Options) -> _File:
    columns = (options.start_column, options.end_column, options.stream_column)
    asked = frozenset(name for name in columns if name is not None)
    named = _names(value) if asked else set()
    return _File(path, options, asked & named, asked - named)


def _names(value: Any) -> set[str]:
    """The names of all fields in a JSON value."""
    names: set[str] = set()
    left = [value]
    while left:
        inner = left.pop()
        if isinstance(inner, dict):
            names.update(inner)
            left += inner.values()
        elif isinstance(inner, list):
            left += inner
    return names


def _placed(found: Item | Reject, place: str) -> Item | Reject:
    if isinstance(found, Reject):
        return replace(found, place=place)
    text = found.record.get("text")
    if not isinstance(text, str) or not text.strip():
        return Reject(place, "the segment has no text", repr(text)[:80])
    return replace(found, record=found.record | {"text": text.strip()}, place=place)


def _transcripts(value: Any, room: str | None, file: _File) -> Iterator[Found]:
    """Every segment or row under a JSON value, in order; their places are given later."""
    if isinstance(value, list):
        yield from _in_list(value, room, file)
    elif isinstance(value, dict):
        room = _room(value, room, file.options)
        known = next((key for key in SEGMENTS if value.get(key) and _has_segments(value, key)), None)
        silent = known is None and any(value.get(key) == [] for key in SEGMENTS)
        texts = [text for key in _text_names(file.options) if isinstance(text := value.get(key), str)]
        if known:
            yield from _segments(value, known, room or file.stream)
        elif any(text.strip() or not silent for text in texts):
            yield from _own_or_inside(value, room, file)
        elif lines := _result_lines(value):
            yield from (Item(line | {"stream": room or file.stream}, "") for line in lines)
        else:
            if silent:
                yield None
            yield from _inside(value, room, file)


def _inside(record: Record, room: str | None, file: _File) -> Iterator[Found]:
    """What the fields of an object hold; of one that names its room no key is taken for another."""
    roomless = record if _room(record, None, file.options) else _roomless(record)
    for key, item in record.items():
        if not isinstance(item, str):
            yield from _transcripts(item, room if key in roomless else key, file)


def _own_or_inside(record: Record, room: str | None, file: _File) -> Iterator[Found]:
    """An object's own text as a row; where that is only a heading of the rows inside it, these, and a note says so.

    Where they say as little (a product's title, those of its kinds), both: nobody can tell which is the heading.
    """
    names = _text_names(file.options)
    own = [name for name in names if isinstance(text := record.get(name), str) and text.strip()]
    rank = min((_HEADINGS.get(name, 0) for name in own), default=_NOTHING)
    inside = list(_inside(record, room, file)) if rank and file.options.text_column is None else []
    texts = {item.text.strip(): _rank(item) for item in inside if isinstance(item, Item)}
    best = min(texts.values(), default=_NOTHING)
    if best > rank or not texts or (own and rank == 1 and all(text in record[own[0]] for text in texts)):
        inside = []  # they say less, or are pieces of what it says, such as its words
    if not inside or best == rank:
        yield _row(record, room, file)
    elif own:
        _note_heading(own[0], file)
    yield from inside


def _rank(item: Item) -> int:
    """How little the name says under which an item's text stands."""
    return next((rank for name, rank in _HEADINGS.items() if item.record.get(name) == item.text), 0)


def _note_heading(name: str, file: _File) -> None:
    note = f"{file.path}: the text is read from the rows inside, not from {name} above them; name another with --text-column"
    if note not in file.options.notes:
        file.options.notes.append(note)


def _in_list(values: Sequence[Any], room: str | None, file: _File) -> Iterator[Found]:
    """What the elements hold; one that holds nothing is a reject where it should: it names a text, or others hold rows."""
    waiting: list[Any] = []
    rows = False
    for value in values:
        waiting.append(value)
        for found in _transcripts(value, room, file):
            yield from map(_without_text, waiting[:-1])
            waiting, rows = [], True
            yield found
        if waiting and (rows or (isinstance(value, dict) and not value.keys().isdisjoint(_text_names(file.options)))):
            yield from map(_without_text, waiting)
            waiting, rows = [], True


def _without_text(value: Any) -> Reject:
    return Reject("", "the row has no text", repr(value)[:80])


def _text_names(options: Options) -> tuple[str, ...]:
    return TEXT_COLUMNS if options.text_column is None else (options.text_column,)


def _has_segments(record: Record, key: str) -> bool:
    """Whether a recogniser's list stands under the key: under an everyday word only with the fields that tell it."""
    found, signs = record.get(key), _SIGNS.get(key, ())
    segments = [segment.keys() for segment in found if isinstance(segment, dict)] if isinstance(found, list) else []
    return isinstance(found, list) and (not signs or any(s >= sign for s in segments for sign in signs))


def _segments(record: Record, key: str, stream: str) -> Iterator[Found]:
    """Every segment of a recogniser's list."""
    more = {"stream": stream} | _present(record, ("file",))
    for segment in record[key]:
        if isinstance(segment, dict):
            yield Item(SEGMENTS[key](segment) | _present(segment, _KEPT) | more, "")
        else:
            yield Reject("", "the segment is no object", repr(segment)[:80])


def _room(record: Record, around: str | None, options: Options) -> str | None:
    """The room that an object names, else the one whose key it lies under."""
    names = (options.stream_column,) if options.stream_column else ROOM_COLUMNS
    return next((str(record[name]) for name in names if record.get(name)), around)


def _roomless(record: Record) -> set[str]:
    """Keys that name no room: recognisers' words, and the only word that stands over a list of plain segments."""
    lists = [key for key, value in record.items() if isinstance(value, list) and value and _is_plain(value[0])]
    words = lists if len(lists) == 1 and lists[0].isascii() and lists[0].isidentifier() else []
    return {key for key in record if key.lower() in _WRAPPERS or key in SEGMENTS} | set(words)


def _is_plain(row: Any) -> bool:
    """Whether a row says nothing of a room or a recording."""
    return isinstance(row, dict) and row.keys().isdisjoint(STREAM_COLUMNS)


def _present(record: Record, names: Sequence[str]) -> Record:
    return {name: record[name] for name in names if name in record}


def _row(record: Record, room: str | None, file: _File) -> Item | Reject:
    """An object that holds its text itself, with its own fields; FunASR's times of every word become its words."""
    words = _words(record.get("timestamp"))
    own = {key: value for key, value in record.items() if key != "timestamp" or not words}
    found = make_item(own, _columns(record, file), "")
    if isinstance(found, Reject):
        return found
    named = found.record.get("stream")
    stream = room or named or recording_of(record) or file.stream
    times = {"start": words[0][0], "end": words[-1][1]} if words else {}
    other = ("stream",) if named != stream and str(record.get("stream") or "") == named else ()
    return replace(found, record=keep_aside(found.record, other) | {"stream": stream} | times, words=words)


def _columns(record: Record, file: _File) -> Columns:
    """What an object's row is read from; InputError when a column asked for stands nowhere in the file."""
    if file.absent:
        find_columns([*record, *file.present], replace(file.options, notes=[]), file.path)
    return find_columns(record, file.options, file.path, lenient=True)


def _words(stamps: Any) -> tuple[tuple[float, float], ...]:
    """Seconds of every word, from FunASR's [[start, end], ...] in milliseconds; none where it isn't that."""
    if not isinstance(stamps, list):  # "timestamp" may also be a date
        return ()
    pairs = [tuple(map(seconds, pair)) for pair in stamps if isinstance(pair, list) and len(pair) == 2]
    if len(pairs) != len(stamps) or any(time is None for pair in pairs for time in pair):
        return ()
    return tuple((start / 1000, end / 1000) for start, end in pairs)


def _timed(text: Any, start: Any, end: Any, in_second: float = 1.0) -> Record:
    """A segment's text, and its times in seconds where they are times; `in_second`: how many of their units it has."""
    row: Record = {"text": text}
    for name, value in (("start", start), ("end", end)):
        if (time := seconds(value)) is not None:
            row[name] = time / in_second
    return row


def _named(text: str, start: str, end: str, in_second: float) -> Callable[[Record], Record]:
    """Reader of segments that have text and times as fields of their own."""
    return lambda segment: _timed(segment.get(text), segment.get(start), segment.get(end), in_second)


def _whisper_cpp(segment: Record) -> Record:
    offsets = segment["offsets"] if isinstance(segment.get("offsets"), dict) else {}
    return _timed(segment.get("text"), offsets.get("from"), offsets.get("to"), _MS)


def _pipeline(segment: Record) -> Record:
    times = segment.get("timestamp")
    start, end = times if isinstance(times, list) and len(times) == 2 else (None, None)
    return _timed(segment.get("text"), start, end)


def _stamp_sents(segment: Record) -> Record:
    """FunASR's older form: words with spaces between them, and the sentence's punctuation apart."""
    words, mark = (str(segment.get(name) or "") for name in ("text_seg", "punc"))
    text = "".join(words.split()) + mark
    return _timed(text, segment.get("start"), segment.get("end"), _MS)


def _sentence_info(segment: Record) -> Record:
    """FunASR's sentences, whose text is called `sentence` where speakers are told by spk_mode="vad_segment"."""
    text = segment.get("text", segment.get("sentence"))
    return _timed(text, segment.get("start"), segment.get("end"), _MS)


def _result_lines(record: Record) -> list[Record]:
    """Tencent's segments where it gives no ResultDetail: lines "[0:1.020,0:2.380]  ..." of Result."""
    result = record.get("Result")
    if not isinstance(result, str) or not ("ResultDetail" in record or _RESULT_TIMES.match(result)):
        return []
    return [_result_line(line) for line in result.splitlines() if line.strip()]


def _result_line(line: str) -> Record:
    found = _RESULT_TIMES.match(line)
    return _timed(line[found.end() :], found[1], found[2]) if found else {"text": line}


def _volcengine(segment: Record) -> Record:
    text = segment.get("text", segment.get("transcript"))  # the latter in Bilibili's editor, which has the same form
    return _timed(text, segment.get("start_time"), segment.get("end_time"), _MS)


def _azure(segment: Record) -> Record:
    """The best of Azure's readings, with a start and a length."""
    best = segment.get("nBest")
    first = best[0] if isinstance(best, list) and best and isinstance(best[0], dict) else {}
    start, length = _azure_time(segment, "offset"), _azure_time(segment, "duration")
    end = None if start is None or length is None else round(start + length, 3)
    return _timed(first.get("display"), start, end)


def _azure_fast(segment: Record) -> Record:
    """Azure's fast transcription: a start and a length in milliseconds, called otherwise in its preview of May 2024."""
    start, length = (seconds(segment.get(f"{name}Milliseconds", segment.get(name))) for name in ("offset", "duration"))
    end = None if start is None or length is None else start + length
    return _timed(segment.get("text"), start, end, _MS)


def _azure_time(segment: Record, name: str) -> float | None:
    """Seconds of a time in ticks (100 ns), else as ISO 8601 writes it: PT1M2.5S."""
    if (ticks := seconds(segment.get(f"{name}InTicks"))) is not None:
        return ticks / _TICKS
    found = _ISO_DURATION.fullmatch(str(segment.get(name)))
    return seconds(":".join(part or "0" for part in found.groups())) if found else None


SEGMENTS: dict[str, Callable[[Record], Record]] = {
    "segments": _named("text", "start", "end", 1),
    "transcription": _whisper_cpp,
    "chunks": _pipeline,
    "sentence_info": _sentence_info,
    "stamp_sents": _stamp_sents,
    "utterances": _volcengine,
    "sentences": _named("text", "begin_time", "end_time", _MS),
    "Sentences": _named("Text", "BeginTime", "EndTime", _MS),
    "ResultDetail": _named("FinalSentence", "StartMs", "EndMs", _MS),
    "sentence_list": _named("text", "start_time", "end_time", _MS),
    "recognizedPhrases": _azure,
    "phrases": _azure_fast,
    "body": _named("content", "from", "to", 1),
}
_SIGNS: dict[str, tuple[set[str], ...]] = {  # one of these sets of fields
    "utterances": ({"start_time"},),
    "sentences": ({"begin_time"},),
    "sentence_list": ({"start_time"},),
    "phrases": ({"offsetMilliseconds"}, {"offset", "duration"}),
    "body": ({"from"},),
}
