"""Reader of the JSON that speech recognisers write.

Known are Whisper, faster-whisper and WhisperX (`segments`), whisper.cpp (`transcription`), the transformers pipeline
(`chunks`), FunASR with sentences (`sentence_info`, `stamp_sents`) or with a time for each word (`timestamp`), and
objects that hold a text, such as one for each minute of a room; also lists of these, and objects that hold them by room.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from zhenyan.inference.errors import InputError
from zhenyan.inference.io.documents import stream_name
from zhenyan.inference.io.items import (
    ROOM_COLUMNS,
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
_WRAPPERS = ("data", "result", "results", "rows", "items", "videos", "list")  # keys that name no room
_KEPT = ("id", "speaker", "spk")  # of a segment's fields


def read_asr_json(path: str, options: Options) -> Iterator[Item | Reject]:
    """Items of every transcript in the file; InputError when it isn't JSON or holds none."""
    number = 0
    try:
        with open_text(path, options) as file:
            value = json.load(file)
        for number, found in enumerate(_transcripts(value, None, options, path), 1):
            yield _checked(found, f"segment {number}")
    except (ValueError, RecursionError) as error:
        lines = "; one object a line? Then rename it to .jsonl" if "Extra data" in str(error) else ""
        raise InputError(f"{path}: not JSON ({error}){lines}") from None
    if not number:
        raise InputError(
            f"{path}: no transcript found; known are Whisper (segments), FunASR (sentence_info), objects with "
            f"{' or '.join(TEXT_COLUMNS[:3])}, and lists of these; name another field with --text-column"
        )


def _checked(found: Item, place: str) -> Item | Reject:
    text = found.record.get("text")
    if not isinstance(text, str) or not text.strip():
        return Reject(place, "the segment has no text", repr(text)[:80])
    return Item(found.record | {"text": text.strip()}, place, found.words)


def _transcripts(value: Any, room: str | None, options: Options, path: str) -> Iterator[Item]:
    """Every segment or row under a JSON value, in order; their places are given later."""
    if isinstance(value, list):
        for item in value:
            yield from _transcripts(item, room, options, path)
    elif isinstance(value, dict):
        room = _room(value, room, options)
        known = next((key for key in SEGMENTS if isinstance(value.get(key), list)), None)
        texts = TEXT_COLUMNS if options.text_column is None else (options.text_column,)
        if known:
            more = {"stream": room or stream_name(path)} | _present(value, ("file",))
            segments = (segment for segment in value[known] if isinstance(segment, dict))
            yield from (Item(SEGMENTS[known](s) | _present(s, _KEPT) | more, "") for s in segments)
        elif any(isinstance(value.get(key), str) for key in texts):
            yield _row(value, room or recording_of(value) or stream_name(path), options, path)
        else:
            for key, item in value.items():
                if not isinstance(item, str):
                    yield from _transcripts(item, room if key in _WRAPPERS else key, options, path)


def _room(record: Record, around: str | None, options: Options) -> str | None:
    """The room that an object names, else the one whose key it lies under."""
    names = (options.stream_column,) if options.stream_column else ROOM_COLUMNS
    return next((str(record[name]) for name in names if record.get(name)), around)


def _present(record: Record, names: Sequence[str]) -> Record:
    return {name: record[name] for name in names if name in record}


def _row(record: Record, stream: str, options: Options, path: str) -> Item:
    """An object that holds its text itself, with its own fields; FunASR's times of every word become its words."""
    words = _words(record.get("timestamp"))
    own = {key: value for key, value in record.items() if key != "timestamp" or not words}
    found = make_item(own, find_columns(record, options, path), "")
    times = {"start": words[0][0], "end": words[-1][1]} if words else {}
    return Item((found.record if isinstance(found, Item) else {}) | {"stream": stream} | times, "", words)


def _words(stamps: Any) -> tuple[tuple[float, float], ...]:
    """Seconds of every word, from FunASR's [[start, end], ...] in milliseconds; none where it isn't that."""
    if not isinstance(stamps, list):  # "timestamp" may also be a date
        return ()
    pairs = [tuple(map(seconds, pair)) for pair in stamps if isinstance(pair, list) and len(pair) == 2]
    if len(pairs) != len(stamps) or any(time is None for pair in pairs for time in pair):
        return ()
    return tuple((start / 1000, end / 1000) for start, end in pairs)


def _timed(text: Any, start: Any, end: Any, unit: float = 1.0) -> Record:
    """A segment's text, and its times in seconds where they are times."""
    row: Record = {"text": text}
    for name, value in (("start", start), ("end", end)):
        if (time := seconds(value)) is not None:
            row[name] = time * unit
    return row


def _whisper(segment: Record) -> Record:
    return _timed(segment.get("text"), segment.get("start"), segment.get("end"))


def _whisper_cpp(segment: Record) -> Record:
    offsets = segment["offsets"] if isinstance(segment.get("offsets"), dict) else {}
    return _timed(segment.get("text"), offsets.get("from"), offsets.get("to"), 0.001)


def _pipeline(segment: Record) -> Record:
    times = segment.get("timestamp")
    start, end = times if isinstance(times, list) and len(times) == 2 else (None, None)
    return _timed(segment.get("text"), start, end)


def _sentence_info(segment: Record) -> Record:
    return _timed(segment.get("text"), segment.get("start"), segment.get("end"), 0.001)


def _stamp_sents(segment: Record) -> Record:
    """FunASR's older form: words with spaces between them, and the sentence's punctuation apart."""
    text = "".join(str(segment.get("text_seg", "")).split()) + str(segment.get("punc", ""))
    return _timed(text, segment.get("start"), segment.get("end"), 0.001)


SEGMENTS: dict[str, Callable[[Record], Record]] = {
    "segments": _whisper,
    "transcription": _whisper_cpp,
    "chunks": _pipeline,
    "sentence_info": _sentence_info,
    "stamp_sents": _stamp_sents,
}
