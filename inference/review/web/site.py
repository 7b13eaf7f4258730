"""What every request needs, and how pages are rendered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
from fastapi import Request
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, Response
from zhenyan.inference.bundle import Bundle, Label
from zhenyan.inference.errors import InputError
from zhenyan.inference.io.times import beijing_time
from zhenyan.inference.law import citation, penalty, says, section
from zhenyan.inference.report import RESPONSIBLE, marked, own_time, when
from zhenyan.inference.review.accounts import MAX_NAME, Accounts
from zhenyan.inference.review.database import Database
from zhenyan.inference.review.desk import Desk
from zhenyan.inference.review.intake import Run
from zhenyan.inference.review.likes import Memory
from zhenyan.inference.review.log import COMMAND_LINE, NEWEST
from zhenyan.inference.review.logins import Logins, User
from zhenyan.inference.review.outcome import ACTION_NAMES, STATE_NAMES
from zhenyan.inference.review.settings import MAX_NOTE, MAX_PASSWORD, MIN_PASSWORD, ROLE_NAMES, Settings, may
from zhenyan.inference.review.web.guard import Guard
from zhenyan.inference.runs.store import RunFolder
from zhenyan.inference.runs.streams import HIGH, MEDIUM
from zhenyan.inference.runs.transcript import Transcript

LANGUAGES = ("zh", "en")
_FORM_PAGES = ("/login", "/account", "/reviewers")  # which answer a form that they refuse themselves
_ORIGIN = re.compile(r"https?://[^/?#]*")
KEYS = "1234567890qwetyiopsdfghjkzxcvb"  # what chooses a label once relabelling is open; Enter confirms
_SHOWN = 600  # characters of a long line around its evidence; all of it is folded away below


@dataclass
class Site:
    """One run under review."""

    database: Database
    run: Run
    folder: RunFolder
    bundle: Bundle
    settings: Settings = field(default_factory=Settings)
    accounts: Accounts = field(init=False)
    logins: Logins = field(init=False)
    desk: Desk = field(init=False)
    memory: Memory = field(init=False)
    transcript: Transcript = field(init=False)
    guard: Guard = field(init=False, repr=False)  # its secret is nobody's business

    def __post_init__(self) -> None:
        self.accounts = Accounts(self.database, self.settings)
        self.logins = Logins(self.accounts)
        self.desk = Desk(self.database, self.run, self.settings)
        self.memory = Memory(self.database)
        self.transcript = Transcript(self.folder)
        self.guard = Guard(self.database.secret(), self.settings.https)

    @cached_property
    def labels(self) -> dict[str, Label]:
        """The bundle's labels by id."""
        return {label.id: label for label in self.bundle.labels}

    def stream_number(self, name: str) -> int | None:
        """The stream's in its transcript's address; None where the run's list of streams lacks it or can't be read."""
        with suppress(InputError):
            return self.transcript.numbers.get(name)
        return None

    @cached_property
    def templates(self) -> jinja2.Environment:
        """Templates with everything escaped."""
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).with_name("pages")), autoescape=True,
            trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
        )  # fmt: skip
        environment.filters |= {"marked": marked, "plain": lambda text: marked(text, []),
                                "when": lambda at: beijing_time(at)[:16], "excerpt": excerpt}  # fmt: skip
        environment.globals |= {"responsible": RESPONSIBLE, "may": may, "keys": KEYS, "spoken": when,
                                "own_time": own_time, "times": times, "citation": citation, "penalty": penalty, "says": says, "section": section,
                                "min_password": MIN_PASSWORD, "max_password": MAX_PASSWORD, "max_note": MAX_NOTE, "max_name": MAX_NAME,
                                "whole_up_to": _SHOWN, "newest": NEWEST, "command_line": COMMAND_LINE, "medium": MEDIUM, "high": HIGH,
                                "state_names": STATE_NAMES, "action_names": ACTION_NAMES, "role_names": ROLE_NAMES}  # fmt: skip
        return environment


def site_of(request: Request) -> Site:
    """The site that a request is for."""
    site: Site = request.app.state.site
    return site


def address(request: Request) -> str:
    """Where the page that answers a request can be had again, with what was chosen on it; "/" where nothing can be.

    For a form it is the page that the form was on, where the browser tells.
    """
    path, query = request.url.path, request.url.query
    if request.method == "GET":
        return f"{path}?{query}" if query else path
    left = local(_ORIGIN.sub("", request.headers.get("referer", ""), count=1))
    return path if left == "/" and path in _FORM_PAGES else left


def local(target: str) -> str:
    """A path of this site; "/" for anything that would lead elsewhere."""
    ok = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if ok else "/"


def language(request: Request) -> str:
    """The language chosen, else the first that the browser asks for among those there are, else Chinese."""
    chosen = request.cookies.get("zhenyan_language")
    if chosen in LANGUAGES:
        return str(chosen)
    asked = (part.strip()[:2].lower() for part in request.headers.get("accept-language", "").split(","))
    return next((code for code in asked if code in LANGUAGES), "zh")


def excerpt(text: str, evidence: list[Mapping[str, Any]]) -> Markup:
    """The text with its evidence marked; of a long one the part around the first evidence."""
    if len(text) <= _SHOWN:
        return marked(text, evidence)
    first = min((span["start"] for span in evidence), default=0)
    start = max(0, min(first - _SHOWN // 3, len(text) - _SHOWN))
    end = start + _SHOWN
    inside = [
        {**span, "start": span["start"] - start, "end": min(span["end"], end) - start}
        for span in evidence
        if start <= span["start"] < end
    ]
    before, after = ("…" if start else ""), ("…" if end < len(text) else "")
    return Markup("").join([escape(before), marked(text[start:end], inside), escape(after)])


def times(place: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """When a row of the run was said, as `when` takes it."""
    return {"place": place} | {key: row[key] for key in ("start",) if isinstance(row.get(key), int | float)}


def render(request: Request, name: str, status: int = 200, user: User | None = None, **values: Any) -> Response:
    """A page, or the fragment of that name, in the request's language."""
    site, code = site_of(request), language(request)

    def both(zh: str, en: str) -> str:
        return zh if code == "zh" else en

    token = site.guard.token(request, user.token if user else None)
    page = site.templates.get_template(name).render(
        t=both, language=code, site=site, user=user, csrf=token.value, path=request.url.path,
        address=address(request), labels=site.labels, name=lambda key: both(*_names(site, key)), **values,
    )  # fmt: skip
    response = HTMLResponse(page.encode("utf-8", "replace"), status)
    token.remember(response)
    return response


def _names(site: Site, key: str) -> tuple[str, str]:
    label = site.labels.get(key)
    return (label.name_zh, label.name_en) if label else (key, key)
