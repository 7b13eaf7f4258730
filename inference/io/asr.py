"""Reader of the JSON that speech recognisers write.

Known are Whisper, faster-whisper and WhisperX (`segments`), whisper.cpp (`transcription`), the transformers pipeline
(`chunks`), FunASR with sentences (`sentence_info`, `stamp_sents`) or with a time for each word (`timestamp`),
Volcengine (`utterances`), DashScope Paraformer (`sentences`), Aliyun (`Sentences`), Tencent (`ResultDetail`,
`sentence_list`), Azure (`recognizedPhrases`), Bilibili's subtitles (`body`), and objects that hold a text, such as one
for each minute of a room; also lists of these, and objects that hold them by room.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from zhenyan.inference.errors import InputError
from zhenyan.inference.io.documents import stream_name
from zhenyan.inference.io.items import (
    ROOM_COLUMNS,
    STREAM_COLUMNS,
    TEXT_COLUMNS,
    Item,
    Options,
    Reject,
    find_columns,
    make_item,
    recording_of,
    seconds,
)
from zhenyan.inference.io.opening import open_text

Record = dict[str, Any]
Found: TypeAlias = Item | Reject | None  # None: a recogniser's list without segments, because nothing was said
_WRAPPERS = ("data", "result", "results", "rows", "items", "videos", "list", "response", "resp", "output", "transcripts",
             "flash_result")  # keys, in any case, that name no room  # fmt: skip
_KEPT = ("id", "speaker", "spk", "speaker_id", "SpeakerId")  # of a segment's fields
_ISO_DURATION = re.compile(r"PT(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?")
_MS, _TICKS = 1e3, 1e7  # in a second


def read_asr_json(path: str, options: Options) -> Iterator[Item | Reject]:
    """Items of every transcript in the file; InputError when it isn't JSON or holds none."""
    number, silent = 0, False
    try:
        with open_text(path, options) as file:
            value = json.load(file)
        silent = value == []  # faster-whisper's segments, where nothing was said
        for found in _transcripts(value, None, options, path):
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
            f"Paraformer and Aliyun (sentences), Tencent (ResultDetail), Azure (recognizedPhrases), Bilibili (body), objects "
            f"with {' or '.join(TEXT_COLUMNS[:3])}, and lists of these; name another field with --text-column"
        )


def _placed(found: Item | Reject, place: str) -> Item | Reject:
    if isinstance(found, Reject):
        return replace(found, place=place)
    text = found.record.get("text")
    if not isinstance(text, str) or not text.strip():
        return Reject(place, "the segment has no text", repr(text)[:80])
    return replace(found, record=found.record | {"text": text.strip()}, place=place)


def _transcripts(value: Any, room: str | None, options: Options, path: str) -> Iterator[Found]:
    """Every segment or row under a JSON value, in order; their places are given later."""
    if isinstance(value, list):
        yield from _in_list(value, room, options, path)
    elif isinstance(value, dict):
        room = _room(value, room, options)
        known = next((key for key in SEGMENTS if value.get(key) and _has_segments(value, key)), None)
        silent = known is None and any(value.get(key) == [] for key in SEGMENTS)
        texts = [text for key in _text_names(options) if isinstance(text := value.get(key), str)]
        if known:
            yield from _segments(value, known, room or stream_name(path))
        elif any(text.strip() or not silent for text in texts):
            yield _row(value, room or recording_of(value) or stream_name(path), options, path)
        else:
            if silent:
                yield None
            roomless = _roomless(value)
            for key, item in value.items():
                if not isinstance(item, str):
                    yield from _transcripts(item, room if key in roomless else key, options, path)


def _in_list(values: Sequence[Any], room: str | None, options: Options, path: str) -> Iterator[Found]:
    """What the elements hold; one that holds nothing is a reject where it should: it names a text, or others hold rows."""
    waiting: list[Any] = []
    rows = False
    for value in values:
        waiting.append(value)
        for found in _transcripts(value, room, options, path):
            yield from map(_without_text, waiting[:-1])
            waiting, rows = [], True
            yield found
        if waiting and (rows or (isinstance(value, dict) and not value.keys().isdisjoint(_text_names(options)))):
            yield from map(_without_text, waiting)
            waiting, rows = [], True


def _without_text(value: Any) -> Reject:
    return Reject("", "the row has no text", repr(value)[:80])


def _text_names(options: Options) -> tuple[str, ...]:
    return TEXT_COLUMNS if options.text_column is None else (options.text_column,)


def _has_segments(record: Record, key: str) -> bool:
    """Whether a recogniser's list stands under the key: under an everyday word only with the field that tells it."""
    found, sign = record.get(key), _SIGNS.get(key)
    return isinstance(found, list) and (not sign or any(isinstance(s, dict) and sign in s for s in found))


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


def _row(record: Record, stream: str, options: Options, path: str) -> Item | Reject:
    """An object that holds its text itself, with its own fields; FunASR's times of every word become its words."""
    words = _words(record.get("timestamp"))
    own = {key: value for key, value in record.items() if key != "timestamp" or not words}
    found = make_item(own, find_columns(record, options, path), "")
    if isinstance(found, Reject):
        return found
    times = {"start": words[0][0], "end": words[-1][1]} if words else {}
    return replace(found, record=found.record | {"stream": stream} | times, words=words)


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
    "sentence_info": _named("text", "start", "end", _MS),
    "stamp_sents": _stamp_sents,
    "utterances": _volcengine,
    "sentences": _named("text", "begin_time", "end_time", _MS),
    "Sentences": _named("Text", "BeginTime", "EndTime", _MS),
    "ResultDetail": _named("FinalSentence", "StartMs", "EndMs", _MS),
    "sentence_list": _named("text", "start_time", "end_time", _MS),
    "recognizedPhrases": _azure,
    "body": _named("content", "from", "to", 1),
}
_SIGNS = {"utterances": "start_time", "sentences": "begin_time", "sentence_list": "start_time", "body": "from"}
