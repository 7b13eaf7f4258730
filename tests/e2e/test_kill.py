"""`zhenyan score` killed at random moments and started again: the result is that of an unbroken run, to the byte."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from zhenyan.inference.runs import RunFolder

pytestmark = [pytest.mark.slow, pytest.mark.alone]  # loaded, and killed by the clock

ZHENYAN = Path(sys.executable).with_name("zhenyan")
KILLS, PART_ROWS = 5, 10


@pytest.fixture
def source(tmp_path, root):
    """Rows of one author, and lines that can't be scored."""
    rows = (root / "data/corpus/b25.jsonl").read_text(encoding="utf-8").splitlines()[:300]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join([*rows[:120], "{broken", *rows[120:], "[]"]) + "\n", encoding="utf-8")
    return path


def start(source: Path, output: Path) -> subprocess.Popen[bytes]:
    """The same command each time."""
    options = ["--part-rows", str(PART_ROWS), "--threads", "1"]
    return subprocess.Popen([ZHENYAN, "score", source, "-o", output, *options], stderr=subprocess.DEVNULL)


def contents(output: Path) -> list[bytes]:
    """Output, findings, streams, rejects, summary."""
    folder = RunFolder.of_output(output).path
    names = ("findings.jsonl", "streams.jsonl", "rejects.jsonl", "summary.json")
    return [output.read_bytes(), *((folder / name).read_bytes() for name in names)]


def state(folder: RunFolder) -> dict[int, tuple[int, int]]:
    """Every finished part, and what would change were it written again."""
    return {n: (folder.part(n).stat().st_ino, folder.part(n).stat().st_mtime_ns) for n in folder.done()}


def kill_at(process: subprocess.Popen[bytes], folder: RunFolder, parts: int, pause: float) -> None:
    """SIGKILL soon after so many parts are there."""
    while len(folder.done()) < parts and process.poll() is None:
        time.sleep(0.002)
    time.sleep(pause)
    process.kill()
    assert process.wait() == -signal.SIGKILL


def test_killed_five_times_and_nothing_is_different(tmp_path, source):
    whole, output = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    assert start(source, whole).wait() == 3
    total = len(RunFolder.of_output(whole).done())
    rng, folder = random.Random(20261124), RunFolder.of_output(output)
    kept: dict[int, tuple[int, int]] = {}
    for parts in sorted(rng.sample(range(total - 1), KILLS)):
        kill_at(start(source, output), folder, parts, rng.uniform(0, 0.05))
        now = state(folder)
        assert kept.items() <= now.items() and not output.exists()  # what was done once is never done again
        kept = now
    assert start(source, output).wait() == 3
    assert kept.items() <= state(folder).items()
    assert contents(output) == contents(whole)
    leftovers = [path.name for path in tmp_path.rglob("*") if path.name.endswith((".tmp", ".db"))]
    assert not leftovers, leftovers
