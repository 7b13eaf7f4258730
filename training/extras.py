"""The optional dependencies of training commands."""

from __future__ import annotations

from importlib.util import find_spec

from zhenyan.inference.errors import MissingExtra

_MODULES = {"train": ("torch", "transformers", "mlflow"), "sweep": ("optuna",)}


def need_extra(extra: str = "train") -> None:
    """MissingExtra, with the command that installs it, when an extra isn't there."""
    for module in _MODULES[extra]:
        if find_spec(module) is None:
            raise MissingExtra(module, extra)
