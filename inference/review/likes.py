"""Earlier decisions on like lines, in this run and in others of the same database."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from zhenyan.inference.review import log
from zhenyan.inference.review.database import Database
from zhenyan.inference.review.outcome import CLOSED
from zhenyan.inference.review.schema import finding
from zhenyan.inference.runs.findings import alike, trigrams

_CHARS = 1000  # of a text that are compared
_LATE = 500  # log entries looked at again: on PostgreSQL a lower number may be committed after a higher one
_BATCH = 500


@dataclass(frozen=True)
class Past:
    """A decided finding."""

    key: str
    run_id: int
    label: str
    state: str
    labels: tuple[str, ...]
    decided: datetime
    text: str
    grams: frozenset[str]


@dataclass
class Memory:
    """Decided findings by their trigrams, kept in this process and brought up to date from the log."""

    database: Database
    _past: dict[int, Past] = field(default_factory=dict)
    _index: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    _last: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def like(self, finding_id: int, text: str, limit: int = 5) -> list[Past]:
        """Decided findings with a like text, the most alike first; never the finding itself."""
        grams = trigrams(text[:_CHARS])
        with self._lock:
            self._refresh()
            shared = Counter(other for gram in grams for other in self._index.get(gram, ()))
            near = [self._past[other] for other, _ in shared.most_common(50 * limit) if other != finding_id]
        return [past for past in near if alike(past.grams, grams)][:limit]

    def _refresh(self) -> None:
        with self.database.read() as connection:
            last = connection.scalar(sa.select(sa.func.max(log.table.c.id))) or 0
            if last == self._last:
                return
            changed = sa.select(log.table.c.finding_id).where(log.table.c.id > self._last - _LATE).distinct()
            ids = [value for value in connection.scalars(changed) if value is not None]
            for start in range(0, len(ids), _BATCH):
                self._read(connection, ids[start : start + _BATCH])
        self._last = int(last)

    def _read(self, connection: Connection, ids: Sequence[int]) -> None:
        for row in connection.execute(sa.select(finding).where(finding.c.id.in_(ids))):
            if row.state not in CLOSED:
                self._forget(row.id)
            elif row.id not in self._past or self._past[row.id].decided != row.decided:
                self._forget(row.id)
                self._remember(row)

    def _remember(self, row: Any) -> None:
        text = row.record["text"]
        grams = trigrams(text[:_CHARS])
        self._past[row.id] = Past(
            row.key, row.run_id, row.label, row.state, tuple(row.labels), row.decided, text, grams
        )  # fmt: skip
        for gram in grams:
            self._index[gram].add(row.id)

    def _forget(self, finding_id: int) -> None:
        if (past := self._past.pop(finding_id, None)) is not None:
            for gram in past.grams:
                self._index[gram].discard(finding_id)
