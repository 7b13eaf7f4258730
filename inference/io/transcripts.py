"""Transcripts in running text: which layout a file has, and who says what when in it.

A time stands above the words, with who speaks (飞书妙记, 通义听悟, 讯飞听见, 腾讯会议, 微信), or begins their line (腾讯会议, Whisper,
faster-whisper, lyrics, logs). Copy and chats name times too: only where a layout goes through the whole file is it one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import Any, NamedTuple, TypeAlias

from zhenyan.inference.io.bounds import beginning
from zhenyan.inference.io.items import Item, Options
from zhenyan.inference.io.note_kinds import BEFORE_FIRST_TIME
from zhenyan.inference.io.notes import Words, chinese_place
from zhenyan.inference.io.times import FIRST_DATE, seconds

_LOOKED_AT, _SAMPLE_CHARS = 200, 1 << 18  # lines, and characters of them, that tell the layout
_FEWEST = 3  # times of a layout that copy might have as well
_RISE = 0.9  # of their steps are none back: some files hold several recordings
_CERTAIN_SHARE = 0.5  # of a layout's share, below which a file quotes a transcript
_PACE = 2  # characters a second, below which nobody knows how long was spoken until the next time
_MOST_LINES, _MOST_CHARS = 1000, 1 << 20  # of one time that are held together
_HEADING_CHARS = 60  # no line with nothing but a name and times is longer
_TIME = r"(?<![\d:：.])(?:\d{1,3}[:：][0-5]?\d|\d{1,3})[:：][0-5]\d(?:[.,]\d{1,3})?(?!\d|[:：]\d)"
_TIME_OR_SECONDS = rf"(?:{_TIME}|\d{{1,6}}\.\d{{1,3}}s)"
_ARROW = r"\s*(?:--?>|→)\s*"
_TO = r"\s*(?:--?>|[→~～–—-]|至|到)\s*"
_OPEN, _CLOSE = r"\s*[\[(（【]\s*", r"\s*[\])）】]\s*"
_NAME = r"[^:：,，。!！?？;；\[\]【】()（）<>|]{1,24}?"
_GENERIC = r"(?:说话人|說話人|发言人|發言人|讲话人|[Ss]peaker|SPEAKER)[\s_]*\d{1,3}"
_START, _END = rf"(?P<start>{_TIME})", rf"(?P<end>{_TIME})"
_UNTIL = rf"(?:(?:{_TO}|\t){_END})?"
_DATED = (  # of the clock
    r"(?P<start>20\d\d[-/.年]\d\d?[-/.月]\d\d?(?:日T?|[T\s])\s*\d\d?[:：][0-5]\d(?:[:：][0-5]\d(?:[.,]\d{1,3})?)?)(?!\d|[:：]\d)"
)
_QQ_NAME = r"(?P<speaker>\S.{0,40}?(?:\(\d{5,12}\)$|(?=<[^<>@\s]+@\S+$)))"  # with a number, or before an address
_START_OR_SECONDS, _END_OR_SECONDS = rf"(?P<start>{_TIME_OR_SECONDS})", rf"(?P<end>{_TIME_OR_SECONDS})"
_AGAIN = rf"(?:\s*\[{_TIME}\])*"  # when the same words are sung once more
_SPEAKER, _TEXT = rf"(?P<speaker>{_GENERIC})", r"\s*(?P<text>.*)"
_SAYS = re.compile(rf"{_SPEAKER}\s*[:：]\s*(?=\S)")
_NO_NAME = re.compile(r"20\d\d[-/.年]|\d\s*[月日]|周[一二三四五六日]|星期|时长|時長|时间|時間|日期|[上下]午|^[\W\d_]*$")
_AROUND_NAMES = " \t-–—·|"
_EMPHASIS = str.maketrans("", "", "*#>")  # Markdown's
_HOURS = re.compile(r"[:：].*[:：]|[.,]|s$")  # in a time: it has hours or parts of a second
_FRACTION = re.compile(r"[.,]\d")

Line: TypeAlias = tuple[str, str]  # its place, for messages, and its text, which isn't blank


class Mark(NamedTuple):
    """A time that begins an utterance: seconds, who speaks, and the words in its line, if any.

    `certain`: copy and chats don't write it so. `precise`: it has hours or parts of a second, as hours of a day have not.
    `cut`: it has more lines than are held together, so that nobody knows how long each of them lasts.
    """

    start: float
    end: float | None
    speaker: str | None
    text: str
    certain: bool
    precise: bool
    cut: bool = False


@dataclass(frozen=True)
class Layout:
    """How a transcript writes its times; `share`: of the lines that have one.

    `precise`: they are, so that another is among the words. `nameless`: they name nobody, or 说话人 1 and the like, so
    that another name is. `repeated`: only names that come again tell it, for few words would stand where these do.
    """

    pattern: re.Pattern[str]
    share: float
    above: bool = False  # the words, on a line of its own
    precise: bool = False
    nameless: bool = False
    repeated: bool = False

    def mark(self, line: str) -> Mark | None:
        """The time with which a line begins an utterance."""
        if self.above:
            if len(line) > _HEADING_CHARS:
                return None
            line = line.translate(_EMPHASIS).strip()
        found = self.pattern.match(line)
        mark = None if found is None else _mark(found.groupdict())
        if mark is None or mark.precise or mark.certain:
            return mark
        return None if self.precise or (self.nameless and mark.speaker) else mark


def _mark(parts: dict[str, str | None]) -> Mark | None:
    start, end, speaker, text = (parts.get(name) or "" for name in ("start", "end", "speaker", "text"))
    begun, named = seconds(start.rstrip("s")), speaker.strip(_AROUND_NAMES)
    if begun is None or (speaker and _NO_NAME.search(named)):
        return None
    as_lyrics = bool(parts.get("open")) and _FRACTION.search(start)
    with_arrow = bool(parts.get("arrow")) and _HOURS.search(start)  # 20:00 -> 22:00 is when something is on
    certain = with_arrow or as_lyrics or re.fullmatch(_GENERIC, named) or _SAYS.match(text)
    ended = seconds(end.rstrip("s")) if end else None
    return Mark(begun, ended, named or None, text, bool(certain), bool(_HOURS.search(start)))


_LAYOUTS = (  # of two that have as many times the first is taken
    # 说话人 1 00:00:05 above the words, 00:05 alone, 李敏 (00:05-00:09); 00:05 说话人1
    Layout(re.compile(rf"(?:(?P<speaker>{_NAME})(?:\s+|(?={_OPEN})))?(?:{_OPEN})?{_START}(?:{_TO}{_END})?(?:{_CLOSE})?[:：]?$"),
           0.2, above=True),
    Layout(re.compile(rf"{_START}\s+{_SPEAKER}\s*[:：]?$"), 0.2, above=True),
    # [00:00.000 --> 00:04.200] words, [0.00s -> 4.20s] words, 00:00:05 -> 00:00:09 words
    Layout(re.compile(rf"(?:{_OPEN})?{_START_OR_SECONDS}(?P<arrow>{_ARROW}){_END_OR_SECONDS}(?:{_CLOSE})?{_TEXT}"), 0.5),
    # [00:00:05] words, [00:00:05-00:00:09] words, [00:12.34]words, [00:12.34][01:12.34]words
    Layout(re.compile(rf"(?P<open>{_OPEN}){_START}(?:{_TO}{_END})?{_CLOSE}[:：]?{_AGAIN}{_TEXT}"), 0.5),
    # 李敏(00:00:12): words
    Layout(re.compile(rf"(?P<speaker>{_NAME}){_OPEN}{_START}(?:{_TO}{_END})?{_CLOSE}[:：](?=\s*\S){_TEXT}"), 0.5),
    # 说话人1 00:05 words; 00:05 说话人1：words; 00:00:05 words, 00:00:05 - 00:00:09 words
    Layout(re.compile(rf"{_SPEAKER}\s+{_START}{_UNTIL}(?:\s*[:：]\s*|\s+)(?=\S){_TEXT}"), 0.5),
    Layout(re.compile(rf"{_START}{_UNTIL}\s+{_SPEAKER}\s*[:：](?=\s*\S){_TEXT}"), 0.5),
    Layout(re.compile(rf"{_START}{_UNTIL}(?:\s*[:：]\s*|\s+)(?=\S){_TEXT}"), 0.5, precise=True),
    # 2026-11-24 20:15:03 李敏(12345) above the words, as QQ writes groups, and without the number chats of two
    Layout(re.compile(rf"{_DATED}\s+{_QQ_NAME}"), 0.2, above=True),
    Layout(re.compile(rf"{_DATED}\s+(?P<speaker>{_NAME})$"), 0.2, above=True, repeated=True),
    # 李敏 2026-11-24 20:15:03 above the words; 2026-11-24 20:15:03 words, [2026-11-24 20:15:03] words
    Layout(re.compile(rf"(?P<speaker>{_NAME})(?:\s+|(?={_OPEN}))(?:{_OPEN})?{_DATED}(?:{_CLOSE})?[:：]?$"), 0.2, above=True),
    Layout(re.compile(rf"(?:{_OPEN})?{_DATED}(?:{_CLOSE}[:：]?|\s*[:：]|\s+)(?=\s*\S){_TEXT}"), 0.5),
)  # fmt: skip


def speaker_of(text: str) -> tuple[str | None, str]:
    """Who speaks, where the text begins with 说话人 1: or the like, and what is said; a name stays in the text."""
    found = _SAYS.match(text)
    return (found["speaker"], text[found.end() :]) if found else (None, text)


def layout_of(lines: Sequence[str]) -> Layout | None:
    """The layout that goes through the first lines of a file, if there is one: that with the most times."""
    found = [(_regular([layout.mark(line) for line in lines], layout.share), layout) for layout in _LAYOUTS]
    kept = [(marks, layout) for marks, layout in found if not layout.repeated or _come_again(marks)]
    marks, layout = max(kept, key=lambda one: len(one[0]))
    return replace(layout, precise=marks[0].precise, nameless=_nameless(marks)) if marks else None


def _regular(marks: Sequence[Mark | None], share: float) -> list[Mark]:
    """The times of lines where they are a transcript's; empty where copy or a chat may have them."""
    found = [mark for mark in marks if mark]
    with_words = sum(bool(mark and (mark.text or after is None)) for mark, after in pairwise(marks))
    with_words += bool(marks and marks[-1])  # what follows isn't looked at
    if not found or 2 * with_words < len(found):
        return []
    if 2 * sum(mark.certain for mark in found) >= len(found):
        return found if len(found) >= _CERTAIN_SHARE * share * len(marks) and not _one_within(marks) else []
    many = len(found) >= max(_FEWEST, share * len(marks))
    return found if many and _rises(found) and not _of_a_day(found) else []


