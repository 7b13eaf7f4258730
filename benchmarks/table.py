"""results.json as a Markdown table and as a plot: `python benchmarks/table.py` prints the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_HEAD = ("system", "lines/s", "tokens/s", "stream-hours per core-hour", "share of the arithmetic limit",
         "one line p50 / p99, ms", "peak MiB", "import + load, s")  # fmt: skip
_RATIOS = {
    "batch_vs_pipeline_bert_base": "batch, against the BERT-base pipeline",
    "batch_vs_openvino_bf16_teacher": "batch, against OpenVINO bf16 on the teacher",
    "latency_vs_pipeline_bert_base": "one line's p50, against the BERT-base pipeline",
    "start_vs_transformers": "start of a fresh process, against transformers and its pipeline "
    "({zhenyan:.2f} s / {transformers:.2f} s)",
}


def table(results: dict[str, Any]) -> str:
    """Every row, the ratios, and what was measured once."""
    lines = [_line(_HEAD), _line(["---"] * len(_HEAD)), *map(_row, results["rows"])]
    return "\n".join([*lines, "", *_ratios(results), "", _once(results)])


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _row(row: dict[str, Any]) -> str:
    if "error" in row:
        return _line([row["name"], f"not measured: {row['error'][:80]}", *[""] * (len(_HEAD) - 2)])
    share = f"{row['share_of_limit']:.0%}" if row["share_of_limit"] is not None else ""
    name = row["name"] if row.get("sound", True) else f"{row['name']} (not sound here, not counted)"
    return _line([
        name, f"{row['lines_per_s']:,.0f}", f"{row['tokens_per_s']:,.0f}",
        f"{row['stream_hours_per_core_hour']:,.0f}", share, f"{row['p50_ms']:.1f} / {row['p99_ms']:.1f}",
        f"{row['peak_mib']:,.0f}", f"{row['start_s']:.2f}",
    ])  # fmt: skip


def _ratios(results: dict[str, Any]) -> list[str]:
    found = results["ratios"]
    named = {name: said.format(**results["start_s"]) for name, said in _RATIOS.items() if name in found}
    return ["| ratio (the bundle in its best sound runtime for each) | times better |", "|---|---|",
            *(_line([said, f"{found[name]:.1f}"]) for name, said in named.items())]  # fmt: skip


def _once(results: dict[str, Any]) -> str:
    """A sentence each: limits of the machine, memory of a large file, size of the install."""
    limit = results["limits"]
    said = [f"Limits of the machine, measured: {limit['fp32']:,.0f} GFLOP/s in fp32, {limit['bf16']:,.0f} in bf16, "
            f"{limit['int8']:,.0f} Gop/s in int8, {limit['memory_gb_per_s']:.0f} GB/s of memory."]  # fmt: skip
    memory, install = results["million_lines"], results["install"]
    if "error" not in memory:
        said.append(f"Peak memory of `zhenyan score` on {memory['rows']:,} lines: {memory['peak_mib']:,.0f} MiB.")
    if "error" not in install:
        said.append(f"Base install: {install['wheels']} wheels, {install['mib']:.0f} MiB.")
    return " ".join(said)


def plot(results: dict[str, Any], path: Path) -> None:
    """Lines a second of every system, as bars; written as SVG with its text as text."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "zhenyan"}
    import matplotlib.pyplot as plt

    rows = [row for row in results["rows"] if "error" not in row][::-1]
    figure, axes = plt.subplots(figsize=(9, 0.45 * len(rows) + 1.2))
    colours = ["#0b5cad" if row["name"].startswith("zhenyan") else "#9aa7b4" for row in rows]
    bars = axes.barh([row["name"] for row in rows], [row["lines_per_s"] for row in rows], color=colours)
    axes.bar_label(bars, fmt="{:,.0f}", padding=3)
    axes.margins(x=0.15)
    axes.set(xscale="log", xlabel="lines per second (log)",
             title=f"{results['machine']['processor']}, {results['threads']} threads, {results['date']}")  # fmt: skip
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    print(table(json.loads((HERE / "results.json").read_text(encoding="utf-8"))))
