"""`mlflow server` as a real process that can be stopped and started again on the same port and store."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

# What a user's shell may hold must not reach the servers; jobs and telemetry would only start more processes.
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")} | {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A command of `mlflow` that answers at `url`; it and its children are gone after `stop`."""

    def __init__(self, folder: Path, *arguments: str, path: str = "/health", **environment: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.path = path
        self.log = folder / f"mlflow-{self.port}.log"
        self.command = [sys.executable, "-m", "mlflow", *arguments, "--host", "127.0.0.1", "--port", str(self.port)]
        self.environment = ENVIRONMENT | environment

    def start(self, seconds: float = 240) -> None:
        """Start and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + seconds
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < end, self.log.read_text()[-3000:]
            time.sleep(0.1)

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(self.url + self.path, timeout=5, trust_env=False).status_code == 200
        return False

    def stop(self) -> None:
        """Kill it with all its children: the way a server goes away that nobody announced."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def tracking_server(folder: Path, store: str) -> Iterator[Process]:
    """A tracking server and registry over the database `store`, artifacts in `folder`/artifacts."""
    server = Process(
        folder, "server", "--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts"),
        "--workers", "1",
    )  # fmt: skip
    server.start()
    try:
        yield server
    finally:
        server.stop()
