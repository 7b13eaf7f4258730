"""The append-only log: who did what, when, to which finding, under which model, before and after."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from zhenyan.inference.review.database import insert
from zhenyan.inference.review.schema import finding
from zhenyan.inference.review.schema import log as table

DECISIONS = ("accept", "reject", "relabel", "settle", "mark", "import")
SKIPS = ("skip", "import.skip")
COMMAND_LINE = "(command line)"
NEWEST = 200  # entries that are shown


def append(connection: Connection, at: datetime, who: str, action: str, **fields: Any) -> None:
    """Add an entry; `fields` are columns of the log table."""
    insert(connection, table, at=at, who=who, action=action, **fields)


def standing() -> sa.ColumnElement[bool]:
    """Condition: the entry was not undone."""
    later = table.alias("later")
    return ~sa.exists().where(later.c.undoes == table.c.id)


def entries(connection: Connection, run_id: int, key: str | None = None, limit: int = NEWEST) -> list[Row[Any]]:
    """The newest entries of a run and of its site, or the history of one finding."""
    query = sa.select(table, finding.c.key).select_from(table.outerjoin(finding))
    if key is None:
        query = query.where(sa.or_(finding.c.run_id == run_id, table.c.finding_id.is_(None)))
    else:
        query = query.where(finding.c.run_id == run_id, finding.c.key == key)
    return list(connection.execute(query.order_by(table.c.id.desc()).limit(limit)))
