"""The supervisor: starts, reloads and stops generations of workers around one listening socket.

It never loads the model itself. For each generation it forks a process that loads and verifies the bundle once and
forks the workers: they share its memory (copy on write). SIGHUP starts a new generation and stops the old one when the
new one is ready; the socket outlives both, so no request is dropped. SIGTERM finishes what is in flight. What either
finishes has `stop_seconds` for it, then it is answered 503.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time

from zhenyan.inference import locks
from zhenyan.inference.errors import ConfigError
from zhenyan.inference.serve import sockets
from zhenyan.inference.serve.keys import KeyFile
from zhenyan.inference.serve.log import set_up_logging
from zhenyan.inference.serve.processes import ended, fork
from zhenyan.inference.serve.settings import Settings
from zhenyan.inference.serve.worker import generation

_START_SECONDS = 300.0
_KILL_SECONDS = 10.0  # past `stop_seconds` a generation that has not ended is killed
_PAUSES = (0, 1, 2, 4, 8, 16)  # seconds before each attempt to replace a generation that died


class Supervisor:
    """Starts, reloads and stops generations of workers."""

    def __init__(self, settings: Settings) -> None:
        if settings.keys:
            KeyFile(settings.keys).names()  # raises when it can't be read
        self.settings = settings
        # Before the socket, which would get the number of a standard error that is closed.
        self.log = set_up_logging(settings.log_texts)
        self.listener = sockets.bind(settings.host, settings.port)
        self.current: int | None = None
        self.metrics: int | None = None  # the locked folder
        self.ending: dict[int, float] = {}  # stopped generations, and when to kill what is left of them
        self.reload = self.stopping = False

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; returns the exit code. ConfigError when no folder can be written."""
        signal.signal(signal.SIGHUP, self._on_hangup)
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        with _metrics_folder() as metrics:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics
            self.current = self._start()
            code = 2 if self.current is None else 1
            if self.current is not None:
                fields = {"address": sockets.address(self.listener), "workers": self.settings.workers}
                self.log.info("listening", extra={"fields": fields})
                self._serve()
            self._finish()
        return 0 if self.stopping else code

    def _serve(self) -> None:
        while self.current is not None and not self.stopping:
            if self.reload:
                self.reload = False
                self._replace()
            self._reap()
            time.sleep(0.1)

    def _finish(self) -> None:
        """Stop whatever runs, and wait for it."""
        if self.current is not None:
            sockets.refuse_new(self.listener)
            self._end(self.current)
            self.current = None
        self.listener.close()
        while self.ending:
            self._reap()
            time.sleep(0.05)

    def _reap(self) -> None:
        """See which generations have ended; kill those that should have."""
        for late in [pid for pid, end in self.ending.items() if time.monotonic() > end]:
            self.log.error("stopped too slowly, killed", extra={"fields": {"generation": late}})
            with contextlib.suppress(ProcessLookupError):
                os.killpg(late, signal.SIGKILL)
            self.ending[late] = float("inf")
        while True:
            dead, how = ended()
            if not dead:
                return
            self.ending.pop(dead, None)
            if dead == self.current:
                self.current = None
                self.log.error("generation ended", extra={"fields": {"generation": dead, "ended": how}})
                self._revive()

    def _revive(self) -> None:
        """Start a generation in place of one that died; after several attempts in vain `current` stays None."""
        for pause in _PAUSES:
            self.log.error("workers died, starting again", extra={"fields": {"in_seconds": pause}})
            again = time.monotonic() + pause
            while time.monotonic() < again and not self.stopping:
                time.sleep(0.05)
            if self.stopping:
                return
            self.current = self._start()
            if self.current is not None:
                return
        self.log.critical("workers can't be started, giving up")

    def _start(self) -> int | None:
        """Fork a generation and wait until all its workers are ready; None when it can't or a stop came between."""
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        try:
            self.metrics = _hold(os.environ["PROMETHEUS_MULTIPROC_DIR"], self.metrics)
            child = fork(generation, self.settings, self.listener, writer)
            return child if self._ready(child, reader) else None
        except OSError as error:  # no room for a process, or on the disk
            self.log.error("no generation could be started", extra={"fields": {"why": str(error)}})
            return None
        finally:
            os.close(reader)
            os.close(writer)

    def _ready(self, child: int, reader: int) -> bool:
        end, count = time.monotonic() + _START_SECONDS, 0
        while not self.stopping and time.monotonic() < end:
            with contextlib.suppress(BlockingIOError):
                count += len(os.read(reader, 64))
            if count >= self.settings.workers:
                return True
            dead, how = ended(child)
            if dead:
                self._tell_not_ready(child, how)
                return False
            time.sleep(0.02)
        if not self.stopping:
            self._tell_not_ready(child, f"not ready after {_START_SECONDS:.0f} seconds, stopped")
        self._end(child)
        return False

    def _tell_not_ready(self, child: int, how: str) -> None:
        self.log.error("generation ended before it was ready", extra={"fields": {"generation": child, "ended": how}})

    def _replace(self) -> None:
        """A new generation beside the old one; the old one stays when the new one can't start."""
        fresh = self._start()
        if fresh is not None:
            if self.current is not None:
                self._end(self.current)
            self.current = fresh
            self.log.info("reloaded")
        elif not self.stopping:
            self.log.error("reload failed: the new model could not be started; the old one stays")

    def _end(self, pid: int) -> None:
        """Ask a generation to finish."""
        self.ending[pid] = time.monotonic() + self.settings.stop_seconds + _KILL_SECONDS
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)

    def _on_hangup(self, *_: object) -> None:
        self.reload = True

    def _on_stop(self, *_: object) -> None:
        self.stopping = True


def _metrics_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for the metrics of all workers; ConfigError where none can be made, as in a read-only container."""
    try:
        return tempfile.TemporaryDirectory(prefix="zhenyan-metrics-")
    except OSError as error:
        raise ConfigError(
            f"no folder can be written for the metrics ({error.strerror}): set TMPDIR to one, "
            "or in a container add --tmpfs /tmp"
        ) from None


def _hold(folder: str, held: int | None) -> int:
    """Make the folder of the metrics anew where it is gone, and lock it unless `held`, the handle of before, is its; the handle.

    The lock, where the disk has locks, tells systemd-tmpfiles, which removes from /tmp what is older than some days, to
    leave it alone. Others sweep, too.
    """
    os.makedirs(folder, mode=0o700, exist_ok=True)
    if held is not None and os.path.samestat(os.fstat(held), os.stat(folder)):
        return held
    handle = os.open(folder, os.O_RDONLY)
    if held is not None:
        os.close(held)
    locks.take(handle, alone=False, wait=True)
    return handle
