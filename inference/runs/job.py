"""A scoring run from inputs to output: what was asked, the parts that are still to be scored, resume."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from zhenyan.inference import normalise
from zhenyan.inference.bundle import Bundle
from zhenyan.inference.classifier import Classifier
from zhenyan.inference.errors import InputError, ZhenyanError
from zhenyan.inference.io.items import Options
from zhenyan.inference.io.jsonlines import write_atomic
from zhenyan.inference.io.writing import check_output
from zhenyan.inference.runs.beside import check_apart, check_own_table, check_place
from zhenyan.inference.runs.finish import finish, is_finished, keep_changed, keep_foreign
from zhenyan.inference.runs.inputs import (
    PART_ROWS,
    Work,
    check_unchanged,
    describe_inputs,
    input_files,
    size,
    stamps,
    unread_of,
    work_units,
)
from zhenyan.inference.runs.scoring import RunOptions, score_part
from zhenyan.inference.runs.store import MANIFEST, REVIEW, REVIEWED, RunFolder, is_whole, object_bytes, tally

# Parts in, (number, lines) out: each part once, in any order, and only a few taken ahead of what is given back.
Engine = Callable[[Iterator[Work]], Generator[tuple[int, bytes], None, None]]


@dataclass(frozen=True)
class Progress:
    """How far a run is; sent at the start and after each part."""

    rows: int
    hits: int
    rejects: int
    read: float | None = None  # share of the inputs' bytes that has been read
    resumed: bool = False  # at the start: what an earlier process had done


@dataclass
class Job:
    """One run: what to read, where to write, how to decide."""

    inputs: Sequence[str]
    output: Path
    options: RunOptions = field(default_factory=RunOptions)
    reading: Options = field(default_factory=Options)
    restart: bool = False
    part_rows: int = PART_ROWS
    report: Path | None = None  # what the caller will write of the finished run
    table: Path | None = None  # likewise, the findings


def describe(job: Job, bundle: Bundle, files: Sequence[str]) -> dict[str, Any]:
    """The manifest: all that the result depends on. The engine isn't in it: any of them may go on with a run."""
    return {
        "format": 8, "bundle": bundle.id, "normaliser": normalise.VERSION, "output": job.output.name,
        "thresholds": dict(zip(bundle.label_ids, bundle.thresholds, strict=True)),
        "options": json.loads(json.dumps(asdict(job.options) | {"part_rows": job.part_rows})),
        "reading": {
            one.name: asked
            for one in fields(job.reading)
            if one.compare and (asked := getattr(job.reading, one.name)) is not None
        },
        "inputs": describe_inputs(files),
    }  # fmt: skip


def begin(folder: RunFolder, manifest: dict[str, Any], restart: bool) -> None:
    """Start a run or go on with it; InputError when the folder belongs to other inputs, bundle or options."""
    if restart or not folder.done():  # nothing would be lost, so whatever was asked before doesn't matter
        with folder.out_of_review():
            _keep_decisions(folder)
            folder.clear()
            write_atomic(folder.path / MANIFEST, [object_bytes(manifest)])
    elif different := changed(folder.manifest, manifest):
        raise InputError(
            f"{folder.path} holds a run that differs in {different}; add --restart to score anew, or name another output"
        )


def _keep_decisions(folder: RunFolder) -> None:
    """InputError when a run scored anew would no longer be the one that was reviewed."""
    review = folder.path / REVIEW
    if holds_decisions(review):
        raise InputError(
            f"{review}: the decisions in it would be lost to the run scored anew; name another output, or take them out with "
            f"`zhenyan review-export` and move the file away, with {REVIEW}-wal and {REVIEW}-shm where they lie beside it"
        )
    if (folder.path / REVIEWED).exists():
        places = ", ".join(folder.reviewed_in)
        raise InputError(
            f"{folder.path / REVIEWED}: this run was taken into {places}; decisions there would no longer belong to it once it is scored "
            "anew: name another output, or, if there are none or `zhenyan review-export` took them out, move the file away"
        )


