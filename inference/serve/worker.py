"""One generation: a process that loads the model once, and the workers it forks around it or is itself."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import select
import signal
import socket
import time
from math import ceil
from typing import Any

import uvicorn
from zhenyan.inference.classifier import Classifier
from zhenyan.inference.errors import ConfigError
from zhenyan.inference.serve.connections import Protocol, Server
from zhenyan.inference.serve.processes import ended, fork, log, orphaned
from zhenyan.inference.serve.settings import Settings
from zhenyan.inference.session import OnnxSession

_GRACE = 1.0  # seconds in which a client may use a kept-alive connection once more while the worker stops
_FIRST_GRACE = 5.0  # seconds in which a new connection may bring its first request then
_QUICK = 5.0  # seconds: a worker that dies sooner is replaced after a pause
_QUICK_DEATHS = 3  # in a row, for each worker: then something is wrong with all of them


class _Server(Server):
    """Reports when it is ready, drains before it stops, follows its parent."""

    def __init__(self, app: Any, settings: Settings, ready: int) -> None:
        # `backlog` is how many connections asyncio accepts at a go: one, or a worker takes its siblings' share.
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="on", loop="asyncio", http=Protocol, ws="none",
            server_header=False, backlog=1,
            timeout_graceful_shutdown=ceil(settings.stop_seconds), timeout_keep_alive=ceil(settings.idle_seconds),
        )  # fmt: skip
        super().__init__(config, settings.idle_seconds, settings.body_seconds)
        self._app, self._ready = app, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        with contextlib.suppress(BrokenPipeError):  # nobody waits for a replacement
            os.write(self._ready, b"r")

    async def on_tick(self, counter: int) -> bool:
        if orphaned():
            self.should_exit = True  # nobody is left who would stop this worker
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, answer what comes on open connections for a moment, then what is in flight."""
        self._app.state.draining = True
        for server in self.servers:
            server.close()
        began, patience = time.monotonic(), self.config.timeout_graceful_shutdown or 0
        while (waited := time.monotonic() - began) < patience and any(
            _may_bring_more(connection, waited) for connection in self.server_state.connections
        ):
            await asyncio.sleep(0.02)
        self.config.timeout_graceful_shutdown = max(1, ceil(patience - (time.monotonic() - began)))
        await super().shutdown(sockets)


def _may_bring_more(connection: Any, waited: float) -> bool:
    """Whether to wait for an idle connection of a worker that stops: closing it on an unread request would lose that."""
    if connection.cycle is not None and not connection.cycle.response_complete:
        return False  # in flight: uvicorn waits for it
    if waited < (_FIRST_GRACE if connection.cycle is None else _GRACE):
        return True
    unread = select.poll()
    unread.register(connection.transport.get_extra_info("socket"), select.POLLIN)
    return bool(unread.poll(0))


def _work(settings: Settings, classifier: Classifier, listener: socket.socket, ready: int) -> None:
    """One worker's life."""
    from zhenyan.inference.serve.app import create_app

    _Server(create_app(settings, classifier), settings, ready).run(sockets=[listener])


def load(settings: Settings) -> Classifier:
    """With several workers one thread each, and ONNX Runtime: a forked session must not own a thread pool.

    Threads sleep between requests: awake, two took 10 ms of processor time for a line in place of 4.
    """
    several = settings.workers > 1
    runtime = "onnxruntime" if several and settings.runtime == "auto" else settings.runtime
    os.environ["TOKENIZERS_PARALLELISM"] = "false" if several else "true"
    threads = 1 if several else settings.threads
    if threads:
        os.environ.setdefault("RAYON_NUM_THREADS", str(threads))  # the tokenizer's own
    classifier = Classifier.load(settings.model, runtime=runtime, threads=threads, spin=False)
    if several and not isinstance(classifier.session, OnnxSession):
        raise ConfigError(
            "workers: only the onnxruntime runtime can be shared by several; the OpenVINO ones need workers=1"
        )
    return classifier


def generation(settings: Settings, listener: socket.socket, ready: int) -> None:
    """Load the model; be the worker (one), or fork workers around it. Each writes a byte to `ready` when it can score."""
    os.setpgid(0, 0)
    classifier = load(settings)
    if settings.workers == 1:
        _work(settings, classifier, listener, ready)
        return
    import zhenyan.inference.serve.app  # noqa: F401  loaded before forking, so that its memory is shared too

    gc.freeze()  # a collection in a worker would touch, and so copy, every shared page
    _Nursery(settings, classifier, listener, ready).run()


class _Nursery:
    """Keeps as many workers as the settings ask for, until it is told to stop or its supervisor is gone."""

    def __init__(self, settings: Settings, classifier: Classifier, listener: socket.socket, ready: int) -> None:
        self._arguments = settings, classifier, listener, ready
        self._listener = listener
        self._born: dict[int, float] = {}
        self._stopping, self._quick = False, 0

    def run(self) -> None:
        """Until all workers have ended; exits with 1 when they keep dying."""
        signal.signal(signal.SIGTERM, self._on_stop)
        for _ in range(self._arguments[0].workers):
            self._spawn()
        told = False
        while self._born:
            if not told and (self._stopping or orphaned()):
                told = self._stopping = True
                self._stop()
            dead, how = ended()
            if dead in self._born:
                self._bury(dead, how)
            else:
                time.sleep(0.05)
        if self._keep_dying:
            raise SystemExit(1)

    @property
    def _keep_dying(self) -> bool:
        return self._quick >= _QUICK_DEATHS * self._arguments[0].workers

    def _spawn(self) -> None:
        self._born[fork(_work, *self._arguments)] = time.monotonic()

    def _bury(self, dead: int, how: str) -> None:
        lived = time.monotonic() - self._born.pop(dead)
        if self._stopping:
            return
        log.error("worker died", extra={"fields": {"worker": dead, "lived": round(lived, 1), "ended": how}})
        self._quick = 0 if lived > _QUICK else self._quick + 1
        if self._keep_dying:
            self._stopping = True
        else:
            time.sleep(1 if self._quick else 0)
            self._spawn()

    def _stop(self) -> None:
        self._listener.close()
        for worker in self._born:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGTERM)

    def _on_stop(self, *_: object) -> None:
        self._stopping = True
