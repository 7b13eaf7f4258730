"""The forms in which speech recognisers write segments: the key of their list, what tells it, the fields of a segment.

Known are Whisper, faster-whisper and WhisperX (`segments`), whisper.cpp (`transcription`), the transformers pipeline
(`chunks`), FunASR with sentences (`sentence_info`, `stamp_sents`), Volcengine, AssemblyAI and Deepgram (`utterances`),
DashScope Paraformer (`sentences`), Aliyun (`Sentences`), Tencent (`ResultDetail`, `sentence_list`, else `Result`), Azure
(`recognizedPhrases`, `phrases`), iFlytek (`onebest`, `lattice`), Baidu (`detailed_result`), Amazon (`audio_segments`) and
Bilibili's subtitles (`body`); beside these paragraphs of words, as Tencent Meeting (腾讯会议), Feishu (飞书) and Tingwu (听悟)
write them, Huawei's segments, and the drafts of 剪映, an editor.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from zhenyan.inference.io.items import Untimed, find_times, in_order
from zhenyan.inference.io.times import in_second, seconds
from zhenyan.inference.json_objects import RepeatedKey, distinct
from zhenyan.inference.normalise import letters

Record: TypeAlias = dict[str, Any]
_ISO_DURATION = re.compile(r"PT(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?")
_RESULT_TIMES = re.compile(r"\s*\[\s*([\d:.]+)\s*,\s*([\d:.]+)\s*(?:,[^\]]*)?\]")  # Tencent's; a speaker may follow
_MS, _US, _TICKS = 1e3, 1e6, 1e7  # in a second
_PACKED = ("data", "orderResult")  # where iFlytek writes JSON as a text
WORD_LISTS = ("sentences", "words", "Words")  # hold a paragraph whose text stands in its words alone
_WORDS = (  # text, start and end of a word there
    ("text", "start_time", "end_time"),
    ("text", "start_time", "stop_time"),
    ("text", "start", "end"),
    ("Text", "Start", "End"),
)
_BETWEEN = re.compile(r"(?<=[A-Za-z,.!?;])\0(?=[A-Za-z])")  # where words with spaces between them meet
IN_MILLISECONDS = {"start": "start_ms", "end": "end_ms"}  # names under which times are read so
_FASTEST = 100  # characters a second, faster than anyone speaks
_OWN_TIMES = {"bg": "start", "from": "start", "ed": "end", "to": "end"}  # iFlytek's and Bilibili's names for them
_SPEAKERS = ("speaker", "spk", "speaker_id", "SpeakerId")
_PERSON = ("user_name", "username", "userid")


class Form(NamedTuple):
    """How a segment is read, and what tells the recogniser's list from another under an everyday word."""

    read: Callable[[Record], Record]
    signs: tuple[set[str], ...] = ()  # one of these sets of fields stands in some segment; none: the key is enough


def form_of(record: Record) -> str | None:
    """The key of the recogniser's list that an object holds; None where it holds none, or an empty one."""
    return next((key for key, form in FORMS.items() if record.get(key) and _fits(record[key], form)), None)


def has_segments(record: Record) -> bool:
    """Whether an object holds a recogniser's list in which some segment has a text and a time."""
    if not (key := form_of(record)):
        return False
    lines = (FORMS[key].read(segment) for segment in record[key] if isinstance(segment, dict))
    try:
        return any(isinstance(line["text"], str) and "start" in line for line in lines)
    except RepeatedKey:  # which whoever reads it tells
        return True


def says_nothing(record: Record) -> bool:
    """Whether a recogniser's list is there and empty, because nothing was said."""
    return any(record.get(key) == [] for key in FORMS)


def nameless_form(values: Sequence[Any]) -> Form | None:
    """The form of a list that is told by its segments, whatever key it stands under; None for other lists."""
    return next((form for form in _NAMELESS if _fits(values, form)), None)


def leave_out(lines: Iterable[str], text: str) -> bool:
    """Whether the lines hold less than half of the letters that a text has: it isn't what they say together."""
    said = Counter(letters("".join(lines)))
    own = Counter(letters(text))
    return 2 * (own & said).total() < own.total()


def is_word(record: Record) -> bool:
    """Whether it is one of the words that Amazon lists beside the whole text."""
    return record.keys() >= {"type", "alternatives"}


def objects_in(value: Any) -> Iterator[Record]:
    """All objects in a JSON value, also itself."""
    left = [value]
    while left:
        inner = left.pop()
        if isinstance(inner, dict):
            yield inner
            left += inner.values()
        elif isinstance(inner, list):
            left += inner


def unpacked(key: str, value: Any) -> Any:
    """The value of a field, which iFlytek writes as a text of JSON under some keys; RepeatedKey for a key given twice in it."""
    if key in _PACKED and isinstance(value, str):
        with suppress(ValueError, RecursionError):
            return json.loads(value, object_pairs_hook=distinct)
    return value


