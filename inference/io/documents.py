"""Readers of running text: plain lines and subtitles."""

from __future__ import annotations

import html
import itertools
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import Any

from zhenyan.inference.io import faults
from zhenyan.inference.io.bounds import LongLine, beginning, lines_of, read_whole, too_long
from zhenyan.inference.io.faults import BROKEN_CUE, fault
from zhenyan.inference.io.items import MEDIA, Item, Options, Reject
from zhenyan.inference.io.names import member_name
from zhenyan.inference.io.notes import NOTHING, Words
from zhenyan.inference.io.opening import COMPRESSIONS, inner_address, open_text, plain_suffix
from zhenyan.inference.io.transcripts import Line, running_text, speaker_of

_LANGUAGE = r"\.(?:ai-)?(?:zh|zho|chi|chs|cht|cmn|yue|sc|tc|en|eng)(?:[-_&][a-z]+)*"
_ENDINGS = re.compile(
    rf"(?:{'|'.join(map(re.escape, MEDIA))})?(?:(?:{_LANGUAGE})?\.(?:srt|vtt|ass)|\.(?:txt|docx|json))"
    rf"(?:{'|'.join(map(re.escape, COMPRESSIONS))})?$",
    re.IGNORECASE,
)
_TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d+)"
# Lines of a .txt, and characters of them, of which the first that aren't blank tell whether it holds subtitles
_BEGINNING, _BEGINNING_CHARS = 20, 1 << 20
_WHOLE = 1 << 26  # characters of subtitles; 400 hours have fewer
_WEBVTT = re.compile(r"WEBVTT(?:\s.*)?")
_CUE_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}\s*")
_TIMES = re.compile(rf"\s*(?:\d+\s+)?{_TIME}[\s,=~>→–—-]{{1,12}}{_TIME}")
_SECONDS = r"(\d{1,4}):(\d{1,2}):(\d{1,2})(?:[.,](\d+))?"  # with hours, without which 00:01 may be a minute
_WHOLE_TIMES = re.compile(rf"\s*(?:\d+\s+)?{_SECONDS}\s*-->\s*{_SECONDS}(?!\S)")
_NO_CUE = r"(?:(?:NOTE|WEBVTT)(?:\s|$)|(?:STYLE|REGION)\s*$)"  # what begins other blocks of WebVTT
_MEANT_AS_TIMES = re.compile(  # whatever an arrow joins, and clocks, also before 0, in the marks of Chinese keyboards
    rf"(?!{_NO_CUE}).*?-->"
    r"|\s*-?[\d:.,;：．，；XxOo]*\d\s*[:：][\d:.,;：．，；XxOo\s]*->|\s*->\s*-?\d+\s*[:：]|\s*-?\d+[:：]\d+[:：]\S+\s*$"
)
_TIME_CHARS = 100  # no line of times is longer
_NUMBER_CHARS = 9  # no number of a cue is longer
_MOST_TAGS = 1000  # of a cue: pysubs2 takes the square of their number in time
_VOICE = re.compile(r"<v(?:\.[^\s>]{1,100})?[ \t]+([^<>\n]{1,100})>")
_TIME_TAG = re.compile(r"<\d+:[\d:.]*>")  # WebVTT: when the next word is said; pysubs2 leaves it in the words
# A tag, so that pysubs2 drops it, and more than the two times in a line by which it knows a cue's beginning.
_NO_TIMES = "<c 00:00.00 00:00.00 00:00.00>"
_BRACE = re.compile(r"\{(?!\\)")  # one that begins no override such as {\an8}, in SRT and WebVTT: a part of the words
_KEPT_BRACE = "\ue000"  # what stands for it while pysubs2 reads, which would drop all to the next }
_ASS_EVENT = re.compile(r"\s*(Dialogue|Comment):")
_ASS_FORMAT = re.compile(r"\s*Format:(.*)")


def file_name(path: str) -> str:
    """The name of a file, of an archive's member its own."""
    address = inner_address(path)
    name = PurePath(address).name
    return member_name(name) if address.startswith("zip://") else name


def stream_name(path: str) -> str:
    """What a file is called in reports: its name without the endings of format, language, recording and compression."""
    name = file_name(path)
    return _ENDINGS.sub("", name) or name


def read_txt(path: str, options: Options) -> Iterator[Item | Reject]:
    """One utterance a line, with its time where the file is a transcript (see io.transcripts) or holds subtitles."""
    with open_text(path, options) as file:
        lines = lines_of(file)
        first = beginning(lines, _BEGINNING, _BEGINNING_CHARS, len)
        if kind := _subtitles(first):
            yield from _cues(path, "".join(first) + read_whole(file, path, faults.IN_PARTS, _WHOLE), kind)
            return
        long: deque[Reject] = deque()
        spoken = _spoken(itertools.chain(first, lines), long)
        for item in running_text(spoken, path, stream_name(path), options):
            while long:
                yield long.popleft()
            yield item
        yield from long


