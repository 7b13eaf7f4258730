"""Findings: what a reviewer decides on. The same claim repeated in a stream is one finding with all its times."""

from __future__ import annotations

import json
import re
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from zhenyan.inference.bundle import Bundle
from zhenyan.inference.io.items import recording_of
from zhenyan.inference.io.jsonlines import dump_line
from zhenyan.inference.runs.naming import StreamNames
from zhenyan.inference.runs.scoring import stream_of
from zhenyan.inference.runs.scratch import sorted_lines
from zhenyan.inference.runs.store import CONTEXT, HIT, PART, ROW, RunFolder
from zhenyan.inference.thresholds import thresholds_in_force

_LIKE = 0.6  # overlap of character trigrams from which two lines are like each other
# What is said between words: particles, pronouns and the like. Two lines that differ in these alone make one claim.
_FILLERS = "啊呀嘛呢吧哦哈呐啦嗯呃噢哎诶唉喔哟咯的了我你您他她它咱们这那个就是都也还"
# A number's own marks are part of what is compared: 原价49.9 isn't 原价499, 3-5天 not 35天, 1/2片 not 12片, 50% not 50.
_COMPARED = re.compile(rf"[^\W_{_FILLERS}]|(?<=\d)[^\w\s](?=\d)|(?<=\d)[%％‰]")
_IN_NONE = b"\1\1\1"
_BESIDE = 2  # characters on either side of the words that decided, which may be cut off there: 能治高血|压
CHANNELS = ("live", "copy")
NEAR = 2  # lines shown on either side of a hit
_TIMES = 500  # repeats listed for one finding
# What is still compared with new hits; beyond it the oldest findings are closed, so that memory stays bounded.
_OPEN_STREAMS = 64
_OPEN_FINDINGS = 200  # of one stream
_OPEN_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class Wording:
    """What claims are compared by: a text without punctuation, spaces and fillers.

    `deciding` has 1 for each character of `plain` in or beside words that decided, for all where none were looked for.
    """

    plain: str
    deciding: bytes
    grams: frozenset[str]

    @classmethod
    def of(cls, text: str, evidence: Iterable[Mapping[str, Any]]) -> Wording:
        """The wording of a hit under the label that the evidence, spans with `start` and `end` in the text, is of."""
        kept = [found.start() for found in _COMPARED.finditer(text)] or list(range(len(text)))
        plain = "".join(text[at] for at in kept)
        decided = {at for span in evidence for at in range(span["start"], span["end"])}
        marks = [at in decided for at in kept]
        if not any(marks):
            marks = [True] * len(kept)
        deciding = bytes(any(marks[max(0, n - _BESIDE) : n + _BESIDE + 1]) for n in range(len(marks)))
        return cls(plain, deciding, _grams(plain))

    def claims(self, other: Wording) -> bool:
        """Whether both make one claim: they are alike, and none of the words that decided is in what differs."""
        return alike(self.grams, other.grams) and self._decided_in(other) and other._decided_in(self)

    def _decided_in(self, other: Wording) -> bool:
        """Whether every character that decided stands in the other, too, in one of the trigrams that it is in here."""
        missing = self.grams - other.grams
        starts = range(max(1, len(self.plain) - 2))
        # 1 for each trigram that the other lacks, and beyond both ends: a character stands in none where three follow.
        lacks = b"\1\1%b\1\1" % bytes(self.plain[start : start + 3] in missing for start in starts)
        at = lacks.find(_IN_NONE)
        while 0 <= at < len(self.deciding) and not self.deciding[at]:
            at = lacks.find(_IN_NONE, at + 1)
        return not 0 <= at < len(self.deciding)


@dataclass(slots=True)
class Finding:
    """One claim under one label in one stream."""

    stream: str
    label: str
    score: float
    text: str
    evidence: list[dict[str, Any]]
    place: dict[str, Any]
    context: bool
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    times: list[dict[str, Any]] = field(default_factory=list)
    filed: bool = True  # the stream's name says which file it is in
    count: int = 1
    said: Wording | None = None  # as it was opened, and `key` with it: what is merged is compared with this alone
    key: tuple[str, str, str] = ("", "", "")
    other: int = 0  # characters of the wordings among `times` that aren't its text

    @property
    def size(self) -> int:
        """Roughly how many bytes it takes."""
        characters = len(self.text) + self.other + sum(map(len, self.before + self.after))
        compared = 3 * len(self.said.plain) + 100 * len(self.said.grams) if self.said else 0
        return 1000 + 2 * characters + compared + 300 * len(self.times)

    def record(self, threshold: float) -> dict[str, Any]:
        """As written to findings.jsonl."""
        return {
            "stream": self.stream, "label": self.label, "score": self.score, "threshold": round(threshold, 5),
            "risk": round(risk(self.score, self.count), 5), "count": self.count, "text": self.text,
            "evidence": self.evidence, "context": self.context, "place": self.place, "times": self._told(),
            "before": self.before, "after": self.after,
        }  # fmt: skip

    def _told(self) -> list[dict[str, Any]]:
        """The times; each with its file only where nothing else tells it, with a text only where that is worded otherwise."""
        untold = not self.filed or len({time.get("file") for time in self.times}) > 1
        return [
            {k: value for k, value in time.items() if (untold or k != "file") and (k, value) != ("text", self.text)}
            for time in self.times
        ]


