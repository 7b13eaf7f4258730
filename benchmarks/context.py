"""What neighbouring lines add: labels of windows of three utterances, from their lines alone and with context.

The windows (data/labels/windows/) were labelled by reading: each line alone, and the three together. Most of their
lines are training rows too, so only the difference between the two measurements means something, not their height.
Needs the public lines (`zhenyan data fetch`); prints a table and, with --json, writes it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from zhenyan.training.metrics import report
from zhenyan.training.public import documents, load_sources
from zhenyan.training.rows import text_key
from zhenyan.training.schema import Schema, load_schema
from zhenyan.training.utterances import split_utterances

WINDOWS = Path("data/labels/windows/windows.jsonl")


def texts_by_key(cache: Path) -> dict[str, str]:
    """SHA-256 -> utterance, of every public file that is in the cache."""
    lines: dict[str, str] = {}
    for source in load_sources():
        if (path := cache / source.name).exists():
            lines |= {text_key(line): line for text, *_ in documents(path) for line in split_utterances(text)}
    return lines


def findings(windows: list[list[str]], folder: Path) -> list[dict[str, Any]]:
    """What `zhenyan score` finds when each window is a stream of its own; SystemExit when it fails."""
    rows = [{"stream": str(n), "text": text} for n, window in enumerate(windows) for text in window]
    source = folder / "windows.jsonl"
    source.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("zhenyan")), "score", str(source), "-o", str(folder / "out.jsonl")]
    done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    if done.returncode:  # what it says of the fault stands on the terminal already
        raise SystemExit(f"{' '.join(command)}: ended with exit code {done.returncode}; mend what it names above")
    found = next(folder.rglob("findings.jsonl"))
    return [json.loads(line) for line in found.read_text(encoding="utf-8").splitlines()]


def decided(found: list[dict[str, Any]], count: int, schema: Schema, context: bool) -> np.ndarray:
    """bool (windows, labels): found in a line alone or, with `context`, in neighbours read together."""
    result = np.zeros((count, len(schema.ids)), dtype=bool)
    for finding in found:
        if context or not finding["context"]:
            result[int(finding["stream"]), schema.ids.index(finding["label"])] = True
    return result


def measure(cache: Path) -> dict[str, Any]:
    """Reports over the windows without and with context, and how many windows need it."""
    schema, texts = load_schema(), texts_by_key(cache)
    records = [json.loads(line) for line in WINDOWS.read_text(encoding="utf-8").splitlines()]
    kept = [record for record in records if all(key in texts for key in record["sha256"])]
    if not kept:
        raise SystemExit(f"{cache}: none of the windows' lines are here; run `zhenyan data fetch` first")
    truth = np.array([[label in record["window"] for label in schema.ids] for record in kept])
    alone = np.array([[any(label in line for line in r["labels"]) for label in schema.ids] for r in kept])
    with tempfile.TemporaryDirectory() as scratch:
        found = findings([[texts[key] for key in record["sha256"]] for record in kept], Path(scratch))
    needs = (truth & ~alone).any(1)
    result = {"windows": len(kept), "violating": int(truth.any(1).sum()), "labels_only_together": int(needs.sum())}
    for name, context in (("lines_alone", False), ("with_context", True)):
        given = decided(found, len(kept), schema, context)
        scores = report(truth, given, schema.ids, schema.core)
        caught = int((truth & ~alone & given).any(1).sum())
        result[name] = {key: scores[key] for key in ("any_violation", "micro")} | {"only_together_found": caught}
    return result


def main() -> None:
    """Print the measurement, and keep it when asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path("cache/public"), help="the fetched public lines")
    parser.add_argument("--json", type=Path, help="file to write")
    options = parser.parse_args()
    text = json.dumps(measure(options.cache), indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