def _spoken(lines: Iterable[str], long: deque[Reject]) -> Iterator[Line]:
    """Place and text of each line that isn't blank; one over the bound goes to `long`, as a reject."""
    for number, line in enumerate(lines, 1):
        if isinstance(line, LongLine):
            long.append(Reject.of(f"line {number}", too_long(faults.LONG_LINE), line))
        elif text := line.strip():
            yield f"line {number}", text


def _subtitles(lines: Sequence[str]) -> str | None:
    """The kind of subtitles that begin so: WEBVTT, or a cue's times, its number before them; copy may quote a cue later.

    Their lines aren't bounded one by one, so that one that was cut belongs to no subtitles.
    """
    if any(isinstance(line, LongLine) for line in lines):
        return None
    head = [text for line in lines if (text := line.replace("\ufeff", "").strip())][:2]
    if head and _WEBVTT.fullmatch(head[0]):
        return "vtt"
    times = head[1:] if head and head[0].isdecimal() else head[:1]
    return "srt" if times and _CUE_TIMES.fullmatch(times[0]) else None


def read_subtitles(path: str, options: Options) -> Iterator[Item | Reject]:
    """SRT, WebVTT or ASS cues with their times in seconds, without markup and drawings; broken times are a reject."""
    with open_text(path, options) as file:
        text = read_whole(file, path, faults.IN_PARTS, _WHOLE)
    kind = plain_suffix(path).removeprefix(".")
    # Renamed, or so called by a converter: read as SRT its comments would be speech
    is_webvtt = kind == "srt" and _WEBVTT.fullmatch(text[:_BEGINNING_CHARS].lstrip("\ufeff\r\n\t ").partition("\n")[0])
    yield from _cues(path, text, "vtt" if is_webvtt else kind)


def _cues(path: str, text: str, kind: str) -> Iterator[Item | Reject]:
    text = text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    if not text.strip():
        return
    lines = text.split("\n")
    cues = _ass_cues(lines) if kind == "ass" else _text_cues(lines, kind)
    found = [(line, cue, _event(given, kind)) for line, cue, given in cues]
    if all(event == BROKEN_CUE for *_, event in found):
        broken = faults.AT_LINE.of(number=str(found[0][0]), why=BROKEN_CUE) if found else NOTHING
        raise fault(path, faults.NO_CUE.of(broken=broken, kind=kind))
    if kind == "srt":
        yield from _untimed(lines[: found[0][0] - 1])
    for number, (line, cue, event) in enumerate(found, 1):
        if cue.startswith("Comment:"):
            continue
        if isinstance(event, Words):
            yield Reject.of(f"line {line}", event, cue.strip()[:80])
        else:
            yield from _cue_items((number, line), event, event.name or _voice(cue, kind), kind, path)


def _untimed(lines: Sequence[str]) -> Iterator[Reject]:
    """A reject where words stand before an SRT file's first times; its first number is none."""
    plain = [(at, line.replace("\ufeff", "").strip()) for at, line in enumerate(lines, 1)]
    words = [(at, text) for at, text in plain if text and not text.isdecimal()]
    if words:
        yield Reject.of(f"line {words[0][0]}", faults.UNTIMED, " ".join(text for _, text in words)[:80])


def _voice(cue: str, kind: str) -> str:
    """Who speaks a whole WebVTT cue, as its tag has it: <v 主播小美>; "" where nobody or several are named."""
    voices = _VOICE.findall(cue) if kind == "vtt" else []
    return html.unescape(voices[0]).strip() if len(voices) == 1 else ""


def _cue_items(at: tuple[int, int], event: Any, speaker: str, kind: str, path: str) -> Iterator[Item | Reject]:
    """The item or reject of an event, the cue of this number in this line; none when it only draws."""
    from pysubs2.formats.substation import parse_tags

    (number, line), drawn = at, event.is_drawing
    event.text = "".join(text for text, style in parse_tags(event.text) if not style.drawing)
    plain = event.plaintext.replace(_KEPT_BRACE, "{")
    words = " ".join((html.unescape(plain) if kind == "vtt" else plain).split())
    if words:
        generic, words = (None, words) if speaker else speaker_of(words)
        named = speaker or generic
        end = "end" if event.end >= event.start else "input.end"
        yield Item({"text": words, "start": event.start / 1000, end: event.end / 1000,
                    "stream": stream_name(path)} | ({"speaker": named} if named else {}), f"cue {number}")  # fmt: skip
    elif not drawn:
        yield Reject.of(f"line {line}", faults.EMPTY_CUE)  # a file's own numbers may differ from the cue's


def _event(given: str, kind: str) -> Any:
    """pysubs2's event of one cue, or why there is none.

    Cue by cue, because pysubs2 joins a cue with broken times to the one before, or refuses the whole file for it.
    """
    import pysubs2

    if given.count("{") + given.count("<") > _MOST_TAGS:
        return faults.TAGS.of(most=str(_MOST_TAGS))
    try:
        events = pysubs2.SSAFile.from_string(given, format_="ass" if kind == "ass" else "vtt").events
    except ValueError:
        return BROKEN_CUE
    return events[0] if events and events[0].start >= 0 else BROKEN_CUE


