"""Fills the marked blocks of README.md and the pages in docs from what was measured, so that no number stands in two places.

    python docs/tables.py                                   write every block anew
    python docs/tables.py --accuracy "NAME=out/test.json"   also take what `zhenyan evaluate --json` wrote into
                                                            benchmarks/accuracy.json, under NAME; repeatable

A block is <!-- example --> (what the README's Python prints), <!-- accuracy -->, <!-- speed --> or
<!-- notebook FILE CELL -->, up to the same name with a slash.
benchmarks/accuracy.json is {set name: {system: what `zhenyan evaluate` measured}}, without texts and curves.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zhenyan.training.metrics import bounds, calibration_words
from zhenyan.training.schema import load_schema

ROOT = Path(__file__).resolve().parents[1]
ACCURACY, SPEED = ROOT / "benchmarks" / "accuracy.json", ROOT / "benchmarks" / "results.json"
KEPT = ("rows", "any_violation", "core_micro", "micro", "core_macro_f1", "macro_f1", "labels", "calibration_error",
        "calibration_error_any_violation", "calibration_error_labels", "false_alarms", "minimal_pairs")  # fmt: skip
ALARMS = {"all": "all {:,} compliant lines", "hard": "the {:,} hard ones", "plain": "the {:,} plain ones"}
LINES = {"any_violation": "any violation", "core_micro": "core labels, pooled", "micro": "all labels, pooled"}
BLOCK = re.compile(r"(<!-- (example|accuracy|speed|notebook)( [^>]*?)? -->\n).*?(<!-- /\2 -->)", re.DOTALL)
NOT_YET = "Not measured yet.\n"
FEW = 10  # lines of a label below which its scores say nothing


def compact(report: dict[str, Any]) -> dict[str, Any]:
    """What is kept of the models in a record of `zhenyan evaluate`: {system: measures}."""
    kept = {}
    for system, found in report.items():
        kept[system] = {key: found[key] for key in KEPT if key in found}
        if "evasion" in found:
            kept[system]["evasion"] = {key: found["evasion"][key] for key in ("plain", "mean_fall", "worst_fall")}
    return kept


def measured(item: str) -> tuple[str, dict[str, Any]]:
    """The name and the measures behind NAME=FILE; ArgumentTypeError where `zhenyan evaluate --json` wrote no such file."""
    name, _, path = item.partition("=")
    try:
        return name, compact(json.loads(Path(path).read_text(encoding="utf-8"))["models"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        what = f"{path or item!r}: {type(error).__name__}: {error}"
        raise argparse.ArgumentTypeError(f"{what}; give NAME=FILE, a file of `zhenyan evaluate --json`") from None


def take_in(found: list[tuple[str, dict[str, Any]]]) -> None:
    """Put what was measured into benchmarks/accuracy.json, by name."""
    known = json.loads(ACCURACY.read_text(encoding="utf-8")) if ACCURACY.exists() else {}
    known |= dict(found)
    ACCURACY.write_text(json.dumps(known, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def example() -> str:
    """What the README's first Python block prints with the bundled model."""
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert code, "README.md: no Python block"
    done = subprocess.run([sys.executable, "-c", code[1]], capture_output=True, text=True, check=True)
    return f"```text\n{done.stdout}```\n"


def accuracy() -> str:
    """A table for each set: precision / recall / F1 and its 95 percent interval, systems side by side."""
    if not ACCURACY.exists():
        return NOT_YET
    sets = json.loads(ACCURACY.read_text(encoding="utf-8"))
    return "\n".join(_accuracy_table(name, systems) for name, systems in sets.items())


def _accuracy_table(name: str, systems: dict[str, Any]) -> str:
    first = next(iter(systems.values()))
    lines = [f"**{name}**, {first['rows']:,} lines; precision / recall / **F1** (95 % interval)\n",
             "| | lines with it | " + " | ".join(systems) + " |", "|---" * (2 + len(systems)) + "|"]  # fmt: skip
    for words, find in _measures(first):
        cells = " | ".join(_cell(find(found)) for found in systems.values())
        lines.append(f"| {words} | {find(first)['positives']:,} | {cells} |")
    lines += [f"\n{note}" for note in _notes(first)]
    return "\n".join(lines) + "\n"


