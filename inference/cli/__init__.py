"""The command line. Commands of other packages come through the entry point group `zhenyan.commands`."""

from __future__ import annotations

import io
import os
import sys
import traceback
from importlib.metadata import entry_points, version
from typing import Annotated, NoReturn

import typer
from zhenyan.inference.cli.case import evidence, verify_case
from zhenyan.inference.cli.classify import classify
from zhenyan.inference.cli.inspect import bundle, doctor
from zhenyan.inference.cli.review import review, review_export, review_import, reviewers
from zhenyan.inference.cli.score import score
from zhenyan.inference.cli.serve import HelpWithSettings, keys, serve
from zhenyan.inference.cli.table import printable
from zhenyan.inference.errors import ZhenyanError

app = typer.Typer(
    name="zhenyan",
    help="Find deceptive advertising in Chinese livestreams and product copy.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"zhenyan {version('zhenyan')}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Find deceptive advertising in Chinese livestreams and product copy."""


app.command()(classify)
app.command()(score)
app.command(cls=HelpWithSettings)(serve)
app.command()(doctor)
app.command()(bundle)
app.add_typer(keys, name="keys")
app.command()(review)
app.command()(review_export)
app.command()(review_import)
app.add_typer(reviewers, name="reviewers")
app.command()(evidence)
app.command("verify")(verify_case)


def main() -> None:
    """Entry point: a user's mistake, and a file or output that the system refuses, ends with a message and exit code 2.

    None of them ever ends with a traceback.
    """
    if sys.stdout is None:  # closed: what can't be written is told, as where a disk is full
        sys.stdout = open(os.devnull)  # noqa: SIM115  for reading
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a console that isn't UTF-8 must not end the command
            stream.reconfigure(errors="replace")
    for plugin in entry_points(group="zhenyan.commands"):
        plugin.load()(app)
    try:
        app()
    except ZhenyanError as error:
        _end(printable(str(error)))
    except OSError as error:
        if _of_printing(error):
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115  what is held back would fail again at the end
            why = error.strerror or "it is closed"
            _end(f"can't write the output: standard output: {why}; send it to a file or program that takes it")
        if not isinstance(error.filename, str):
            raise
        # Of a name too long, or in a folder that this user can't enter, even asking whether it is there fails.
        _end(printable(f"{error.filename}: {error.strerror}; give another path, or one that this user may reach"))


def _of_printing(error: OSError) -> bool:
    """Whether it came from printing, which commands leave to Typer and Rich."""
    frame, _ = list(traceback.walk_tb(error.__traceback__))[-1]
    return frame.f_globals.get("__name__", "").partition(".")[0] in ("typer", "click", "rich")


def _end(said: str) -> NoReturn:
    try:
        typer.secho(f"error: {said}", fg="red", err=True)
    except OSError:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  as standard output above
    sys.exit(2)
