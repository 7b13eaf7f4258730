"""Findings are sorted by the time of the text they show, not by that of the first of their repeats."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_BATCH = 500
_FINDING = sa.table("finding", sa.column("id"), sa.column("start"), sa.column("record"))
_ONCE = '%"count": 1,%'  # of what was said once the first time is its text's; inside a text the quotes are escaped


def upgrade() -> None:
    """Put the text's own time where another stands."""
    last = 0
    query = sa.select(_FINDING).where(_FINDING.c.record.not_like(_ONCE)).order_by(_FINDING.c.id).limit(_BATCH)
    while rows := op.get_bind().execute(query.where(_FINDING.c.id > last)).all():
        _correct(rows)
        last = rows[-1].id


def _correct(rows: Iterable[sa.Row[Any]]) -> None:
    for row in rows:
        start = json.loads(row.record)["place"].get("start")
        if start != row.start:
            op.execute(_FINDING.update().where(_FINDING.c.id == row.id).values(start=start))
