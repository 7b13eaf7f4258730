"""Metrics of several workers, in the files that they keep them in."""

import os
import subprocess
import sys

WORKERS = """
import contextlib, ctypes, os, signal, time
from zhenyan.inference.serve.observe import TEXTS, WAITING, metrics_page

def work(chars):
    TEXTS.inc()
    WAITING.set(chars)

def generation():
    os.setpgid(0, 0)
    for chars in (20, 300):
        if not os.fork():
            work(chars)
            os.write(ready, b"r")
            time.sleep(600)
    time.sleep(600)

ctypes.CDLL(None).prctl(36, 1)  # inherits what the killed leave, as a container's first process does
told, ready = os.pipe()
leader = os.fork()
if not leader:
    generation()
for _ in range(2):
    os.read(told, 1)
work(4000)
print(metrics_page()[0].decode())
os.killpg(leader, signal.SIGKILL)
with contextlib.suppress(ChildProcessError):
    while True:
        os.wait()
print(metrics_page()[0].decode())
"""


def values(page: str) -> dict[str, float]:
    """The samples of a page by name."""
    return {name: float(value) for name, value in (line.split() for line in page.splitlines() if line[0] != "#")}


def test_what_waited_in_workers_that_were_killed_waits_no_more_and_what_they_counted_counts(tmp_path):
    """Of a generation that is killed as a group the supervisor sees one process end: the others' gauges stayed."""
    told = subprocess.run(
        [sys.executable, "-c", WORKERS],
        env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    before, after = map(values, told.split("\n\n")[:2])
    assert before["zhenyan_waiting_chars"] == 4320 and after["zhenyan_waiting_chars"] == 4000
    assert before["zhenyan_texts_total"] == after["zhenyan_texts_total"] == 3
    assert len(list(tmp_path.glob("gauge_*"))) == 1
