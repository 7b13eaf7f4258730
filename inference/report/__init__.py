"""The reviewer's report: one HTML file that needs no network, for ten findings or ten thousand."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape
from zhenyan.inference.bundle import Bundle
from zhenyan.inference.io.jsonlines import write_atomic
from zhenyan.inference.runs.store import RunFolder

MAX_FINDINGS = 20_000  # shown; the run's folder holds all of them
MAX_TIMELINES, MAX_MARKS = 400, 800  # the page shows 200; which of those with equal risk is known only at the end
RESPONSIBLE = {
    "operator": ("直播间运营者/商家", "room operator or seller"), "host": ("主播", "host"),
    "platform": ("平台", "platform"), "agency": ("服务机构", "agency"),
}  # fmt: skip


@dataclass
class Stream:
    """One stream's numbers and its timeline marks."""

    name: str
    findings: int = 0
    top: float = 0.0
    labels: Counter[str] = field(default_factory=Counter)
    marks: list[dict[str, Any]] = field(default_factory=list)
    length: float = 0.0

    @property
    def verdict(self) -> str:
        """How urgently the stream should be looked at: "high", "medium" or "low"."""
        return "high" if self.top >= 0.8 else "medium" if self.top >= 0.5 else "low"


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
    """Characters that could reorder or hide the page's text become U+FFFD."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def clock(seconds: float | None) -> str:
    """Seconds as h:mm:ss; a dash for None."""
    if seconds is None:
        return "–"
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def collect_streams(findings: Iterable[Mapping[str, Any]]) -> list[Stream]:
    """Streams by falling risk, from findings by falling risk."""
    streams: dict[str, Stream] = {}
    for finding in findings:
        stream = streams.setdefault(finding["stream"], Stream(finding["stream"]))
        stream.findings += 1
        stream.top = max(stream.top, finding["risk"])
        stream.labels[finding["label"]] += 1
        times = [time for time in finding["times"] if "start" in time]
        stream.length = max([stream.length, *(time.get("end", time["start"]) for time in times)])
        room = MAX_MARKS - len(stream.marks) if len(streams) <= MAX_TIMELINES else 0
        stream.marks += [{"at": time["start"], "label": finding["label"], "id": finding["id"],
                          "risk": finding["risk"]} for time in times[:room]]  # fmt: skip
    return sorted(streams.values(), key=lambda s: (-s.top, -s.findings))


def write_report(folder: RunFolder, bundle: Bundle, path: Path) -> None:
    """Write the report of a finished run to `path`, atomically."""
    streams = collect_streams(folder.findings())
    by_label: Counter[str] = sum((stream.labels for stream in streams), Counter())
    summary = folder.summary
    colours = {label.id: f"hsl({i * 360 / len(bundle.labels):.0f} 60% 45%)" for i, label in enumerate(bundle.labels)}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"clock": clock, "marked": marked}
    page = environment.get_template("report.html.jinja").stream(
        bundle=bundle, labels={label.id: label for label in bundle.labels}, responsible=RESPONSIBLE, colours=colours,
        summary=summary, inputs=folder.manifest["inputs"], streams=streams,
        findings=itertools.islice(folder.findings(), MAX_FINDINGS), hidden=max(0, by_label.total() - MAX_FINDINGS), by_label=by_label.most_common(), most=max(by_label.values(), default=1),
    )  # fmt: skip
    write_atomic(path, (chunk.encode("utf-8", "replace") for chunk in page))
