"""Where commands write: looked at before minutes of work, and never over what they read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zhenyan.inference.errors import ConfigError


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
