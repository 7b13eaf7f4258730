"""Training commands in an environment that lacks some of what their extra brings."""

from __future__ import annotations

import sys
import types

import pytest
from zhenyan.inference.cli import main
from zhenyan.inference.errors import need


@pytest.mark.parametrize(("asked", "package", "extra"), [
    (["evaluate"], "pypinyin", "train"), (["train"], "sklearn", "train"),
    (["cross-validate"], "datasets", "train"), (["sweep"], "filelock", "sweep"),
])  # fmt: skip
def test_the_package_that_is_missing_is_named(monkeypatch, capsys, asked, package, extra):
    """Torch, transformers and MLflow may be there for other work."""
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(sys, "argv", ["zhenyan", *asked])
    with pytest.raises(SystemExit) as end:
        main()
    told = capsys.readouterr().err
    assert end.value.code == 2 and f"this needs {package}, which is not installed" in told and f"'.[{extra}]'" in told


def test_a_package_that_is_loaded_without_a_spec_is_there(monkeypatch):
    """As a notebook's or a test's stand-in has it."""
    monkeypatch.setitem(sys.modules, "standin", types.ModuleType("standin"))
    need("train", ["standin"])
