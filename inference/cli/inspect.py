"""`zhenyan doctor` and `zhenyan bundle`: is the model right here, and what is it?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text
from zhenyan.inference import doctor as checks
from zhenyan.inference.bundle import load_bundle, open_tokenizer, read_json

_MODEL = Annotated[Path | None, typer.Option(help="Bundle folder; the bundled model by default.")]


def doctor(
    model: _MODEL = None,
    save: Annotated[
        bool, typer.Option("--save", help="Remember the fastest sound runtime; --runtime auto then uses it.")
    ] = False,
) -> None:
    """Check the bundle on this machine and measure every runtime that is installed.

    A runtime is sound when it decides at most 1 percent of the bundle's probes
    differently from the fp32 model, and scores a text the same, to 1e-5, alone
    and among others.
    """
    console = Console(width=None if sys.stdout.isatty() else 120)
    about = checks.machine()
    console.print(
        f"{about['processor']}, {about['cpus']} processors allowed, {' '.join(about['flags']) or 'no vector flags known'}"
    )
    examined, verdicts, best = checks.run(model)
    table = Table("runtime", "version", "decisions flipped", "largest difference", "alone against batch", "lines/s", "")
    for v in verdicts:
        if v.installed is None:
            table.add_row(v.runtime, "not installed")
        elif v.fault is not None:
            table.add_row(v.runtime, v.installed, "", "", "", "", Text(v.fault, style="red"))
        else:
            table.add_row(v.runtime, v.installed, f"{v.flips:.2%}", f"{v.largest_difference:.4f}", f"{v.batch_invariance:.1e}",
                          f"{v.lines_per_second:,.0f}", "sound" if v.sound else "[red]not sound here[/]")  # fmt: skip
    console.print(table)
    if best is None:
        precision = examined.manifest.get("precision")
        remedy = (
            "its run can be exported with --set export.precision=weights"
            if precision == "int8"
            else "try another version of the runtimes"
        )
        console.print(f"[red]no runtime is sound on this machine; {remedy}[/]")
        raise typer.Exit(1)
    console.print(f"fastest sound runtime: {best.runtime}")
    if save:
        checks.save_choice(examined, verdicts, best)
        console.print(f"saved in {checks.choice_file()}", markup=False)


def bundle(model: _MODEL = None) -> None:
    """Verify a bundle's hashes and describe it: id, training run, each label's threshold and its results in validation."""
    loaded = load_bundle(model)
    open_tokenizer(loaded)
    console = Console(width=None if sys.stdout.isatty() else 120)
    shown = ("bundle_id", "precision", "training_run", "encoder", "commit", "data_sha256", "max_tokens", "normaliser")
    for name in shown:
        console.print(f"{name}: {loaded.manifest.get(name)}", highlight=False, markup=False)
    how = read_json(loaded.folder / "thresholds.json")
    first = Column("label", no_wrap=True)
    table = Table(first, "name", "threshold", "chosen by", "positives", "precision", "recall", "review\nload")
    for label, threshold in zip(loaded.labels, loaded.thresholds, strict=True):
        entry = how[label.id]
        shares = [f"{entry[name]:.1%}" if name in entry else "" for name in ("precision", "recall", "review_load")]
        positives = str(entry.get("positives", ""))
        table.add_row(label.id, label.name_zh, f"{threshold:.3f}", entry.get("chosen_by", ""), positives, *shares)
    console.print(table)
    console.print(
        "positives, precision and recall: of the validation rows; review load: the share a reviewer would be shown"
    )
