"""Who may send what: login cookie, CSRF tokens, roles, and the headers that confine a page."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.responses import Response
from zhenyan.inference.review.errors import Forbidden, NotLoggedIn
from zhenyan.inference.review.logins import User
from zhenyan.inference.review.settings import ROLE_NAMES, may

_TOKEN_SECONDS = 24 * 3600
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True)
class Token:
    """A CSRF token and, before login, the cookie that it is bound to."""

    value: str
    cookie: tuple[str, str] | None
    secure: bool

    def remember(self, response: Response) -> None:
        """Set the cookie where there is a new one."""
        if self.cookie:
            set_cookie(response, *self.cookie, self.secure)


@dataclass(frozen=True)
class Guard:
    """Signs and checks with the site's secret."""

    secret: str
    https: bool

    def secure(self, request: Request) -> bool:
        """Whether cookies may only travel over https."""
        return self.https or request.url.scheme == "https"

    def login_cookie(self, request: Request) -> str:
        """The login cookie's name; the prefix makes browsers refuse one set by a neighbouring host or over http.

        It has the port in it, which browsers don't tell cookies by: a second review on this machine is another login.
        """
        port = re.search(r":\d{1,5}$", request.headers.get("host", ""))
        name = f"zhenyan-{port[0][1:]}" if port else "zhenyan"
        return f"__Host-{name}" if self.secure(request) else name

    def token(self, request: Request, login: str | None) -> Token:
        """A CSRF token bound to the login, or before login to a cookie of its own."""
        secure = self.secure(request)
        if login is not None:
            return Token(self._signer().dumps(_mark(login)), None, secure)
        known = request.cookies.get(self._visitor_cookie(request))
        visitor = known or secrets.token_urlsafe(16)
        cookie = None if known else (self._visitor_cookie(request), visitor)
        return Token(self._signer().dumps(visitor), cookie, secure)

    def check_token(self, request: Request, login: str | None, given: str) -> None:
        """Forbidden unless `given` was made for this login or visitor, at most a day ago."""
        bound = _mark(login) if login else request.cookies.get(self._visitor_cookie(request))
        if not bound:
            raise Forbidden("the browser sent no cookie: let it keep this site's cookies, or open the site by https where --https was given",
                            "浏览器未发送 Cookie：请允许本站保存 Cookie；启动时用了 --https 的，请以 https 打开本站")  # fmt: skip
        try:
            said = self._signer().loads(given, max_age=_TOKEN_SECONDS)
        except BadSignature:
            said = ""
        if not hmac.compare_digest(str(said).encode(), bound.encode()):
            raise Forbidden("this form is out of date; go back, load the page again and repeat",
                            "表单已过期，请返回并重新载入页面后再试")  # fmt: skip

    def _signer(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self.secret, salt="csrf")

    def _visitor_cookie(self, request: Request) -> str:
        return "__Host-zhenyan-visitor" if self.secure(request) else "zhenyan-visitor"


def _mark(login: str) -> str:
    """Stands for the login in a token, which a page shows; the login's own key stays in the database."""
    return hashlib.sha256(f"csrf:{login}".encode()).hexdigest()


def set_cookie(response: Response, name: str, value: str, secure: bool) -> None:
    """A cookie of the browser's session that no script sees and no other site's request carries."""
    response.set_cookie(name, value, secure=secure, httponly=True, samesite="strict", path="/")


async def read_form(request: Request) -> None:
    """Runs before every route: reads a POST's form, for find_user to check its token, so that no route can forget to."""
    request.state.form = {}
    if request.method in ("GET", "HEAD"):
        return
    form = await request.form(max_files=0, max_fields=200)
    request.state.form = {key: [str(v) for v in form.getlist(key)] for key in form}
    request.state.csrf = field(request, "csrf")


def find_user(request: Request) -> None:
    """Runs before every route, after read_form: who is logged in, and whether a POST's token is theirs."""
    guard, user = request.app.state.site.guard, known_user(request)
    if request.method not in ("GET", "HEAD"):
        try:
            guard.check_token(request, user.token if user else None, request.state.csrf)
        except Forbidden:
            if user is None and guard.login_cookie(request) in request.cookies:
                raise NotLoggedIn from None  # the login ended while the form was open
            raise
    request.state.user = user


def known_user(request: Request) -> User | None:
    """Who the login cookie says is asking, whatever they ask."""
    site = request.app.state.site
    cookie = request.cookies.get(site.guard.login_cookie(request))
    return site.logins.who(cookie) if cookie else None


def needs(role: str) -> Callable[[Request], Awaitable[User]]:
    """Dependency of a route: a logged-in user of at least this role."""

    async def check(request: Request) -> User:
        user: User | None = request.state.user
        if user is None:
            raise NotLoggedIn
        if not may(user.role, role):
            raise Forbidden(f"this needs the role {role}; yours is {user.role}",
                            f"此操作需要角色“{ROLE_NAMES[role][0]}”，您的角色为“{ROLE_NAMES[user.role][0]}”，请联系管理员")  # fmt: skip
        return user

    return check


Reviewer = Annotated[User, Depends(needs("reviewer"))]  # who is logged in


def field(request: Request, name: str, default: str = "") -> str:
    """One value of the form."""
    return next(iter(request.state.form.get(name, [])), default)


async def confine(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
    """Security headers on every answer."""
    return protected(request, await proceed(request))


def protected(request: Request, response: Response) -> Response:
    """The answer with its security headers; pages aren't stored by browsers."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if not request.url.path.startswith("/static/"):
        response.headers["Cache-Control"] = "no-store"
    if request.app.state.site.guard.secure(request):
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    return response
