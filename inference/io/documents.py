"""Readers of running text: plain lines, subtitles, and the JSON of speech recognisers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from zhenyan.inference.errors import InputError
from zhenyan.inference.io.items import TEXT_COLUMNS, Item, Options, Reject, seconds
from zhenyan.inference.io.opening import open_text, plain_suffix


def stream_name(path: str) -> str:
    """What a file is called in reports: its name without endings."""
    return PurePath(path).name.split(".")[0]


def read_txt(path: str, options: Options) -> Iterator[Item | Reject]:
    """One utterance a line."""
    with open_text(path, options.encoding) as (lines, encoding):
        if encoding not in ("utf-8", "utf-8-sig"):
            options.notes.append(f"{path}: read as {encoding}")
        for number, line in enumerate(lines, 1):
            if text := line.strip():
                yield Item({"text": text, "stream": stream_name(path)}, f"line {number}")


def read_subtitles(path: str, options: Options) -> Iterator[Item | Reject]:
    """SRT, WebVTT or ASS cues with their times in seconds; markup is dropped."""
    import pysubs2

    with open_text(path, options.encoding) as (file, encoding):
        text = file.read().replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
        if encoding not in ("utf-8", "utf-8-sig"):
            options.notes.append(f"{path}: read as {encoding}")
    if not text.strip():
        return
    try:
        subtitles = pysubs2.SSAFile.from_string(text, format_=plain_suffix(path).removeprefix("."))
    except (pysubs2.exceptions.Pysubs2Error, ValueError, KeyError) as error:
        raise InputError(f"{path}: not readable as {plain_suffix(path)} ({error})") from None
    if not subtitles.events:
        raise InputError(f"{path}: no cue found; is it really {plain_suffix(path)}?")
    for number, event in enumerate(subtitles.events, 1):
        if event.is_comment:
            continue
        words = " ".join(event.plaintext.split())
        if not words:
            yield Reject(f"cue {number}", "the cue is empty")
            continue
        yield Item({"text": words, "start": event.start / 1000, "end": max(event.start, event.end) / 1000,
                    "stream": stream_name(path)}, f"cue {number}")  # fmt: skip


def read_asr_json(path: str, options: Options) -> Iterator[Item | Reject]:
    """JSON of a recogniser: Whisper and faster-whisper (`segments`), FunASR (`sentence_info`), minute files, rows."""
    with open_text(path, options.encoding) as (file, _):
        try:
            value = json.load(file)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: not JSON ({error})") from None
    found = False
    for number, segment in enumerate(_segments(value, stream_name(path)), 1):
        found = True
        text = segment.get("text")
        if not isinstance(text, str) or not text.strip():
            yield Reject(f"segment {number}", "the segment has no text", repr(text)[:80])
        else:
            yield Item(segment | {"text": text.strip()}, f"segment {number}")
    if not found:
        raise InputError(
            f"{path}: no transcript found; known are Whisper (segments), FunASR (sentence_info), objects with "
            f"{' or '.join(TEXT_COLUMNS[:3])}, and lists of these"
        )


def _segments(value: Any, stream: str) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        for item in value:
            yield from _segments(item, stream)
    elif isinstance(value, dict):
        stream = str(value.get("room") or value.get("stream") or value.get("file") or stream)
        if isinstance(value.get("segments"), list):  # Whisper, faster-whisper: seconds
            yield from (_segment(s, stream, 1.0) for s in value["segments"] if isinstance(s, dict))
        elif isinstance(value.get("sentence_info"), list):  # FunASR: milliseconds
            yield from (_segment(s, stream, 0.001) for s in value["sentence_info"] if isinstance(s, dict))
        elif any(isinstance(value.get(name), str) for name in TEXT_COLUMNS):
            yield _segment(value, stream, 1.0)
        else:
            for key, item in value.items():
                yield from _segments(item, str(key)) if not isinstance(item, str) else ()


def _segment(record: dict[str, Any], stream: str, unit: float) -> dict[str, Any]:
    text = next((record[name] for name in TEXT_COLUMNS if isinstance(record.get(name), str)), None)
    row: dict[str, Any] = {"text": text}
    for name in ("start", "end"):
        if (time := seconds(record.get(name))) is not None:
            row[name] = time * unit
    keep = ("id", "speaker", "spk", "file", "platform", "room", "channel")
    return row | {"stream": stream} | {key: record[key] for key in keep if key in record}
