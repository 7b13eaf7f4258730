"""`zhenyan review`, `reviewers`, `review-export`, `review-import`: reviewing a run's findings in a browser."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from zhenyan.inference.bundle import load_bundle, sha256
from zhenyan.inference.errors import ConfigError, InputError, MissingExtra, need
from zhenyan.inference.runs.beside import check_own, note_own
from zhenyan.inference.runs.job import holds_decisions
from zhenyan.inference.runs.store import FINDINGS, REVIEW, REVIEWED, RunFolder

if TYPE_CHECKING:
    from zhenyan.inference.review.accounts import Accounts
    from zhenyan.inference.review.database import Database
    from zhenyan.inference.review.intake import Run

_PACKAGES = ("fastapi", "starlette", "uvicorn", "h11", "sqlalchemy", "alembic", "python_multipart", "argon2",
             "itsdangerous")  # fmt: skip
reviewers = typer.Typer(help="People who may review: add, list, remove, role, password.", no_args_is_help=True)

_RUN = Annotated[Path, typer.Argument(help="A run's folder, or the output file of `zhenyan score`.", metavar="RUN")]
_DATABASE = Annotated[
    str | None,
    typer.Option(
        envvar="ZHENYAN_DATABASE",
        help="postgresql://user@host/name or sqlite:////folder/file.db; review.db in the run's folder by default.",
    ),
]
_MODEL = Annotated[
    Path | None, typer.Option(help="Bundle folder the run was scored with; the bundled model by default.")
]
_OF_RUN = Annotated[Path | None, typer.Option("--run", help="The run whose review.db holds the reviewers.")]
_NAME = Annotated[str, typer.Argument(help="The name that the reviewer logs in with.")]
_ROLES = "reviewer, lead or admin; each may do what those before it may."
_ROLE = Annotated[str, typer.Option(help=_ROLES)]
_NEW_ROLE = Annotated[str, typer.Argument(help=_ROLES)]
_STDIN = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


def keep_from(folder: RunFolder, output: Path) -> None:
    """InputError when writing `output` would destroy the run, or a file that it scored, wherever that lies by now."""
    folder.keep_from(output)
    scored = {item.get("sha256") for item in folder.manifest["inputs"]}
    with suppress(OSError):  # a file that can't be read is told where it is written
        if output.is_file() and sha256(output) in scored:
            raise InputError(f"{output}: is one of the files that the run {folder.path} scored; choose another output")


def named_database(folder: RunFolder, database: str | None) -> str | None:
    """`database`; ConfigError where it is None and the run was reviewed in another than its own: that one is meant."""
    if database is None and folder.reviewed_in:
        raise ConfigError(f"{reviewed_where(folder)}; name the database that is meant with --database")
    return database


def reviewed_where(folder: RunFolder) -> str:
    """Where the run was reviewed, for a message."""
    here, elsewhere = folder.path / REVIEW, folder.reviewed_in
    places = [*elsewhere, *([f"sqlite:///{here.resolve()}"] if here.exists() else [])]
    return f"{folder.path / REVIEWED if elsewhere else folder.path}: this run was reviewed in {', '.join(places)}"


def _was_reviewed(folder: RunFolder) -> bool:
    return bool(folder.reviewed_in) or holds_decisions(folder.path / REVIEW)


def check_elsewhere(folder: RunFolder) -> None:
    """ConfigError where the run, which the database asked doesn't have, was reviewed in another: that one is meant."""
    if _was_reviewed(folder):
        raise ConfigError(
            f"{reviewed_where(folder)}, not in the --database given (or ZHENYAN_DATABASE); name the one whose decisions are meant"
        )


def _tell_of_others(folder: RunFolder, known: Run | None) -> None:
    """Say so where a review is about to begin in this database, which doesn't know the run, though another has decisions."""
    if known is None and _was_reviewed(folder):
        typer.echo(
            f"note: {reviewed_where(folder)}; the review in this database begins without those decisions", err=True
        )