def risk(score: float, count: int) -> float:
    """What findings are sorted by: the chance that the claim stands, a little higher the more often it is repeated."""
    return 1 - (1 - score) ** (1 + 0.25 * min(count - 1, 8))


def trigrams(text: str) -> frozenset[str]:
    """Character trigrams without punctuation and spaces."""
    return _grams("".join(c for c in text if c.isalnum()))


def _grams(plain: str) -> frozenset[str]:
    return frozenset(plain[i : i + 3] for i in range(max(1, len(plain) - 2)))


def alike(a: frozenset[str], b: frozenset[str]) -> bool:
    """Whether two lines are the same but for a few words; which words those are, it doesn't ask."""
    small, large = (len(a), len(b)) if len(a) < len(b) else (len(b), len(a))
    return small >= 0.5 * large and len(a & b) >= _LIKE * small


class _Open:
    """Findings that a coming hit may repeat, by stream, the longest untouched stream first."""

    def __init__(self) -> None:
        self.streams: OrderedDict[str, deque[Finding]] = OrderedDict()
        self.exact: dict[tuple[str, str, str], Finding] = {}  # the usual repeat: word for word but for fillers
        self.size = 0

    def add(self, hit: Finding) -> None:
        """Merge the hit into a finding like it, or open a new one."""
        findings = self.streams.setdefault(hit.stream, deque())
        self.streams.move_to_end(hit.stream)
        said = Wording.of(hit.text, hit.evidence)
        key = (hit.stream, hit.label, said.plain)
        known = self.exact.get(key) or _same_claim(findings, hit.label, said)
        if known is None:
            findings.append(hit)
            self.exact[key] = hit
            hit.said, hit.key = said, key
            self.size += hit.size
        else:
            self.size -= known.size
            _merge(known, hit)
            self.size += known.size

    def surplus(self, stream: str) -> Iterator[Finding]:
        """Close what is too much after a hit in `stream`."""
        if len(self.streams[stream]) > _OPEN_FINDINGS:
            yield self.close(stream)
        while self.size > _OPEN_BYTES or len(self.streams) > _OPEN_STREAMS:
            yield self.close(next(iter(self.streams)))

    def close(self, stream: str) -> Finding:
        """Take out the stream's oldest finding."""
        finding = self.streams[stream].popleft()
        if not self.streams[stream]:
            del self.streams[stream]
        del self.exact[finding.key]
        self.size -= finding.size
        return finding


def _same_claim(findings: deque[Finding], label: str, said: Wording) -> Finding | None:
    """The latest finding under this label that the wording repeats."""
    return next((f for f in reversed(findings) if f.label == label and f.said and f.said.claims(said)), None)


def _merge(known: Finding, hit: Finding) -> None:
    added = hit.times[: max(0, _TIMES - len(known.times))]
    if added and hit.text != known.text:
        known.other += len(hit.text)
    if hit.score > known.score and known.context >= hit.context:
        for name in ("score", "text", "evidence", "place", "context", "before", "after"):
            setattr(known, name, getattr(hit, name))
    known.count += 1
    known.times += added


def merged(hits: Iterable[Finding]) -> Iterator[Finding]:
    """Findings with their repeats, each as soon as nothing can be added to it."""
    held = _Open()
    for hit in hits:
        held.add(hit)
        yield from held.surplus(hit.stream)
    for stream in list(held.streams):
        while stream in held.streams:
            yield held.close(stream)


def collect(folder: RunFolder, bundle: Bundle, labels: Counter[str]) -> Iterator[bytes]:
    """Lines of findings.jsonl, by falling risk; counts the rows of each label into `labels` on the way."""
    options = folder.manifest["options"]
    thresholds = thresholds_in_force(bundle, options.get("min_score"), options.get("thresholds"))
    found = hits(_near_hits(folder.lines()), folder.manifest["inputs"])
    records = (finding.record(thresholds[finding.label]) for finding in merged(_counted(found, labels)))
    lines = sorted_lines(((-record["risk"], dump_line(record)) for record in records), folder.path / "findings.db")
    for number, line in enumerate(lines, 1):
        yield b'{"id":"f%06d",' % number + line[1:]


def _counted(found: Iterable[Finding], labels: Counter[str]) -> Iterator[Finding]:
    for hit in found:
        if not hit.context:  # it is of two rows, neither of which carries the label
            labels[hit.label] += 1
        yield hit


