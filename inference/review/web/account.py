"""Logging in and out, the language, one's own password."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response
from zhenyan.inference.review.errors import AccountError, LoginLocked, LoginRefused
from zhenyan.inference.review.web.guard import Reviewer, field, set_cookie
from zhenyan.inference.review.web.site import LANGUAGES, local, render, site_of

router = APIRouter()


@router.get("/login")
def login_page(request: Request, next: str = "/") -> Response:
    """The login form."""
    if request.state.user is not None:
        return RedirectResponse("/", 303)
    ended = site_of(request).guard.login_cookie(request) in request.cookies  # one that logs nobody in any more
    return render(request, "login.html.jinja", next=local(next), fault=None, ended=ended)


@router.post("/login")
def log_in(request: Request) -> Response:
    """Check name and password; a lock answers 429, a wrong password 401."""
    site = site_of(request)
    address = request.client.host if request.client else "unknown"
    try:
        cookie = site.logins.enter(field(request, "name"), field(request, "password"), address)
    except (LoginRefused, LoginLocked) as fault:
        status = 429 if isinstance(fault, LoginLocked) else 401
        return render(request, "login.html.jinja", status, next=local(field(request, "next")), fault=fault, ended=False)
    response = RedirectResponse(local(field(request, "next")), 303)
    set_cookie(response, site.guard.login_cookie(request), cookie, site.guard.secure(request))
    return response


@router.post("/logout")
def log_out(request: Request, user: Reviewer) -> Response:
    """End the login; what the user held is free for others."""
    site = site_of(request)
    site.desk.release(user)
    site.logins.leave(user)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(site.guard.login_cookie(request), path="/", secure=site.guard.secure(request), httponly=True)
    return response


@router.post("/language")
def choose_language(request: Request) -> Response:
    """Chinese or English, remembered in a cookie."""
    code = field(request, "language")
    response = RedirectResponse(local(field(request, "next")), 303)
    if code in LANGUAGES:
        set_cookie(response, "zhenyan_language", code, site_of(request).guard.secure(request))
    return response


@router.get("/account")
def account_page(request: Request, user: Reviewer) -> Response:
    """One's own password."""
    return render(request, "account.html.jinja", user=user, fault=None, done=False)


@router.post("/account")
def change_password(request: Request, user: Reviewer) -> Response:
    """A new password, against the old one; other logins of the user end. A lock answers 429."""
    site = site_of(request)
    try:
        if not site.logins.confirm(user, field(request, "old")):
            raise AccountError("the present password is not right", "当前密码不正确")
        site.accounts.set_password(user.name, field(request, "password"), by=user.name, keep=user.token)
    except (AccountError, LoginLocked) as fault:
        status = 429 if isinstance(fault, LoginLocked) else 400
        return render(request, "account.html.jinja", status, user, fault=fault, done=False)
    return render(request, "account.html.jinja", user=user, fault=None, done=True)
