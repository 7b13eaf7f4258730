"""The lines of a stream as the run scored them, a page at a time, from its parts."""

from __future__ import annotations

import json
import mmap
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from zhenyan.inference.errors import InputError
from zhenyan.inference.runs.findings import NEAR, hits
from zhenyan.inference.runs.naming import StreamNames
from zhenyan.inference.runs.store import CONTEXT, HIT, ROW, RunFolder

PAGE = 100  # lines


@dataclass(frozen=True)
class _Part:
    """What is in a part: `before` rows of the output come before it, `lines` counts those of each stream."""

    number: int
    before: int
    rows: int
    lines: Counter[str]


class Transcript:
    """A finished run's lines. What is in which part is read once, at the first question; InputError when it can't be."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    @cached_property
    def streams(self) -> list[str]:
        """Names of the streams as streams.jsonl orders them: riskiest first, those without a finding last."""
        return [stream["stream"] for stream in self.folder.streams()]

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Where each stream stands in `streams`, from 1."""
        return {name: number for number, name in enumerate(self.streams, 1)}

    def count(self, stream: str) -> int:
        """How many lines a stream has."""
        return sum(part.lines[stream] for part in self._parts)

    def page(self, stream: str, page: int) -> list[dict[str, Any]]:
        """Up to PAGE lines of a stream as its parts have them, each with the `number` of its row in the output, from 1.

        `together`: the scores of the labels that the line before and it carry together and neither alone.
        """
        skip, found = (page - 1) * PAGE, list[dict[str, Any]]()
        for part in self._parts:
            if skip < part.lines[stream] and len(found) < PAGE:
                together = self._together(part)
                some = self._of(stream, part)[skip : skip + PAGE - len(found)]
                found += [line | {"together": together.get(line["number"], {})} for line in some]
            skip = max(0, skip - part.lines[stream])
        return found

    def page_of(self, stream: str, row: int) -> int:
        """The page on which a row of the output stands."""
        before = 0
        for part in self._parts:
            if row <= part.before + part.rows:
                before += sum(line["number"] < row for line in self._of(stream, part))
                break
            before += part.lines[stream]
        return before // PAGE + 1

    def finding(self, row: int, label: str) -> dict[str, Any]:
        """What a finding of this row under a label that it lacks would be, without an id; InputError when it has it."""
        near = list(self._rows(row - NEAR, row + NEAR))
        own = next((line for line in near if line["number"] == row), None)
        if own is None or label in own["row"]["labels"]:
            raise InputError(f"row {row}: the run has no such row without {label}; load the page again")
        for line in near:
            line["row"] |= {"labels": [label] if line is own else [], "evidence": []}
        manifest = self.folder.manifest
        options = manifest["options"]
        asked = (options.get("thresholds") or {}).get(label, manifest["thresholds"][label])
        return next(hits(near, manifest["inputs"])).record(max(asked, options.get("min_score") or 0.0))

    def _of(self, stream: str, part: _Part) -> list[dict[str, Any]]:
        lines = self._rows(part.before + 1, part.before + part.rows)
        return [line for line in lines if self._names.of(line["row"], line["file"]) == stream]

    def _together(self, part: _Part) -> dict[int, dict[str, float]]:
        """By the number of the second row, the scores of the labels that only two lines together carry."""
        with self._reading(), self.folder.part(part.number).open("rb") as lines:
            entries = [json.loads(line) for line in lines if line.startswith(CONTEXT)]
            return {part.before + entry["index"]: entry["scores"] for entry in entries}

    @cached_property
    def _names(self) -> StreamNames:
        return StreamNames(self.folder.manifest["inputs"])

    @cached_property
    def _parts(self) -> list[_Part]:
        parts, before = list[_Part](), 0
        with self._reading():
            for number in self.folder.done():
                told = json.loads(self._last_line(number))
                lines: Counter[str] = Counter()
                for one in told["streams"]:
                    lines[self._names.of(one, one["file"])] += one["lines"]
                parts.append(_Part(number, before, told["rows"], lines))
                before += told["rows"]
        return parts

    def _last_line(self, number: int) -> bytes:
        """A part's line about itself, for which the rest isn't read."""
        with self.folder.part(number).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as lines:
            return lines[lines.rfind(b"\n", 0, -1) + 1 :]

    def _rows(self, first: int, last: int) -> Iterator[dict[str, Any]]:
        """Rows of the output from `first` to `last`, as the parts have them."""
        for part in self._parts:
            if part.before < last and first <= part.before + part.rows:
                with self._reading(), self.folder.part(part.number).open("rb") as lines:
                    rows = (line for line in lines if line.startswith((HIT, ROW)))
                    for number, line in enumerate(rows, part.before + 1):
                        if first <= number <= last:
                            yield json.loads(line) | {"number": number}

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self.folder.path / 'parts'}: can't be read ({error}); score the files anew") from None
