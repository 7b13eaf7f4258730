"""Processes of the service: a supervisor that forks workers around one loaded model, reloads and stops them.

The supervisor never loads the model. For each generation it forks a nursery, which loads and verifies the bundle once
and forks the workers: they share its memory (copy on write). SIGHUP starts a new generation and stops the old one
when the new one is ready; the listening socket outlives both, so no request is dropped. SIGTERM finishes what is
in flight.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import tempfile
import time
from types import FrameType

import uvicorn
from zhenyan.inference.classifier import Classifier
from zhenyan.inference.errors import ConfigError, ZhenyanError
from zhenyan.inference.serve.observe import set_up_logging
from zhenyan.inference.serve.settings import Settings

_START_SECONDS = 120.0


def bind(settings: Settings) -> socket.socket:
    """The listening socket, shared by all workers; ConfigError when the address is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        raise ConfigError(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}") from None
    listener.listen(2048)
    listener.set_inheritable(True)
    return listener


def _load(settings: Settings) -> Classifier:
    """With several workers one thread each: a forked session must not own a thread pool."""
    threads = 1 if settings.workers > 1 else settings.threads
    return Classifier.load(settings.model, runtime=settings.runtime, threads=threads)


def _work(settings: Settings, classifier: Classifier, listener: socket.socket, ready: int) -> None:
    """One worker's life; writes a byte to `ready` when it can score."""
    from zhenyan.inference.serve.app import create_app

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            os.write(ready, b"r")

    config = uvicorn.Config(
        create_app(settings, classifier), log_config=None, access_log=False, lifespan="on", server_header=False,
        timeout_graceful_shutdown=int(settings.stop_seconds), timeout_keep_alive=30, h11_max_incomplete_event_size=65_536,
    )  # fmt: skip
    server = Server(config)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    server.run(sockets=[listener])


def _fork(body: object, *arguments: object) -> int:
    """Run `body` in a child process that exits when it returns."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        body(*arguments)  # type: ignore[operator]
        code = 0
    except ZhenyanError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


def _nursery(settings: Settings, listener: socket.socket, ready: int) -> None:
    """Load the model; be the worker (one), or fork workers around it and replace those that die."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false" if settings.workers > 1 else "true"
    classifier = _load(settings)
    if settings.workers == 1:
        _work(settings, classifier, listener, ready)
        return
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    children = {_fork(_work, settings, classifier, listener, ready) for _ in range(settings.workers)}
    while children:
        try:
            dead, _ = os.wait()
        except InterruptedError:
            continue
        children.discard(dead)
        if not stopping:
            time.sleep(0.2)
            children.add(_fork(_work, settings, classifier, listener, ready))


class Supervisor:
    """Starts, reloads and stops generations of workers."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.listener = bind(settings)
        self.log = set_up_logging()
        self.current: int | None = None
        self.old: set[int] = set()
        self.reload = self.stopping = False

    @property
    def address(self) -> str:
        """Where the service listens."""
        host, port = self.listener.getsockname()[:2]
        return f"http://{host}:{port}"

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; returns the exit code."""
        signal.signal(signal.SIGHUP, self._on_hangup)
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        with tempfile.TemporaryDirectory(prefix="zhenyan-metrics-") as metrics:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics
            self.current = self._start()
            if self.current is None:
                return 2
            self.log.info("listening", extra={"fields": {"address": self.address, "workers": self.settings.workers}})
            while self.current is not None or self.old:
                self._step()
        return 0

    def _step(self) -> None:
        if self.stopping and self.current is not None:
            self._end(self.current)
            self.current = None
        elif self.reload:
            self.reload = False
            self._replace()
        with contextlib.suppress(ChildProcessError):
            dead, status = os.waitpid(-1, os.WNOHANG)
            if dead == self.current and not self.stopping:
                self.log.error("workers died, starting again", extra={"fields": {"status": status}})
                self.current = self._start() or self._start()
            self.old.discard(dead)
        time.sleep(0.1)

    def _start(self) -> int | None:
        """Fork a generation and wait until all its workers are ready; None when it died on the way."""
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        child = _fork(_nursery, self.settings, self.listener, writer)
        os.close(writer)
        waited, count = time.monotonic() + _START_SECONDS, 0
        try:
            while count < self.settings.workers and time.monotonic() < waited:
                with contextlib.suppress(BlockingIOError):
                    count += len(os.read(reader, 64))
                dead, _ = os.waitpid(child, os.WNOHANG)
                if dead:
                    return None
                time.sleep(0.02)
        finally:
            os.close(reader)
        return child

    def _replace(self) -> None:
        """A new generation beside the old one; the old one stays when the new one can't start."""
        fresh = self._start()
        if fresh is None:
            self.log.error("reload failed: the new model could not be started; the old one stays")
            return
        if self.current is not None:
            self._end(self.current)
        self.current = fresh
        self.log.info("reloaded")

    def _end(self, generation: int) -> None:
        self.old.add(generation)
        with contextlib.suppress(ProcessLookupError):
            os.kill(generation, signal.SIGTERM)

    def _on_hangup(self, *_: FrameType | int | None) -> None:
        self.reload = True

    def _on_stop(self, *_: FrameType | int | None) -> None:
        self.stopping = True
