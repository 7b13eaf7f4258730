"""The desk that hands findings out and takes decisions in.

A reading is handed to one reviewer at a time under a lease; a decision names the version it was made on. So two
reviewers never hold the same reading, and a decision is either kept or refused, never overwritten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from zhenyan.inference.review import log
from zhenyan.inference.review.database import Database, insert, insert_new
from zhenyan.inference.review.errors import Conflict
from zhenyan.inference.review.intake import Run
from zhenyan.inference.review.logins import User
from zhenyan.inference.review.outcome import CLOSED, DISPUTED, OPEN, Reading, outcome, verdict
from zhenyan.inference.review.schema import finding, reading, skipped
from zhenyan.inference.review.settings import Settings, may

COUNTED = 1000  # findings waiting are counted up to here: the count is shown after every decision
_ACTIONS = {"accepted": "accept", "rejected": "reject", "relabelled": "relabel"}


@dataclass(frozen=True)
class Wanted:
    """Which findings a reviewer wants next. `settle`: those whose readings differ, for leads."""

    stream: str = ""
    label: str = ""
    sort: str = "risk"
    settle: bool = False


@dataclass(frozen=True)
class Item:
    """A reading in a reviewer's hands, with its finding's row."""

    reading: int
    version: int
    settles: bool
    lease_until: datetime
    finding: Row[Any]


@dataclass
class Desk:
    """The queue of one run."""

    database: Database
    run: Run
    settings: Settings = field(default_factory=Settings)

    def current(self, user: User) -> Item | None:
        """What the user holds, also when its lease has run out and nobody else took it."""
        with self.database.read() as connection:
            return self._held(connection, user)

    def claim(self, user: User, wanted: Wanted) -> Item | None:
        """Hand out the best free finding that the user hasn't read or skipped; None when there is none left."""
        with self.database.write() as connection:
            self._release(connection, user)
            return self._take(connection, user, self._free(user, wanted))

    def open(self, user: User, key: str) -> Item:
        """Hand out one finding by its id, also one that was skipped; Conflict when it can't be had."""
        with self.database.write() as connection:
            row = self._finding(connection, key)
            settles = row.state == DISPUTED
            _check_settles(user, key, settles)
            if row.state in CLOSED:
                raise Conflict(f"{key}: it is decided already", f"{key}：该项已有决定")
            self._release(connection, user)
            item = self._take(connection, user, self._free(user, Wanted(settle=settles), row.id))
            if item is None:
                raise Conflict(
                    f"{key}: another reviewer has it, or you have read it", f"{key}：其他审查员正在处理，或您已审查过"
                )
            return item

    def waiting(self, user: User, wanted: Wanted) -> int:
        """How many findings are free for the user, counted up to COUNTED."""
        free = self._free(user, wanted).order_by(None).with_only_columns(finding.c.id).distinct().limit(COUNTED)
        with self.database.read() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(free.subquery())) or 0)

    def release(self, user: User) -> None:
        """Give back what the user holds."""
        with self.database.write() as connection:
            self._release(connection, user)

    def decide(
        self, user: User, reading_id: int, version: int, labels: Sequence[str] | None, key: str | None = None,
        note: str | None = None,
    ) -> str:  # fmt: skip
        """Keep a decision and return its action; Conflict when the page was out of date.

        `labels`: those that stand; None: the finding's own; empty: none, the line is compliant. `key`: the finding that
        the page showed. `note`: the reason, as `notes.kept` gives it.
        """
        with self.database.write() as connection:
            row = self._locked(connection, reading_id, key)
            return self._decide(connection, user, row, version, labels, note)

    def decide_alike(
        self, user: User, reading_id: int, version: int, labels: Sequence[str] | None, key: str | None = None,
        note: str | None = None,
    ) -> tuple[str, int]:  # fmt: skip
        """As `decide`, and the same for the other findings that `alike` counts: the action, and how many these were.

        Each has an entry of its own in the log. A dispute is settled alone.
        """
        # One at a time: two of them would wait for one another's findings.
        with self.database.alone() as connection:
            row = self._locked(connection, reading_id, key)
            action = self._decide(connection, user, row, version, labels, note)
            others = [] if row.kind == "settle" else self._others(connection, user, row.finding_id)
            return action, sum(self._decide_other(connection, user, other, labels, note) for other in others)

    def alike(self, user: User, item: Item) -> int:
        """How many other findings with the same words and label are free for the user, counted up to COUNTED."""
        with self.database.read() as connection:
            return 0 if item.settles else len(self._others(connection, user, item.finding.id))

    def _others(self, connection: Connection, user: User, finding_id: int) -> list[int]:
        """A free reading of each other finding with the same words and label."""
        own = connection.execute(sa.select(finding.c.label, finding.c.words).where(finding.c.id == finding_id)).one()
        free = self._free(user, Wanted(label=own.label)).order_by(None).with_only_columns(sa.func.min(reading.c.id))
        free = free.where(finding.c.words == own.words, finding.c.id != finding_id).group_by(finding.c.id)
        return list(connection.scalars(free.limit(COUNTED)))

    def _decide_other(
        self, connection: Connection, user: User, reading_id: int, labels: Sequence[str] | None, note: str | None
    ) -> bool:
        """Whether the reading was still free, and so is decided."""
        row = self._locked(connection, reading_id, None)
        mine = sa.and_(
            reading.c.id == reading_id, reading.c.version == row.version, reading.c.state == "open", self._unheld()
        )
        values = {"reviewer_id": user.id, "leased": None, "version": row.version + 1}
        if connection.execute(reading.update().where(mine).values(**values)).rowcount != 1:
            return False
        self._decide(connection, user, row, row.version + 1, labels, note, timed=False)
        return True

    def _decide(
        self, connection: Connection, user: User, row: Row[Any], version: int, labels: Sequence[str] | None,
        note: str | None, timed: bool = True,
    ) -> str:  # fmt: skip
        """Keep a decision on a locked reading that the user has; `timed`: it was before their eyes since it was leased."""
        now, chosen = self.settings.clock(), [row.label] if labels is None else sorted(set(labels))
        self._finish(connection, user, row, version, {"state": "done", "labels": chosen, "note": note, "decided": now})
        state = self.settle_state(connection, row.finding_id)
        action = "settle" if row.kind == "settle" else _ACTIONS[verdict(row.label, chosen)]
        after = {"labels": chosen, "state": state} | ({"note": note} if note else {})
        self._note(connection, user, action, row, after, seconds=(now - row.leased).total_seconds() if timed else None)
        return action

    def skip(self, user: User, reading_id: int, version: int, key: str | None = None) -> None:
        """Put a finding back; the user isn't given it again unless they open it. Conflict as in `decide`."""
        with self.database.write() as connection:
            row = self._locked(connection, reading_id, key)
            self._finish(connection, user, row, version, {"reviewer_id": None, "leased": None})
            insert_new(connection, skipped, finding_id=row.finding_id, reviewer_id=user.id, at=self.settings.clock())
            self._note(connection, user, "skip", row, {"state": row.finding_state})

    def question(self, user: User, key: str) -> None:
        """Open a decided finding again, to be settled by a lead; Conflict when it isn't decided."""
        with self.database.write() as connection:
            row = self._finding(connection, key)
            if row.state == DISPUTED:
                raise Conflict(f"{key}: a lead is to settle it already", f"{key}：已待组长裁定")
            if row.state not in CLOSED:
                raise Conflict(f"{key}: not decided yet", f"{key}：尚未作出决定")
            again = sa.and_(reading.c.finding_id == row.id, reading.c.kind == "settle")
            emptied = ("labels", "note", "reviewer_id", "lease_until", "decided")
            values = {"state": "open", **dict.fromkeys(emptied)}
            changed = connection.execute(
                reading.update().where(again).values(version=reading.c.version + 1, **values)
            ).rowcount
            if not changed:
                add_reading(connection, row.id, "settle")
            self.settle_state(connection, row.id)
            before = {"labels": row.labels, "state": row.state}
            log.append(connection, self.settings.clock(), user.name, "question", reviewer_id=user.id,
                       finding_id=row.id, model=self.run.bundle, before=before, after={"state": DISPUTED})  # fmt: skip

    def settle_state(self, connection: Connection, finding_id: int) -> str:
        """Work out a finding's state from its readings and write it down; a dispute gets a reading for a lead."""
        label = connection.execute(sa.select(finding.c.label).where(finding.c.id == finding_id)).scalar_one()
        rows = connection.execute(
            sa.select(reading).where(reading.c.finding_id == finding_id).order_by(reading.c.number)
        ).all()
        given = [Reading(r.kind == "settle", tuple(r.labels) if r.state == "done" else None) for r in rows]
        state, labels = outcome(label, given)
        if state == DISPUTED and not any(r.kind == "settle" for r in rows):
            add_reading(connection, finding_id, "settle")
        decided = self.settings.clock() if labels is not None else None
        connection.execute(
            finding.update().where(finding.c.id == finding_id).values(state=state, labels=labels, decided=decided)
        )
        return state

    def take_again(self, connection: Connection, user: User, about: Row[Any], reading_id: int | None = None) -> None:
        """Hand a finding (or one reading of it) back to the user, unless someone else has it: then they keep what they hold."""
        free = self._free(user, Wanted(settle=about.state == DISPUTED), about.id)
        if reading_id is not None:
            free = sa.select(reading.c.id).where(reading.c.id == reading_id)
        if connection.scalar(free.limit(1)) is None:
            return
        self._release(connection, user)
        self._take(connection, user, free)

    def _held(self, connection: Connection, user: User) -> Item | None:
        mine = sa.and_(finding.c.run_id == self.run.id, reading.c.reviewer_id == user.id, reading.c.state == "open")
        found = connection.execute(
            sa.select(reading.c.id).join(finding).where(mine).order_by(reading.c.lease_until.desc()).limit(1)
        ).first()
        return self._item(connection, found.id) if found else None

    def _free(self, user: User, wanted: Wanted, finding_id: int | None = None) -> sa.Select[Any]:
        """Ids of readings the user may have, best first. An expired lease is free."""
        other = reading.alias("other")
        read_by_me = sa.exists().where(
            other.c.finding_id == finding.c.id, other.c.id != reading.c.id,
            other.c.reviewer_id == user.id, other.c.kind == "read",
        )  # fmt: skip
        put_back = sa.exists().where(skipped.c.finding_id == finding.c.id, skipped.c.reviewer_id == user.id)
        kind = "settle" if wanted.settle and may(user.role, "lead") else "read"
        # The finding's state follows from its readings' (outcome), but the indexes begin with it.
        query = sa.select(reading.c.id).join(finding).where(
            finding.c.run_id == self.run.id, reading.c.state == "open", reading.c.kind == kind, self._unheld(),
            finding.c.state == (DISPUTED if kind == "settle" else OPEN),
        )  # fmt: skip
        if kind == "read":
            query = query.where(~read_by_me)
        if finding_id is not None:
            return query.where(finding.c.id == finding_id).order_by(reading.c.number)
        query = query.where(~put_back, *_matching(wanted))
        return query.order_by(*ordering(wanted.sort), reading.c.number)

    def _unheld(self) -> sa.ColumnElement[bool]:
        return sa.or_(reading.c.reviewer_id.is_(None), reading.c.lease_until < self.settings.clock())

    def _take(self, connection: Connection, user: User, free: sa.Select[Any]) -> Item | None:
        """Lease the first free reading. Readings that another transaction is taking are passed over, not waited for."""
        now = self.settings.clock()
        found = connection.scalar(free.limit(1).with_for_update(skip_locked=True, of=reading))
        if found is None:
            return None
        values = {"reviewer_id": user.id, "leased": now, "lease_until": now + self.settings.lease}
        connection.execute(
            reading.update().where(reading.c.id == found).values(version=reading.c.version + 1, **values)
        )
        return self._item(connection, found)

    def _item(self, connection: Connection, reading_id: int) -> Item:
        row = connection.execute(sa.select(reading).where(reading.c.id == reading_id)).one()
        about = connection.execute(sa.select(finding).where(finding.c.id == row.finding_id)).one()
        return Item(row.id, row.version, row.kind == "settle", row.lease_until, about)

    def _release(self, connection: Connection, user: User) -> None:
        here = sa.exists().where(finding.c.id == reading.c.finding_id, finding.c.run_id == self.run.id)
        mine = sa.and_(reading.c.reviewer_id == user.id, reading.c.state == "open", here)
        values = {"reviewer_id": None, "leased": None, "lease_until": None}
        connection.execute(reading.update().where(mine).values(version=reading.c.version + 1, **values))

    def _locked(self, connection: Connection, reading_id: int, key: str | None) -> Row[Any]:
        """The reading with its finding, which stays locked: two last readings of it must not miss each other.

        Conflict when it is gone, or no longer one of the finding `key`: SQLite gives the number of a reading that went
        with its dispute to the next one.
        """
        columns = (
            finding.c.key,
            finding.c.label,
            finding.c.state.label("finding_state"),
            finding.c.labels.label("was"),
        )
        of = sa.select(reading.c.finding_id).where(reading.c.id == reading_id).scalar_subquery()
        connection.execute(sa.select(finding.c.id).where(finding.c.id == of).with_for_update())
        query: sa.Select[Any] = sa.select(reading, *columns).join(finding).where(reading.c.id == reading_id)
        row = connection.execute(query.where(finding.c.run_id == self.run.id)).first()
        if row is None or key not in (None, row.key):
            raise Conflict("this reading is gone: a decision was undone meanwhile", "该项已不存在：其间有决定被撤销")
        return row

    def _finish(self, connection: Connection, user: User, row: Row[Any], version: int, values: dict[str, Any]) -> None:
        _check_settles(user, row.key, row.kind == "settle")  # who was a lead when it was handed out may be none by now
        held = sa.and_(reading.c.id == row.id, reading.c.version == version, reading.c.reviewer_id == user.id,
                       reading.c.state == "open")  # fmt: skip
        change = {"version": version + 1, "lease_until": None, **values}
        if connection.execute(reading.update().where(held).values(change)).rowcount != 1:
            english, chinese = _why(row, user)
            raise Conflict(f"{row.key}: {english}; your decision was not kept", f"{row.key}：{chinese}，您的决定未保存")

    def _finding(self, connection: Connection, key: str) -> Row[Any]:
        query = sa.select(finding).where(finding.c.run_id == self.run.id, finding.c.key == key).with_for_update()
        row: Row[Any] | None = connection.execute(query).first()
        if row is None:
            raise Conflict(f"{key:.40}: no such finding in this run", f"{key:.40}：本次运行中没有该发现")
        return row

    def _note(
        self, connection: Connection, user: User, action: str, row: Row[Any], after: dict[str, Any], **more: Any
    ) -> None:
        before = {"labels": row.was, "state": row.finding_state}
        log.append(connection, self.settings.clock(), user.name, action, reviewer_id=user.id, reading_id=row.id,
                   finding_id=row.finding_id, model=self.run.bundle, before=before, after=after, **more)  # fmt: skip


