"""`make bench`: every system on the same texts in one run; writes results.json and results.svg, prints the table.

What is not as good as promised (LEAST, MOST) is named at the end, and in results.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import machine
import texts
from systems import BERT_BASE, OURS, TEACHER_BF16, System, bert_base_files, systems, teacher_files
from table import plot, table
from zhenyan.inference.bundle import Bundle
from zhenyan.inference.doctor import examine
from zhenyan.inference.session import RUNTIMES

HERE = Path(__file__).parent
ROOT = HERE.parent
CORPUS = ROOT / "data" / "corpus"
TOKENS_PER_STREAM_HOUR = 18_000  # an hour of selling speech, 4 to 5 characters a second
TEXTS, MILLION = 3000, 1_000_000
STARTS = 3  # processes that are started to measure a start
START_OURS = "from zhenyan.inference import Classifier; Classifier.load({path!r})"
START_THEIRS = "from transformers import pipeline; pipeline('text-classification', model={path!r}, device='cpu')"
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "true"}
LEAST = {
    "batch_vs_pipeline_bert_base": 60.0, "batch_vs_openvino_bf16_teacher": 2.0, "latency_vs_pipeline_bert_base": 15.0,
    "start_vs_transformers": 6.0,
}  # fmt: skip
MOST = {"start of zhenyan, s": 0.5, "MiB for a million lines": 250.0, "MiB of wheels": 150.0}


def run_worker(system: System, source: list[str], work: Path, threads: int) -> dict[str, Any]:
    """Measure one system in its own process; {"error": ...} when it can't be."""
    file = work / "texts.json"
    file.write_text(json.dumps(source), encoding="utf-8")
    command = [sys.executable, str(HERE / "worker.py"), system.kind, system.path, str(file), "--threads", str(threads),
               "--passes", str(system.passes)]  # fmt: skip
    limited = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")}
    return _last_line(
        subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ | OFFLINE | limited)
    )


def _last_line(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The JSON that a program printed last; {"error": its last words} when it failed."""
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def finish_row(
    row: dict[str, Any], system: System, tokens: float, threads: int, limit: dict[str, float]
) -> dict[str, Any]:
    """Derived numbers: tokens, stream-hours, shares of the machine's limits in the precision used (1 is perfect)."""
    if "error" in row:
        return {"name": system.name, **row}
    tokens_per_s = row["lines_per_s"] * tokens
    shares: dict[str, float | None] = {"share_of_limit": None, "latency_share": None}
    if system.layers:
        shape = system.layers, system.hidden, tokens
        share = row["lines_per_s"] / machine.lines_limit(*shape, limit[system.precision])
        latency = machine.line_floor_ms(*shape, system.precision, limit) / row["p50_ms"]
        shares = {"share_of_limit": round(share, 3), "latency_share": round(latency, 3)}
    return {
        "name": system.name, **{k: round(v, 3) for k, v in row.items()}, "precision": system.precision,
        "tokens_per_s": round(tokens_per_s),
        "stream_hours_per_core_hour": round(tokens_per_s * 3600 / TOKENS_PER_STREAM_HOUR / threads, 1), **shares,
    }  # fmt: skip


def mark_sound(rows: list[dict[str, Any]], bundle: Bundle) -> None:
    """Whether the bundle may be used in each runtime on this machine, as `zhenyan doctor` judges."""
    for name, runtime in zip(OURS, RUNTIMES, strict=True):
        for row in (row for row in rows if row["name"] == name and "error" not in row):
            row["sound"] = examine(bundle, runtime, seconds=0.1).sound


def start_seconds(code: str) -> float:
    """Median seconds of a fresh process running `code`, less an empty interpreter's; the first, cold run is left out."""

    def once(source: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, env=os.environ | OFFLINE)
        return time.perf_counter() - began

    once(code)
    return statistics.median(once(code) for _ in range(STARTS)) - statistics.median(once("pass") for _ in range(STARTS))


def ratios(rows: list[dict[str, Any]], starts: dict[str, float]) -> dict[str, float]:
    """Ours against the named peers; larger is better for us. The bundle counts in its faster runtime that is sound here."""
    by_name = {row["name"]: row for row in rows if "error" not in row}
    ours = [by_name[name] for name in OURS if name in by_name and by_name[name]["sound"]]
    found = {"start_vs_transformers": starts["transformers"] / starts["zhenyan"]}
    for name, peer in (("pipeline_bert_base", BERT_BASE), ("openvino_bf16_teacher", TEACHER_BF16)):
        if ours and peer in by_name:
            found[f"batch_vs_{name}"] = max(row["lines_per_s"] for row in ours) / by_name[peer]["lines_per_s"]
    if ours and BERT_BASE in by_name:
        quickest = min(row["p50_ms"] for row in ours)
        found["latency_vs_pipeline_bert_base"] = by_name[BERT_BASE]["p50_ms"] / quickest
    return {name: round(value, 2) for name, value in found.items()}


def install_size() -> dict[str, Any]:
    """How many wheels a base install takes and their MiB; {"error": ...} where no package index can be reached."""
    with tempfile.TemporaryDirectory() as scratch:
        source, wheels = Path(scratch) / "source", Path(scratch) / "wheels"
        source.mkdir()
        for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
            shutil.copy(ROOT / name, source)
        for name in ("inference", "training"):
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", str(source)]
        done = subprocess.run([*command, "--wheel-dir", str(wheels)], capture_output=True, text=True)
        if done.returncode:
            return _last_line(done)
        sizes = {path.name: path.stat().st_size / 2**20 for path in wheels.glob("*.whl")}
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
    return {"wheels": len(sizes), "mib": round(sum(sizes.values()), 1), "largest": {n: round(s, 1) for n, s in largest}}


def million_lines(rows: int, bundle: Path) -> dict[str, Any]:
    """Peak memory of `zhenyan score` on a file of so many lines.

    Started by a small process: a peak that the kernel reports includes what the parent held when it forked.
    """
    code = f"import json, memory, pathlib; print(json.dumps(memory.measure({rows}, '.jsonl', pathlib.Path({str(bundle)!r}))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=HERE)
    return _last_line(done)


def measure_systems(
    bundle: Path, teacher: Path | None, threads: int, scale: float, work: Path
) -> tuple[dict[str, Any], Path]:
    """Limits, tokens a line, a row for each system; and the folder of the BERT-base shape."""
    from tokenizers import Tokenizer
    from zhenyan.training.rows import read_rows

    bert_base = work / "bert-base"
    teacher_files(work / "teacher", teacher)
    bert_base_files(bert_base, work / "teacher" / "pipeline")
    source = texts.make(TEXTS, [row.text for row in read_rows(CORPUS)])
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch(source)) / len(source)
    limit, rows = machine.limits(threads), []
    for system in systems(bundle, work / "teacher", bert_base, CORPUS):
        few = source[: max(40, round(scale * system.texts))]
        rows.append(finish_row(run_worker(system, few, work, threads), system, tokens, threads, limit))
        print(json.dumps(rows[-1], ensure_ascii=False), flush=True)
    found = {"limits": {k: round(v, 1) for k, v in limit.items()}, "tokens_per_line": round(tokens, 1), "rows": rows}
    return found, bert_base


