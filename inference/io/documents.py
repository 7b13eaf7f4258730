"""Readers of running text: plain lines and subtitles."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any

from zhenyan.inference.errors import InputError
from zhenyan.inference.io.items import Item, Options, Reject
from zhenyan.inference.io.opening import open_text, plain_suffix

_ASS_EVENT = re.compile(r"\s*(Dialogue|Comment):")
_MEANT_AS_TIMES = re.compile(r"\s*[\d:.,;XxOo]*\d\s*:[\d:.,;XxOo\s]*--?>|\s*--?>\s*\d+\s*:|\s*\d+:\d+:\S+\s*$")
_TIME_CHARS = 100  # no line of times is longer
_NOT_CUES = ("NOTE", "STYLE", "REGION")  # blocks of WebVTT
_BROKEN = "a cue's times can't be read"


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
    """SRT, WebVTT or ASS cues with their times in seconds; markup is dropped. A cue with broken times is a reject."""
    with open_text(path, options) as file:
        text = file.read().replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    if not text.strip():
        return
    kind = plain_suffix(path).removeprefix(".")
    found = [(line, cue, _event(cue, kind)) for line, cue in _cues(text.split("\n"), kind)]
    if all(event is None for *_, event in found):
        broken = f", {_BROKEN} in line {found[0][0]}" if found else ""
        raise InputError(f"{path}: no cue found{broken}; is it really {plain_suffix(path)}?")
    for number, (line, cue, event) in enumerate(found, 1):
        if not cue.startswith("Comment:"):
            yield _cue_item(number, event, path) if event else Reject(f"line {line}", _BROKEN, cue.strip()[:80])


def _cue_item(number: int, event: Any, path: str) -> Item | Reject:
    words = " ".join(event.plaintext.split())
    if not words:
        return Reject(f"cue {number}", "the cue is empty")
    return Item({"text": words, "start": event.start / 1000, "end": max(event.start, event.end) / 1000,
                 "stream": stream_name(path)}, f"cue {number}")  # fmt: skip


def _event(cue: str, kind: str) -> Any | None:
    """pysubs2's event of one cue's text; None where its times can't be read.

    Cue by cue, because pysubs2 joins a cue with broken times to the one before, or refuses the whole file for it.
    """
    import pysubs2

    try:  # the number: without one it takes a number that ends the cue's own words for the next cue's
        events = pysubs2.SSAFile.from_string(cue if kind == "ass" else f"{cue}\n\n0", format_=kind).events
    except (pysubs2.exceptions.Pysubs2Error, ValueError, KeyError):
        return None
    return events[0] if len(events) == 1 else None


def _cues(lines: Sequence[str], kind: str) -> Iterator[tuple[int, str]]:
    """Line of the times, from 1, and text of every cue, whether its times can be read or not."""
    if kind == "ass":
        yield from ((at, line.strip()) for at, line in enumerate(lines, 1) if _ASS_EVENT.match(line))
        return
    times = [at for at in range(len(lines)) if _is_time_line(lines, at, kind)]
    ends = [*(at - _has_name(lines, at, kind) for at in times[1:]), len(lines)]
    for at, end in zip(times, ends, strict=False):
        yield at + 1, "\n".join(lines[at : _words_end(lines, at, end)])


def _words_end(lines: Sequence[str], at: int, end: int) -> int:
    """Where the words of the cue with its times at `at` end, before `end`: a number after a blank line is the next cue's."""
    while end > at + 1 and not lines[end - 1].strip():
        end -= 1
    return end - 1 if end > at + 2 and lines[end - 1].strip().isdecimal() and not lines[end - 2].strip() else end


def _is_time_line(lines: Sequence[str], at: int, kind: str) -> bool:
    """Whether a cue's times stand here, or what was meant as them: those only where no cue's words can stand."""
    from pysubs2.formats.subrip import SubripFormat
    from pysubs2.formats.webvtt import WebVTTFormat

    if len((WebVTTFormat if kind == "vtt" else SubripFormat).TIMESTAMP.findall(lines[at])) == 2:
        return True
    if not (found := _MEANT_AS_TIMES.match(lines[at][:_TIME_CHARS])):
        return False
    # Without an arrow it may be a clock that is said; then only a number before it tells that a cue begins.
    after_blank = "->" in found.group() and (at == 0 or not lines[at - 1].strip())
    return after_blank or _has_name(lines, at, kind)


def _has_name(lines: Sequence[str], at: int, kind: str) -> bool:
    """Whether the line before is the cue's number, or in WebVTT its name: a line alone after a blank one."""
    before = lines[at - 1].strip() if at else ""
    named = kind == "vtt" and not before.startswith(_NOT_CUES) and (at == 1 or not lines[at - 2].strip())
    return before.isdecimal() or bool(before and named)
