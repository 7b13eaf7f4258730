"""For leads and admins: a finding's history, numbers, log, exports, reviewers."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from sqlalchemy.engine import Row
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, RedirectResponse, Response
from zhenyan.inference.case_page import page_of
from zhenyan.inference.evidence_file import make_case
from zhenyan.inference.review import log, numbers
from zhenyan.inference.review.errors import AccountError, Conflict, Forbidden, NotFound
from zhenyan.inference.review.exports import (
    decisions,
    held_back,
    project_configuration,
    standing,
    write_export,
)
from zhenyan.inference.review.intake import known_run
from zhenyan.inference.review.kinds import ENDINGS
from zhenyan.inference.review.listing import find
from zhenyan.inference.review.logins import User
from zhenyan.inference.review.outcome import CLOSED, REVIEWER
from zhenyan.inference.review.settings import ROLES, may
from zhenyan.inference.review.web.guard import Reviewer, field, needs
from zhenyan.inference.review.web.site import Site, render, site_of
from zhenyan.inference.runs.store import object_bytes

router = APIRouter()
Lead = Annotated[User, Depends(needs("lead"))]
Admin = Annotated[User, Depends(needs("admin"))]


@router.get("/finding/{key}")
def finding(request: Request, user: Reviewer, key: str) -> Response:
    """A finding to look at. Who decided what is shown once it is decided, so that second readings stay blind."""
    site = site_of(request)
    row, readings = _found(site, key)
    told = row.state in CLOSED or may(user.role, "lead")
    with site.database.read() as connection:
        history = log.entries(connection, site.run.id, key) if told else []
    done = [reading for reading in readings if reading.state == "done"] if told else []
    return render(request, "finding.html.jinja", user=user, row=row, record=row.record, readings=done, history=history,
                  past=site.memory.like(row.id, row.record["text"]), closed=row.state in CLOSED)  # fmt: skip


def _found(site: Site, key: str) -> tuple[Row[Any], list[Row[Any]]]:
    found = find(site.database, site.run, key)
    if found is None:
        raise NotFound(f"{key:.40}: no such finding in this run", f"{key:.40}：本次运行中没有该发现")
    return found


@router.post("/finding/{key}/question")
def question(request: Request, user: Lead, key: str) -> Response:
    """Open a decided finding again, for a lead to settle."""
    site_of(request).desk.question(user, key)
    return RedirectResponse(f"/finding/{key}", 303)


@router.get("/finding/{key}/case.json")
def case(request: Request, user: Lead, key: str) -> Response:
    """The finding's evidence file."""
    made = _case(site_of(request), key)
    return _attached(object_bytes(made), "application/json", f"case-{key}.json")


@router.get("/finding/{key}/case.zip")
def case_with_page(request: Request, user: Lead, key: str) -> Response:
    """The finding's evidence file with its page to print, which names the file's digest: made at once, so that it fits."""
    site, held, name = site_of(request), io.BytesIO(), f"case-{key}"
    made = _case(site, key)
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as both:
        both.writestr(f"{name}.json", object_bytes(made))
        both.writestr(f"{name}.html", page_of(made, site.bundle, f"{name}.json"))
    return _attached(held.getvalue(), "application/zip", f"{name}.zip")


def _attached(content: bytes, kind: str, name: str) -> Response:
    """A download; the name has a finding of this run, so that it is plain."""
    return Response(content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _case(site: Site, key: str) -> dict[str, Any]:
    """The finding's case, with its decisions; Conflict when the folder holds another run by now."""
    _found(site, key)
    if known_run(site.database, site.folder) != site.run:
        raise Conflict(f"{key:.40}: the run was scored anew since this review began; review it again to get a file",
                       f"{key:.40}：审查开始后该运行已重新打分，请重新启动审查后再下载")  # fmt: skip
    decided = (decisions(site.database, site.run, key), standing(site.database, site.run, key))
    return make_case(site.folder, site.bundle, key, *decided)


@router.get("/numbers")
def numbers_page(request: Request, user: Reviewer) -> Response:
    """Precision, agreement, throughput; reviewers see only their own pace."""
    site, lead = site_of(request), may(user.role, "lead")
    return render(
        request, "numbers.html.jinja", user=user, precision=numbers.precision(site.database, site.run),
        missed=numbers.precision(site.database, site.run, REVIEWER),
        agreement=numbers.agreement(site.database, site.run) if lead else [],
        paces=numbers.throughput(site.database, site.run, site.settings, None if lead else user.name),
    )  # fmt: skip


@router.get("/log")
def log_page(request: Request, user: Lead) -> Response:
    """The newest entries of the log."""
    site = site_of(request)
    with site.database.read() as connection:
        return render(request, "log.html.jinja", user=user, entries=log.entries(connection, site.run.id))


@router.get("/export")
def export_page(request: Request, user: Lead) -> Response:
    """What can be taken out, and what the rows hold back."""
    site = site_of(request)
    return render(request, "export.html.jinja", user=user, held=held_back(site.database, site.run))


@router.get("/export/configuration")
def export_configuration(request: Request, user: Lead) -> Response:
    """The labelling configuration of a Label Studio project for the tasks."""
    site = site_of(request)
    name = f"{site.run.digest[:12]}-labelstudio.config.xml"
    header = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(project_configuration(site.bundle.labels), media_type="application/xml", headers=header)


@router.get("/export/{kind}")
def export(request: Request, user: Lead, kind: str) -> Response:
    """A file of decisions of one of the kinds in ENDINGS."""
    site = site_of(request)
    if kind not in ENDINGS:
        raise NotFound(
            f"no export {kind:.20}; there are {', '.join(ENDINGS)}",
            f"{kind:.20}：没有这种导出，可导出 {'、'.join(ENDINGS)}",
        )
    folder = tempfile.TemporaryDirectory(prefix="zhenyan-export-")
    path = Path(folder.name) / f"{site.run.digest[:12]}-{kind}{ENDINGS[kind]}"
    write_export(site.database, site.run, kind, path, site.bundle.labels)
    return FileResponse(path, filename=path.name, background=BackgroundTask(folder.cleanup))


@router.get("/reviewers")
def reviewers(request: Request, user: Admin) -> Response:
    """Who may log in."""
    return _reviewers(request, user)


def _reviewers(request: Request, user: User, fault: AccountError | None = None) -> Response:
    people = site_of(request).accounts.all()
    return render(request, "reviewers.html.jinja", 400 if fault else 200, user, people=people, roles=ROLES, fault=fault)


@router.post("/reviewers")
def change_reviewer(request: Request, user: Admin) -> Response:
    """Add, remove, give another role or password."""
    accounts, name, do = site_of(request).accounts, field(request, "name"), field(request, "do")
    steps: dict[str, Any] = {
        "add": lambda: accounts.add(name, field(request, "role"), field(request, "password"), user.name),
        "role": lambda: accounts.set_role(name, field(request, "role"), user.name),
        "password": lambda: accounts.set_password(name, field(request, "password"), user.name),
        "remove": lambda: accounts.remove(name, user.name),
    }
    if do not in steps:
        raise HTTPException(400, "no such action")
    if do in ("role", "remove") and name == user.name:
        raise Forbidden("you can't remove yourself or change your own role", "不能移除自己或更改自己的角色")
    try:
        steps[do]()
    except AccountError as fault:
        return _reviewers(request, user, fault)
    return RedirectResponse("/reviewers", 303)