def holds_decisions(review: Path) -> bool:
    """Whether reviewers have decided anything there; also when that can't be told."""
    if not review.exists():
        return False
    try:
        with closing(sqlite3.connect(f"{review.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return database.execute("SELECT 1 FROM reading WHERE decided IS NOT NULL LIMIT 1").fetchone() is not None
    except sqlite3.Error:
        return True


def changed(old: dict[str, Any], new: dict[str, Any]) -> str:
    """What differs between two manifests, in words; empty when nothing does."""
    if old.get("format") != new["format"]:
        return f"format ({old.get('format')}, now {new['format']})"
    before = {item["path"]: item.get("sha256") for item in old["inputs"]}
    after = {item["path"]: item["sha256"] for item in new["inputs"]}
    parts = [f"input {path}" for path in sorted({*before, *after}) if before.get(path) != after.get(path)]
    parts += ["the order of the inputs"] if not parts and list(before) != list(after) else []
    for name, said in (("bundle", "bundle"), ("normaliser", "text normaliser")):
        was, now = old.get(name), new[name]
        parts += [f"{said} ({was}, now {now})"] if was != now else []
    for section in ("options", "reading"):
        before, after = old.get(section) or {}, new[section]
        for key in sorted({*before, *after}):
            was, now = before.get(key), after.get(key)
            parts += [f"option {key} ({json.dumps(was)}, now {json.dumps(now)})"] if was != now else []
    return ", ".join(parts[:5]) + (f" and {len(parts) - 5} more" if len(parts) > 5 else "")


def local_engine(classifier: Classifier, context: bool) -> Engine:
    """Scores part after part in this process."""

    def run(works: Iterator[Work]) -> Generator[tuple[int, bytes], None, None]:
        for work in works:
            yield work.number, score_part(classifier, work, context)

    return run


def run_job(job: Job, bundle: Bundle, engine: Engine, say: Callable[[Progress], None] = lambda _: None) -> RunFolder:
    """Score what isn't scored yet, then write findings, rejects, output and summary; returns the run's folder."""
    check_output(job.output)
    folder = RunFolder.of_output(job.output)
    if job.report:
        check_place("--report", job.report, folder)
    if job.table:
        check_place("--findings", job.table, folder)
        check_own_table(job.table, folder)
        check_apart(job.table, job.inputs)
    files = input_files(job.inputs, [job.output, *filter(None, [job.report, job.table])], job.reading.notes)
    before = stamps(files)
    manifest = describe(job, bundle, files)
    keep_foreign(folder, job.output, job.restart)
    with folder.locked():
        keep_changed(folder, job.output, job.restart)
        begin(folder, manifest, job.restart)
        if not is_finished(folder, job.output):
            counts = _score(job, folder, manifest["inputs"], engine, say)
            check_unchanged(manifest["inputs"], before)
            finish(folder, bundle, job.output, files, counts, job.reading.notes)
    return folder


def _score(
    job: Job, folder: RunFolder, inputs: Sequence[Mapping[str, Any]], engine: Engine, say: Callable[[Progress], None]
) -> Counter[str]:
    """Have every part scored that isn't; returns the counts over all parts."""
    files = [item["path"] for item in inputs]
    done, counts = _scored(folder)
    say(Progress(**dict[str, Any](counts), resumed=True))
    total, meter = sum(map(size, files)), job.reading.meter
    meter.read = 0
    works = work_units(files, job.reading, frozenset(done), job.part_rows, unread_of(inputs))
    with closing(engine(works)) as results:
        for number, lines in results:
            write_atomic(folder.part(number), [lines])
            counts.update(tally(lines))
            done.add(number)
            say(Progress(**dict[str, Any](counts), read=min(1.0, meter.read / total) if total else None))
    if done != set(range(len(done))):
        raise ZhenyanError(f"{folder.path}: the engine lost a part; repeat the command, it goes on from there")
    return counts


def _scored(folder: RunFolder) -> tuple[set[int], Counter[str]]:
    """Numbers of the parts that are there, and the counts over them; one that was cut off isn't, and is scored again."""
    done: set[int] = set()
    counts: Counter[str] = Counter(rows=0, hits=0, rejects=0)
    for number in folder.done():
        lines = folder.part(number).read_bytes()
        found = tally(lines)
        if is_whole(lines, found["rows"]):
            done.add(number)
            counts.update(found)
    return done, counts
