"""The queue as a list: findings by risk, stream, label and state, with counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from zhenyan.inference.review.database import Database
from zhenyan.inference.review.desk import ordering
from zhenyan.inference.review.intake import Run
from zhenyan.inference.review.outcome import CLOSED, STATES
from zhenyan.inference.review.schema import finding, reading, reviewer

PAGE = 50
_CHOICES = 1000  # streams that can be chosen from, those with the most findings


@dataclass(frozen=True)
class Filter:
    """What of the queue is shown; empty shows all."""

    stream: str = ""
    label: str = ""
    state: str = "open"
    sort: str = "risk"
    page: int = 1

    def conditions(self, run: Run) -> list[sa.ColumnElement[bool]]:
        """As conditions on the finding table."""
        pairs = ((finding.c.stream, self.stream), (finding.c.label, self.label), (finding.c.state, self.state))
        return [finding.c.run_id == run.id, *(column == value for column, value in pairs if value)]


@dataclass(frozen=True)
class Listing:
    """One page of the list, and what can be chosen; `every`: findings of the run, withdrawn ones too."""

    rows: list[Row[Any]]
    total: int
    every: int
    states: dict[str, int]
    labels: dict[str, int]
    streams: dict[str, int]

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-self.total // PAGE))

    @property
    def decided(self) -> int:
        """Findings with a decision."""
        return sum(self.states[state] for state in CLOSED)


def list_findings(database: Database, run: Run, shown: Filter) -> Listing:
    """The page of findings that `shown` asks for."""
    conditions = shown.conditions(run)
    with database.read() as connection:
        counts = {name: _counts(connection, run, finding.c[name]) for name in ("state", "label", "stream")}
        total = int(connection.scalar(sa.select(sa.func.count()).select_from(finding).where(*conditions)) or 0)
        rows = _page(connection, conditions, shown)
    states = {state: counts["state"].get(state, 0) for state in STATES}
    every = sum(counts["state"].values())
    return Listing(rows, total, every, states, counts["label"], counts["stream"])


def _page(connection: Connection, conditions: Sequence[sa.ColumnElement[bool]], shown: Filter) -> list[Row[Any]]:
    """Rows of one page. Its ids come first, from an index alone: sorting rows would carry all their records along."""
    query = sa.select(finding.c.id).where(*conditions).order_by(*ordering(shown.sort))
    ids = list(connection.scalars(query.limit(PAGE).offset((shown.page - 1) * PAGE)))
    rows = {row.id: row for row in connection.execute(sa.select(finding).where(finding.c.id.in_(ids)))}
    return [rows[key] for key in ids]


def _counts(connection: Connection, run: Run, column: sa.Column[str]) -> dict[str, int]:
    """Findings by the column's values, the most frequent first."""
    query = sa.select(column, sa.func.count()).where(finding.c.run_id == run.id).group_by(column)
    query = query.order_by(sa.func.count().desc(), column).limit(_CHOICES)
    return {row[0]: row[1] for row in connection.execute(query)}


def find(database: Database, run: Run, key: str) -> tuple[Row[Any], list[Row[Any]]] | None:
    """A finding and its readings with the readers' names; None when the run has no such finding."""
    with database.read() as connection:
        row = connection.execute(sa.select(finding).where(finding.c.run_id == run.id, finding.c.key == key)).first()
        if row is None:
            return None
        query = sa.select(reading, reviewer.c.name).select_from(reading.outerjoin(reviewer))
        return row, list(connection.execute(query.where(reading.c.finding_id == row.id).order_by(reading.c.number)))
