"""A run's folder: manifest, atomic parts, rejects, findings, streams, summary."""

from __future__ import annotations

import errno
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zhenyan.inference.errors import InputError
from zhenyan.inference.io.jsonlines import read_lines

MANIFEST, SUMMARY, REJECTS = "manifest.json", "summary.json", "rejects.jsonl"
FINDINGS, STREAMS = "findings.jsonl", "streams.jsonl"
REVIEW = "review.db"
REVIEWED = "reviewed.txt"  # which databases elsewhere the findings were taken into
_LOCK = "lock"

# How a part's lines begin. A row with labels is a "hit": most rows have none, and telling them apart by their first
# bytes spares parsing them. A part ends with one "part" line, which tells the streams in it.
HIT, ROW, REJECT, CONTEXT, PART = (b'{"kind":"%s"' % kind for kind in (b"hit", b"row", b"reject", b"context", b"part"))


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
        """A finished run, named by its folder or its output file; InputError when there is none, or it hasn't finished."""
        for folder in (path, path.with_name(path.name + ".run")):
            if (folder / MANIFEST).is_file():
                run = cls(folder)
                _ = run.summary
                return run
        raise InputError(f"{path}: no scoring run here; `zhenyan score INPUT -o {path.name or 'out.jsonl'}` makes one")

    @property
    def manifest(self) -> dict[str, Any]:
        """What the run was asked; InputError when the file is damaged."""
        return self._read(MANIFEST, "inputs")

    @property
    def summary(self) -> dict[str, Any]:
        """Counts of the finished run; InputError when it hasn't finished, or the file is damaged."""
        if not (self.path / SUMMARY).exists():
            raise InputError(f"{self.path}: this run hasn't finished; repeat its command to go on")
        return self._read(SUMMARY, "rows")

    def _read(self, name: str, field: str) -> dict[str, Any]:
        """An object of this run's; `field` is one that every version wrote."""
        path = self.path / name
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: can't be read ({error}); score anew with --restart") from None
        if not isinstance(found, dict) or field not in found:
            raise InputError(f"{path}: damaged, no field {field!r}; score anew with --restart")
        return found

    def keep_from(self, path: Path) -> None:
        """InputError when writing `path` would destroy this run: its output, or a file in its folder."""
        folder, target = self.path.resolve(), path.resolve()
        if target == folder.with_name(folder.name.removesuffix(".run")) or folder in (target, *target.parents):
            raise InputError(f"{path}: belongs to the run {self.path}; choose another output")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder and hold it for this process alone; the lock goes with the process, however that ends."""
        try:
            (self.path / "parts").mkdir(parents=True, exist_ok=True)
            lock = (self.path / _LOCK).open("wb")
        except OSError as error:
            raise InputError(f"{self.path}: {error.strerror}; name an output in a folder that can be written") from None
        with lock:
            _take(lock.fileno(), self.path)
            yield

    def clear(self) -> None:
        """Forget the run; its manifest goes last, for parts without one would belong to no known run."""
        shutil.rmtree(self.path / "parts")
        (self.path / "parts").mkdir()
        for name in (SUMMARY, REJECTS, FINDINGS, STREAMS, MANIFEST):
            (self.path / name).unlink(missing_ok=True)

    def part(self, number: int) -> Path:
        """Path of one part."""
        return self.path / "parts" / f"{number:06d}.jsonl"

    def done(self) -> list[int]:
        """Numbers of the parts that are complete; an engine may finish them in any order."""
        return sorted(int(path.stem) for path in (self.path / "parts").glob("[0-9]*.jsonl"))

    def lines(self) -> Iterator[bytes]:
        """Every line of every part in order, as it was written."""
        for number in self.done():
            with self.part(number).open("rb") as part:
                yield from part

    def findings(self) -> Iterator[dict[str, Any]]:
        """Findings by falling risk."""
        return read_lines(self.path / FINDINGS)

    def streams(self) -> Iterator[dict[str, Any]]:
        """Streams by falling risk, those without a finding last."""
        return read_lines(self.path / STREAMS)


def tally(lines: bytes) -> Counter[str]:
    """How many rows, hits and rejects a part holds; a line break inside a JSON string is escaped, so none is mistaken."""
    lines = b"\n" + lines
    hits = lines.count(b"\n" + HIT)
    return Counter(rows=lines.count(b"\n" + ROW) + hits, hits=hits, rejects=lines.count(b"\n" + REJECT))


def _take(lock: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows has no flock; there the user has to see to it
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):  # any other: this filesystem has no locks
            raise InputError(
                f"{path}: another process is at work on this run; wait for it, or name another output"
            ) from None
