"""How well `zhenyan data audit` finds wrong labels: errors planted in 5 percent of the rows, searched for among as many suspects.

On the written corpus, on public lines that were drawn at random, and on all labelled public lines. What annotators got
wrong themselves counts against the audit, so on real rows the share of suspects that were marked as contested is told
too. Writes audit.json, prints a table.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from zhenyan.training.confidence import Cells
from zhenyan.training.planted import SHARE, Found, plant, search
from zhenyan.training.public import read_labelled
from zhenyan.training.rows import Row, read_rows
from zhenyan.training.schema import load_schema

HERE = Path(__file__).parent
KINDS = ("added", "dropped", "swapped")
LEAST = 0.6  # precision promised at SHARE


def read(cache: Path) -> dict[str, list[Row]]:
    """Sets of labelled rows by name; public ones only where their texts are in the cache."""
    public, _ = read_labelled(["data/labels/*.jsonl"], cache)
    drawn = [row for row in public if row.meta.get("stratum") == "random"]
    sets = {"written corpus": read_rows("data/corpus"), "public, drawn at random": drawn, "public, all": public}
    return {name: rows for name, rows in sets.items() if rows}


def describe(found: Found, rows: Sequence[Row]) -> dict[str, Any]:
    """Precision, planted and flagged rows by kind, and how many of the false alarms two readers could have disputed."""
    kinds = np.array(found.planted.kinds)
    alarms = np.flatnonzero(found.flagged & ~found.planted.where)
    return {
        "planted": int(found.planted.where.sum()),
        "precision": round(found.precision, 4),
        "kinds": {
            kind: {"planted": int((kinds == kind).sum()), "flagged": int(((kinds == kind) & found.flagged).sum())}
            for kind in KINDS
        },
        "contested_of_false_alarms": round(float(np.mean([rows[i].contested for i in alarms] or [0.0])), 4),
    }


def measure(rows: Sequence[Row], labels: list[str], seeds: int, folds: int) -> dict[str, Any]:
    """One search for each seed of the planting; the mean and range of precision over them."""
    cells = Cells.of(rows, labels)
    runs = [describe(search(plant(cells, SHARE, seed), folds, seed), rows) for seed in range(seeds)]
    found = [run["precision"] for run in runs]
    return {
        "rows": len(rows), "contested": round(float(np.mean([row.contested for row in rows])), 4),
        "precision": [round(float(np.mean(found)), 4), min(found), max(found)], "runs": runs,
    }  # fmt: skip


def table(results: dict[str, Any]) -> str:
    """One row a set, as Markdown."""
    lines = [
        "| rows | planted | precision, mean (range) | found of added / dropped / swapped | contested: false alarms / all rows |",
        "|---|---|---|---|---|",
    ]
    for name, one in results["sets"].items():
        mean, low, high = one["precision"]
        kinds = " / ".join(
            f"{sum(run['kinds'][kind]['flagged'] for run in one['runs']) / max(total, 1):.0%}"
            for kind in KINDS
            for total in [sum(run["kinds"][kind]["planted"] for run in one["runs"])]
        )
        disputed = np.mean([run["contested_of_false_alarms"] for run in one["runs"]])
        lines.append(
            f"| {name}, {one['rows']:,} | {one['runs'][0]['planted']:,} | {mean:.3f} ({low:.3f} to {high:.3f}) "
            f"| {kinds} | {disputed:.0%} / {one['contested']:.0%} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, write, print; names the sets that fall short of LEAST."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path("cache/public"), help="the fetched public lines")
    parser.add_argument("--seeds", type=int, default=3, help="plantings of each set")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=HERE, help="folder to write audit.json into")
    options = parser.parse_args()
    labels = load_schema().ids
    sets = {name: measure(rows, labels, options.seeds, options.folds) for name, rows in read(options.cache).items()}
    results = {"share": SHARE, "sets": sets}
    options.output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, ensure_ascii=False, indent=1)
    (options.output / "audit.json").write_text(text + "\n", encoding="utf-8")
    print(table(results))
    for name, one in sets.items():
        if one["precision"][0] < LEAST:
            print(f"{name}: precision {one['precision'][0]:.3f}, promised {LEAST}")


if __name__ == "__main__":
    main()
