"""`zhenyan sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from zhenyan.training.extras import need_extra
from zhenyan.training.overrides import parse


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(sweep)


def sweep(
    config: Annotated[Path, typer.Option(help="What to search (YAML).")] = Path("configs/sweep/optim.yaml"),
    trials: Annotated[int | None, typer.Option(min=1, help="Number of trials, instead of the file's.")] = None,
    set_: Annotated[
        list[str], typer.Option("--set", help="KEY=VALUE over the training configuration, in all trials; repeatable.")
    ] = [],  # noqa: B006
) -> None:
    """Search training values with Optuna: one MLflow run for each trial; weak trials end early, and a search that was cut off continues."""
    need_extra()
    need_extra("sweep")
    from zhenyan.training.sweep import BEST_CONFIG, trials_table
    from zhenyan.training.sweep import sweep as search
    from zhenyan.training.sweep_config import load_sweep

    fixed = parse(set_)
    settings, base = load_sweep(config, fixed)
    if trials:
        settings = settings.model_copy(update={"trials": trials})
    console = Console()
    folder = search(settings, base, fixed, console)
    console.print(trials_table(folder, settings.name))
    console.print(f"the best: zhenyan train --config {folder / BEST_CONFIG}", highlight=False, soft_wrap=True)
