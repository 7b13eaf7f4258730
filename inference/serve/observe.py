"""Metrics by stage, and JSON logs without the texts."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

REQUESTS = Counter("zhenyan_requests_total", "Requests answered", ["path", "status"])
TEXTS = Counter("zhenyan_texts_total", "Texts scored")
HITS = Counter("zhenyan_hits_total", "Texts decided, by label", ["label"])
STAGE = Histogram(
    "zhenyan_stage_seconds", "Seconds spent: queue, score, and the whole request", ["stage"], buckets=_BUCKETS
)
WAITING = Gauge("zhenyan_waiting_chars", "Characters queued or being scored", multiprocess_mode="livesum")


def metrics_page() -> tuple[bytes, str]:
    """The metrics of all workers in Prometheus' text format, and its content type."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return generate_latest(registry), CONTENT_TYPE_LATEST
    return generate_latest(), CONTENT_TYPE_LATEST


class JsonFormatter(logging.Formatter):
    """One JSON object a line; what was passed as `extra={"fields": {...}}` is merged in."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        entry: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(), "message": record.getMessage(), "pid": record.process,
        }  # fmt: skip
        entry |= getattr(record, "fields", {})
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def set_up_logging() -> logging.Logger:
    """The service's logger, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name in ("zhenyan.serve", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)
    return logging.getLogger("zhenyan.serve")
