"""Readers of running text: plain lines and subtitles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from zhenyan.inference.errors import InputError
from zhenyan.inference.io.items import Item, Options, Reject
from zhenyan.inference.io.opening import open_text, plain_suffix


def stream_name(path: str) -> str:
    """What a file is called in reports: its name without endings."""
    return PurePath(path).name.split(".")[0]


def read_txt(path: str, options: Options) -> Iterator[Item | Reject]:
    """One utterance a line."""
    with open_text(path, options) as lines:
        for number, line in enumerate(lines, 1):
            if text := line.strip():
                yield Item({"text": text, "stream": stream_name(path)}, f"line {number}")


def read_subtitles(path: str, options: Options) -> Iterator[Item | Reject]:
    """SRT, WebVTT or ASS cues with their times in seconds; markup is dropped."""
    import pysubs2

    with open_text(path, options) as file:
        text = file.read().replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
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
