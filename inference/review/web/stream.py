"""A stream's transcript, on which a reviewer marks what the model missed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response
from zhenyan.inference.review.errors import Conflict, NotFound, Said
from zhenyan.inference.review.intake import known_run, listed
from zhenyan.inference.review.marks import mark
from zhenyan.inference.review.outcome import REVIEWER, WITHDRAWN
from zhenyan.inference.review.schema import finding
from zhenyan.inference.review.web.guard import Reviewer, field
from zhenyan.inference.review.web.site import Site, render, site_of
from zhenyan.inference.review.web.work import Number, whole
from zhenyan.inference.runs.transcript import PAGE

router = APIRouter()


@router.get("/stream/{number}")
def transcript(request: Request, user: Reviewer, number: Number) -> Response:
    """A page of a stream's lines: the one asked for, else that of the output's row asked for, else the first."""
    site, name = site_of(request), _name(request, number)
    row = whole(request.query_params.get("row", ""), 0)
    pages = max(1, -(-site.transcript.count(name) // PAGE))
    page = whole(request.query_params.get("page", ""), 0) or (site.transcript.page_of(name, row) if row else 1)
    page = min(page, pages)
    return render(
        request, "stream.html.jinja", user=user, number=number, stream=name, page=page, pages=pages, row=row,
        lines=site.transcript.page(name, page), marks=_marks(site, name), count=site.transcript.count(name),
        last=len(site.transcript.streams), offered=list(site.folder.manifest["thresholds"]),
    )  # fmt: skip


def _name(request: Request, number: int) -> str:
    streams = site_of(request).transcript.streams
    if not 1 <= number <= len(streams):
        raise NotFound(f"{number}: no such stream in this run", f"{number}：本次运行中没有该直播间")
    return streams[number - 1]


def _marks(site: Site, name: str) -> dict[int, list[sa.Row[Any]]]:
    """The findings that reviewers marked in a stream, by the output's row."""
    query = sa.select(finding).where(
        finding.c.run_id == site.run.id, finding.c.stream == listed(name),
        finding.c.origin == REVIEWER, finding.c.state != WITHDRAWN,
    )  # fmt: skip
    found: dict[int, list[sa.Row[Any]]] = {}
    with site.database.read() as connection:
        for one in connection.execute(query.order_by(finding.c.position)):
            found.setdefault(one.record["place"]["row"], []).append(one)
    return found


@router.post("/stream/{number}/mark")
def mark_line(request: Request, user: Reviewer, number: Number) -> Response:
    """Keep a line as a finding under the chosen label; Conflict when it is one already."""
    site, row, label = site_of(request), whole(field(request, "row"), 0), field(request, "label")
    _name(request, number)
    offered = list(site.folder.manifest["thresholds"])
    if label not in offered:
        raise Said("choose a label for the line", "请为该语句选择类别")
    if known_run(site.database, site.folder) != site.run:
        raise Conflict(f"row {row}: the run was scored anew since this review began; review it again",
                       f"第 {row} 行：审查开始后该运行已重新打分，请重新启动审查")  # fmt: skip
    mark(site.desk, user, f"m{row}-{offered.index(label) + 1}", site.transcript.finding(row, label))
    return RedirectResponse(f"/stream/{number}?row={row}#row-{row}", 303)
