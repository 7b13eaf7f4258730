"""Errors a user can cause and mend; every message names the place, the value and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec


class ZhenyanError(Exception):
    """Base of all errors that are the caller's to mend; the command line prints them without a traceback."""


class BundleError(ZhenyanError):
    """A bundle folder is missing, incomplete, altered or of a format this version can't read."""


class OtherRelease(BundleError):
    """A bundle of a format or for a text normaliser that another version of zhenyan has."""


class InputError(ZhenyanError):
    """An input file, column or row can't be read as asked; `chinese`: the same for reviewers, where it was said so."""

    def __init__(self, message: str, chinese: str = "") -> None:
        super().__init__(message)
        self.chinese = chinese or message

    @property
    def both(self) -> tuple[str, str]:
        """The message in English and in Chinese."""
        return str(self), self.chinese


class Unavailable(InputError):
    """A file can't be read now: the disk's or the network's fault, so that it may be readable later."""


class ConfigError(ZhenyanError):
    """A configuration value is unknown or out of range."""


class MissingExtra(ZhenyanError):
    """A command needs an optional dependency that isn't installed."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(
            f"this needs {module}, which is not installed: install zhenyan with its extra {extra!r}, "
            f"in the repository: pip install '.[{extra}]'"
        )
        self._made_of = module, extra

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:
        """Pickled by what it was made of, not by its message: a pool that can't unpickle an error waits for ever."""
        return MissingExtra, self._made_of


def need(extra: str, modules: Iterable[str]) -> None:
    """MissingExtra names the first of `modules`, which `extra` brings, that isn't installed.

    All of them, for another package may have brought some: MLflow SQLAlchemy and FastAPI.
    """
    for module in modules:
        if not _is_installed(module):
            raise MissingExtra(module, extra)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # it is loaded, by a program that gave it no spec
        return True
