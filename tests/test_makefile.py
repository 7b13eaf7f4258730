"""`make demo` shows the tree as it stands: what has changed is installed anew, and nothing else is; what else make does."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make: install the package make")


def program(path: Path, code: str) -> None:
    """A shell script that stands for a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{code}\n", encoding="utf-8")
    path.chmod(0o755)


@needs_make
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


@needs_make
def test_modules_that_are_gone_are_not_installed_again(root, tmp_path):
    """setuptools installs whatever an earlier `pip install .` left in build/lib."""
    shutil.copy(root / "Makefile", tmp_path)
    for name in (
        "pyproject.toml",
        "README.md",
        "inference/cpu.py",
        "training/cli.py",
        "build/lib/zhenyan/inference/gone.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    program(tmp_path / "python", "exit 0")  # makes no environment
    program(tmp_path / ".venv-demo/bin/pip", "test ! -e build")
    done = subprocess.run(
        ["make", ".venv-demo/installed", "PYTHON=./python"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@needs_make
def test_clean_leaves_what_people_scored_and_decided(root, tmp_path):
    shutil.copy(root / "Makefile", tmp_path)
    own = ["out/week48.jsonl", "out/week48.jsonl.run/review.db", "runs/teacher-1/metrics.json"]
    made = [".venv/installed", ".venv-demo/installed", "out/demo.jsonl", "out/demo.html", "out/demo.jsonl.run/lock",
            "build/lib/x.py", "zhenyan.egg-info/PKG-INFO"]  # fmt: skip
    for name in own + made:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
    left = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(left) == sorted(["Makefile", *own])


@needs_make
def test_notebooks_run_in_a_folder_whose_name_has_spaces(root, tmp_path):
    folder = tmp_path / "真 言"
    folder.mkdir()
    shutil.copy(root / "Makefile", folder)
    (folder / "pyproject.toml").touch()
    for name in ("jupyter-execute", "python"):
        program(folder / ".venv/bin" / name, f'echo {name} "${{PATH%%:*}}" >> called')
    (folder / ".venv/installed").touch()
    done = subprocess.run(["make", "notebooks"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    called = (folder / "called").read_text(encoding="utf-8").splitlines()
    assert called[0] == f"jupyter-execute {folder}/.venv/bin" and len(called) == 3


@pytest.mark.parametrize("browser", ["chromium", "chromium-browser", "google-chrome"])
def test_every_browser_that_the_tests_take_counts_as_installed(root, tmp_path, browser):
    """Ubuntu has no package chromium: asked for where its browser is there already, it stops `make test`."""
    for name in ("cc", "initdb", "mutool", "git", browser):
        program(tmp_path / name, "exit 0")
    program(tmp_path / "fc-list", "echo NotoSansCJK.ttc")
    program(tmp_path / "grep", "exit 0")
    program(tmp_path / "ls", "exit 1")  # no PostgreSQL where Debian hides it
    command = ["/bin/sh", str(root / "tests/system_packages.sh")]
    done = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_side_by_side_tests_compute_with_one_thread_each():
    """Two threads on the one CPU that a worker has wait for each other in loops: a second of numpy or torch becomes ten."""
    assert "PYTEST_XDIST_WORKER" not in os.environ or os.environ["OMP_NUM_THREADS"] == "1"
