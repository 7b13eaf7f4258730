"""A run's folder: manifest, atomic parts, rejects, notes, findings, streams, summary."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from zhenyan.inference import locks
from zhenyan.inference.errors import InputError

MANIFEST, SUMMARY, REJECTS = "manifest.json", "summary.json", "rejects.jsonl"
FINDINGS, STREAMS, NOTES = "findings.jsonl", "streams.jsonl", "notes.txt"
REVIEW = "review.db"
REVIEWED = "reviewed.txt"  # which databases elsewhere the findings were taken into
_LOCK, _OPEN = "lock", "review.lock"

Fields = Mapping[str, type | tuple[type, ...]]
_NUMBER = (int, float)
# Fields that are used, each with what it has to be, of every version's files: a damaged one is said, not stumbled over.
_MANIFEST: Fields = {"bundle": str, "output": str, "thresholds": dict, "options": dict, "inputs": list}
_INPUT: Fields = {"path": str}
_SUMMARY: Fields = {"rows": int, "hits": int, "rejects": int, "findings": int, "output_sha256": str}
_NOW: Fields = {"streams": dict, "notes": list}  # of a summary, since format 3
_LOST: Fields = {"files": int, "named": list}  # of its "lost": files that are rejects as a whole; older runs lack it
_FINDING: Fields = {
    "id": str, "stream": str, "label": str, "score": _NUMBER, "threshold": _NUMBER, "risk": _NUMBER, "count": int,
    "text": str, "evidence": list, "context": bool, "place": dict, "times": list, "before": list, "after": list,
}  # fmt: skip
_PLACE: Fields = {"place": str}
_SPAN: Fields = {"start": int, "end": int}
# Of a place: seconds where there are time codes; of a time: its text where that isn't the finding's. Older runs don't tell it.
_WHERE_KNOWN: Fields = {"start": _NUMBER, "end": _NUMBER, "text": str}
_STREAM: Fields = {
    "stream": str, "verdict": str, "risk": _NUMBER, "findings": int, "labels": dict, "lines": int, "hits": int,
    "first": int, "last": int,
}  # fmt: skip
_ANEW = "score anew with --restart"

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
        named = path if path.name not in ("", "..") else path.resolve()  # "." has no name, and so no sibling
        folders = (named, named.with_name(named.name + ".run")) if named.name else (named,)
        try:
            found = next((folder for folder in folders if (folder / MANIFEST).is_file()), None)
        except OSError as error:  # such as a name too long, or a folder that may not be read
            raise InputError(f"{path}: {error.strerror or error}; name a run's folder or its output file") from None
        if found is None:
            name = path.name.removesuffix(".run")
            output = name if Path(name).suffix else "out.jsonl"  # an output needs an ending
            raise InputError(f"{path}: no scoring run here; `zhenyan score INPUT -o {output}` makes one")
        run = cls(found)
        _ = run.summary
        return run

    @property
    def manifest(self) -> dict[str, Any]:
        """What the run was asked; InputError when the file is damaged."""
        manifest = self._read(MANIFEST, _MANIFEST)
        for number, item in enumerate(manifest["inputs"], 1):
            _check(item, _INPUT, f"{self.path / MANIFEST}: input {number}")
        return manifest

    @property
    def summary(self) -> dict[str, Any]:
        """Counts of the finished run; InputError when it hasn't finished, or the file is damaged."""
        if not (self.path / SUMMARY).exists():
            raise InputError(f"{self.path}: this run hasn't finished; repeat its command to go on")
        summary = {"lost": {"files": 0, "named": []}} | self._read(SUMMARY, _SUMMARY)
        _check(summary["lost"], _LOST, f"{self.path / SUMMARY}: lost")
        return summary

    def check_summary(self) -> None:
        """InputError when a finished run of this version lacks a count that is told at the end."""
        self._read(SUMMARY, {**_SUMMARY, **_NOW})

    def _read(self, name: str, fields: Fields) -> dict[str, Any]:
        """An object of this run's that has these fields."""
        path = self.path / name
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{path}: can't be read ({error}); {_ANEW}") from None
        return _check(found, fields, f"{path}")

    @property
    def reviewed_in(self) -> list[str]:
        """Databases elsewhere into which the findings were taken for review, without users and passwords."""
        path = self.path / REVIEWED
        return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []

    def keep_from(self, path: Path) -> None:
        """InputError when writing `path` would destroy this run: its output, or a file in its folder."""
        if not path.name:
            raise InputError(f"{path}: is a folder; name a file")
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
            self._hold(lock, True, "another process is at work on this run; wait for it, or name another output")
            yield

    def in_review(self) -> AbstractContextManager[None]:
        """Hold the run for a review, beside other reviews of it; the findings stay as they are meanwhile.

        InputError while it is being scored anew.
        """
        return self._review_lock(False, "this run is being scored anew; wait for it, then repeat the command")

    def out_of_review(self) -> AbstractContextManager[None]:
        """Keep reviews from opening the run; InputError where one is open."""
        return self._review_lock(
            True,
            "this run is open in `zhenyan review`, review-import or review-export, which need its findings as they are; "
            "end that first (Ctrl-C), or name another output",
        )

    @contextmanager
    def _review_lock(self, alone: bool, refusal: str) -> Iterator[None]:
        """The file is made by whoever comes first: a first review, too, must find out that the run is scored anew."""
        try:
            lock = _opened(self.path / _OPEN)
        except OSError:  # such as a folder that can only be read, in which nothing is scored anew either
            yield
            return
        with lock:
            self._hold(lock, alone, refusal)
            yield

    def _hold(self, lock: BinaryIO, alone: bool, refusal: str) -> None:
        """Take the lock until its file is closed; InputError where someone has it."""
        if locks.take(lock.fileno(), alone=alone) is False:
            raise InputError(f"{self.path}: {refusal}")

    def clear(self) -> None:
        """Forget the run; its manifest goes last, for parts without one would belong to no known run.

        The folder of parts stays, for another process may be counting them.
        """
        for part in (self.path / "parts").iterdir():
            shutil.rmtree(part) if part.is_dir() and not part.is_symlink() else part.unlink(missing_ok=True)
        for name in (SUMMARY, REJECTS, FINDINGS, STREAMS, NOTES, MANIFEST):
            (self.path / name).unlink(missing_ok=True)

    def part(self, number: int) -> Path:
        """Path of one part."""
        return self.path / "parts" / f"{number:06d}.jsonl"

    def done(self) -> list[int]:
        """Numbers of the parts that are there, complete or cut off; an engine may finish them in any order."""
        names = (path.stem for path in (self.path / "parts").glob("*.jsonl"))
        return sorted(int(name) for name in names if name.isdecimal())  # not what a file synchroniser copied

    def lines(self) -> Iterator[bytes]:
        """Every line of every part in order, as it was written."""
        for number in self.done():
            with self.part(number).open("rb") as part:
                yield from part

    def findings(self) -> Iterator[dict[str, Any]]:
        """Findings by falling risk; InputError at a line that is damaged."""
        labels = self.manifest["thresholds"]
        for place, finding in self._records(FINDINGS):
            yield _checked(finding, labels, place)

    def streams(self) -> Iterator[dict[str, Any]]:
        """Streams by falling risk, those without a finding last; InputError at a line that is damaged."""
        for place, stream in self._records(STREAMS):
            yield _check(stream, _STREAM, place)

    def _records(self, name: str) -> Iterator[tuple[str, Any]]:
        """What the lines of a file hold, each with its place; none when there is no such file."""
        path = self.path / name
        if path.exists():
            with path.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    try:
                        yield f"{path} line {number}", json.loads(line)
                    except (ValueError, RecursionError) as error:
                        raise InputError(f"{path} line {number}: can't be read ({error}); {_ANEW}") from None


