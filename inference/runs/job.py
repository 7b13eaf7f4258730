"""A scoring run from inputs to output: parts, resume, rejects, findings, summary."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from zhenyan.inference.bundle import Bundle
from zhenyan.inference.classifier import Classifier
from zhenyan.inference.errors import InputError
from zhenyan.inference.io.items import Options
from zhenyan.inference.io.jsonlines import dump_line, write_atomic
from zhenyan.inference.io.reading import resolve_inputs
from zhenyan.inference.io.writing import check_output, write_output
from zhenyan.inference.runs.findings import collect
from zhenyan.inference.runs.inputs import PART_ROWS, Work, describe_inputs, work_units
from zhenyan.inference.runs.scoring import score_part
from zhenyan.inference.runs.store import FINDINGS, MANIFEST, REJECTS, SUMMARY, RunFolder

Engine = Callable[[Iterator[Work]], Iterable[tuple[int, bytes]]]  # parts in, (number, lines) out, in order


@dataclass(frozen=True)
class RunOptions:
    """What changes a run's result."""

    min_score: float | None = None
    labels: tuple[str, ...] | None = None
    evidence: bool = True
    context: bool = True
    runtime: str = "onnxruntime"


@dataclass(frozen=True)
class Progress:
    """How far a run is; sent after each part."""

    rows: int
    hits: int
    rejects: int
    part: int
    resumed_parts: int


@dataclass
class Job:
    """One run: what to read, where to write, how to decide."""

    inputs: Sequence[str]
    output: Path
    options: RunOptions = RunOptions()
    reading: Options = field(default_factory=Options)
    restart: bool = False


def plan(job: Job, bundle: Bundle) -> tuple[RunFolder, list[str]]:
    """The run's folder, new or to be gone on with; InputError when it belongs to other inputs, bundle or options."""
    check_output(job.output)
    files = resolve_inputs(job.inputs)
    if str(job.output) in files:
        raise InputError(f"{job.output}: is one of the inputs; choose another output")
    folder = RunFolder.of_output(job.output)
    manifest = {
        "format": 1, "bundle": bundle.id, "output": job.output.name, "part_rows": PART_ROWS,
        "thresholds": dict(zip(bundle.label_ids, bundle.thresholds, strict=True)),
        "options": json.loads(json.dumps(asdict(job.options))),
        "reading": {k: v for k, v in vars(job.reading).items() if k != "notes" and v is not None},
        "inputs": describe_inputs(files),
    }  # fmt: skip
    if job.restart:
        shutil.rmtree(folder.path, ignore_errors=True)
    if (folder.path / MANIFEST).exists():
        if different := changed(folder.manifest, manifest):
            raise InputError(
                f"{folder.path} holds a run that differs in {different}; add --restart to score anew, or name another output"
            )
    else:
        (folder.path / "parts").mkdir(parents=True, exist_ok=True)
        write_atomic(folder.path / MANIFEST, [json.dumps(manifest, ensure_ascii=False, indent=1).encode()])
    return folder, files


def changed(old: dict[str, Any], new: dict[str, Any]) -> str:
    """What differs between two manifests, in words; empty when nothing does."""
    before = {item["path"]: item["sha256"] for item in old["inputs"]}
    after = {item["path"]: item["sha256"] for item in new["inputs"]}
    parts = [f"input {path}" for path in sorted({*before, *after}) if before.get(path) != after.get(path)]
    parts += [f"bundle ({old['bundle']}, now {new['bundle']})"] if old["bundle"] != new["bundle"] else []
    for section in ("options", "reading"):
        keys = {*old[section], *new[section]}
        parts += [f"option {k}" for k in sorted(keys) if old[section].get(k) != new[section].get(k)]
    return ", ".join(parts[:5]) + (f" and {len(parts) - 5} more" if len(parts) > 5 else "")


def local_engine(classifier: Classifier, context: bool) -> Engine:
    """Scores part after part in this process."""
    return lambda works: ((work.number, score_part(classifier, work, context)) for work in works)


def run_job(
    job: Job, classifier: Classifier, engine: Engine | None = None, say: Callable[[Progress], None] = lambda _: None
) -> RunFolder:
    """Score what isn't scored yet, then write findings, rejects, summary and the output; returns the run's folder."""
    folder, files = plan(job, classifier.bundle)
    done = folder.done_parts()
    if (folder.path / SUMMARY).exists() and job.output.exists():
        return folder
    counts: Counter[str] = Counter()
    for number in range(done):
        counts.update(_count(folder.part(number).read_bytes()))
    say(Progress(counts["rows"], counts["hits"], counts["rejects"], done, done))
    engine = engine or local_engine(classifier, job.options.context)
    for number, lines in engine(work_units(files, job.reading, done)):
        write_atomic(folder.part(number), [lines])
        counts.update(_count(lines))
        say(Progress(counts["rows"], counts["hits"], counts["rejects"], number + 1, done))
    write_atomic(folder.path / FINDINGS, collect(folder, classifier.bundle))
    rejects = ({"file": files[e["file"]], "place": e["place"], "reason": e["reason"], "value": e["value"]}
               for e in folder.entries() if e["kind"] == "reject")  # fmt: skip
    write_atomic(folder.path / REJECTS, map(dump_line, rejects))
    write_output(job.output, lambda: output_rows(folder, files))
    write_atomic(
        folder.path / SUMMARY, [json.dumps(summarise(folder, job.output), ensure_ascii=False, indent=1).encode()]
    )
    return folder


def output_rows(folder: RunFolder, files: list[str]) -> Iterator[dict[str, Any]]:
    """Rows as the contract has them; with several inputs each says where it comes from."""
    for entry in folder.rows():
        row = entry["row"]
        if len(files) > 1 and "source" not in row:
            row = {**row, "source": f"{files[entry['file']]} {entry['place']}"}
        yield row


def _count(lines: bytes) -> Counter[str]:
    return Counter(
        rows=lines.count(b'{"kind":"row"'),
        rejects=lines.count(b'{"kind":"reject"'),
        hits=lines.count(b'{"kind":"row"') - lines.count(b'"labels":[],"scores":'),
    )


def summarise(folder: RunFolder, output: Path) -> dict[str, Any]:
    """Counts by label, rows, rejects, findings, and the output's digest."""
    labels: Counter[str] = Counter()
    rows = hits = rejects = 0
    for entry in folder.entries():
        if entry["kind"] == "row":
            rows += 1
            hits += bool(entry["row"]["labels"])
            labels.update(entry["row"]["labels"])
        rejects += entry["kind"] == "reject"
    findings = sum(1 for _ in folder.findings())
    with output.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"rows": rows, "hits": hits, "rejects": rejects, "findings": findings,
            "labels": dict(sorted(labels.items())), "output_sha256": digest}  # fmt: skip
