"""The queue, and the page on which a reviewer decides."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Request
from starlette.responses import RedirectResponse, Response
from zhenyan.inference.review.desk import COUNTED, Item, Wanted
from zhenyan.inference.review.errors import Conflict, Said
from zhenyan.inference.review.intake import storable
from zhenyan.inference.review.listing import Filter, find, list_findings
from zhenyan.inference.review.logins import User
from zhenyan.inference.review.notes import kept
from zhenyan.inference.review.outcome import STATES
from zhenyan.inference.review.undo import undo
from zhenyan.inference.review.web.guard import Reviewer, field
from zhenyan.inference.review.web.site import render, site_of

router = APIRouter()
Number = Annotated[int, Path(le=2**31 - 1)]  # what the database's ids can be
_SORTS = ("risk", "stream")
_SAID = {
    "accept": ("accepted", "已接受"), "reject": ("rejected", "已驳回"), "relabel": ("relabelled", "已改类"),
    "settle": ("settled", "已裁定"), "skip": ("skipped", "已跳过"), "undo": ("taken back", "已撤销"),
}  # fmt: skip


@router.get("/")
def queue(request: Request, user: Reviewer) -> Response:
    """Findings by risk, stream, label and state."""
    site, shown = site_of(request), _filter(request)
    listing = list_findings(site.database, site.run, shown)
    return render(request, "queue.html.jinja", user=user, shown=shown, listing=listing, query=_query)


def _filter(request: Request) -> Filter:
    asked = request.query_params
    state, sort, page = asked.get("state", "open"), asked.get("sort", "risk"), asked.get("page", "1")
    return Filter(
        storable(asked.get("stream", "")), storable(asked.get("label", "")), state if state in STATES else "",
        sort if sort in _SORTS else "risk", max(1, int(page)) if page.isdecimal() and len(page) < 9 else 1,
    )  # fmt: skip


def whole(given: str, otherwise: int) -> int:
    """The number that a form or an address gives, `otherwise` where it is none, or has more digits than any here."""
    return int(given) if given.isdecimal() and len(given) < 10 else otherwise


def _query(shown: Filter, **changes: object) -> str:
    return urlencode(asdict(shown) | changes)


@router.post("/start")
def start(request: Request, user: Reviewer) -> Response:
    """Take the next finding of the chosen kind."""
    wanted = _wanted(request)
    site_of(request).desk.claim(user, wanted)
    return RedirectResponse(f"/work?{_wanted_query(wanted)}", 303)


def _wanted(request: Request) -> Wanted:
    """What the form, or on a GET the address, asks for."""
    given = request.query_params if request.method == "GET" else {n: field(request, n) for n in request.state.form}
    sort = given.get("sort", "risk")
    return Wanted(storable(given.get("stream", "")), storable(given.get("label", "")), sort if sort in _SORTS else "risk",
                  given.get("settle") == "1")  # fmt: skip


def _wanted_query(wanted: Wanted) -> str:
    return urlencode({k: v for k, v in (asdict(wanted) | {"settle": "1" if wanted.settle else ""}).items() if v})


@router.get("/work")
def work(request: Request, user: Reviewer) -> Response:
    """The finding in the user's hands, or word that there is none."""
    return show(request, user, site_of(request).desk.current(user), _wanted(request))


def show(request: Request, user: User, item: Item | None, wanted: Wanted, done: tuple[str, str] | None = None,
         fault: Said | None = None, status: int = 200) -> Response:  # fmt: skip
    """The work page, or for HTMX the part that changes; `done`: finding and action just taken."""
    site = site_of(request)
    name = "work_part.html.jinja" if "hx-request" in request.headers else "work.html.jinja"
    waiting = site.desk.waiting(user, wanted)
    values: dict[str, Any] = {
        "item": item, "wanted": wanted, "waiting": waiting, "many": f"{waiting:,}{'+' if waiting == COUNTED else ''}", "done": done, "fault": fault,
        "said": _SAID, "record": None, "past": [], "readings": [], "alike": 0, "note": field(request, "note") if fault else "",
    }  # fmt: skip
    if item is not None:
        record = item.finding.record
        found = find(site.database, site.run, item.finding.key) if item.settles else None
        values |= {"alike": site.desk.alike(user, item), "record": record, "past": site.memory.like(item.finding.id, record["text"]),
                   "readings": [r for r in found[1] if r.state == "done"] if found else []}  # fmt: skip
    return render(request, name, status, user, **values)


@router.post("/work/{reading}/decide")
def decide(request: Request, user: Reviewer, reading: Number) -> Response:
    """Keep the decision and hand out the next finding."""
    site, wanted = site_of(request), _wanted(request)
    try:
        labels, note = _decided_labels(request), kept(field(request, "note"))
    except Said as fault:
        return show(request, user, site.desk.current(user), wanted, fault=fault, status=400)
    key, alike = field(request, "key"), field(request, "alike") == "1"
    given = (user, reading, _version(request), labels, key or None, note)
    action, others = site.desk.decide_alike(*given) if alike else (site.desk.decide(*given), 0)
    return _next(request, user, wanted, (f"{key} + {others}" if others else key, action))


def _decided_labels(request: Request) -> list[str] | None:
    """The labels that stand, as desk.decide takes them."""
    verdict, known = field(request, "verdict"), site_of(request).labels
    if verdict == "accept":
        return None
    if verdict == "reject":
        return []
    chosen = [label for label in request.state.form.get("labels", []) if label in known]
    if verdict != "relabel" or not chosen:
        raise Said("choose at least one label, or reject the finding", "请至少选择一个类别，或驳回该发现")
    return chosen


def _version(request: Request) -> int:
    return whole(field(request, "version"), -1)


def _next(request: Request, user: User, wanted: Wanted, done: tuple[str, str]) -> Response:
    item = site_of(request).desk.claim(user, wanted)
    if "hx-request" in request.headers:
        return show(request, user, item, wanted, done)
    return RedirectResponse(f"/work?{_wanted_query(wanted)}", 303)


@router.post("/work/{reading}/skip")
def skip(request: Request, user: Reviewer, reading: Number) -> Response:
    """Put the finding back and hand out the next."""
    site_of(request).desk.skip(user, reading, _version(request), field(request, "key") or None)
    return _next(request, user, _wanted(request), (field(request, "key"), "skip"))


@router.post("/undo")
def take_back(request: Request, user: Reviewer) -> Response:
    """Undo the last step and show what is in the user's hands then: its finding, unless that was questioned."""
    site, wanted = site_of(request), _wanted(request)
    try:
        key = undo(site.desk, user)
    except Conflict as fault:
        return show(request, user, site.desk.current(user), wanted, fault=fault, status=409)
    if "hx-request" in request.headers:
        return show(request, user, site.desk.current(user), wanted, (key, "undo"))
    return RedirectResponse(f"/work?{_wanted_query(wanted)}", 303)


@router.post("/finding/{key}/open")
def open_finding(request: Request, user: Reviewer, key: str) -> Response:
    """Take one finding from the list."""
    item = site_of(request).desk.open(user, key)
    return RedirectResponse(f"/work?{_wanted_query(Wanted(settle=item.settles))}", 303)