def _near_hits(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The few entries that findings are made of, parsed: hits, the lines around them, and hits of two lines.

    Each gets the `number` of its row in the output, from 1; hits of two lines, which a part tells at its end, the lines around them.
    """
    held: deque[tuple[int, bytes]] = deque(maxlen=NEAR)
    rows: list[bytes] = []  # of this part, and the last ones before it
    number = wanted = before = 0  # `before`: rows of earlier parts
    for line in lines:
        if line.startswith((HIT, ROW)):
            number += 1
            rows.append(line)
            if line.startswith(HIT):
                yield from (_numbered(*near) for near in (*held, (number, line)))
                held.clear()
                wanted = NEAR
            elif wanted:
                yield _numbered(number, line)
                wanted -= 1
            else:
                held.append((number, line))
        elif line.startswith(CONTEXT):
            entry = json.loads(line)
            second = before + entry["index"]
            yield entry | {"number": second} | _around(rows, len(rows) - 1 - (number - second))
        elif line.startswith(PART):
            before = number
            del rows[: -(NEAR + 1)]


def _around(rows: list[bytes], at: int) -> dict[str, list[str]]:
    """Texts before and after the two lines whose second is at `at`, of their stream and file.

    After the last rows of a part there are none: the next part's rows are read later, and an order of merging that hung
    on them would be another than in runs of before.
    """
    first = max(0, at - 1 - NEAR)
    entries = [json.loads(line) for line in rows[first : at + 1 + NEAR]]
    second = at - first
    near = [entry["row"]["text"] if _together(entries[second], entry) else None for entry in entries]
    return {
        "before": [text for text in near[: max(0, second - 1)] if text is not None],
        "after": [text for text in near[second + 1 :] if text is not None],
    }


def _numbered(number: int, line: bytes) -> dict[str, Any]:
    return json.loads(line) | {"number": number}


def hits(entries: Iterable[Mapping[str, Any]], inputs: list[Mapping[str, Any]]) -> Iterator[Finding]:
    """Every hit with its neighbouring lines (two before, two after, in the same stream and file)."""
    names = StreamNames(inputs)
    window: list[Mapping[str, Any]] = []  # up to NEAR rows before the current one, and NEAR after
    current = 0
    for entry in entries:
        if entry["kind"] == "context":
            yield from _context_hits(entry, inputs, names)
        else:
            window.append(entry)
            if len(window) - current > NEAR:
                yield from _hits_of(window, current, inputs, names)
                window, current = (window[1:], NEAR) if current == NEAR else (window, current + 1)
    for at in range(current, len(window)):
        yield from _hits_of(window, at, inputs, names)


def _hits_of(
    window: list[Mapping[str, Any]], at: int, inputs: list[Mapping[str, Any]], names: StreamNames
) -> Iterator[Finding]:
    entry = window[at]
    row = entry["row"]
    near = [w["row"]["text"] if _together(entry, w) else None for w in window]
    time = _time(entry, row, entry["place"], inputs)
    for label in row["labels"]:
        yield Finding(
            names.of(row, entry["file"]), label, row["scores"][label], row["text"],
            [e for e in row["evidence"] if e["label"] == label], _place(row, time), False,
            before=[text for text in near[max(0, at - NEAR) : at] if text is not None],
            after=[text for text in near[at + 1 : at + 1 + NEAR] if text is not None],
            times=[time | {"text": row["text"]}], filed=names.tells_file(row, entry["file"]),
        )  # fmt: skip


def _together(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two rows are lines of one stream: only then does one tell what the other means."""
    stream = stream_of(one["row"])
    return stream is not None and one["file"] == other["file"] and stream == stream_of(other["row"])


def _time(
    entry: Mapping[str, Any], own: Mapping[str, Any], place: str, inputs: list[Mapping[str, Any]]
) -> dict[str, Any]:
    """When something was said: file and place in it, row of the output, seconds and recording where they are known."""
    recording = recording_of(own)
    times = {key: own[key] for key in ("start", "end") if isinstance(own.get(key), int | float)}
    said = {"file": inputs[entry["file"]]["path"], "place": place, "row": entry["number"]}
    return said | times | ({"recording": recording} if recording else {})


def _place(own: Mapping[str, Any], time: Mapping[str, Any]) -> dict[str, Any]:
    """Where a finding stands: the time of its text, with the row's own id and channel."""
    identity, channel = own.get("id"), own.get("channel")
    return {**time} | ({"id": identity} if identity else {}) | ({"channel": channel} if channel in CHANNELS else {})


def _context_hits(entry: Mapping[str, Any], inputs: list[Mapping[str, Any]], names: StreamNames) -> Iterator[Finding]:
    time = _time(entry, entry, " + ".join(entry["places"]), inputs)
    for label in entry["labels"]:
        yield Finding(
            names.of(entry, entry["file"]), label, entry["scores"][label], entry["text"],
            [e for e in entry["evidence"] if e["label"] == label], _place(entry, time), True,
            before=entry.get("before", []), after=entry.get("after", []),
            times=[time | {"text": entry["text"]}], filed=names.tells_file(entry, entry["file"]),
        )  # fmt: skip
