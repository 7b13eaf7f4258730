"""Amazon's transcripts without audio_segments: their times stand in a list of words beside the whole text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from zhenyan.inference.io.items import in_order
from zhenyan.inference.io.recognisers import Record, is_word, joined
from zhenyan.inference.io.times import seconds
from zhenyan.inference.io.utterances import MAX_CHARS
from zhenyan.inference.normalise import letters

_END = re.compile(r"[。？！?!.]\s*")


def amazon_lines(record: Record) -> list[Record]:
    """A line for each sentence, and whoever speaks, of a result's words; none where they have no times, or aren't the text."""
    words, whole = record.get("items"), record.get("transcripts")
    if not isinstance(words, list) or not all(isinstance(word, dict) and is_word(word) for word in words):
        return []
    lines = [_line(said) for said in _sentences(words)]
    texts = [one["transcript"] for one in whole if _has_text(one)] if isinstance(whole, list) else []
    if not any("start" in line for line in lines):
        return []
    return lines if letters("".join(line["text"] for line in lines)) == letters("".join(texts)) else []


def _has_text(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("transcript"), str)


def _sentences(words: Sequence[Record]) -> Iterator[list[Record]]:
    """The words of each sentence; where nobody heard its end, as many as a line may have."""
    said: list[Record] = []
    for word in words:
        if said and word["type"] != "punctuation" and (_is_whole(said) or _voice(word) != _voice(said[0])):
            yield said
            said = []
        said.append(word)
    if said:
        yield said


def _is_whole(said: Sequence[Record]) -> bool:
    return _END.fullmatch(_content(said[-1])) is not None or len(said) >= MAX_CHARS


def _line(said: Sequence[Record]) -> Record:
    """Its text, with times from its first word that has one to its last."""
    timed = [word for word in said if "start_time" in word]
    given = (("start", timed[0]["start_time"]), ("end", timed[-1].get("end_time"))) if timed else ()
    times = {name: time for name, value in given if (time := seconds(value)) is not None}
    who = {} if (voice := _voice(said[0])) is None else {"speaker": voice}
    return {"text": joined([{"text": _content(word)} for word in said], "text")} | in_order(times) | who


def _voice(word: Record) -> object:
    return word.get("speaker_label")


def _content(word: Record) -> str:
    """The first of a word's readings."""
    readings = word["alternatives"]
    first = readings[0] if isinstance(readings, list) and readings else None
    return str(first.get("content") or "") if isinstance(first, dict) else ""
