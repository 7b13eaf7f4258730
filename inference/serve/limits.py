"""A limit on request bodies that holds whatever the Content-Length header says, and on the time they may take."""

from __future__ import annotations

import asyncio
from typing import Any

from zhenyan.inference.serve.refusals import Json, refusal


class BodyLimit:
    """ASGI middleware: 413, stating limit and value, for a body over `limit` bytes; 408 after `seconds`.

    The connection stays open after a refusal and what still comes is discarded: closing it while the client sends
    would lose the answer to a reset.
    """

    def __init__(self, app: Any, limit: int, seconds: float = 30.0) -> None:
        self.app, self.limit, self.seconds = app, limit, seconds

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Refuse by the header where it tells, else count what comes."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self.limit:
            await self._too_large(declared.decode())(scope, receive, send)
            return
        body = await self._read(receive)
        if isinstance(body, Json):
            await body(scope, receive, send)
        elif body is not None:
            await self.app(scope, _replay(body, receive), send)

    async def _read(self, receive: Any) -> bytes | Json | None:
        """The body, a refusal, or None when the client has gone."""
        body = bytearray()
        try:
            async with asyncio.timeout(self.seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    if len(body) > self.limit:
                        return self._too_large(f"{len(body)} or more")
                    if not message.get("more_body"):
                        return bytes(body)
        except TimeoutError:
            text = f"body: must arrive within {self.seconds:g} s, given {len(body)} bytes so far"
            return refusal(408, text, "invalid_request_error", "body", connection="close")

    def _too_large(self, given: str) -> Json:
        return refusal(413, f"body: at most {self.limit} bytes, given {given}", "invalid_request_error", "body")


def _replay(body: bytes, receive: Any) -> Any:
    """A `receive` that gives the whole body first."""
    given = False

    async def replay() -> dict[str, Any]:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay
