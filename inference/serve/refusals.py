"""Refusals in OpenAI's shape, and JSON that any text survives."""

from __future__ import annotations

import json
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse


class Json(JSONResponse):
    """UTF-8; what that can't hold (lone surrogates of a text that was sent escaped) goes back escaped."""

    def render(self, content: Any) -> bytes:
        """The content as bytes."""
        try:
            return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
        except UnicodeEncodeError:
            return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


class Refused(HTTPException):
    """A refusal that names the parameter at fault."""

    def __init__(self, status: int, message: str, param: str) -> None:
        super().__init__(status, message)
        self.param = param


def given(value: Any) -> str:
    """What a client gave, in short: a value as JSON, the size of a list, the keys of an object."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object with {', '.join(map(str, value)) or 'nothing in it'}"[:100]
    return json.dumps(value, ensure_ascii=False)[:100]


def refusal(status: int, message: str, kind: str, param: str | None = None, **headers: str) -> Json:
    """The response: message, type, the parameter at fault."""
    body = {"error": {"message": message, "type": kind, "param": param, "code": None}}
    return Json(body, status, headers=headers or None)
