"""`make demo` shows the tree as it stands: what has changed is installed anew, and nothing else is."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import pytest


@pytest.mark.skipif(shutil.which("make") is None, reason="no make: install the package make")
def test_the_demo_is_installed_anew_when_what_it_installs_has_changed(root, tmp_path):
    shutil.copy(root / "Makefile", tmp_path)
    sources = ["pyproject.toml", "README.md", "inference/cli/score.py", "inference/model/model.onnx", "training/cli.py"]
    others = ["docs/services.md", "inference/__pycache__/score.cpython-311.pyc"]
    for name in (*sources, *others, installed := ".venv-demo/installed"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    now = time.time()

    def stale(changed: str) -> bool:
        os.utime(tmp_path / installed, (now + 10, now + 10))
        os.utime(tmp_path / changed, (now + 20, now + 20))
        code = subprocess.run(["make", "--question", installed], cwd=tmp_path, capture_output=True).returncode
        os.utime(tmp_path / changed, (now, now))
        return code == 1

    assert [name for name in (*sources, *others) if stale(name)] == sources