@contextmanager
def review_database(folder: RunFolder | None, url: str | None, make: bool = False) -> Iterator[Database]:
    """The review database, closed at the end; with `make`, a file that isn't there is made.

    MissingExtra where the extra isn't installed.
    """
    need("review", _PACKAGES)
    try:
        from zhenyan.inference.review.database import database_url, open_database
    except ImportError as error:  # what those packages need
        raise MissingExtra(str(error.name), "review") from None
    database = open_database(database_url(folder, url), make)
    try:
        yield database
    finally:
        database.close()


def run_in(opened: Database, folder: RunFolder, url: str | None) -> Run | None:
    """The run in a database, None where it was never reviewed there.

    InputError where that is the folder's own and holds decisions, but on other findings than the folder holds now.
    """
    from zhenyan.inference.review.intake import known_run

    found = known_run(opened, folder)
    if found is None and url is None and holds_decisions(folder.path / REVIEW):
        raise InputError(
            f"{folder.path / FINDINGS}: not the findings that were decided on in {REVIEW} beside it; "
            "put the file back as it was then"
        )
    return found


def review(
    run: _RUN,
    database: _DATABASE = None,
    model: _MODEL = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")] = 8080,
    second: Annotated[
        float, typer.Option(min=0, max=1, help="Share of findings that two reviewers read, to measure agreement.")
    ] = 0.0,
    lease: Annotated[
        int, typer.Option(min=1, max=1440, help="Minutes a finding is reserved for whoever opened it.")
    ] = 15,
    https: Annotated[
        bool,
        typer.Option(
            "--https", help="The page is reached by https through a proxy; cookies are then sent over https only."
        ),
    ] = False,
    proxy: Annotated[
        str | None, typer.Option(help="Address of the proxy whose X-Forwarded-For and -Proto headers are trusted.")
    ] = None,
) -> None:
    """Review a run's findings in a browser. Add people first: `zhenyan reviewers add NAME --role admin --run RUN`."""
    folder = RunFolder.existing(run)
    url, bundle = named_database(folder, database), load_bundle(model)
    with folder.in_review(), review_database(folder, url, make=True) as opened:
        from zhenyan.inference.review.intake import check_labels, take_in
        from zhenyan.inference.review.settings import Settings
        from zhenyan.inference.review.web.server import serve
        from zhenyan.inference.review.web.site import Site

        check_labels(folder, bundle.id, bundle.label_ids)
        _tell_of_others(folder, run_in(opened, folder, url))
        settings = Settings(lease=timedelta(minutes=lease), second_share=second, https=https)
        site = Site(opened, take_in(opened, folder, settings), folder, bundle, settings)
        if not any(person.active and person.password for person in site.accounts.all()):
            where = "--database URL" if database else f"--run {run}"
            typer.echo(f"nobody can log in yet: zhenyan reviewers add NAME --role admin {where}", err=True)
        serve(site, host, port, proxy)


def review_export(
    run: _RUN,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="File to write; only this run's own earlier export is overwritten."),
    ],
    to: Annotated[
        str, typer.Option(help="rows (corpus, .jsonl), labelstudio (tasks, .json), csv or xlsx (table, .csv or .xlsx).")
    ] = "rows",
    database: _DATABASE = None,
    model: _MODEL = None,
) -> None:
    """Write decisions out: rows for training, tasks for Label Studio, or a table."""
    from zhenyan.inference.review.kinds import check_kind

    folder = RunFolder.existing(run)
    check_kind(to, output)
    keep_from(folder, output)
    begins = to == "labelstudio"  # a review may begin with its tasks; the other kinds write what was decided
    if begins:  # not for a file that may not be written
        check_own(output, folder)
    url, bundle = named_database(folder, database), load_bundle(model)
    with folder.in_review(), review_database(folder, url, make=begins) as opened:
        from zhenyan.inference.review.exports import write_export
        from zhenyan.inference.review.intake import check_labels, take_in
        from zhenyan.inference.review.settings import Settings

        taken = run_in(opened, folder, url)
        if to != "rows":  # the others name and cite labels
            check_labels(folder, bundle.id, bundle.label_ids)
        if begins:
            _tell_of_others(folder, taken)
            taken = take_in(opened, folder, Settings())
        if taken is None:
            check_elsewhere(folder)
            raise InputError(f"{run}: no review of this run in the database; `zhenyan review {run}` starts one")
        if not begins:
            check_own(output, folder)
        said = write_export(opened, taken, to, output, bundle.labels)
        with suppress(InputError):  # a run's folder that can only be read: then no export is written over
            note_own(output, folder)
    typer.echo("\n".join([f"{output}: written", *said]), err=True)