def _one_within(marks: Sequence[Mark | None]) -> bool:
    """Whether a single time stands within other words and says nobody's name, as where a subtitle is quoted."""
    found = [mark for mark in marks if mark]
    return len(found) == 1 and not (marks[0] or found[0].speaker)


def _nameless(marks: Sequence[Mark]) -> bool:
    """Whether speakers have no names: few times have any but 说话人 1 and the like, and none of these has two times."""
    names = [name for name, _ in {(mark.speaker, mark.start) for mark in marks if mark.speaker and not mark.certain}]
    return 2 * len(names) <= len(marks) and len({*names}) == len(names)


def _come_again(marks: Sequence[Mark]) -> bool:
    return 2 * len({mark.speaker for mark in marks}) <= len(marks)


def _rises(marks: Sequence[Mark]) -> bool:
    """Whether nearly every time is later than the one before; times with hours, and dates, may be the same."""
    steps = [
        before.start < after.start or (before.start == after.start and (after.precise or after.start >= FIRST_DATE))
        for before, after in pairwise(marks)
    ]
    return sum(steps) >= _RISE * len(steps)


def _of_a_day(marks: Sequence[Mark]) -> bool:
    """Whether they may be hours of a day, as in a programme (20:00, 20:15, or each with a name that no other has) or a chat.

    A chat by the minute (20:13, 20:14) can't be told from minutes and seconds but by where it begins: a recording does
    in its first minute, or has more minutes than a day hours.
    """
    if any(mark.precise for mark in marks):
        return False
    minutes = [mark.start // 60 for mark in marks]
    if minutes[0] > 0 and max(minutes) < 24:  # the first, because a chat may go on after midnight
        return True
    names = [mark.speaker for mark in marks if mark.speaker]
    round_hours = marks[0].start < FIRST_DATE and all(mark.start % 5 == 0 for mark in marks)
    return round_hours or len({*names}) == len(marks)


def running_text(lines: Iterable[Line], path: str, stream: str, options: Options) -> Iterator[Item]:
    """One item a line; in a transcript with times and speaker, without lines of times and what stands before the first."""
    lines = iter(lines)
    sample = beginning(lines, _LOOKED_AT, _SAMPLE_CHARS, lambda line: len(line[1]))
    layout = layout_of([text for _, text in sample])
    lines = chain(sample, lines)
    rows = _timed(lines, layout, path, options) if layout else ((place, {"text": text}) for place, text in lines)
    for place, record in rows:
        yield Item(record | {"stream": stream}, place)


def _timed(lines: Iterable[Line], layout: Layout, path: str, options: Options) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and record of every line of words; a note tells what stands before the first time."""
    groups = _groups(lines, layout)
    _, head = next(groups)  # a layout has a time
    if head:
        (place, text), count = head[0], len(head)
        lines_of = Words("1 line" if count == 1 else f"{count:,} lines", f" {count:,} 行")
        first = Words(f"{place} {text[:40]!r}", f"{chinese_place(place)}“{text[:40]}”")
        options.notes.append(BEFORE_FIRST_TIME.of(path, lines=lines_of, first=first))
    for (mark, said), (after, _) in pairwise(chain(groups, [(None, [])])):
        if mark and said:
            yield from _rows(mark, said, _until(mark, said, after))


def _groups(lines: Iterable[Line], layout: Layout) -> Iterator[tuple[Mark | None, list[Line]]]:
    """Each time with the lines of its words, at most `_MOST_LINES` at once; first, without a time, the lines before all."""
    mark: Mark | None = None
    said: list[Line] = []
    chars = 0
    for place, text in lines:
        if new := layout.mark(text):
            yield mark, said
            mark, said, chars = new, [(place, new.text)] if new.text else [], len(new.text)
        elif mark and (len(said) >= _MOST_LINES or chars >= _MOST_CHARS):
            mark = mark._replace(cut=True)
            yield mark, said
            said, chars = [(place, text)], len(text)
        else:
            said.append((place, text))
            chars += len(text)
    yield mark, said


def _until(mark: Mark, said: Sequence[Line], after: Mark | None) -> float | None:
    """When words end: as is written, else at the next time where they are long enough to last until then."""
    if mark.cut:
        return None
    if mark.end is not None:
        return max(mark.start, mark.end)
    lasted = after.start - mark.start if after else 0.0
    return mark.start + lasted if 0 < _PACE * lasted <= sum(len(text) for _, text in said) else None


def _rows(mark: Mark, said: Sequence[Line], end: float | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and record of each line of an utterance, with its share of the time where its end is known."""
    second = 0.0 if end is None else (end - mark.start) / sum(len(text) for _, text in said)
    at = 0
    for place, text in said:
        times = {"start": round(mark.start + at * second, 3)}
        at += len(text)
        if end is not None:
            times["end"] = round(mark.start + at * second, 3)
        speaker, words = (mark.speaker, text) if mark.speaker else speaker_of(text)
        yield place, {"text": words, **times} | ({"speaker": speaker} if speaker else {})
