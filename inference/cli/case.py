"""`zhenyan evidence` and `zhenyan verify`: the evidence file of a case."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from zhenyan.inference.bundle import load_bundle
from zhenyan.inference.classifier import Classifier
from zhenyan.inference.cli.review import keep_from, named_database, review_database, reviewed_where, run_in
from zhenyan.inference.cli.table import printable
from zhenyan.inference.errors import ConfigError
from zhenyan.inference.evidence_file import Check, make_case, read_case, verify, write_case
from zhenyan.inference.runs.job import holds_decisions
from zhenyan.inference.runs.store import REVIEW, RunFolder

_MODEL = Annotated[Path | None, typer.Option(help="Bundle folder; the bundled model by default.")]
EXIT_DIFFERS = 1


def evidence(
    run: Annotated[Path, typer.Argument(help="A run's folder, or the output file of `zhenyan score`.", metavar="RUN")],
    finding: Annotated[str, typer.Argument(help="The finding's id, such as f000001.", metavar="FINDING")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Case file to write (JSON).")],
    model: _MODEL = None,
    database: Annotated[
        str | None,
        typer.Option(envvar="ZHENYAN_DATABASE", help="Review database whose decisions go in; review.db by default."),
    ] = None,
) -> None:
    """Write one finding's evidence file: text, time, context, score, threshold, versions, digests, decisions."""
    folder = RunFolder.existing(run)
    keep_from(folder, output)
    decided = _decisions(folder, finding, database)
    case = make_case(folder, load_bundle(model), finding, *decided)
    write_case(case, output)
    typer.echo(f"{output}: {len(case['decisions'])} decisions, digest {case['digest']}", err=True)


def _decisions(folder: RunFolder, finding: str, database: str | None) -> tuple[list[dict[str, Any]], list[str] | None]:
    """The finding's log and the labels decided on; neither where the run was never reviewed.

    ConfigError when it was, but not in the database asked: the case would say that nothing is decided.
    """
    if named_database(folder, database) is None and not (folder.path / REVIEW).exists():
        return [], None
    with review_database(folder, database) as review:
        from zhenyan.inference.review.exports import decisions, standing

        found = run_in(review, folder, database)
        if found is None and (folder.reviewed_in or holds_decisions(folder.path / REVIEW)):
            raise ConfigError(
                f"{reviewed_where(folder)}, not in the --database given (or ZHENYAN_DATABASE); name the one whose decisions go in"
            )
        return (decisions(review, found, finding), standing(review, found, finding)) if found else ([], None)


def verify_case(
    case: Annotated[Path, typer.Argument(help="Case file of `zhenyan evidence`.", metavar="CASE")],
    model: _MODEL = None,
) -> None:
    """Compute a case's score again and compare everything; says what differs.

    Exit codes: 0 the score is the same to 1e-5 and the file fits its digests, 1 something differs, 2 the file can't be read.
    """
    given = read_case(case)
    classifier = Classifier.load(model, runtime=str(given["versions"].get("runtime", "onnxruntime")), explain=False)
    checks = verify(given, classifier)
    console = Console()
    console.print(_table(checks))
    console.print(f"{sum(check.same for check in checks):,} of {len(checks):,} checks agree", highlight=False)
    if not all(check.same or check.note for check in checks):
        typer.echo(f"{case}: differs", err=True)
        raise typer.Exit(EXIT_DIFFERS)
    typer.echo(f"{case}: the same, score {given['finding']['score']:.5f}", err=True)


def _table(checks: list[Check]) -> Table:
    """What differs, and the score; what agrees is only counted."""
    table = Table("", "what", "in the case", "here")
    for check in checks:
        if not check.same or check.name == "score":
            mark = "same" if check.same else "note" if check.note else "[bold red]DIFFERS[/]"
            told = (str(value)[:80] for value in (check.case, check.here))
            table.add_row(mark, *(Text(printable(value)) for value in (check.name, *told)))
    return table