def review_import(
    run: _RUN,
    file: Annotated[Path, typer.Argument(help="JSON, JSON_MIN or CSV export of Label Studio.", metavar="FILE")],
    database: _DATABASE = None,
) -> None:
    """Import Label Studio's annotations of this run's tasks, each as a reading by its annotator; safe to repeat."""
    folder = RunFolder.existing(run)
    url = named_database(folder, database)
    with folder.in_review(), review_database(folder, url, make=True) as opened:
        from zhenyan.inference.review.desk import Desk
        from zhenyan.inference.review.imports import take_annotations
        from zhenyan.inference.review.intake import take_in
        from zhenyan.inference.review.labelstudio import Unclear, read_annotations
        from zhenyan.inference.review.settings import Settings

        _tell_of_others(folder, run_in(opened, folder, url))
        found, unclear = take_in(opened, folder, Settings()), Unclear()
        labels = list(folder.manifest["thresholds"])
        done = take_annotations(Desk(opened, found), labels, read_annotations(file, found, unclear))
    typer.echo(f"{done.decisions:,} decisions, {done.skips:,} skips, {done.known:,} known already", err=True)
    if done.reviewers:
        typer.echo(f"new annotators, without a login: {', '.join(done.reviewers)}", err=True)
    if unclear.rows:
        typer.echo(unclear.note, err=True)


@reviewers.command("add")
def add(
    name: _NAME,
    role: _ROLE = "reviewer",
    run: _OF_RUN = None,
    database: _DATABASE = None,
    password_stdin: _STDIN = False,
) -> None:
    """Add a reviewer; asks for the password."""
    with _accounts(run, database, make=True) as accounts:
        accounts.add(name, role, _password(password_stdin))


@reviewers.command("list")
def names(run: _OF_RUN = None, database: _DATABASE = None) -> None:
    """Names, roles, and the day each was added; those removed are marked."""
    with _accounts(run, database) as accounts:
        for person in accounts.all():
            state = "" if person.active and person.password else "  no login" if person.active else "  removed"
            typer.echo(f"{person.name}  {person.role}  {person.created:%Y-%m-%d}{state}")


@reviewers.command("remove")
def remove(name: _NAME, run: _OF_RUN = None, database: _DATABASE = None) -> None:
    """End a reviewer's access; their decisions stay."""
    with _accounts(run, database) as accounts:
        accounts.remove(name)


@reviewers.command("role")
def set_role(name: _NAME, role: _NEW_ROLE, run: _OF_RUN = None, database: _DATABASE = None) -> None:
    """Give a reviewer another role: reviewer, lead or admin."""
    with _accounts(run, database) as accounts:
        accounts.set_role(name, role)


@reviewers.command("password")
def password(name: _NAME, run: _OF_RUN = None, database: _DATABASE = None, password_stdin: _STDIN = False) -> None:
    """Set a reviewer's password; ends their logins."""
    with _accounts(run, database) as accounts:
        accounts.set_password(name, _password(password_stdin))


@contextmanager
def _accounts(run: Path | None, database: str | None, make: bool = False) -> Iterator[Accounts]:
    folder = RunFolder.existing(run) if run else None
    url = named_database(folder, database) if folder else database
    with review_database(folder, url, make) as opened:
        from zhenyan.inference.review.accounts import Accounts

        yield Accounts(opened)


def _password(from_stdin: bool) -> str:
    if from_stdin:
        given = sys.stdin.readline() if sys.stdin else ""  # None: closed
        return given.removeprefix("\ufeff").rstrip("\r\n")  # as Windows ends lines and begins files
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigError("no terminal to ask for the password on; give it with --password-stdin")
    given = getpass.getpass("password: ")
    if getpass.getpass("again: ") != given:
        raise ConfigError("the two passwords differ; nothing was changed")
    return given
