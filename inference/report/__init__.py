"""The reviewer's report: one HTML file that needs no network, for ten findings or ten thousand."""

from __future__ import annotations

import itertools
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape
from zhenyan.inference.bundle import Bundle
from zhenyan.inference.errors import InputError
from zhenyan.inference.io.jsonlines import write_atomic
from zhenyan.inference.io.notes import chinese_place
from zhenyan.inference.io.times import clock as time_text
from zhenyan.inference.law import citation, penalty, section
from zhenyan.inference.runs.store import RunFolder
from zhenyan.inference.runs.streams import HIGH, MEDIUM

MAX_FINDINGS = 20_000  # shown, some of each heading; the run's folder holds all of them
ENDINGS = (".html", ".htm")
_TITLE, _HEAD = "<title>真言 zhenyan".encode(), 2048  # of every page, and within how many bytes of its beginning
MAX_NOTES = 10  # kinds shown
MAX_STREAMS, MAX_MARKS = 200, 800  # shown, and marks on the timeline of each
RESPONSIBLE = {
    "operator": ("直播间运营者/商家", "room operator or seller"), "host": ("主播", "host"),
    "platform": ("平台", "platform"), "agency": ("服务机构", "agency"), "endorser": ("广告代言人", "endorser"),
}  # fmt: skip


# U+200D between two of them makes one picture; elsewhere it hides.
_EMOJI_JOIN = re.compile(
    "(?<=[\ufe0f\u2600-\u27bf\U0001f000-\U0001faff])\u200d(?=[\u2600-\u27bf\U0001f000-\U0001faff])"
)


@dataclass
class Timeline:
    """Marks of one stream's findings between its start and end: in seconds, or in lines where it has no time codes."""

    start: float
    end: float
    timed: bool
    marks: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, stream: Mapping[str, Any]) -> Timeline:
        """The empty timeline of a record of streams.jsonl."""
        timed = "start" in stream
        start, end = (stream["start"], stream.get("end", 0.0)) if timed else (stream["first"], stream["last"])
        return cls(start, max(end, start), timed)

    def add(self, finding: Mapping[str, Any], number: int) -> None:
        """A mark for each time of the finding of this number, as far as there is room."""
        key = "start" if self.timed else "row"
        for time in [time for time in finding["times"] if key in time][: MAX_MARKS - len(self.marks)]:
            mark = {"at": time[key], "label": finding["label"], "id": finding["id"], "risk": finding["risk"]}
            self.marks.append(mark | {"number": number, "x": round(self.place(time[key]), 1)})

    def place(self, at: float) -> float:
        """Where on a line 995 long."""
        return 995 * min(1.0, max(0.0, (at - self.start) / max(self.end - self.start, 1)))


def marked(text: str, evidence: Iterable[Mapping[str, Any]]) -> Markup:
    """Escaped text with its evidence in <mark>; control and direction characters are made visible."""
    parts, at = [], 0
    for span in sorted(evidence, key=lambda e: e["start"]):
        if span["start"] >= at:
            parts += [escape(_visible(text[at : span["start"]])), Markup("<mark>"),
                      escape(_visible(text[span["start"] : span["end"]])), Markup("</mark>")]  # fmt: skip
            at = span["end"]
    return Markup("").join([*parts, escape(_visible(text[at:]))])


def _visible(text: str) -> str:
    """Characters that could reorder or hide the page's text become U+FFFD; spaces of any width and joined emoji stay."""
    if text.isprintable():  # nearly always
        return text
    joins = {found.start() for found in _EMOJI_JOIN.finditer(text)}
    return "".join(c if _is_shown(c) or at in joins else "\ufffd" for at, c in enumerate(text))


def _is_shown(character: str) -> bool:
    return character.isprintable() or character in "\n\t" or unicodedata.category(character) == "Zs"


def clock(seconds: float | None) -> str:
    """Seconds as h:mm:ss or as a date; a dash for None."""
    return "–" if seconds is None else time_text(seconds)


