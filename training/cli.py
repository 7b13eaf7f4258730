"""The commands of `zhenyan` that need the train extra. Importing this module is cheap: heavy imports are in the bodies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import rich.console
import typer
from zhenyan.inference.cli.labels import Thresholds
from zhenyan.inference.errors import ConfigError
from zhenyan.training import cli_data, cli_registry, cli_sweep, overrides
from zhenyan.training.extras import need_extra

_DEFAULT = Path("configs/train/default.yaml")
data = typer.Typer(
    help="Corpus: fetch public lines, check, sample what to label next, import labels, audit, fix, hash, migrate.",
    no_args_is_help=True,
)
cli_data.register(data)


def register(app: typer.Typer) -> None:
    """Add the training commands; called through the entry point group `zhenyan.commands`."""
    app.command()(train)
    app.command()(average)
    app.command()(export)
    app.command()(evaluate)
    app.command()(cross_validate)
    cli_registry.register(app)
    cli_sweep.register(app)
    app.add_typer(data, name="data")


@data.command("fetch")
def fetch(
    source: Annotated[Path | None, typer.Option("--from", help="A local copy instead of the network.")] = None,
    cache: Annotated[Path, typer.Option(help="Where the lines are kept.")] = Path("cache/public"),
    sources: Annotated[Path, typer.Option(help="The list of files, addresses and digests.")] = Path("data/public.yaml"),
) -> None:
    """Fetch the public livestream lines that the committed labels belong to."""
    need_extra()
    from zhenyan.training import public

    report = public.fetch(cache, source, public.load_sources(sources), typer.echo)
    typer.echo(
        f"{len(report.fetched)} files in {cache}" + (f", {len(report.missing)} missing" if report.missing else "")
    )
    raise typer.Exit(1 if report.missing else 0)


def train(
    config: Annotated[
        Path | None, typer.Option(help="Training configuration (YAML); configs/train/default.yaml by default.")
    ] = None,
    warm_start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Start from this model (a run's model folder, or a bundle); head rows are kept by label name.",
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Continue this run folder, which was cut off, with its own configuration.")
    ] = None,
    set_: Annotated[
        list[str], typer.Option("--set", help="KEY=VALUE over the file, such as optim.epochs=2; repeatable.")
    ] = [],  # noqa: B006
) -> None:
    """Train a model, choose thresholds on validation rows and track everything in MLflow.

    The run is written to runs/NAME-TIME (`runs` and `name` of the configuration): model, thresholds, metrics, plots.
    """
    need_extra()
    from zhenyan.training import config as configs
    from zhenyan.training.distributed import is_first
    from zhenyan.training.train import train as run

    if resume and (config or set_):
        raise ConfigError(
            f"--resume {resume}: the run goes on by the configuration it began with; leave --config and --set away, or "
            "start another run"
        )
    if resume and not (resume / configs.CONFIG).is_file():
        raise ConfigError(
            f"--resume {resume}: no run folder ({configs.CONFIG} is missing); give the folder of a run, such as runs/NAME"
        )
    settings = configs.load_config((resume / configs.CONFIG) if resume else config or _DEFAULT, overrides.parse(set_))
    console = rich.console.Console(quiet=not is_first())
    result = run(settings, warm_start=warm_start, resume=resume, console=console)
    console.print(f"{result.folder}: {summary(result.metrics)}")


def average(
    models: Annotated[
        list[str],
        typer.Argument(help="FOLDER=SHARE for each model (a run's model folder, or a bundle); the shares add up to 1."),
    ],
    config: Annotated[
        Path, typer.Option(help="Configuration (YAML) with the new run's name and validation rows.")
    ] = _DEFAULT,
    set_: Annotated[
        list[str], typer.Option("--set", help="KEY=VALUE over the file, such as voice.shift=1; repeatable.")
    ] = [],  # noqa: B006
) -> None:
    """Average the weights of models that began from the same weights, or finish one (FOLDER=1) anew.

    Calibration and thresholds are fitted anew. Character pairs are dropped, and fitted anew where `pairs` is set; `voice` is added.

    The run is written to runs/NAME-TIME (`runs` and `name` of the configuration), as by `zhenyan train`.
    """
    need_extra()
    from zhenyan.training import average as averages
    from zhenyan.training.config import load_config

    console = rich.console.Console()
    result = averages.average(load_config(config, overrides.parse(set_)), averages.parse_shares(models), console)
    console.print(f"{result.folder}: {summary(result.metrics)}")


def summary(found: dict[str, Any]) -> str:
    """What a run prints of its metrics."""
    core = f"core micro F1 {found['core_micro']['f1']:.3f}, " if "core_micro" in found else ""
    return f"validation any-violation F1 {found['any_violation']['f1']:.3f}, {core}macro F1 {found['macro_f1']:.3f}"


def export(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Bundle folder to write.")],
    set_: Annotated[
        list[str],
        typer.Option(
            "--set",
            help="thresholds.KEY=VALUE (thresholds are then chosen anew) or export.KEY=VALUE; repeatable.",
        ),
    ] = [],  # noqa: B006
) -> None:
    """Write a run as an ONNX bundle, if it passes the gate; the table is printed either way."""
    need_extra()
    from zhenyan.training.export import export_run

    raise typer.Exit(0 if export_run(run, output, rich.console.Console(), overrides.parse(set_)) else 1)


@data.command("check")
def check(
    paths: Annotated[
        list[str] | None, typer.Argument(help="JSON Lines files, written or hashed; the written corpus by default.")
    ] = None,
    cache: Annotated[Path, typer.Option(help="Public lines that hashed labels are joined with.")] = Path(
        "cache/public"
    ),
    schema: Annotated[Path, typer.Option(help="Label schema.")] = Path("configs/labels.yaml"),
    splits: Annotated[Path, typer.Option(help="Held-out groups.")] = Path("data/splits.yaml"),
    notes: Annotated[bool, typer.Option(help="Also list rows that deserve another look.")] = False,
) -> None:
    """Check a corpus: schema, duplicates, splits, pairs, repeated phrases; every message names file and line."""
    need_extra()
    from zhenyan.training.corpus_check import check_corpus
    from zhenyan.training.public import by_kind, join_labels, left_out
    from zhenyan.training.reports import print_check
    from zhenyan.training.rows import read_all
    from zhenyan.training.schema import load_schema
    from zhenyan.training.splits import load_splits

    written, hashed = by_kind(paths or ["data/corpus/*.jsonl"])
    rows, unreadable = read_all(written) if written else ([], [])
    public, missing = join_labels(hashed, cache, faults=unreadable) if hashed else ([], 0)
    if missing:
        typer.echo(left_out(missing, cache))
    found = check_corpus(rows, load_schema(schema), load_splits(splits), public)
    found.faults[:0] = unreadable
    print_check(found, rich.console.Console(), notes)
    raise typer.Exit(1 if found.faults else 0)


def evaluate(
    model: Annotated[
        str | None,
        typer.Option(
            help="Folder of a bundle or an exported run, runs:/ID or models:/zhenyan@champion; the bundled model by default."
        ),
    ] = None,
    rows: Annotated[
        list[str] | None,
        typer.Option(
            help="Labelled JSON Lines files to measure on, written or hashed; the written test split by default; repeatable."
        ),
    ] = None,
    baselines: Annotated[bool, typer.Option(help="Also measure a word list and TF-IDF + logistic regression.")] = True,
    evasion: Annotated[bool, typer.Option(help="Also measure every disguise.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="HTML file: curves, confusions, calibration, slices, hardest errors.")
    ] = None,
    record: Annotated[Path | None, typer.Option("--json", help="JSON file with all that was measured.")] = None,
    errors: Annotated[
        int,
        typer.Option(
            min=0,
            help="Misses and false alarms to explain for each label in --report and --json; 0 keeps texts out of them.",
        ),
    ] = 5,
    config: Annotated[
        Path, typer.Option(help="Where training rows come from, for TF-IDF and to explain errors.")
    ] = _DEFAULT,
    threshold: Thresholds = None,
) -> None:
    """Measure a bundle on labelled rows: precision, recall, F1 with bootstrap intervals, beside two baselines."""
    need_extra()
    from zhenyan.training.evaluation_run import Options, evaluate_bundle

    options = Options(baselines, evasion, errors, report, record, threshold or ())
    evaluate_bundle(model, rows, config, options, rich.console.Console(width=160))


def cross_validate(
    config: Annotated[Path, typer.Option(help="Training configuration (YAML), without teachers.")] = Path(
        "configs/train/cross-validation.yaml"
    ),
    folds: Annotated[int, typer.Option(min=2, help="Number of folds; authors and rooms stay whole.")] = 5,
    record: Annotated[Path | None, typer.Option("--json", help="JSON file with all that was measured.")] = None,
    set_: Annotated[
        list[str], typer.Option("--set", help="KEY=VALUE over the file, such as optim.epochs=2; repeatable.")
    ] = [],  # noqa: B006
) -> None:
    """Train once for each fold of authors and rooms; measure each training row by a model that never saw its author or room."""
    need_extra()
    from zhenyan.inference.io.jsonlines import write_atomic
    from zhenyan.inference.runs.store import object_bytes
    from zhenyan.training import config as configs
    from zhenyan.training import cross_validation
    from zhenyan.training.outputs import make_folder

    console = rich.console.Console()
    settings = configs.load_config(config, overrides.parse(set_))
    if record:
        make_folder("--json", record)  # before hours of training
    measured = cross_validation.cross_validate(settings, folds, console)
    if record:
        write_atomic(record, [object_bytes(measured)])
    console.print(cross_validation.fold_table(measured))
    if quartiles := measured["groups"]["quartiles"]:  # none where no author or room has enough violating rows
        low, middle, high = quartiles
        console.print(f"any violation F1 over authors and rooms, quartiles: {low:.3f} {middle:.3f} {high:.3f}")
