"""Printing what was checked and measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from zhenyan.training.corpus_check import Findings

_SINGULAR = {"batches": "batch", "rooms": "room", "sources": "source", "domains": "domain"}


def _places(counts: Mapping[str, Any]) -> str:
    """How many author batches, rooms, other sources and domains the rows are of, where they name any."""
    parts = [f"{n:,} {one if n == 1 else many}" for many, one in _SINGULAR.items() if (n := counts[many])]
    return f" in {', '.join(parts[:-1])}{' and ' * (len(parts) > 1)}{parts[-1]}" if parts else ""


def print_check(found: Findings, console: Console, notes: bool) -> None:
    """Counts, repeated phrases, faults, and the notes when asked."""
    counts = found.counts
    waiting = f", {counts['waiting']:,} whose labels wait for a person" if counts["waiting"] else ""
    console.print(
        f"{counts['rows']:,} rows{_places(counts)}: "
        f"{counts['compliant']:,} compliant ({counts['hard']:,} hard), {counts['violating']:,} violating "
        f"({counts['multi_label']:,} with several labels){waiting}, {counts['minimal_pairs']} minimal pairs; channels {counts['channels']}"
    )
    table = Table("label", "train", "validation", "test", "all")
    for label, by in counts["labels"].items():
        table.add_row(label, *(str(by.get(name, 0)) for name in ("train", "validation", "test")), str(sum(by.values())))
    console.print(table)
    if any(counts["distinct_n"].values()):  # of written rows
        console.print(", ".join(f"{name} {value}" for name, value in counts["distinct_n"].items()))
        console.print(
            "most repeated 8-grams: " + ", ".join(f"{gram} ×{n}" for n, gram in counts["most_repeated_8_grams"])
        )
    for empty in found.empty_splits:
        console.print(f"[yellow]splits[/] {escape(empty)}", highlight=False, soft_wrap=True)
    for fault in found.faults:
        console.print(f"[red]fault[/] {escape(fault)}", highlight=False, soft_wrap=True)
    if notes:
        for note in found.notes:
            console.print(f"[yellow]look[/] {escape(note)}", highlight=False, soft_wrap=True)
        if found.absent_groups:
            absent = f"groups that no row read here is of, so that nothing of them is held out: {', '.join(found.absent_groups)}"
            console.print(f"[yellow]splits[/] {escape(absent)}", highlight=False, soft_wrap=True)
    console.print(f"{len(found.faults)} faults, {len(found.notes)} rows that deserve another look (--notes lists them)")
