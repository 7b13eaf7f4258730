"""`zhenyan evidence` and `zhenyan verify`: the evidence file of a case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from zhenyan.inference.bundle import Bundle, load_bundle
from zhenyan.inference.classifier import Classifier
from zhenyan.inference.cli.review import check_elsewhere, keep_from, named_database, review_database, run_in
from zhenyan.inference.cli.table import printable
from zhenyan.inference.errors import ConfigError, InputError
from zhenyan.inference.evidence_file import Check, check_case, make_case, make_cases, read_case, verify, write_case
from zhenyan.inference.runs.store import REVIEW, RunFolder

if TYPE_CHECKING:
    from zhenyan.inference.review.database import Database
    from zhenyan.inference.review.intake import Run

    Review: TypeAlias = tuple[Database, Run]

_MODEL = Annotated[Path | None, typer.Option(help="Bundle folder; the bundled model by default.")]
EXIT_DIFFERS = 1


def evidence(
    run: Annotated[Path, typer.Argument(help="A run's folder, or the output file of `zhenyan score`.", metavar="RUN")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Case file to write (JSON); with --accepted the folder of the files.")
    ],
    finding: Annotated[
        str | None, typer.Argument(help="The finding's id, such as f000001.", metavar="FINDING", show_default=False)
    ] = None,
    accepted: Annotated[
        bool,
        typer.Option(
            "--accepted",
            help="Write a case file and its page for each of the model's findings that reviewers accepted, under its own or other labels.",
        ),
    ] = False,
    html: Annotated[
        bool, typer.Option("--html", help="Also write a page to print in Chinese, beside the case file.")
    ] = False,
    model: _MODEL = None,
    database: Annotated[
        str | None,
        typer.Option(envvar="ZHENYAN_DATABASE", help="Review database whose decisions go in; review.db by default."),
    ] = None,
) -> None:
    """Write evidence files of findings: text, time, context, score, threshold, versions, digests, decisions."""
    folder = RunFolder.existing(run)
    if (finding is None) != accepted:
        raise ConfigError("name one finding, such as f000001, or take all that were accepted with --accepted")
    keep_from(folder, output.resolve() if accepted else output)  # "." has no name
    with _review_of(folder, database) as review:
        if finding is None:
            _write_accepted(folder, load_bundle(model), review, output)
        else:
            decided = _decided(review, finding) if review else ([], None)
            bundle = load_bundle(model)
            _write(make_case(folder, bundle, finding, *decided), output, bundle if html else None)


def _write(case: dict[str, Any], path: Path, bundle: Bundle | None) -> None:
    """Write a case and, with the bundle that names its labels, its page; says the digest and where the page is."""
    check_case(path)
    beside = ""
    if bundle:  # first, for it refuses to replace another file
        from zhenyan.inference.case_page import write_page

        beside = f"; to print: {write_page(case, bundle, path)}"
    write_case(case, path)
    typer.echo(f"{path}: {len(case['decisions'])} decisions, digest {case['digest']}{beside}", err=True)


def _write_accepted(folder: RunFolder, bundle: Bundle, review: Review | None, output: Path) -> None:
    """Write the cases of all findings in which reviewers saw a violation into a folder that is empty.

    A case of before could be of a finding that is rejected by now.
    """
    if review is None:
        raise InputError(f"{folder.path}: no review of this run in the database; `zhenyan review` starts one")
    from zhenyan.inference.review.exports import upheld

    states, written = upheld(*review), Counter[str]()
    cases = make_cases(folder, bundle, {key: _decided(review, key) for key in states})
    try:
        output.mkdir(parents=True, exist_ok=True)
        if any(output.iterdir()):
            raise InputError(f"{output}: isn't empty; name a new folder, for cases of before may no longer stand")
    except OSError as error:
        raise InputError(f"{output}: {error.strerror or error}; name a folder that can be written") from None
    for case in cases:
        _write(case, output / f"case-{case['finding']['id']}.json", bundle)
        written[states[case["finding"]["id"]]] += 1
    marked = len(states) - written.total()
    beside = f"; {marked:,} lines that reviewers marked as missed have none" if marked else ""
    typer.echo(
        f"{output}: {written.total():,} cases, {written['accepted']:,} accepted as they are, "
        f"{written['relabelled']:,} under other labels{beside}",
        err=True,
    )


def _decided(review: Review, finding: str) -> tuple[list[dict[str, Any]], list[str] | None]:
    """A finding's log and the labels decided on."""
    from zhenyan.inference.review.exports import decisions, standing

    return decisions(*review, finding), standing(*review, finding)


@contextmanager
def _review_of(folder: RunFolder, database: str | None) -> Iterator[Review | None]:
    """The review's database with the run in it, closed at the end; None where the run was never reviewed.

    ConfigError when it was, but not in the database asked: a case would say that nothing is decided.
    """
    if named_database(folder, database) is None and not (folder.path / REVIEW).exists():
        yield None
        return
    with review_database(folder, database) as opened:
        found = run_in(opened, folder, database)
        if found is None:
            check_elsewhere(folder)
        yield (opened, found) if found else None


def verify_case(
    case: Annotated[Path, typer.Argument(help="Case file of `zhenyan evidence`.", metavar="CASE")],
    model: _MODEL = None,
) -> None:
    """Compute a case's score again, compare everything and say what differs.

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