def when(times: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """When something was said, in Chinese and in English: time codes, or places where there are none.

    A time that has a `text` was worded otherwise than its finding, and is shown with that.
    """
    chinese, english = (", ".join(_when(time, place) for time in times) for place in (chinese_place, str))
    return chinese, english


def own_time(finding: Mapping[str, Any]) -> tuple[str, str]:
    """When the text that a finding shows was said, as `when` tells it: any of its times, not always the first."""
    untold = any("file" in time for time in finding["times"])
    return when([{key: value for key, value in finding["place"].items() if untold or key != "file"}])


def _when(time: Mapping[str, Any], place: Callable[[str], str]) -> str:
    at = clock(time["start"]) if "start" in time else place(time["place"])
    worded = [f"“{time['text']}”"] if "text" in time else []
    return _visible(" ".join([at, *(time[key] for key in ("recording", "file") if key in time), *worded]))


def hue(place: int, count: int) -> str:
    """The colour of the label at a place among so many; white on it is read (4.5 to 1), so yellow to cyan are darker."""
    degrees = 360 * place / count
    return f"hsl({degrees:.0f} 60% {27 if 36 <= degrees <= 200 else 38}%)"


def draw(findings: Iterable[Mapping[str, Any]], timelines: Mapping[str, Timeline]) -> list[str]:
    """Put the findings on the timelines of their streams; returns the label of each, for there may be millions."""
    labels = []
    for number, finding in enumerate(findings):
        labels.append(sys.intern(finding["label"]))
        if finding["stream"] in timelines:
            timelines[finding["stream"]].add(finding, number)
    return labels


def chosen(labels: Sequence[str], room: int) -> list[bool]:
    """Which of the findings with these labels, riskiest first, are shown.

    Half of the room is shared out evenly, so that no heading is crowded out by riskier ones; the riskiest fill the rest.
    """
    counts = Counter(labels)
    share = room // (2 * max(1, len(counts)))
    left = room - sum(min(count, share) for count in counts.values())
    seen: Counter[str] = Counter()
    shown = []
    for label in labels:
        seen[label] += 1
        of_rest = seen[label] > share
        shown.append(not of_rest or left > 0)
        left -= of_rest and left > 0
    return shown


def check_path(path: Path) -> None:
    """InputError when the ending isn't HTML's, by which programs open it, or the file there is no earlier report."""
    if path.suffix.lower() not in ENDINGS:
        raise InputError(
            f"--report {path}: ending {path.suffix or '(none)'!r}, but the report is HTML; name it .html, "
            "and print it from a browser for another format"
        )
    with suppress(OSError):  # what can't be read can't be written either, which is told there
        if path.is_file() and not is_page(path):
            raise InputError(f"--report {path}: is there already, and is no report of zhenyan's; name another file")


def is_page(path: Path) -> bool:
    """Whether a file begins as a report or a case's page does, or is empty."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return not head or _TITLE in head


def templates() -> jinja2.Environment:
    """The pages' templates, with everything escaped, and what they share."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"clock": clock, "marked": marked}
    environment.globals |= {"when": when, "own_time": own_time, "citation": citation, "penalty": penalty, "section": section,
                            "high": HIGH, "medium": MEDIUM}  # fmt: skip
    return environment


def write_report(folder: RunFolder, bundle: Bundle, path: Path) -> None:
    """Write the report of a finished run to `path`, atomically; InputError as of `check_path`."""
    check_path(path)
    streams = list(itertools.islice((s for s in folder.streams() if s["findings"]), MAX_STREAMS))
    timelines = {stream["stream"]: Timeline.of(stream) for stream in streams}
    given = draw(folder.findings(), timelines)
    shown, by_label = chosen(given, MAX_FINDINGS), Counter(given)
    hidden = by_label - Counter(itertools.compress(given, shown))
    colours = {label.id: hue(place, len(bundle.labels)) for place, label in enumerate(bundle.labels)}
    page = templates().get_template("report.html.jinja").stream(
        bundle=bundle, labels={label.id: label for label in bundle.labels}, responsible=RESPONSIBLE, colours=colours,
        summary=folder.summary, inputs=folder.manifest["inputs"], streams=streams, timelines=timelines,
        findings=itertools.compress(folder.findings(), shown), shown=shown, hidden=hidden.most_common(),
        by_label=by_label.most_common(), most=max(by_label.values(), default=1),
        notes=_notes(folder.summary), most_notes=MAX_NOTES, folder=folder.path.name,
    )  # fmt: skip
    write_atomic(path, (chunk.encode("utf-8", "replace") for chunk in page))


def _notes(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What readers noted, in Chinese and in English; runs of before notes were Chinese have these as they are."""
    english = summary.get("notes", [])
    chinese = summary.get("notes_zh", [])
    return list(zip(chinese if len(chinese) == len(english) else english, english, strict=True))