def _ass_cues(lines: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """Line, from 1, and text of every event, and what pysubs2 is given for it."""
    from pysubs2.formats.substation import EVENT_FIELDS

    fields: Sequence[str] = EVENT_FIELDS["ass"]
    for at, line in enumerate(lines, 1):
        if found := _ASS_FORMAT.match(line):
            names = [name.strip().lower() for name in found[1].split(",")]
            fields = names if {"start", "end", "text"} <= set(names) else fields  # else it is that of the styles
        elif event := _ASS_EVENT.match(line):
            yield at, line.strip(), f"{event[1]}: {_in_usual_order(line[event.end() :], fields)}"


def _in_usual_order(event: str, fields: Sequence[str]) -> str:
    """An event's values as pysubs2 expects them, which passes over the Format line; commas too many are the text's."""
    at = fields.index("text")
    *before, rest = event.split(",", at)
    values = dict(zip(fields, [*before, *rest.rsplit(",", len(fields) - at - 1)], strict=False))
    start, end, name, text = (values.get(field, "") for field in ("start", "end", "name", "text"))
    return f"0,{start},{end},,{name},0,0,0,,{text}"


def _text_cues(lines: Sequence[str], kind: str) -> Iterator[tuple[int, str, str]]:
    """Line of the times, from 1, and text of every cue of SRT and WebVTT, and what pysubs2 is given for it."""
    lines = _without_comments(lines) if kind == "vtt" else lines
    times = [at for at in range(len(lines)) if _is_time_line(lines, at, kind)]
    for at, after in itertools.zip_longest(times, times[1:], fillvalue=len(lines)):
        named = after < len(lines) and _has_name(lines, after, kind)
        written = lines[at : _words_end(lines, at, after - named, named)]
        words = "\\N".join(" ".join(line.split()) for line in written[1:])  # pysubs2 is slow with many spaces after a <
        words = _TIME_TAG.sub("", words) if kind == "vtt" else words
        words = _BRACE.sub(_KEPT_BRACE, words)
        yield at + 1, "\n".join(written), f"{_webvtt_times(lines[at])}\n{_NO_TIMES}{words}"


def _without_comments(lines: Sequence[str]) -> list[str]:
    """WebVTT's lines, those of comments, styles and further headers (of pieces in one file) empty.

    Such a block begins after a blank line and ends before one, or before a cue's times.
    """
    kept: list[str] = []
    within = after_blank = False
    for line in lines:
        blank = not line.strip()
        begins = after_blank and re.match(_NO_CUE, line)
        within = bool(within or begins) and not blank and not _times(line)
        kept.append("" if within else line)
        after_blank = blank
    return kept


def _webvtt_times(line: str) -> str:
    """A line of times as WebVTT has it, "" for a broken one.

    Also for SRT, because pysubs2 reads 100:00:01,000 as 0:00:01 there, and no times without hours.
    """
    if not (found := _times(line)):
        return ""
    parts = found.groups("0")
    return " --> ".join("{:0>2}:{:0>2}:{:0>2}.{:0<3.3}".format(*time) for time in (parts[:4], parts[4:]))


def _times(line: str) -> re.Match[str] | None:
    """A cue's times that begin a line; parts of a second may be left out where there are hours and an arrow."""
    begin = line[:_TIME_CHARS]
    return _TIMES.match(begin) or _WHOLE_TIMES.match(begin)


def _words_end(lines: Sequence[str], at: int, end: int, named: bool) -> int:
    """Where the words of the cue with its times at `at` end, before `end`, where the next cue begins.

    A number after a blank line is the next cue's where that has none directly above its times (`named`), and it is one
    more than this cue's; any other is said, such as a price.
    """
    end = _last_line(lines, end) + 1
    if named or end < at + 3 or lines[end - 2].strip():
        return end
    own = _number(lines[_last_line(lines, at)])
    return end - 1 if own is not None and _number(lines[end - 1]) == own + 1 else end


def _last_line(lines: Sequence[str], end: int) -> int:
    """The last line before `end` that isn't blank, else the first."""
    return next((at for at in range(end - 1, 0, -1) if lines[at].strip()), 0)


def _number(line: str) -> int | None:
    """The number that stands alone in a line."""
    digits = line.strip()
    return int(digits) if digits.isdecimal() and len(digits) <= _NUMBER_CHARS else None


def _is_time_line(lines: Sequence[str], at: int, kind: str) -> bool:
    """Whether a cue's times stand here, or what was meant as them: those only where no cue's words can stand."""
    if _times(lines[at]):
        return True
    if not (found := _MEANT_AS_TIMES.match(lines[at][:_TIME_CHARS])):
        return False
    # Without an arrow it may be a clock that is said; then only a number before it tells that a cue begins.
    after_blank = "->" in found.group() and (at == 0 or not lines[at - 1].strip())
    return after_blank or _has_name(lines, at, kind)


def _has_name(lines: Sequence[str], at: int, kind: str) -> bool:
    """Whether the line before is the cue's number, or in WebVTT its name: a line alone after a blank one."""
    before = lines[at - 1].strip() if at else ""
    named = kind == "vtt" and not _times(before) and (at == 1 or not lines[at - 2].strip())
    return before.isdecimal() or bool(before and named)
