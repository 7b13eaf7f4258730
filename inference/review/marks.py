"""Marking what the model missed: a reviewer's line becomes a finding, with the mark as its first reading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from zhenyan.inference.review import log
from zhenyan.inference.review.database import insert
from zhenyan.inference.review.desk import Desk, add_reading
from zhenyan.inference.review.errors import Conflict
from zhenyan.inference.review.intake import listed, order, words
from zhenyan.inference.review.logins import User
from zhenyan.inference.review.outcome import OPEN, REVIEWER, WITHDRAWN, second_read
from zhenyan.inference.review.schema import finding, reading, skipped


def mark(desk: Desk, user: User, key: str, record: Mapping[str, Any]) -> str:
    """Keep a line as a finding `key` that the user accepts, and return its state; Conflict when it is marked already.

    Where the share of second readings has it drawn, it waits for another reviewer, as the model's findings do.
    """
    now = desk.settings.clock()
    with desk.database.alone() as connection:
        about = _finding(connection, desk, key, record)
        done = {"state": "done", "labels": [record["label"]], "reviewer_id": user.id, "decided": now}
        own = add_reading(connection, about, "read")
        connection.execute(reading.update().where(reading.c.id == own).values(**done))
        if second_read(desk.run.digest, key, desk.settings.second_share):
            add_reading(connection, about, "read")
        state = desk.settle_state(connection, about)
        log.append(connection, now, user.name, "mark", reviewer_id=user.id, finding_id=about, reading_id=own,
                   model=desk.run.bundle, after={"labels": [record["label"]], "state": state})  # fmt: skip
    return state


def _finding(connection: Connection, desk: Desk, key: str, record: Mapping[str, Any]) -> int:
    """The id of the line's finding, that of a withdrawn one where there is one."""
    here = sa.and_(finding.c.run_id == desk.run.id, finding.c.key == key)
    known = connection.execute(sa.select(finding.c.id, finding.c.state).where(here)).first()
    if known is not None:
        if known.state != WITHDRAWN:
            raise Conflict(f"{key}: this line is marked so already", f"{key}：该语句已作此标记")
        return int(known.id)
    last = connection.scalar(sa.select(sa.func.max(finding.c.position)).where(finding.c.run_id == desk.run.id))
    position = 0 if last is None else last + 1
    values = {"run_id": desk.run.id, "key": key, "position": position, "origin": REVIEWER, "state": OPEN,
              "stream": listed(record["stream"]), "label": record["label"], "risk": record["risk"],
              "start": order(record["place"]), "record": {**record, "id": key}, "words": words(record["text"])}  # fmt: skip
    return insert(connection, finding, **values)


def withdraw(connection: Connection, desk: Desk, about: Row[Any], entry: Row[Any]) -> None:
    """Take a mark back; Conflict once someone else has read the line, or is at it."""
    now, others = desk.settings.clock(), reading.c.id != entry.reading_id
    taken = sa.or_(reading.c.state == "done", reading.c.kind == "settle", reading.c.lease_until >= now)
    of = reading.c.finding_id == about.id
    if connection.scalar(sa.select(sa.exists().where(of, others, taken))):
        raise Conflict(f"{about.key}: another reviewer has read it or is at it; ask them",
                       f"{about.key}：其他审查员已审查或正在处理，请与其联系")  # fmt: skip
    connection.execute(reading.delete().where(of))
    connection.execute(skipped.delete().where(skipped.c.finding_id == about.id))
    values = {"state": WITHDRAWN, "labels": None, "decided": None}
    connection.execute(finding.update().where(finding.c.id == about.id).values(**values))
