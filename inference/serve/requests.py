"""Which bodies can be read: JSON, neither compressed nor in another encoding; what to say of others."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from zhenyan.inference.json_objects import RepeatedKey, distinct
from zhenyan.inference.serve.refusals import Refused, given


class _JsonRequest(Request):
    async def json(self) -> Any:
        return json.loads(await self.body(), object_pairs_hook=distinct, parse_constant=_no_number)


def _no_number(name: str) -> Any:
    """What Python's JSON takes for a number and JSON doesn't."""
    raise Refused(400, f"body: not JSON: {name} is no number of JSON", "body")  # where it stands, Python doesn't tell


class JsonRoute(APIRoute):
    """415 for a body that its headers call anything but plain JSON, which would be read as something else; 400 for none."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, after a look at the headers where it takes a body."""
        handler = super().get_route_handler()

        async def checked(request: Request) -> Response:
            _check_headers(request)
            asked = _JsonRequest(request.scope, request.receive)
            if not await asked.body():  # FastAPI takes it for null
                raise Refused(400, "body: not JSON: it is empty; send an object", "body")
            request.state.read = time.perf_counter()  # from here its deadline counts
            return await handler(asked)

        return checked if self.body_field else handler


def _check_headers(request: Request) -> None:
    kind, encoding = request.headers.get("content-type"), request.headers.get("content-encoding", "identity")
    if not _is_json(kind or ""):
        shown = given(kind) if kind else "none"
        raise Refused(415, f"content-type: must be application/json, given {shown}", "content-type")
    if encoding.strip().lower() != "identity":
        raise Refused(415, f"content-encoding: send the body as it is, given {given(encoding)}", "content-encoding")


def _is_json(content_type: str) -> bool:
    """As FastAPI decides it."""
    message = Message()
    message["content-type"] = content_type
    subtype = message.get_content_subtype()
    return message.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))


def unreadable(fault: BaseException) -> str:
    """Why a body could not be read as JSON, and what to send instead."""
    if isinstance(fault, UnicodeDecodeError):
        return f"body: not {fault.encoding}: {fault.reason} at byte {fault.start}; send JSON in UTF-8, not compressed"
    if isinstance(fault, RecursionError):
        return "body: JSON nested too deeply; send an object with a list of texts"
    if isinstance(fault, RepeatedKey):
        return f"body: the key {given(fault.name)} stands twice in an object; send it once"
    return f"body: not JSON: a number has more than {sys.get_int_max_str_digits()} digits"
