"""A run's folder: manifest, atomic parts, rejects, findings, summary."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zhenyan.inference.errors import InputError
from zhenyan.inference.io.jsonlines import read_lines

MANIFEST, SUMMARY, REJECTS, FINDINGS = "manifest.json", "summary.json", "rejects.jsonl", "findings.jsonl"


@dataclass(frozen=True)
class RunFolder:
    """Paths and reading of one run's folder."""

    path: Path

    @classmethod
    def of_output(cls, output: Path) -> RunFolder:
        """The folder behind an output file: out.jsonl.run beside out.jsonl."""
        return cls(output.with_name(output.name + ".run"))

    @classmethod
    def existing(cls, path: Path) -> RunFolder:
        """A finished run, named by its folder or its output file; InputError when there is none."""
        for folder in (path, path.with_name(path.name + ".run")):
            if (folder / MANIFEST).is_file():
                return cls(folder)
        raise InputError(f"{path}: no scoring run here; `zhenyan score INPUT -o {path.name or 'out.jsonl'}` makes one")

    @property
    def manifest(self) -> dict[str, Any]:
        """What the run was asked."""
        return json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))

    @property
    def summary(self) -> dict[str, Any]:
        """Counts of the finished run; InputError when it hasn't finished."""
        try:
            return json.loads((self.path / SUMMARY).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{self.path}: this run hasn't finished; repeat its command to go on") from None

    def part(self, number: int) -> Path:
        """Path of one part."""
        return self.path / "parts" / f"{number:06d}.jsonl"

    def done_parts(self) -> int:
        """How many parts are complete, counted from the first without a gap."""
        number = 0
        while self.part(number).exists():
            number += 1
        return number

    def entries(self) -> Iterator[dict[str, Any]]:
        """Every entry of every part in order: kind "row", "reject" or "context"."""
        for number in range(self.done_parts()):
            yield from read_lines(self.part(number))

    def rows(self) -> Iterator[dict[str, Any]]:
        """Scored rows in input order, each as {"file", "place", "row"}."""
        return (entry for entry in self.entries() if entry["kind"] == "row")

    def findings(self) -> Iterator[dict[str, Any]]:
        """Findings by falling risk."""
        return read_lines(self.path / FINDINGS)
