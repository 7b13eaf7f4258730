"""Taking back one's last step; the log keeps both the step and its undoing."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from zhenyan.inference.review import log
from zhenyan.inference.review.desk import Desk, Item
from zhenyan.inference.review.errors import Conflict
from zhenyan.inference.review.logins import User
from zhenyan.inference.review.schema import finding, reading, skipped

STEPS = ("accept", "reject", "relabel", "settle", "skip")


def undo(desk: Desk, user: User) -> Item | None:
    """Take back the user's last step that stands and hand them its finding again; Conflict says why that can't be.

    None when the step was a skip and someone else has the finding by now.
    """
    with desk.database.write() as connection:
        entry = _last_step(connection, desk, user)
        query = sa.select(finding).where(finding.c.id == entry.finding_id).with_for_update()
        about = connection.execute(query).one()
        if entry.action == "skip":
            _note(connection, desk, user, entry, about.state)
            mine = sa.and_(skipped.c.finding_id == about.id, skipped.c.reviewer_id == user.id)
            connection.execute(skipped.delete().where(mine))
            return desk.take_again(connection, user, about)
        row = _decided_reading(connection, entry, user, about.key)
        if row.kind == "read":
            _drop_settling(connection, desk, about, entry)
        connection.execute(
            reading.update()
            .where(reading.c.id == row.id)
            .values(state="open", labels=None, decided=None, reviewer_id=None, version=row.version + 1)
        )
        _note(connection, desk, user, entry, desk.settle_state(connection, about.id))
        return desk.take_again(connection, user, about, row.id)


def _last_step(connection: Connection, desk: Desk, user: User) -> Row[Any]:
    """Found from the newest entry back: a join would be begun at the run's findings, and all of them read."""
    here = sa.exists().where(finding.c.id == log.table.c.finding_id, finding.c.run_id == desk.run.id)
    query = sa.select(log.table).where(
        log.table.c.reviewer_id == user.id, log.table.c.action.in_(STEPS), here, log.standing()
    )
    entry = connection.execute(query.order_by(log.table.c.id.desc()).limit(1)).first()
    if entry is None:
        raise Conflict("nothing to undo", "没有可撤销的操作")
    return entry


def _decided_reading(connection: Connection, entry: Row[Any], user: User, key: str) -> Row[Any]:
    mine = sa.and_(reading.c.id == entry.reading_id, reading.c.finding_id == entry.finding_id)
    row = connection.execute(sa.select(reading).where(mine)).first()
    if row is None or row.state != "done" or row.reviewer_id != user.id:
        raise Conflict(f"{key}: it was opened again since, there is nothing of yours to undo",
                       f"{key}：其后已被重新打开，没有可撤销的操作")  # fmt: skip
    return row


def _drop_settling(connection: Connection, desk: Desk, about: Row[Any], entry: Row[Any]) -> None:
    """The dispute goes with the decision that made it, unless a lead raised it or is on it."""
    settling = sa.and_(reading.c.finding_id == about.id, reading.c.kind == "settle")
    row = connection.execute(sa.select(reading).where(settling)).first()
    if row is None:
        return
    if row.state == "done" or (row.reviewer_id is not None and row.lease_until > desk.settings.clock()):
        raise Conflict(f"{about.key}: a lead has settled it or is at it; ask them",
                       f"{about.key}：组长已裁定或正在裁定，请与组长联系")  # fmt: skip
    questioned = sa.and_(
        log.table.c.finding_id == about.id, log.table.c.action == "question", log.table.c.id > entry.id
    )
    if connection.scalar(sa.select(sa.exists().where(questioned))):
        raise Conflict(f"{about.key}: a lead questioned it and is to settle it; ask them",
                       f"{about.key}：组长已提出异议，待其裁定，请与组长联系")  # fmt: skip
    connection.execute(reading.delete().where(settling))


def _note(connection: Connection, desk: Desk, user: User, entry: Row[Any], state: str) -> None:
    log.append(
        connection, desk.settings.clock(), user.name, "undo", reviewer_id=user.id, finding_id=entry.finding_id,
        reading_id=entry.reading_id, model=desk.run.bundle, before=entry.after, after={"state": state}, undoes=entry.id,
    )  # fmt: skip
