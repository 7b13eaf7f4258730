"""Where commands write: looked at before minutes of work, never over what they read or what a person has made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from zhenyan.inference.errors import ConfigError, InputError


def check_lines(option: str, output: Path, what: str) -> None:
    """ConfigError unless an output ends in .jsonl, as commands that take `what` up again know it by."""
    if output.suffix != ".jsonl":
        raise ConfigError(f"{option} {output}: ending {output.suffix or '(none)'!r}; {what} are written as .jsonl")


def make_folder(option: str, output: Path) -> None:
    """Make an output's folder before minutes of work; ConfigError when it can't be made or a folder is in the file's place."""
    if output.is_dir():
        raise ConfigError(f"{option} {output}: is a folder; give a file to write")
    make_folders(f"{option} {output}", output.parent)


def make_folders(named: str, folder: Path, new: bool = False) -> None:
    """Make a folder and those it lies in; ConfigError, which begins with `named`, when they can't be made.

    `new`: it must not be there already.
    """
    try:
        folder.mkdir(parents=True, exist_ok=not new)
    except OSError as error:
        raise ConfigError(f"{named}: {error.filename}: {error.strerror}; give a folder that may be written") from None


def keep_inputs(option: str, output: Path, inputs: Sequence[Path]) -> None:
    """ConfigError when an output would be written over what is read, or over another output."""
    if output.resolve() in {path.resolve() for path in inputs}:
        raise ConfigError(f"{option} {output}: the command reads this file or writes it otherwise; give another name")


def keep_work(
    option: str, output: Path, records: Iterable[tuple[Any, str]], untouched: Callable[[dict[str, Any]], bool]
) -> None:
    """ConfigError when an output is there already, unless all its records are as the command writes them.

    `records` are the output's, each with its place, read when there is one; one that is `untouched` holds nobody's work.
    """
    if not output.is_file():
        return
    try:
        places = (place for record, place in records if not (isinstance(record, dict) and untouched(record)))
        touched = next(places, None)
    except InputError as error:
        raise ConfigError(
            f"{option} {output}: is there already and isn't what this command writes ({error}); give another name"
        ) from None
    if touched:
        raise ConfigError(
            f"{option} {output}: is there already and may hold somebody's work ({touched}); give another name"
        )
