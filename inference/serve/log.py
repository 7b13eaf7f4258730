"""JSON logs without the texts. Imports nothing of the metrics: the supervisor logs before their folder is known."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import traceback
from typing import Any

from zhenyan.inference.errors import ZhenyanError


class JsonFormatter(logging.Formatter):
    """One JSON object a line; what was passed as `extra={"fields": {...}}` is merged in.

    An exception's message may quote a text: unless it is one of ours or `texts` is set, only its type and stack show.
    """

    def __init__(self, texts: bool = False) -> None:
        super().__init__()
        self.texts = texts

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        entry: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(), "message": record.getMessage(), "pid": record.process,
        }  # fmt: skip
        entry |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[1]:
            entry["error"] = self._error(record.exc_info[1])
        return json.dumps(entry, ensure_ascii=False, default=str)

    def _error(self, fault: BaseException) -> str:
        stack = "".join(traceback.format_tb(fault.__traceback__))
        told = f": {fault}" if self.texts or isinstance(fault, ZhenyanError) else ""
        return f"{stack}{type(fault).__name__}{told}"


def set_up_logging(texts: bool = False) -> logging.Logger:
    """Send every logger of the process to standard error as JSON; returns the service's own."""
    if sys.stderr is None:  # closed, as some that start services leave it
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  for as long as the process lives
    sys.stderr.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(texts))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    for name in ("zhenyan.serve", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").addFilter(_of_use)
    return logging.getLogger("zhenyan.serve")


def _of_use(record: logging.LogRecord) -> bool:
    """Not uvicorn's advice to install a WebSocket library: they are off on purpose."""
    return not record.getMessage().startswith("No supported WebSocket library")