def _fits(found: Any, form: Form) -> bool:
    if not isinstance(found, list):
        return False
    return not form.signs or any(s.keys() >= sign for s in found if isinstance(s, dict) for sign in form.signs)


def draft_texts(value: Any) -> Any:
    """The texts of a 剪映 draft as rows in order of time, and its compound clips, whose clips have times of their own.

    A text has `start` and `end` in seconds where a clip of the timeline shows it. Any other value comes back as it is.
    """
    materials = value.get("materials") if isinstance(value, dict) else None
    if not isinstance(materials, dict) or not isinstance(materials.get("texts"), list) or "tracks" not in value:
        return value
    clips = [clip for track in _objects(value["tracks"]) for clip in _objects(track.get("segments"))]
    shown = {
        str(clip["material_id"]): _shown(clip.get("target_timerange")) for clip in clips if clip.get("material_id")
    }
    texts = [(shown.get(str(text.get("id")), {}), text) for text in _objects(materials["texts"])]
    texts.sort(key=lambda one: one[0].get("start", math.inf))
    return [text | times for times, text in texts] + _objects(materials.get("drafts"))


def _objects(values: Any) -> list[Record]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _shown(span: Any) -> Record:
    """The times of a clip's span, {"start", "duration"} in microseconds; none where it has none."""
    if not isinstance(span, dict):
        return {}
    start, length = (seconds(span.get(name), _US) for name in ("start", "duration"))
    return {} if start is None or length is None else {"start": start, "end": round(start + length, 6)}


def _timed(text: Any, start: Any, end: Any, units: float = 1.0) -> Record:
    """A segment's text, and its times in seconds where they are times; `units`: how many of theirs a second has."""
    return {"text": text} | _times(start=seconds(start, units), end=seconds(end, units))


def _times(**times: float | None) -> Record:
    return in_order({name: time for name, time in times.items() if time is not None})


def untimed(segment: Record, line: Record) -> tuple[Untimed, ...]:
    """The times that a segment gives, under any usual name, and the line read from it lacks."""
    usual = {column: name for name, column in zip(("start", "end"), find_times(segment), strict=True) if column}
    named = [(name, column, segment.get(column)) for column, name in {**_OWN_TIMES, **usual}.items()]
    return tuple(
        Untimed(name, column, str(value)[:40])
        for name, column, value in named
        if name not in line and isinstance(value, str | int | float) and str(value).strip()
    )


def _segment(segment: Record) -> Record:
    """Whisper's, or another program's, which may call the times startTime or begin_ms."""
    start, end = ("start", "end") if segment.keys() >= {"start", "end"} else find_times(segment)
    read = {name: seconds(segment[own], in_second(own)) for name, own in (("start", start), ("end", end)) if own}
    return {"text": segment.get("text")} | _times(**read)


def _named(text: str, start: str, end: str, units: float) -> Callable[[Record], Record]:
    """Reader of segments that have text and times as fields of their own."""
    return lambda segment: _timed(segment.get(text), segment.get(start), segment.get(end), units)


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


def who_speaks(record: Record) -> Record:
    """Who speaks, under a recogniser's own name for it, else as `speaker`, which of two channels may tell too."""
    if own := {name: _person(record[name]) for name in _SPEAKERS if name in record}:
        return own
    more = record["additions"] if isinstance(record.get("additions"), dict) else {}  # Volcengine's
    told = (record.get("speaker_info"), more.get("speaker"), more.get("channel_id"), record.get("ChannelId"))
    return next(({"speaker": _person(value)} for value in told if value not in (None, "")), {})


def _person(value: Any) -> Any:
    """A person's name, where an object tells of one."""
    return next((value[name] for name in _PERSON if value.get(name)), value) if isinstance(value, dict) else value


def word_lines(record: Record) -> list[Record]:
    """A line for each sentence of a paragraph, or of a sentence, whose text stands in its words alone; else none."""
    parts = _objects(record.get("sentences")) or [record]
    if any(isinstance(part.get(text), str) for part in parts for text in ("text", "Text")):
        return []
    return [line | (who_speaks(part) or who_speaks(record)) for part in parts for line in _sentences(part)]


def _sentences(part: Record) -> list[Record]:
    """The sentences of a list of words, one where they have no SentenceId; whole numbers are milliseconds."""
    words: Any = part.get("words", part.get("Words"))
    names = next((names for names in _WORDS if _has_all(words, names)), None)
    if names is None:
        return []
    _, start, end = names
    whole = all(_is_whole(word[name]) for word in words for name in (start, end))
    said = [list(group) for _, group in itertools.groupby(words, lambda word: word.get("SentenceId"))]
    return [_timed(joined(one, names[0]), one[0][start], one[-1][end], _MS if whole else 1) for one in said]


