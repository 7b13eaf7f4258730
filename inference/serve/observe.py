"""Metrics by stage, request ids, and one log line for each request.

Import this only where PROMETHEUS_MULTIPROC_DIR is set already (or never will be): prometheus_client looks once.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import re
import time
import uuid
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from zhenyan.inference.classifier import Prediction
from zhenyan.inference.context import ContextHit
from zhenyan.inference.serve.refusals import Json, refusal

log = logging.getLogger("zhenyan.serve")
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_GONE = 499  # in log and metrics: the client left before it was answered

REQUESTS = Counter("zhenyan_requests_total", "Requests answered", ["path", "status"])
TEXTS = Counter("zhenyan_texts_total", "Texts scored")
HITS = Counter("zhenyan_hits_total", "Texts, and pairs of lines, decided, by label", ["label"])
STAGE = Histogram(
    "zhenyan_stage_seconds", "Seconds spent on texts: queue, score, and the whole request", ["stage"], buckets=_BUCKETS
)
WAITING = Gauge("zhenyan_waiting_chars", "Characters queued or being scored", multiprocess_mode="livesum")


@contextlib.contextmanager
def _counting() -> Iterator[None]:
    """Counting never stops what is counted: its files may be gone, or no more may be opened."""
    try:
        yield
    except Exception as fault:
        _tell(repr(fault))


@functools.lru_cache(maxsize=64)
def _tell(why: str) -> None:
    """Log why metrics can't be written; each reason once, or every request would."""
    log.error("metrics can't be written", extra={"fields": {"why": why}})


def measure(stage: str, value: float) -> None:
    """What the batcher observes."""
    with _counting():
        if stage == "waiting":
            WAITING.set(value)
        else:
            STAGE.labels(stage).observe(value)


def count(predictions: Sequence[Prediction]) -> None:
    """Count texts that were scored, and their labels."""
    with _counting():
        TEXTS.inc(len(predictions))
    count_labels(predictions)


def count_labels(decided: Iterable[Prediction | ContextHit]) -> None:
    """Count the labels of texts, or those of two lines together."""
    with _counting():
        for label in (label for one in decided for label in one.labels):
            HITS.labels(label).inc()


def metrics_page() -> tuple[bytes, str]:
    """The metrics of all workers in Prometheus' text format, and its content type."""
    if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        _forget_dead(Path(folder))
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return generate_latest(registry), CONTENT_TYPE_LATEST
    return generate_latest(), CONTENT_TYPE_LATEST


def _forget_dead(folder: Path) -> None:
    """Drop what waits in workers that are gone.

    Here and not where one is seen to end: of a generation that is killed, or whose first process is, nobody sees the workers end.
    """
    for gauges in folder.glob("gauge_live*.db"):
        worker = int(gauges.stem.rpartition("_")[2])
        try:
            with contextlib.suppress(PermissionError):  # somebody else's process has the number by now
                os.kill(worker, 0)
        except ProcessLookupError:
            with contextlib.suppress(FileNotFoundError):  # another worker's page has dropped it
                mark_process_dead(worker, str(folder))


class Observed:
    """ASGI middleware: request id, timing, counters, one log line; an exception becomes a 500 in OpenAI's shape.

    What a stop breaks off after `stop_seconds` becomes a 503.
    """

    def __init__(self, app: Any, stop_seconds: float) -> None:
        self.app, self.stop_seconds = app, stop_seconds

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        identity = _identity(scope["headers"])
        scope.setdefault("state", {}).update(id=identity, fields={})
        started, status = time.perf_counter(), 0

        async def answer(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = _headers(scope, identity, time.perf_counter() - started)
                message = {**message, "headers": [*message["headers"], *own]}
            await send(message)

        try:
            await self.app(scope, receive, answer)
        except asyncio.CancelledError:
            if status:
                raise
            await self._broken_off()(scope, receive, answer)
        except Exception as fault:
            log.error("unexpected", exc_info=fault, extra={"fields": {"request": identity}})
            if status:
                raise
            message = "internal error; the log has the details under the request id"
            await refusal(500, message, "server_error")(scope, receive, answer)
        finally:
            _record(scope, identity, status or _GONE, time.perf_counter() - started)

    def _broken_off(self) -> Json:
        text = f"this worker stops and waits {self.stop_seconds:g} s (stop_seconds), which this request outlasts; retry in 1 s"
        return refusal(503, text, "server_error", **{"retry-after": "1"})


def _identity(headers: list[tuple[bytes, bytes]]) -> str:
    """The client's request id where it is printable and short, else a new one."""
    given = dict(headers).get(b"x-request-id", b"").decode("latin-1")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _headers(scope: dict[str, Any], identity: str, took: float) -> list[tuple[bytes, bytes]]:
    """Headers of every answer, and where its texts had a turn, how long they waited and `took` seconds in all.

    A worker that is about to stop asks the client to come back on a new connection.
    """
    closing = [(b"connection", b"close")] if scope["app"].state.draining else []
    waited = scope["state"]["fields"].get("queue_ms")
    timing = f"queue;dur={waited}, total;dur={1000 * took:.2f}".encode()
    return [(b"x-request-id", identity.encode()), *closing, *([] if waited is None else [(b"server-timing", timing)])]


def _record(scope: dict[str, Any], identity: str, status: int, took: float) -> None:
    # Not by the route that was chosen: a middleware that refuses comes before the choice.
    known = scope["path"] in {getattr(route, "path", None) for route in scope["app"].routes}
    told = scope["state"]["fields"]
    with _counting():
        REQUESTS.labels(scope["path"] if known else "other", str(status)).inc()
        # Probes and refusals come often and are quick: they would hide the others.
        if "texts" in told and status != 429:
            STAGE.labels("request").observe(took)
    fields = {"request": identity, "method": scope["method"], "path": scope["path"], "status": status,
              "ms": round(1000 * took, 2), **told}  # fmt: skip
    log.info("request", extra={"fields": fields})
