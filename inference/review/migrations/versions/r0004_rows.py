"""Findings whose text has no time are sorted by its row."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BATCH = 500
_FINDING = sa.table("finding", sa.column("id"), sa.column("start"), sa.column("record"))


def upgrade() -> None:
    """Give them their row's place in the order."""
    last = 0
    query = sa.select(_FINDING).where(_FINDING.c.start.is_(None)).order_by(_FINDING.c.id).limit(_BATCH)
    while rows := op.get_bind().execute(query.where(_FINDING.c.id > last)).all():
        for row in rows:
            number = json.loads(row.record)["place"].get("row")
            if number is not None:
                op.execute(_FINDING.update().where(_FINDING.c.id == row.id).values(start=number - 1e12))
        last = rows[-1].id
