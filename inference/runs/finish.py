"""From scored parts to what a run is for: findings, rejects, the output and its summary."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zhenyan.inference.bundle import Bundle, sha256
from zhenyan.inference.errors import InputError
from zhenyan.inference.io.items import keep_aside
from zhenyan.inference.io.jsonlines import dump_line, write_atomic
from zhenyan.inference.io.note_kinds import READ_IN_PART
from zhenyan.inference.io.notes import Note, Words, by_kind
from zhenyan.inference.io.writing import write_output
from zhenyan.inference.runs.findings import collect
from zhenyan.inference.runs.store import (
    FINDINGS,
    HIT,
    MANIFEST,
    NOTES,
    REJECT,
    REJECTS,
    ROW,
    STREAMS,
    SUMMARY,
    RunFolder,
    object_bytes,
)
from zhenyan.inference.runs.streams import VERDICTS, stream_lines
from zhenyan.inference.windows import readable

_ROW_FIELD = b',"row":'  # what comes before it holds numbers and places, never this
_CUT = b'"truncated":true}}\n'  # how the line of a text ends that was read in part
_LOST = b',"place":"file",'  # in the line of a reject that is a file; a quote inside a text is escaped
_REASONS = ("reason", "reason_zh")
_NAMED, _REASON_CHARS = 20, 500  # files that are told with the reason in the summary, and characters of that


def finish(
    folder: RunFolder,
    bundle: Bundle,
    output: Path,
    files: Sequence[str],
    counts: Mapping[str, int],
    notes: Sequence[Note],
) -> None:
    """Write everything that comes of the parts; the summary last, for it marks the run as finished.

    InputError when a line of a part can't be read.
    """
    labels: Counter[str] = Counter()
    try:
        write_atomic(folder.path / FINDINGS, collect(folder, bundle, labels))
        more: list[Note] = []
        write_atomic(folder.path / STREAMS, stream_lines(folder, more.append))
        write_atomic(folder.path / REJECTS, reject_lines(folder, files) if counts["rejects"] else ())
        more += _cut_notes(folder, files)
        (folder.path / SUMMARY).unlink(missing_ok=True)  # of an output that is gone; it would call the new one changed
        more += _write_rows(folder, output, files, bundle.label_ids)
        notes = list({note.words: note for note in (*notes, *more)}.values())  # each once
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{folder.path / 'parts'}: a part is damaged ({error}); score anew with --restart") from None
    if notes:
        write_atomic(folder.path / NOTES, note_lines(notes))
    told = by_kind(notes)
    summary = {
        "rows": counts["rows"], "hits": counts["hits"], "rejects": counts["rejects"],
        "findings": _line_count(folder.path / FINDINGS),
        "labels": {label: labels[label] for label in sorted(labels)}, "streams": _verdicts(folder),
        "notes": [words.english for words in told], "notes_zh": [words.chinese for words in told], "noted": len(notes),
        "lost": _lost(folder),
        "output_sha256": sha256(output),
    }  # fmt: skip
    write_atomic(folder.path / SUMMARY, [object_bytes(summary)])


def _write_rows(folder: RunFolder, output: Path, files: Sequence[str], labels: Sequence[str]) -> list[Note]:
    """Write the output; returns what should be said of it."""
    if output.suffix.lower() != ".jsonl":
        return write_output(output, lambda: map(json.loads, output_lines(folder, files)), labels)
    write_atomic(output, output_lines(folder, files))
    return []


def _cut_notes(folder: RunFolder, files: Sequence[str]) -> Iterator[Note]:
    """What should be said of texts that were read in part."""
    for line in folder.lines():
        if line.endswith(_CUT) and line.startswith((ROW, HIT)):
            entry = json.loads(line)
            text = entry["row"]["text"]
            left = len(text) - len(readable(text).part)
            counted = Words(f"{left:,} of {len(text):,} characters", f"其 {len(text):,} 个字符中的 {left:,} 个")
            what = counted if left else Words("some of the marks stacked on its characters", "叠加在字符上的部分符号")
            yield READ_IN_PART.of(f"{files[entry['file']]} {entry['place']}", what=what)


def note_lines(notes: Iterable[Note]) -> Iterator[bytes]:
    """Every note on a line of its own, in English and behind a tab in Chinese, whatever characters a name has."""
    for note in notes:
        told = (" ".join(words.replace("\t", " ").splitlines()) for words in note.words)
        yield "\t".join(told).encode("utf-8", "backslashreplace") + b"\n"


def _lost(folder: RunFolder) -> dict[str, Any]:
    """How many of the rejects are files that could not be read, or not to the end, and the first of them with the reason."""
    named: list[dict[str, str]] = []
    files = 0
    with (folder.path / REJECTS).open("rb") as lines:
        for line in lines:
            if _LOST not in line:
                continue
            files += 1
            if len(named) < _NAMED:
                entry = json.loads(line)
                reasons = {
                    name: entry[name].removeprefix(entry["file"]).lstrip(":： ")[:_REASON_CHARS] for name in _REASONS
                }
                named.append({"file": entry["file"]} | reasons)
    return {"files": files, "named": named}


def _line_count(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(1 for _ in lines)


def _verdicts(folder: RunFolder) -> dict[str, int]:
    """How many streams there are of each verdict."""
    found = Counter(stream["verdict"] for stream in folder.streams())
    return {name: found[name] for name in VERDICTS}


def is_finished(folder: RunFolder, output: Path) -> bool:
    """Whether the run has ended and its output is there; `keep_changed` has seen that it is as it was written."""
    if not (folder.path / SUMMARY).exists() or not output.exists():
        return False
    folder.check_summary()
    return True


def keep_foreign(folder: RunFolder, output: Path, restart: bool) -> None:
    """InputError when a file that no run wrote stands where the output goes; with `restart` it may be written over."""
    if not restart and not (folder.path / MANIFEST).exists() and output.exists() and output.stat().st_size:
        raise InputError(
            f"{output}: is there already, and no run wrote it; name another output, or add --restart to write over it"
        )


def keep_changed(folder: RunFolder, output: Path, restart: bool) -> None:
    """InputError when a finished run's output isn't as it was written: a reviewer's remarks may stand there.

    With `restart` a summary that can't be read is none: it is the remedy for that.
    """
    if not (folder.path / SUMMARY).exists() or not output.exists():
        return
    try:
        written = folder.summary["output_sha256"]
    except InputError:
        if restart:
            return
        raise
    if sha256(output) != written:
        raise InputError(
            f"{output}: was changed since it was written; move it away or name another output (once it is moved, the same "
            "command writes a new one, and with --report the report)"
        )


def reject_lines(folder: RunFolder, files: Sequence[str]) -> Iterator[bytes]:
    """Lines of rejects.jsonl: file, place, reason in English and in Chinese, and the start of the value."""
    for line in folder.lines():
        if line.startswith(REJECT):
            entry: dict[str, Any] = json.loads(line)
            entry.setdefault("reason_zh", entry["reason"])  # a part that an earlier version wrote
            yield dump_line({"file": files[entry["file"]]} | {key: entry[key] for key in ("place", *_REASONS, "value")})


def output_lines(folder: RunFolder, files: Sequence[str]) -> Iterator[bytes]:
    """Rows as the contract has them, cut out of the parts' lines; with several inputs each says where it comes from."""
    for line in folder.lines():
        if line.startswith((ROW, HIT)):
            head, _, row = line.partition(_ROW_FIELD)
            yield row[:-2] + b"\n" if len(files) == 1 else _with_source(json.loads(head + b"}"), row[:-2], files)


def _with_source(entry: Mapping[str, Any], row: bytes, files: Sequence[str]) -> bytes:
    source = {"source": f"{files[entry['file']]} {entry['place']}"}
    if b'"source":' in row:  # probably a field of its own
        return dump_line(source | keep_aside(json.loads(row), source))
    return b"%b,%b\n" % (dump_line(source)[:-2], row[1:])