def _measures(first: dict[str, Any]) -> list[tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]]:
    """Rows of the table: pooled measures, then every label with ten lines or more, the core ones first."""
    pooled = [(words, lambda found, key=key: found[key]) for key, words in LINES.items()]
    core = load_schema(ROOT / "configs" / "labels.yaml").core
    ids = sorted(first["labels"], key=lambda label: label not in core)
    return pooled + [
        (f"`{label}`", lambda found, label=label: found["labels"][label])
        for label in ids
        if first["labels"][label]["positives"] >= FEW
    ]


def _cell(score: dict[str, Any]) -> str:
    return f"{score['precision']:.2f} / {score['recall']:.2f} / **{score['f1']:.3f}** ({bounds(score, '–')})"


def _notes(found: dict[str, Any]) -> list[str]:
    """Calibration, false alarms and disguises of the first system, in a sentence each."""
    notes = [f"Calibration error: {words}."] if (words := calibration_words(found)) else []
    if alarms := found.get("false_alarms"):
        parts = [f"{part['rate']:.1%} of {ALARMS[name].format(part['rows'])}" for name, part in alarms.items()]
        notes.append(f"False alarms: {', '.join(parts)}.")
    if evasion := found.get("evasion"):
        falls = f"{100 * evasion['mean_fall']:.1f} points on average, {100 * evasion['worst_fall']:.1f} at worst"
        disguised = "With the lines disguised (homophones, split characters, code words ...)"
        notes.append(f"{disguised}, any-violation F1 falls by {falls}.")
    if few := sum(0 < label["positives"] < FEW for label in found["labels"].values()):
        notes.append(f"Not shown: {few} labels with fewer than {FEW} lines (they are in `benchmarks/accuracy.json`).")
    return [" ".join(notes)] if notes else []


def speed() -> str:
    """The table of benchmarks/, as its own program writes it."""
    if not SPEED.exists():
        return NOT_YET
    results = json.loads(SPEED.read_text(encoding="utf-8"))
    machine = results["machine"]
    head = (
        f"{machine['processor']}, {results['threads']} threads, {results['tokens_per_line']} tokens a line, "
        f"bundle {results['bundle']}, {results['date']}.\n"
    )
    return f"{head}\n{_benchmark().table(results)}\n"


def _benchmark() -> Any:
    spec = importlib.util.spec_from_file_location("zhenyan_benchmark", ROOT / "benchmarks" / "table.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def notebook(where: str) -> str:
    """What a notebook's cell printed, warnings aside: `where` is the file's name and the cell's id."""
    name, cell_id = where.split()
    cells = json.loads((ROOT / "notebooks" / name).read_text(encoding="utf-8"))["cells"]
    cell = next(cell for cell in cells if cell["id"] == cell_id)
    printed = "".join("".join(out["text"]) for out in cell["outputs"] if out.get("name") == "stdout")
    return f"```text\n{printed.rstrip()}\n```\n" if printed.strip() else "The notebook hasn't been run yet.\n"


def fill(text: str) -> str:
    """The page with every marked block written anew."""

    def block(match: re.Match[str]) -> str:
        kind, argument = match[2], (match[3] or "").strip()
        made = (
            notebook(argument)
            if kind == "notebook"
            else {"example": example, "accuracy": accuracy, "speed": speed}[kind]()
        )
        return f"{match[1]}{made}{match[4]}"

    return BLOCK.sub(block, text)


def pages() -> list[Path]:
    """Everything that people read, except the notebooks."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def main() -> None:
    """Take results in, then fill every page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accuracy", action="append", default=[], type=measured, metavar="NAME=FILE")
    given = parser.parse_args()
    if given.accuracy:
        take_in(given.accuracy)
    for page in pages():
        page.write_text(fill(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
