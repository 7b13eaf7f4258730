"""The optional dependencies of training commands."""

from __future__ import annotations

from zhenyan.inference.errors import MissingExtra


def need_extra() -> None:
    """MissingExtra, with the command that installs it, when the train extra isn't there."""
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtra(str(error.name), "train") from None
