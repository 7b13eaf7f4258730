"""What a source distribution holds."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest
from zhenyan.inference import normalise


def test_a_source_distribution_holds_no_tests_that_cannot_run_there(root: Path, tmp_path: Path):
    """setuptools packs tests/test*.py by itself, without what they import."""
    pytest.importorskip("setuptools")
    for name in ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(root / name, tmp_path)
    tool = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]
    for package in tool["packages"]:
        folder = tmp_path.joinpath(*package.split(".")[1:])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").touch()
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_docs.py").touch()
    program = "from setuptools.build_meta import build_sdist\nprint(build_sdist('dist'))"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with tarfile.open(tmp_path / "dist" / done.stdout.splitlines()[-1]) as packed:
        names = [name.partition("/")[2] for name in packed.getnames()]
    assert "inference/serve/__init__.py" in names and not [name for name in names if name.startswith("tests")]


def test_the_minor_version_is_the_text_normalisers(root: Path):
    """What reads a bundle is named by its normaliser: zhenyan 0.10.x where that is 10."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"].startswith(f"0.{normalise.VERSION}.")
