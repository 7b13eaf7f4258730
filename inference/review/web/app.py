"""The FastAPI application of one review site."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from zhenyan.inference.errors import ZhenyanError
from zhenyan.inference.review.errors import (
    AccountError,
    CannotWrite,
    Conflict,
    Forbidden,
    LoginLocked,
    NotFound,
    NotLoggedIn,
)
from zhenyan.inference.review.web import account, stream, team, work
from zhenyan.inference.review.web.guard import confine, find_user, known_user, protected, read_form
from zhenyan.inference.review.web.site import Site, address, render
from zhenyan.inference.serve.limits import BodyLimit, Unread

log = logging.getLogger("zhenyan.review")
_MAX_FORM, _MAX_FORMS = 200_000, 20_000_000  # bytes of one form, and of all that are arriving
_FORM_SECONDS = 30.0
_STATUS = {Forbidden: 403, NotFound: 404, Conflict: 409, AccountError: 400, LoginLocked: 429}
_UNREAD = {408: f"提交的内容未能在 {_FORM_SECONDS:g} 秒内传完，请重试", 413: f"提交的内容超过 {_MAX_FORM:,} 字节，请缩短后重试",
           429: "同时提交的内容过多，请稍后重试"}  # fmt: skip
_UNREACHABLE = ("the review database can't be reached; try again later, or ask whoever runs it",
                "无法连接审查数据库，请稍后重试，或联系管理员")  # fmt: skip
_BUSY = ("someone else was first; load the page again", "其他人已先行操作，请重新载入页面")

_ENDED = ("your login has ended; copy your note if you want to keep it, then log in again",
          "登录已失效；备注如需保留，请先复制，再重新登录")  # fmt: skip


def create_app(site: Site) -> FastAPI:
    """The application; every route, static files aside, passes read_form and find_user first."""
    app = FastAPI(
        title="zhenyan review", docs_url=None, redoc_url=None, openapi_url=None,
        dependencies=[Depends(read_form), Depends(find_user)],
    )  # fmt: skip
    app.state.site = site
    app.middleware("http")(confine)
    app.add_middleware(BodyLimit, limit=_MAX_FORM, seconds=_FORM_SECONDS, most=_MAX_FORMS, answer=_unread)
    app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")))
    for part in (account, work, stream, team):
        app.include_router(part.router)
    _add_errors(app)
    return app


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(NotLoggedIn)
    async def not_logged_in(request: Request, _: Exception) -> Response:
        wanted = address(request)
        login = "/login" if wanted == "/" else f"/login?next={quote(wanted)}"
        if request.state.form.get("note", [""])[0].strip():  # which is on no page but the one that would be left
            return _refusal(request, 401, *_ENDED, login=login)
        if "hx-request" not in request.headers:
            return RedirectResponse(login, 303)
        return Response(status_code=401, headers={"HX-Redirect": login})

    @app.exception_handler(ZhenyanError)
    async def mistaken(request: Request, fault: ZhenyanError) -> Response:
        status = next((code for kind, code in _STATUS.items() if isinstance(fault, kind)), 400)
        unread = f"无法读取本次运行的文件，请联系管理员检查运行文件夹：{fault}"  # what isn't said for a page is of the run's folder
        return _refusal(request, status, str(fault), getattr(fault, "zh", unread))

    @app.exception_handler(CannotWrite)
    async def unwritable(request: Request, fault: CannotWrite) -> Response:
        log.error("%s %s: %s", request.method, request.url.path, fault)
        return _refusal(request, 503, str(fault), fault.zh)

    @app.exception_handler(sa.exc.OperationalError)
    async def unreachable(request: Request, fault: sa.exc.OperationalError) -> Response:
        log.error("%s %s: %s", request.method, request.url.path, fault.orig)
        return _refusal(request, 503, *_UNREACHABLE)

    @app.exception_handler(sa.exc.IntegrityError)
    async def beaten(request: Request, _: Exception) -> Response:
        return _refusal(request, 409, *_BUSY)

    @app.exception_handler(sa.exc.DataError)
    async def out_of_range(request: Request, _: Exception) -> Response:
        return _refusal(request, 422, "a value is longer or larger than can be kept", "某个值过长或过大，无法保存")

    @app.exception_handler(HTTPException)
    async def refused(request: Request, fault: HTTPException) -> Response:
        return _refusal(request, fault.status_code, str(fault.detail), "找不到该页面，或不允许此操作")

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, _: Exception) -> Response:
        return _refusal(request, 404, "no such page", "没有该页面")

    @app.exception_handler(Exception)
    async def broken(request: Request, fault: Exception) -> Response:
        log.error("unexpected: %s %s", request.method, request.url.path, exc_info=fault)
        answer = _refusal(request, 500, "internal error; the log has the details", "内部错误，详情见日志")
        return protected(request, answer)  # it goes round `confine`


async def _unread(scope: dict[str, Any], why: Unread) -> Response:
    """The answer to a form that is not read on, which goes round everything else here."""
    request = Request(scope)
    request.state.user = await run_in_threadpool(known_user, request)
    answer = _refusal(request, why.status, why.text, _UNREAD[why.status])
    answer.headers.update(why.headers)
    return protected(request, answer)


def _refusal(request: Request, status: int, english: str, chinese: str, login: str = "") -> Response:
    name = "refused_work.html.jinja" if "hx-request" in request.headers else "refused.html.jinja"
    user, form = getattr(request.state, "user", None), getattr(request.state, "form", {})  # neither for an unknown page
    said = {"number": status, "english": english, "chinese": chinese, "form": form, "login": login}
    return render(request, name, status, user, **said)