def broken_promises(results: dict[str, Any]) -> list[str]:
    """What is not as good as promised; what could not be measured is not."""
    short = [f"{name}: {results['ratios'].get(name)}, promised at least {least:g}"
             for name, least in LEAST.items() if results["ratios"].get(name, 0) < least]  # fmt: skip
    measured = zip(MOST.items(), (results["start_s"]["zhenyan"], results["million_lines"].get("peak_mib"),
                                  results["install"].get("mib")), strict=True)  # fmt: skip
    long = [f"{name}: {value}, promised at most {most:g}" for (name, most), value in measured
            if value is None or value > most]  # fmt: skip
    return short + long


def main() -> None:
    """Measure everything, write it, print the table."""
    from zhenyan.inference import load_bundle
    from zhenyan.inference.cpu import allowed_cpus
    from zhenyan.inference.doctor import machine as processor

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=ROOT / "inference" / "model")
    parser.add_argument("--teacher", type=Path, help="run folder of the teacher; the untrained encoder by default")
    parser.add_argument("--threads", type=int, help="all the process may use by default")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of results.json and results.svg")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the texts and lines, for a quick trial")
    given = parser.parse_args()
    began, threads, bundle = time.perf_counter(), given.threads or allowed_cpus(), load_bundle(given.bundle)
    results: dict[str, Any] = {"date": date.today().isoformat(), "machine": processor(), "threads": threads,
                               "bundle": bundle.id, "precision": bundle.manifest["precision"]}  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="zhenyan-bench-") as scratch:
        found, bert_base = measure_systems(bundle.folder, given.teacher, threads, given.scale, Path(scratch))
        codes = {"zhenyan": (START_OURS, bundle.folder), "transformers": (START_THEIRS, bert_base)}
        starts = {n: round(start_seconds(code.format(path=str(path))), 3) for n, (code, path) in codes.items()}
    mark_sound(found["rows"], bundle)
    results |= found | {"start_s": starts, "ratios": ratios(found["rows"], starts)}
    results["million_lines"] = million_lines(round(given.scale * MILLION), bundle.folder)
    results["install"] = install_size()
    results["broken_promises"] = broken_promises(results)
    results["seconds"] = round(time.perf_counter() - began)
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "results.json").write_text(
        json.dumps(results, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )
    plot(results, given.output / "results.svg")
    print(table(results))
    print(*results["broken_promises"], sep="\n")


if __name__ == "__main__":
    main()
