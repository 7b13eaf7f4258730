"""The forms in which speech recognisers write segments: the key of their list, what tells it, the fields of a segment.

Known are Whisper, faster-whisper and WhisperX (`segments`), whisper.cpp (`transcription`), the transformers pipeline
(`chunks`), FunASR with sentences (`sentence_info`, `stamp_sents`), Volcengine, AssemblyAI and Deepgram (`utterances`),
DashScope Paraformer (`sentences`), Aliyun (`Sentences`), Tencent (`ResultDetail`, `sentence_list`, else `Result`), Azure
(`recognizedPhrases`, `phrases`), iFlytek (`onebest`, `lattice`), Baidu (`detailed_result`), Amazon (`audio_segments`) and
Bilibili's subtitles (`body`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from zhenyan.inference.io.items import seconds

Record: TypeAlias = dict[str, Any]
_ISO_DURATION = re.compile(r"PT(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?")
_RESULT_TIMES = re.compile(r"\s*\[\s*([\d:.]+)\s*,\s*([\d:.]+)\s*(?:,[^\]]*)?\]")  # Tencent's; a speaker may follow
_MS, _TICKS = 1e3, 1e7  # in a second
_PACKED = ("data", "orderResult")  # where iFlytek writes JSON as a text


class Form(NamedTuple):
    """How a segment is read, and what tells the recogniser's list from another under an everyday word."""

    read: Callable[[Record], Record]
    signs: tuple[set[str], ...] = ()  # one of these sets of fields stands in some segment; none: the key is enough


def form_of(record: Record) -> str | None:
    """The key of the recogniser's list that an object holds; None where it holds none, or an empty one."""
    return next((key for key, form in FORMS.items() if record.get(key) and _fits(record[key], form)), None)


def says_nothing(record: Record) -> bool:
    """Whether a recogniser's list is there and empty, because nothing was said."""
    return any(record.get(key) == [] for key in FORMS)


def nameless_form(values: Sequence[Any]) -> Form | None:
    """The form of a list that is told by its segments, whatever key it stands under; None for other lists."""
    return next((form for form in _NAMELESS if _fits(values, form)), None)


def is_word(record: Record) -> bool:
    """Whether it is one of the words that Amazon lists beside the whole text."""
    return record.keys() >= {"type", "alternatives"}


def unpacked(key: str, value: Any) -> Any:
    """The value of a field, which iFlytek writes as a text of JSON under some keys."""
    if key in _PACKED and isinstance(value, str):
        with suppress(ValueError, RecursionError):
            return json.loads(value)
    return value


def _fits(found: Any, form: Form) -> bool:
    if not isinstance(found, list):
        return False
    return not form.signs or any(s.keys() >= sign for s in found if isinstance(s, dict) for sign in form.signs)


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


def result_lines(record: Record) -> list[Record]:
    """Tencent's segments where it gives no ResultDetail: lines "[0:1.020,0:2.380]  ..." of Result."""
    result = record.get("Result")
    if not isinstance(result, str) or not ("ResultDetail" in record or _RESULT_TIMES.match(result)):
        return []
    return [_result_line(line) for line in result.splitlines() if line.strip()]


def _result_line(line: str) -> Record:
    found = _RESULT_TIMES.match(line)
    return _timed(line[found.end() :], found[1], found[2]) if found else {"text": line}


def _utterance(segment: Record) -> Record:
    """Volcengine's milliseconds, AssemblyAI's, which are whole numbers under other names, or Deepgram's seconds."""
    text = segment.get("text", segment.get("transcript"))  # the latter in Bilibili's editor and Deepgram
    if "start_time" in segment:
        return _timed(text, segment.get("start_time"), segment.get("end_time"), _MS)
    start, end = segment.get("start"), segment.get("end")
    whole = "text" in segment and isinstance(start, int) and isinstance(end, int)
    return _timed(text, start, end, _MS if whole else 1)


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


def _baidu(segment: Record) -> Record:
    """Baidu's segments, whose text is the first of its readings."""
    readings = segment.get("res")
    text = readings[0] if isinstance(readings, list) and readings else readings
    return _timed(text, segment.get("begin_time"), segment.get("end_time"), _MS)


def _lattice(segment: Record) -> Record:
    """iFlytek's segments with words: {"st": {"bg", "ed", "rt": [{"ws": [{"cw": [{"w"}]}]}]}}, often as a text of JSON."""
    best: Any = segment.get("json_1best")
    try:
        said = (json.loads(best) if isinstance(best, str) else best)["st"]
        words = [word["cw"][0]["w"] for part in said["rt"] for word in part["ws"] if word["cw"]]
        return _timed("".join(words), said.get("bg"), said.get("ed"), _MS)
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return {"text": None}


FORMS: dict[str, Form] = {
    "segments": Form(_named("text", "start", "end", 1)),
    "transcription": Form(_whisper_cpp),
    "chunks": Form(_pipeline),
    "sentence_info": Form(_sentence_info),
    "stamp_sents": Form(_stamp_sents),
    "utterances": Form(_utterance, ({"start_time"}, {"start", "end", "speaker"}, {"start", "end", "transcript"})),
    "sentences": Form(_named("text", "begin_time", "end_time", _MS), ({"begin_time"},)),
    "Sentences": Form(_named("Text", "BeginTime", "EndTime", _MS)),
    "ResultDetail": Form(_named("FinalSentence", "StartMs", "EndMs", _MS)),
    "sentence_list": Form(_named("text", "start_time", "end_time", _MS), ({"start_time"},)),
    "recognizedPhrases": Form(_azure),
    "phrases": Form(_azure_fast, ({"offsetMilliseconds"}, {"offset", "duration"})),
    "detailed_result": Form(_baidu, ({"res"},)),
    "lattice": Form(_lattice, ({"json_1best"},)),
    "audio_segments": Form(_named("transcript", "start_time", "end_time", 1), ({"transcript"},)),
    "body": Form(_named("content", "from", "to", 1), ({"from"},)),
}
_NAMELESS = (Form(_named("onebest", "bg", "ed", _MS), ({"onebest"},)),)  # iFlytek's
