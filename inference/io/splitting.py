"""Rows that hold running speech, such as a minute of a room, as one item for each utterance."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from zhenyan.inference.io.faults import TAGS_ALONE
from zhenyan.inference.io.items import Item, Options, Reject, recording_of
from zhenyan.inference.io.note_kinds import CUT_SPEECH
from zhenyan.inference.io.utterances import MAX_CHARS, Span, split_utterances

_TAG = re.compile(r"<\|[^|>]*\|>")  # what SenseVoice and Whisper write about the sound: <|zh|><|NEUTRAL|>
_REPEATED = 1000  # characters; a longer field stands in a row's first utterance only
_WORD = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+")  # what a recogniser gives one time: a character, a word


def split_items(items: Iterable[Item | Reject], path: str, options: Options, asr: bool) -> Iterator[Item | Reject]:
    """Items without recognisers' tags, transcripts cut into utterances, each at its place in the row.

    `asr`: a recogniser wrote the file. A note says how many rows were cut where `split` leaves it open.
    """
    cut = 0
    for item in map(_without_tags, items):
        if isinstance(item, Item) and is_transcript(item, options.split, asr):
            pieces = list(_utterances(item))
            cut += len(pieces) > 1
            yield from pieces
        else:
            yield item
    if cut and options.split is None:
        options.notes.append(CUT_SPEECH.of(path, count=cut))


def _without_tags(item: Item | Reject) -> Item | Reject:
    if isinstance(item, Reject) or "<|" not in item.text:
        return item
    text = untagged(item.text)
    if not text:
        return Reject.of(item.place, TAGS_ALONE, item.text[:80])
    return replace(item, record=item.record | {"text": text})


def untagged(text: str) -> str:
    """The text without a recogniser's tags."""
    return _TAG.sub("", text).strip() if "<|" in text else text


def is_transcript(item: Item, asked: bool | None, asr: bool) -> bool:
    """Whether to cut a row: as asked, else when it is long and was heard in a recording, without a time of its own."""
    if asked is False or len(item.text) <= MAX_CHARS:
        return False
    untimed = "start" not in item.record or bool(item.words)
    return bool(asked or (untimed and (asr or item.words or recording_of(item.record))))


def _utterances(item: Item) -> Iterator[Item]:
    """The row once for each utterance: `text` is the utterance, `text_offset` where it begins in the row's text, tags left out.

    Lists, objects and long fields (words with times, another version of the text) stay with the first one: with every
    one of them, rows would grow with the square of the recording's length.
    """
    text = item.text
    spans = split_utterances(text)
    if len(spans) < 2:
        yield item
        return
    own = {key: value for key, value in item.record.items() if not isinstance(value, str) or untagged(value) != text}
    short = {key: value for key, value in own.items() if is_short(value)}
    times = _times(item, spans)
    for number, (start, end) in enumerate(spans):
        place = {"text_offset": start} | (times[number] if times else {})
        yield Item(
            {"text": text[start:end]} | (short if number else own) | place, f"{item.place} utterance {number + 1}"
        )


def is_short(value: Any) -> bool:
    """Whether a field is short enough to stand in every row that is cut from one."""
    if isinstance(value, str | bytes):
        return len(value) <= _REPEATED
    return not isinstance(value, list | tuple | dict)


def _times(item: Item, spans: Sequence[Span]) -> list[dict[str, Any]]:
    """Seconds of each utterance: those of its words, else its share of the row's time; empty where there is none."""
    start, end = item.record.get("start"), item.record.get("end")
    if not isinstance(start, int | float) or not isinstance(end, int | float):
        return []
    starts = [found.start() for found in _WORD.finditer(item.text)]
    if len(starts) == len(item.words):
        inside = [item.words[bisect_left(starts, a) : bisect_left(starts, b)] for a, b in spans]
        if all(inside):
            return [{"start": words[0][0], "end": words[-1][1]} for words in inside]
    second = (end - start) / len(item.text)
    return [{"start": round(start + a * second, 2), "end": round(start + b * second, 2)} for a, b in spans]
