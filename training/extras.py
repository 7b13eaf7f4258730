"""The optional dependencies of training commands."""

from __future__ import annotations

from zhenyan.inference.errors import need

_MODULES = {
    "train": ("torch", "transformers", "accelerate", "datasets", "safetensors", "sklearn", "scipy", "mlflow", "pandas",
              "sqlalchemy", "onnx", "onnxscript", "pydantic", "yaml", "matplotlib", "pypinyin"),
    "sweep": ("optuna", "filelock"),
}  # fmt: skip


def need_extra(extra: str = "train") -> None:
    """MissingExtra, with the command that installs it, when an extra isn't there."""
    need(extra, _MODULES[extra])