def add_reading(connection: Connection, finding_id: int, kind: str) -> int:
    """A further reading of a finding, which nobody holds yet; returns its id."""
    last = connection.scalar(sa.select(sa.func.max(reading.c.number)).where(reading.c.finding_id == finding_id))
    values = {"finding_id": finding_id, "number": int(last or 0) + 1, "kind": kind, "state": "open", "version": 0}
    return insert(connection, reading, **values)


def _check_settles(user: User, key: str, settles: bool) -> None:
    """Conflict when a dispute is to be settled and the user is no lead."""
    if settles and not may(user.role, "lead"):
        raise Conflict(f"{key}: its readings differ, a lead is to settle it", f"{key}：审查意见不一致，待组长裁定")


def _matching(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    pairs = ((finding.c.stream, wanted.stream), (finding.c.label, wanted.label))
    return [column == value for column, value in pairs if value]


def ordering(sort: str) -> list[sa.ColumnElement[Any]]:
    """Columns to sort findings by: "risk", or "stream" and time."""
    if sort == "stream":
        return [finding.c.stream, finding.c.start.nulls_first(), finding.c.position]
    return [finding.c.risk.desc(), finding.c.position]


def _why(row: Row[Any], user: User) -> tuple[str, str]:
    if row.state == "done":
        return "it is decided already", "该项已有决定"
    if row.reviewer_id not in (None, user.id):
        return "your time on it ran out and another reviewer has it", "您的占用已到期，其他审查员正在处理"
    return "the page was out of date", "页面已过期"
