"""Earlier decisions on like lines, in this run and in others of the same database."""

from __future__ import annotations

import threading
from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from zhenyan.inference.review import log
from zhenyan.inference.review.database import Database
from zhenyan.inference.review.outcome import CLOSED
from zhenyan.inference.review.schema import finding, reading
from zhenyan.inference.runs.findings import alike, trigrams

_CHARS = 1000  # of a text that are compared
_LATE = 500  # log entries looked at again: on PostgreSQL a lower number may be committed after a higher one
_BATCH = 500
_LOOK = 25
_MOST = 5  # findings that are shown


@dataclass(frozen=True)
class Past:
    """A decided finding."""

    id: int
    key: str
    run_id: int
    label: str
    state: str
    labels: tuple[str, ...]
    decided: datetime
    text: str
    notes: tuple[str, ...] = ()  # of those who decided


@dataclass
class Memory:
    """Ids of findings by the trigrams of their texts, kept in this process; what was decided is read when asked for.

    A finding's text never changes, so one that was decided once stays: it counts only while its decision stands.
    """

    database: Database
    _index: dict[str, array[int]] = field(default_factory=lambda: defaultdict(lambda: array("q")))
    _known: set[int] = field(default_factory=set)
    _last: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def like(self, finding_id: int, text: str) -> list[Past]:
        """Up to five decided findings with a like text, the most alike first; never the finding itself."""
        grams = trigrams(text[:_CHARS])
        self.refresh()
        with self._lock:
            shared: Counter[int] = Counter()
            for gram in grams:
                shared.update(self._index.get(gram, ()))
        near = [other for other, _ in shared.most_common(50 * _MOST + 1) if other != finding_id]
        return self._decided(near, grams)

    def refresh(self) -> None:
        """Take in what was decided since; the first time, everything: a server does so before its first request."""
        with self._lock, self.database.read() as connection:
            last = connection.scalar(sa.select(sa.func.max(log.table.c.id))) or 0
            if last == self._last:
                return
            query = sa.select(finding.c.id).join(log.table, log.table.c.finding_id == finding.c.id)
            query = query.where(log.table.c.id > self._last - _LATE, finding.c.state.in_(CLOSED)).distinct()
            new = [key for key in connection.scalars(query) if key not in self._known]
            for start in range(0, len(new), _BATCH):
                self._read(connection, new[start : start + _BATCH])
            self._last = int(last)

    def _read(self, connection: Connection, ids: Sequence[int]) -> None:
        query = sa.select(finding.c.id, finding.c.record).where(finding.c.id.in_(ids))
        for key, record in connection.execute(query):
            self._known.add(key)
            for gram in trigrams(record["text"][:_CHARS]):
                self._index[gram].append(key)

    def _decided(self, near: Sequence[int], grams: frozenset[str]) -> list[Past]:
        """The first of them that are decided and alike; as a rule these come at once, so few are read."""
        found: list[Past] = []
        with self.database.read() as connection:
            for start in range(0, len(near), _LOOK):
                query = sa.select(finding).where(finding.c.id.in_(near[start : start + _LOOK]))
                rows = {row.id: row for row in connection.execute(query.where(finding.c.state.in_(CLOSED)))}
                some = [rows[key] for key in near[start : start + _LOOK] if key in rows]
                found += [_past(row) for row in some if alike(trigrams(row.record["text"][:_CHARS]), grams)]
                if len(found) >= _MOST:
                    break
            return _with_notes(connection, found[:_MOST])


def _past(row: Row[Any]) -> Past:
    return Past(row.id, row.key, row.run_id, row.label, row.state, tuple(row.labels), row.decided, row.record["text"])


def _with_notes(connection: Connection, found: Sequence[Past]) -> list[Past]:
    query = sa.select(reading.c.finding_id, reading.c.note).order_by(reading.c.number)
    rows = connection.execute(
        query.where(reading.c.finding_id.in_([one.id for one in found]), reading.c.note.is_not(None))
    )
    notes: dict[int, list[str]] = defaultdict(list)
    for row in rows:
        notes[row.finding_id].append(row.note)
    return [replace(one, notes=tuple(notes[one.id])) for one in found]
