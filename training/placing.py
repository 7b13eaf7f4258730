"""Bundles put in place: where one may stand, and the swap of an earlier one for a new one."""

from __future__ import annotations

import glob
import shutil
import tempfile
from pathlib import Path

from zhenyan.inference.bundle import CARD, FILES, MANIFEST
from zhenyan.inference.errors import ConfigError
from zhenyan.training.whole import full_disk

BUNDLE = "bundle"  # the exported bundle in its run's folder, and among the run's artifacts, where runs:/ID leads to
_LITTER = (".gitkeep", ".DS_Store")
_BUNDLE = {*FILES, MANIFEST, CARD}


def check_output(run: Path | None, output: Path, remedy: str = "give a new folder") -> None:
    """Make the folder that `output` lies in; ConfigError unless a bundle may stand there, apart from `run`.

    That is a new or empty folder, or that of an earlier bundle, and not in another bundle's. `remedy`: what to do about
    something else that is there.
    """
    try:
        here, there = output.resolve(), run and run.resolve()
    except (OSError, RuntimeError) as error:  # such as a link to itself
        raise ConfigError(f"{output}: can't be a bundle folder ({error}); give a new folder") from None
    if there and (here.is_relative_to(there) or there.is_relative_to(here)):
        raise ConfigError(f"{output}: is, holds or lies in the run {run}; give a folder beside it")
    try:
        # It would no longer be a bundle alone, and the next one for its folder be refused.
        if whole := next((one for one in here.parents if _is_bundle(one)), None):
            raise ConfigError(
                f"{output}: lies in the bundle {whole}, which holds nothing else; give a folder beside it"
            )
        here.parent.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in here.iterdir()} - set(_LITTER) if here.exists() else set()
    except OSError as error:
        raise ConfigError(f"{output}: can't be a bundle folder ({error.strerror}); give a new folder") from None
    if names and (MANIFEST not in names or names - _BUNDLE):  # other models have files of these names
        raise ConfigError(f"{output}: holds something else than a bundle, which would be lost; {remedy}")


def _is_bundle(folder: Path) -> bool:
    return all((folder / name).is_file() for name in (*FILES, MANIFEST))


def place(bundle: Path, output: Path) -> None:
    """Move a copy of the bundle's files in `bundle` to `output`; what was there goes once the copy is whole.

    Between two renames nothing is there: `tidy` puts the old one back where an export was killed just then. ConfigError, with
    the old one in its place, when the new one can't be put there.
    """
    try:
        _swap(bundle, output.resolve())
    except OSError as error:
        # Of a copy that failed shutil lists all files with their errors.
        told = full_disk(error) or error.strerror or error
        raise ConfigError(
            f"{output}: a bundle can't be put there ({told}); give a folder in one that may be written and has room, "
            "no mount of its own"
        ) from None


def _swap(bundle: Path, output: Path) -> None:
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as beside:
        # What else somebody kept with a bundle would make its folder look like something else.
        new = shutil.copytree(bundle, Path(beside) / "new", ignore=lambda _, names: set(names) - _BUNDLE)
        old = output.rename(Path(beside) / "old") if output.exists() else None
        try:
            new.rename(output)
        except BaseException:
            if old:
                old.rename(output)
            raise


def tidy(output: Path) -> None:
    """Remove what was left beside `output` by a command that was killed while it placed its bundle; an old one is put back."""
    output = output.resolve()
    for left in output.parent.glob(f".{glob.escape(output.name)}.*"):
        if not left.is_dir() or not {path.name for path in left.iterdir()} <= {"new", "old"}:
            continue
        if (left / "old").exists() and not output.exists():
            (left / "old").rename(output)
        shutil.rmtree(left)