def _checked(finding: Any, labels: Container[str], place: str) -> dict[str, Any]:
    """A finding all of whose fields can be used; `labels` are those of the run's bundle."""
    _check(finding, _FINDING, place)
    if finding["label"] not in labels:
        raise InputError(f"{place}: damaged, {finding['label']!r:.40} is no label of the run's bundle; {_ANEW}")
    if not finding["times"]:
        raise InputError(f"{place}: damaged, field 'times' is empty; {_ANEW}")
    for name, items in (("place", [finding["place"]]), ("times", finding["times"])):
        for item in items:
            known = {key: kind for key, kind in _WHERE_KNOWN.items() if key in item}
            _check(item, {**_PLACE, **known}, f"{place}: {name}")
    for item in finding["evidence"]:
        _check(item, _SPAN, f"{place}: evidence")
    return finding


def _check(found: Any, fields: Fields, place: str) -> dict[str, Any]:
    """An object with these fields; InputError names the first that is missing or something else."""
    if not isinstance(found, dict):
        raise InputError(f"{place}: damaged, {found!r:.40} is no object; {_ANEW}")
    for name, kind in fields.items():
        if not isinstance(found.get(name), kind):
            raise InputError(f"{place}: damaged, field {name!r} is {found.get(name)!r:.40}; {_ANEW}")
    return found


def object_bytes(value: Mapping[str, Any]) -> bytes:
    """An object as an indented JSON file: UTF-8, or ASCII with escapes where a text or file name can't be UTF-8."""
    try:
        return json.dumps(value, ensure_ascii=False, indent=1).encode()
    except UnicodeEncodeError:
        return json.dumps(value, indent=1).encode()


def tally(lines: bytes) -> Counter[str]:
    """How many rows, hits and rejects a part holds; a line break inside a JSON string is escaped, so none is mistaken."""
    lines = b"\n" + lines
    hits = lines.count(b"\n" + HIT)
    return Counter(rows=lines.count(b"\n" + ROW) + hits, hits=hits, rejects=lines.count(b"\n" + REJECT))


def is_whole(lines: bytes, rows: int) -> bool:
    """Whether a part of so many rows ends with its "part" line, which says as many: a copied one may be cut off."""
    last = lines[lines.rfind(b"\n", 0, -1) + 1 :]
    return last.startswith(b'%b,"rows":%d,' % (PART, rows)) and last.endswith(b"\n")


def _opened(path: Path) -> BinaryIO:
    """A lock's file, made where there is none. Network file systems want it readable for a lock that is shared."""
    try:
        return path.open("a+b")
    except PermissionError:  # another user's, which can be locked all the same
        return path.open("rb")
