"""Commands of the waiting process are real ones: what they read, print and say at their end reaches who calls, and they end with them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import warm_commands


@pytest.fixture(scope="module")
def settings() -> Iterator[dict[str, str]]:
    plain = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with warm_commands.commands(plain) as found:
        yield found


def run(settings: dict[str, str], script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", script], cwd=folder, env=settings, text=True, capture_output=True, timeout=60)


@pytest.mark.slow
def test_streams_and_exit_status_arrive(settings: dict[str, str], tmp_path: Path) -> None:
    found = run(
        settings, "echo 三天治好糖尿病 | zhenyan classify - | cat; zhenyan train --config nowhere.yaml", tmp_path
    )
    assert found.returncode == 2 and "糖尿病" in found.stdout
    assert found.stderr.startswith("error: nowhere.yaml: no such file")


@pytest.mark.slow
def test_folder_and_environment_are_the_callers(settings: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "words").mkdir()
    (tmp_path / "words/a.txt").write_text("今天天气真好\n", encoding="utf-8")
    found = run(settings, "cd words && zhenyan score a.txt -o scored.jsonl; COLUMNS=50 zhenyan score --help", tmp_path)
    assert found.returncode == 0 and (tmp_path / "words/scored.jsonl").is_file()
    assert max(map(len, found.stdout.splitlines()[-20:])) == 50


@pytest.mark.slow
def test_a_command_ends_with_its_caller(settings: dict[str, str], tmp_path: Path) -> None:
    wait = "until grep -q '{}' log; do sleep 0.1; done"
    begun, ended = wait.format('"listening"'), wait.format("Finished server process")
    assert run(settings, f"zhenyan serve --port 0 2>log & {begun}; kill $!; {ended}", tmp_path).returncode == 0
