"""Start `zhenyan serve` as a real process on a free loopback port, read its log, measure its memory, stop it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from zhenyan.inference import Classifier

ZHENYAN = Path(sys.executable).with_name("zhenyan")


@dataclass
class Service:
    """A running service."""

    process: subprocess.Popen[bytes]
    log_file: Path
    url: str = ""

    def log(self, message: str | None = None) -> list[dict[str, Any]]:
        """The log's lines, or those with this message; every line must be JSON."""
        lines = [json.loads(line) for line in self.log_file.read_text(encoding="utf-8").splitlines()]
        return [line for line in lines if message in (None, line["message"])]

    def wait_for(self, message: str, count: int = 1, seconds: float = 120) -> dict[str, Any]:
        """The count-th line with this message, once it is there."""
        end = time.monotonic() + seconds
        while len(found := self.log(message)) < count:
            assert time.monotonic() < end and self.process.poll() is None, self.log_file.read_text()[-3000:]
            time.sleep(0.05)
        return found[count - 1]

    def request(self, identity: str, seconds: float = 60) -> dict[str, Any]:
        """The log line of a request; it is written after the answer."""
        end = time.monotonic() + seconds
        while not (found := [line for line in self.log("request") if line["request"] == identity]):
            assert time.monotonic() < end
            time.sleep(0.02)
        return found[0]

    def hang_up(self) -> None:
        """Ask for a reload."""
        self.process.send_signal(signal.SIGHUP)

    def stop(self, seconds: float = 120) -> int:
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(seconds)

    def pids(self) -> list[int]:
        """The supervisor and all its descendants."""
        found = [self.process.pid]
        for pid in found:
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    found += map(int, (task / "children").read_text().split())
        return found

    def workers(self) -> list[int]:
        """Processes that have no children: those that serve."""
        return [pid for pid in self.pids() if not Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def memory(self, field: str) -> int:
        """Kilobytes of all processes together: Rss, or Pss, where shared pages count once."""
        total = 0
        for pid in self.pids():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith(f"{field}:"):
                    total += int(line.split()[1])
        return total


def start(folder: Path, *arguments: str, before: str = "", program: Path = ZHENYAN, **settings: Any) -> Service:
    """Start the service with these settings; ZHENYAN_MODEL names the model, the bundled one by default.

    `before`: Python that is run in its process first; `program`: the `zhenyan` to run.
    """
    words = [sys.executable, "-c", f"{before}\nfrom zhenyan.inference.cli import main\nmain()"] if before else [program]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ZHENYAN_") or k == "ZHENYAN_MODEL"}
    environment |= {f"ZHENYAN_{name.upper()}": str(value) for name, value in settings.items()}
    environment.setdefault("ZHENYAN_THREADS", "1")
    environment["TMPDIR"] = str(folder)  # where one that is killed leaves the folder of its metrics
    log_file = folder / f"service-{time.monotonic_ns()}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen([*words, "serve", "--port", "0", *arguments], env=environment, stderr=log)
    return Service(process, log_file)


@contextlib.contextmanager
def serving(folder: Path, *arguments: str, code: int = 0, **options: Any) -> Iterator[Service]:
    """A service that listens, with options of `start`; it is stopped at the end, and must have ended with this code."""
    service = start(folder, *arguments, **options)
    try:
        service.url = service.wait_for("listening", seconds=300)["address"]
        yield service
        assert service.stop() == code, service.log_file.read_text()[-3000:]
    finally:
        if service.process.poll() is None:
            for pid in service.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            service.process.wait()


def classifier() -> Classifier:
    """The service's model in this process."""
    return Classifier.load(os.environ.get("ZHENYAN_MODEL"), threads=1)


def client(service: Service, **options: Any) -> httpx.Client:
    """An HTTP client of the service."""
    return httpx.Client(base_url=service.url, timeout=180, trust_env=False, **options)
