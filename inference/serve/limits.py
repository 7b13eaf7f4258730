"""Limits on request bodies that hold whatever the Content-Length header says: bytes of one and of all, seconds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from starlette.responses import Response
from zhenyan.inference.serve.refusals import refusal


class Unread(NamedTuple):
    """Why a body is not read on: the status, the text that names limit and value, and headers of the answer."""

    status: int
    text: str
    headers: dict[str, str]


async def as_json(scope: dict[str, Any], why: Unread) -> Response:
    """The service's answer to a body that is not read on."""
    kind = "rate_limit_error" if why.status == 429 else "invalid_request_error"
    return refusal(why.status, why.text, kind, "body", **why.headers)


class BodyLimit:
    """ASGI middleware: 413, stating limit and value, for a body over `limit` bytes; 408 after `seconds`.

    429 for what would make the unfinished bodies of all requests more than `most` bytes: many slow clients could else fill
    the memory. A body that is whole is never refused for that.

    The connection stays open after a refusal and what still comes is discarded: closing it while the client sends
    would lose the answer to a reset. Of a client that wants it closed the rest is read first (`drain`).

    `answer` makes the response, with the scope and why.
    """

    def __init__(
        self, app: Any, limit: int, seconds: float, most: int,
        answer: Callable[[dict[str, Any], Unread], Awaitable[Response]] = as_json,
    ) -> None:  # fmt: skip
        self.app, self.limit, self.seconds, self.most, self.answer = app, limit, seconds, most, answer
        self._arriving = 0  # bytes

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Refuse by the header where it tells, else count what comes."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self.limit:
            await drain(scope, receive, self.seconds)
            response = await self.answer(scope, self._too_large(declared.decode()))
            await response(scope, receive, send)
            return
        body, more = await self._read(receive)
        if isinstance(body, Unread):
            if more:
                await drain(scope, receive, self.seconds)
            response = await self.answer(scope, body)
            await response(scope, receive, send)
        elif body is not None:
            await self.app(scope, _replay(body, receive), send)

    async def _read(self, receive: Any) -> tuple[bytes | Unread | None, bool]:
        """The body, a refusal, or None when the client has gone; and whether more of it comes that is to be read first."""
        body = bytearray()
        try:
            async with asyncio.timeout(self.seconds):
                return await self._collect(body, receive)
        except TimeoutError:
            text = f"body: must arrive within {self.seconds:g} s, given {len(body)} bytes so far"
            return Unread(408, text, {"connection": "close"}), False
        finally:
            self._arriving -= len(body)

    async def _collect(self, body: bytearray, receive: Any) -> tuple[bytes | Unread | None, bool]:
        """As `_read`; what has come stands in `body`."""
        while (message := await receive())["type"] != "http.disconnect":
            part = message.get("body", b"")
            body += part
            self._arriving += len(part)
            more = message.get("more_body", False)
            if len(body) > self.limit:
                return self._too_large(f"{len(body)} or more"), more
            if not more:
                return bytes(body), False
            if self._arriving > self.most:
                return self._too_many(), True
        return None, False

    def _too_large(self, given: str) -> Unread:
        return Unread(413, f"body: at most {self.limit} bytes, given {given}", {})

    def _too_many(self) -> Unread:
        text = f"body: at most {self.most} bytes of all requests may be arriving, given {self._arriving}; retry in 1 s"
        return Unread(429, text, {"retry-after": "1"})


async def drain(scope: dict[str, Any], receive: Any, seconds: float) -> None:
    """Read and drop the rest of a body for so long at most, where the server closes the connection after its answer.

    One that waits to be told to send it is left: the answer comes in place of that.
    """
    headers = dict(scope["headers"])
    closes = b"close" in headers.get(b"connection", b"").lower() or scope.get("http_version") == "1.0"
    if not closes or b"expect" in headers:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await receive()).get("more_body"):
                pass


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
