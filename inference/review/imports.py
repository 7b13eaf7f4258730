"""Taking annotations from elsewhere in as readings, once however often the file is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from zhenyan.inference.errors import InputError
from zhenyan.inference.review import log
from zhenyan.inference.review.accounts import check_name
from zhenyan.inference.review.database import insert, insert_new
from zhenyan.inference.review.desk import Desk, add_reading
from zhenyan.inference.review.errors import AccountError
from zhenyan.inference.review.intake import storable
from zhenyan.inference.review.labelstudio import Annotation, newest
from zhenyan.inference.review.schema import finding, reading, reviewer, skipped


@dataclass
class Imported:
    """What an import did."""

    decisions: int = 0
    skips: int = 0
    known: int = 0
    reviewers: list[str] = field(default_factory=list)  # made on the way; they can't log in


def take_annotations(desk: Desk, labels: Sequence[str], annotations: Iterable[Annotation]) -> Imported:
    """Write all annotations or, when one is wrong, none; InputError names it."""
    done = Imported()
    with desk.database.alone() as connection:
        for one in newest(_of_others(connection, desk, annotations, done)):
            _check_labels(one, labels)
            about = _finding(connection, desk, one)
            who = _reviewer(connection, desk, one, done)
            if one.labels is None:
                _skip(connection, desk, one, about, who, done)
            else:
                _read(connection, desk, one, about, who, done)
    return done


def _of_others(
    connection: Connection, desk: Desk, annotations: Iterable[Annotation], done: Imported
) -> Iterator[Annotation]:
    """Without our own decisions that come back as they went out, also where they were taken back since."""
    for one in annotations:
        if one.returned or _went_out(connection, _finding(connection, desk, one), one):
            done.known += 1
        else:
            yield one


def _went_out(connection: Connection, about: Row, one: Annotation) -> bool:
    """Whether the log has it as said here. Without Label Studio's number of it: as said by that reviewer and taken back since."""
    entry, later = log.table.c, log.table.alias("later").c
    if one.imported is None and one.at is None:
        return False  # it may be newer than anything
    if one.imported is None:
        taken_back = sa.exists().where(later.undoes == entry.id, later.at > one.at)
        same = sa.and_(entry.who == one.annotator, taken_back)
    else:
        same = entry.reviewer_id == -one.imported if one.labels is None else entry.reading_id == one.imported
    actions = log.SKIPS if one.labels is None else log.DECISIONS
    query = sa.select(entry.after).where(entry.finding_id == about.id, entry.action.in_(actions), same)
    labels = None if one.labels is None else sorted(set(one.labels))
    return any(after.get("labels") == labels for after in connection.scalars(query))


def _finding(connection: Connection, desk: Desk, one: Annotation) -> Row:
    query = sa.select(finding).where(finding.c.run_id == desk.run.id, finding.c.key == storable(one.key))
    about = connection.execute(query.with_for_update()).first()
    if about is None:
        raise InputError(f"{one.place}: no finding {one.key!r:.40} in this run")
    return about


def _check_labels(one: Annotation, labels: Sequence[str]) -> None:
    if unknown := sorted(set(one.labels or ()) - set(labels)):
        raise InputError(f"{one.place}: label {', '.join(unknown)} is unknown; there are {', '.join(labels)}")


def _reviewer(connection: Connection, desk: Desk, one: Annotation, done: Imported) -> int:
    try:
        name = check_name(one.annotator)
    except AccountError as error:
        raise InputError(f"{one.place}: {error}") from None
    query = sa.select(reviewer.c.id).where(reviewer.c.name == name)
    if (known := connection.scalar(query)) is not None:
        return int(known)
    values = {"name": name, "role": "reviewer", "active": True, "created": desk.settings.clock()}
    done.reviewers.append(name)
    return insert(connection, reviewer, **values)


def _skip(connection: Connection, desk: Desk, one: Annotation, about: Row, who: int, done: Imported) -> None:
    mine = sa.and_(skipped.c.finding_id == about.id, skipped.c.reviewer_id == who)
    if connection.scalar(sa.select(sa.exists().where(mine))):
        done.known += 1
        return
    insert_new(connection, skipped, finding_id=about.id, reviewer_id=who, at=one.at or desk.settings.clock())
    _note(connection, desk, one, about, who, "import.skip", about.state)
    done.skips += 1


def _read(connection: Connection, desk: Desk, one: Annotation, about: Row, who: int, done: Imported) -> None:
    labels, now = sorted(set(one.labels or ())), desk.settings.clock()
    mine = sa.and_(reading.c.finding_id == about.id, reading.c.reviewer_id == who)
    rows = connection.execute(sa.select(reading).where(mine)).all()
    row = next((row for row in rows if row.kind == "read"), None)
    later = row is not None and row.state == "done" and one.at is not None and one.at < row.decided
    if later or any(row.state == "done" and row.labels == labels for row in rows):
        done.known += 1  # or the reviewer has decided otherwise since
        return
    target = row.id if row else _free_reading(connection, about.id, now)
    values = {"state": "done", "labels": labels, "note": one.note, "decided": one.at or now, "lease_until": None, "reviewer_id": who,
              "leased": None, "version": reading.c.version + 1}  # fmt: skip
    connection.execute(reading.update().where(reading.c.id == target).values(values))
    _note(connection, desk, one, about, who, "import", desk.settle_state(connection, about.id), target)
    done.decisions += 1


def _free_reading(connection: Connection, finding_id: int, now: datetime) -> int:
    """A reading that nobody holds, also where a lease ran out, else a further one."""
    unheld = sa.or_(reading.c.reviewer_id.is_(None), reading.c.lease_until < now)
    free = sa.and_(reading.c.finding_id == finding_id, reading.c.kind == "read", reading.c.state == "open", unheld)
    if (
        found := connection.scalar(sa.select(reading.c.id).where(free).order_by(reading.c.number).limit(1))
    ) is not None:
        return int(found)
    return add_reading(connection, finding_id, "read")


def _note(
    connection: Connection, desk: Desk, one: Annotation, about: Row, who: int, action: str, state: str,
    reading_id: int | None = None,
) -> None:  # fmt: skip
    noted = {"note": one.note} if one.note and action == "import" else {}
    log.append(
        connection, desk.settings.clock(), one.annotator, action, reviewer_id=who, finding_id=about.id,
        reading_id=reading_id, model=desk.run.bundle, before={"labels": about.labels, "state": about.state},
        after={"labels": None if one.labels is None else sorted(one.labels), "state": state} | noted, seconds=one.seconds,
    )  # fmt: skip
