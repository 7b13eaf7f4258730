"""Taking back one's last step; the log keeps both the step and its undoing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from zhenyan.inference.review import log
from zhenyan.inference.review.desk import Desk
from zhenyan.inference.review.errors import Conflict
from zhenyan.inference.review.logins import User
from zhenyan.inference.review.marks import withdraw
from zhenyan.inference.review.outcome import WITHDRAWN
from zhenyan.inference.review.schema import finding, reading, skipped

STEPS = ("accept", "reject", "relabel", "settle", "skip", "question", "mark")


def undo(desk: Desk, user: User) -> str:
    """Take back the user's last step that stands and return its finding's key; Conflict says why that can't be.

    The finding is in their hands again, unless the step was a question or a mark, or a skip and someone else has it by now.
    """
    with desk.database.write() as connection:
        entry = _last_step(connection, desk, user)
        query = sa.select(finding).where(finding.c.id == entry.finding_id).with_for_update()
        about = connection.execute(query).one()
        others = {"skip": _undo_skip, "question": _undo_question, "mark": _undo_mark}
        take_back = others.get(entry.action, _undo_decision)
        take_back(connection, desk, user, entry, about)
        return str(about.key)


def _undo_skip(connection: Connection, desk: Desk, user: User, entry: Row[Any], about: Row[Any]) -> None:
    _note(connection, desk, user, entry, about.state)
    mine = sa.and_(skipped.c.finding_id == about.id, skipped.c.reviewer_id == user.id)
    connection.execute(skipped.delete().where(mine))
    desk.take_again(connection, user, about)


def _undo_decision(connection: Connection, desk: Desk, user: User, entry: Row[Any], about: Row[Any]) -> None:
    row = _decided_reading(connection, entry, user, about.key)
    if row.kind == "read":
        _drop_settling(connection, desk, about, entry)
    connection.execute(
        reading.update()
        .where(reading.c.id == row.id)
        .values(state="open", labels=None, note=None, decided=None, reviewer_id=None, version=row.version + 1)
    )
    _note(connection, desk, user, entry, desk.settle_state(connection, about.id))
    desk.take_again(connection, user, about, row.id)


def _undo_question(connection: Connection, desk: Desk, user: User, entry: Row[Any], about: Row[Any]) -> None:
    """The finding is decided as before, also when; Conflict once another lead is at it, or anyone decided on it."""
    row = connection.execute(sa.select(reading).where(_settling(about.id))).one()
    later = _stands(about.id, ("settle", "question"), log.table.c.id > entry.id)
    with_another = row.reviewer_id != user.id and _is_held(row, desk)
    if with_another or connection.scalar(sa.select(sa.exists().where(later))):
        raise _with_a_lead(about.key)
    earlier = sa.select(log.table).where(_stands(about.id, ("settle",), log.table.c.id < entry.id))
    settled = connection.execute(earlier.order_by(log.table.c.id.desc()).limit(1)).first()
    if settled is None:
        connection.execute(reading.delete().where(_settling(about.id)))
    else:
        _settle_again(connection, row, settled)
    _note(connection, desk, user, entry, desk.settle_state(connection, about.id))
    last = sa.select(sa.func.max(reading.c.decided)).where(reading.c.finding_id == about.id).scalar_subquery()
    decided = sa.and_(finding.c.id == about.id, finding.c.labels.is_not(None))
    connection.execute(finding.update().where(decided).values(decided=last))


def _undo_mark(connection: Connection, desk: Desk, user: User, entry: Row[Any], about: Row[Any]) -> None:
    withdraw(connection, desk, about, entry)
    _note(connection, desk, user, entry, WITHDRAWN)


def _settle_again(connection: Connection, row: Row[Any], settled: Row[Any]) -> None:
    """Put a settling back that was questioned, as the log has it."""
    values = {"state": "done", "labels": settled.after["labels"], "note": settled.after.get("note"), "reviewer_id": settled.reviewer_id,
              "leased": settled.at - timedelta(seconds=settled.seconds), "lease_until": None, "decided": settled.at}  # fmt: skip
    connection.execute(reading.update().where(reading.c.id == row.id).values(version=row.version + 1, **values))


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
    row = connection.execute(sa.select(reading).where(_settling(about.id))).first()
    if row is None:
        return
    if row.state == "done" or _is_held(row, desk):
        raise _with_a_lead(about.key)
    questioned = _stands(about.id, ("question",), log.table.c.id > entry.id)
    if connection.scalar(sa.select(sa.exists().where(questioned))):
        raise Conflict(f"{about.key}: a lead questioned it and is to settle it; ask them",
                       f"{about.key}：组长已提出异议，待其裁定，请与组长联系")  # fmt: skip
    connection.execute(reading.delete().where(_settling(about.id)))


def _settling(finding_id: int) -> sa.ColumnElement[bool]:
    return sa.and_(reading.c.finding_id == finding_id, reading.c.kind == "settle")


def _is_held(row: Row[Any], desk: Desk) -> bool:
    # A decided one has its reader and no lease.
    return row.lease_until is not None and row.lease_until > desk.settings.clock()


def _stands(finding_id: int, actions: Sequence[str], when: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Condition: an entry of the finding's, of one of these actions, that was not undone."""
    return sa.and_(log.table.c.finding_id == finding_id, log.table.c.action.in_(actions), when, log.standing())


def _with_a_lead(key: str) -> Conflict:
    return Conflict(f"{key}: a lead has settled it or is at it; ask them", f"{key}：组长已裁定或正在裁定，请与组长联系")


def _note(connection: Connection, desk: Desk, user: User, entry: Row[Any], state: str) -> None:
    log.append(
        connection, desk.settings.clock(), user.name, "undo", reviewer_id=user.id, finding_id=entry.finding_id,
        reading_id=entry.reading_id, model=desk.run.bundle, before=entry.after, after={"state": state}, undoes=entry.id,
    )  # fmt: skip