def _has_all(words: Any, names: tuple[str, str, str]) -> bool:
    if not isinstance(words, list) or not words:
        return False
    return all(isinstance(w, dict) and w.keys() >= set(names) and isinstance(w[names[0]], str) for w in words)


def joined(words: Sequence[Record], text: str) -> str:
    """The text of words, with spaces where both sides are letters."""
    return _BETWEEN.sub(" ", "\0".join(word[text] for word in words)).replace("\0", "")


def are_milliseconds(lines: Sequence[tuple[Any, Any, Any]]) -> bool:
    """Whether the starts, ends and texts of lines have milliseconds: whole numbers, and enough of them for the words."""
    if not all(_is_whole(time) for start, end, _ in lines for time in (start, end)):
        return False
    length = sum(int(end) - int(start) for start, end, _ in lines)
    return length > 0 and length * _FASTEST >= sum(len(str(text)) for *_, text in lines) * _MS


def bare_sentences(values: Sequence[Any]) -> list[Record]:
    """FunASR's sentences, saved without what is around them, with names of times that say milliseconds; else none."""
    if not all(map(_is_sentence, values)):
        return []
    if not are_milliseconds([(row["start"], row["end"], row.get("text", row.get("sentence"))) for row in values]):
        return []
    return [{IN_MILLISECONDS.get(name, name): value for name, value in row.items()} for row in values]


def _is_sentence(value: Any) -> bool:
    return isinstance(value, dict) and "spk" in value and all(type(value.get(name)) is int for name in IN_MILLISECONDS)


def word_times(stamps: Any) -> tuple[tuple[float, float], ...]:
    """Seconds of every word, from FunASR's [[start, end], ...] in milliseconds; none where it isn't that."""
    if not isinstance(stamps, list):
        return ()
    pairs = [[seconds(time, _MS) for time in pair] for pair in stamps if isinstance(pair, list) and len(pair) == 2]
    found = [(start, end) for start, end in pairs if start is not None and end is not None]
    return tuple(found) if len(found) == len(stamps) else ()


def _is_whole(time: Any) -> bool:
    return (digits := str(time)).isdecimal() and len(digits) < 16  # a longer one is no time


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
    given = (segment.get(f"{name}Milliseconds", segment.get(name)) for name in ("offset", "duration"))
    start, length = (seconds(value, _MS) for value in given)
    end = None if start is None or length is None else round(start + length, 6)
    return _timed(segment.get("text"), start, end)


def _azure_time(segment: Record, name: str) -> float | None:
    """Seconds of a time in ticks (100 ns), else as ISO 8601 writes it: PT1M2.5S."""
    if (time := seconds(segment.get(f"{name}InTicks"), _TICKS)) is not None:
        return time
    found = _ISO_DURATION.fullmatch(str(segment.get(name)))
    return (
        sum(float(part or 0) * unit for part, unit in zip(found.groups(), (3600, 60, 1), strict=True))
        if found
        else None
    )


def _baidu(segment: Record) -> Record:
    """Baidu's segments, whose text is the first of its readings."""
    readings = segment.get("res")
    text = readings[0] if isinstance(readings, list) and readings else readings
    return _timed(text, segment.get("begin_time"), segment.get("end_time"), _MS)


def _huawei(segment: Record) -> Record:
    """Huawei's segments, whose times stand around their text: {"start_time", "end_time", "result": {"text"}}."""
    said = segment.get("result")
    return _timed(
        said.get("text") if isinstance(said, dict) else None, segment.get("start_time"), segment.get("end_time"), _MS
    )


def _lattice(segment: Record) -> Record:
    """iFlytek's segments with words: {"st": {"bg", "ed", "rt": [{"ws": [{"cw": [{"w"}]}]}]}}, often as a text of JSON."""
    best: Any = segment.get("json_1best")
    try:
        said = (json.loads(best, object_pairs_hook=distinct) if isinstance(best, str) else best)["st"]
        words = [word["cw"][0]["w"] for part in said["rt"] for word in part["ws"] if word["cw"]]
        who = {} if str(said.get("rl") or 0) == "0" else {"speaker": said["rl"]}  # 0: nobody was told apart
        return _timed("".join(words), said.get("bg"), said.get("ed"), _MS) | who
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return {"text": None}


FORMS: dict[str, Form] = {
    "segments": Form(_segment, ({"text"}, {"start"})),  # others are clips, which an editor puts on its timeline
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
# What tells a transcript that has none of the usual names of a text
SIGNS = frozenset(FORMS) | {"Result", "onebest", "SentenceId"}
_NAMELESS = (
    Form(_named("onebest", "bg", "ed", _MS), ({"onebest"},)),  # iFlytek's
    Form(_huawei, ({"start_time", "end_time", "result"},)),
)
