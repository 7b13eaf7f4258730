"""What reviewing tells: precision by label, agreement between reviewers, throughput."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from zhenyan.inference.io.times import BEIJING
from zhenyan.inference.review import log
from zhenyan.inference.review.database import Database
from zhenyan.inference.review.intake import Run
from zhenyan.inference.review.kappa import kappa
from zhenyan.inference.review.outcome import CLOSED, MODEL
from zhenyan.inference.review.schema import finding, reading, reviewer
from zhenyan.inference.review.settings import Settings

_Z = 1.96  # 95 percent

Answer = tuple[bool, frozenset[str]]  # whether a reader lets the finding's label stand, and all labels they gave


@dataclass(frozen=True)
class Precision:
    """How many of a label's decided findings stand, with a 95 percent Wilson interval."""

    label: str
    stand: int
    decided: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """How often two readings say the same; `kappa` is None where chance alone gives full agreement."""

    who: str
    pairs: int
    same: float
    kappa: float | None
    same_labels: float


@dataclass(frozen=True)
class Throughput:
    """One reviewer's decisions; hours count at most the pause of the settings for each finding, days are Beijing's."""

    who: str
    decisions: int
    hours: float
    days: int

    @property
    def per_hour(self) -> float | None:
        """Decisions an hour; None for less than a minute, which says nothing."""
        return self.decisions / self.hours if self.hours >= 1 / 60 else None


def wilson(hits: int, total: int) -> tuple[float, float]:
    """95 percent interval of a share (Wilson 1927); (0, 1) for nothing counted."""
    if not total:
        return 0.0, 1.0
    share, z2 = hits / total, _Z**2 / total
    middle, half = share + z2 / 2, _Z * math.sqrt(share * (1 - share) / total + z2 / (4 * total))
    return max(0.0, (middle - half) / (1 + z2)), min(1.0, (middle + half) / (1 + z2))


def precision(database: Database, run: Run, origin: str = MODEL) -> list[Precision]:
    """By label, the most decided first. Only what was decided counts, so the riskiest findings weigh most.

    `origin`: REVIEWER counts, instead of the model's findings, the lines that reviewers marked.
    """
    many = sa.func.count().label("many")
    query = sa.select(finding.c.label, finding.c.labels, many).group_by(finding.c.label, finding.c.labels)
    query = query.where(finding.c.run_id == run.id, finding.c.state.in_(CLOSED), finding.c.origin == origin)
    decided: Counter[str] = Counter()
    stand: Counter[str] = Counter()
    with database.read() as connection:
        for row in connection.execute(query):
            decided[row.label] += row.many
            stand[row.label] += row.many * (row.label in row.labels)
    return [
        Precision(label, stand[label], count, stand[label] / count, *wilson(stand[label], count))
        for label, count in decided.most_common()
    ]


def agreement(database: Database, run: Run) -> list[Agreement]:
    """Over all findings that were read twice, then for each pair of reviewers, the pair that read one first to the last.

    Without those that reviewers marked: who reads a mark knows what its reviewer says.
    """
    every: Counter[tuple[Answer, Answer]] = Counter()
    pairs: dict[str, Counter[tuple[Answer, Answer]]] = defaultdict(Counter)
    with database.read() as connection:
        rows = connection.execute(_read_twice(run)).all()
    for row in rows:
        one, other = _answer(row.label, row.one_labels), _answer(row.label, row.other_labels)
        # By name, in `every` too: who came first is chance, and one pair alone would have two kappas.
        (a, of_a), (b, of_b) = sorted([(row.one_name, one), (row.other_name, other)], key=lambda named: named[0])
        every[of_a, of_b] += row.many
        pairs[f"{a} – {b}"][of_a, of_b] += row.many
    return [_agreement(who, of) for who, of in {"": every, **pairs}.items() if of]


def _read_twice(run: Run) -> sa.Select[Any]:
    """How often two readers of one finding gave which answers, in the order in which each such pair first occurs."""
    one, other, its, others = reading.alias(), reading.alias(), reviewer.alias(), reviewer.alias()
    columns = (
        finding.c.label, one.c.number, other.c.number.label("after"), its.c.name.label("one_name"),
        others.c.name.label("other_name"), one.c.labels.label("one_labels"), other.c.labels.label("other_labels"),
    )  # fmt: skip
    both = finding.join(one, one.c.finding_id == finding.c.id).join(
        other, sa.and_(other.c.finding_id == finding.c.id, other.c.number > one.c.number)
    )
    both = both.join(its, its.c.id == one.c.reviewer_id).join(others, others.c.id == other.c.reviewer_id)
    done = (condition for each in (one, other) for condition in (each.c.kind == "read", each.c.state == "done"))
    query = sa.select(*columns, sa.func.count().label("many")).select_from(both)
    query = query.where(finding.c.run_id == run.id, finding.c.origin == MODEL, *done).group_by(*columns)
    return query.order_by(sa.func.min(finding.c.id), one.c.number, other.c.number)


def _answer(label: str, labels: list[str]) -> Answer:
    return label in labels, frozenset(labels)


def _agreement(who: str, pairs: Mapping[tuple[Answer, Answer], int]) -> Agreement:
    stands: Counter[tuple[Hashable, Hashable]] = Counter()
    for (one, other), many in pairs.items():
        stands[one[0], other[0]] += many
    total = sum(pairs.values())
    same = sum(many for (one, other), many in stands.items() if one == other)
    same_labels = sum(many for (one, other), many in pairs.items() if one[1] == other[1])
    return Agreement(who, total, same / total, kappa(stands), same_labels / total)


def throughput(database: Database, run: Run, settings: Settings, only: str | None = None) -> list[Throughput]:
    """By reviewer, the busiest first, of equally busy ones who decided first; `only` names one reviewer."""
    entry, many, pause = log.table.c, sa.func.count(), settings.pause.total_seconds()
    seconds = sa.case((entry.seconds > pause, pause), else_=sa.func.coalesce(entry.seconds, 0.0))
    with database.read() as connection:
        days = sa.func.count(sa.distinct(_day(connection, entry.at)))
        query = sa.select(entry.who, many, sa.func.sum(seconds), days).select_from(log.table.join(finding))
        query = query.where(finding.c.run_id == run.id, entry.action.in_(log.DECISIONS), log.standing())
        query = query if only is None else query.where(entry.who == only)
        rows = connection.execute(query.group_by(entry.who).order_by(many.desc(), sa.func.min(entry.id))).all()
    return [Throughput(who, decisions, total / 3600, on) for who, decisions, total, on in rows]


def _day(connection: Connection, at: sa.ColumnElement[datetime]) -> sa.ColumnElement[Any]:
    """The day of a moment by Beijing's clock, as the database works it out."""
    if connection.dialect.name == "postgresql":
        return sa.func.date(sa.func.timezone(BEIJING, at))
    # Without its fraction: SQLite rounds to milliseconds, and the last half of one would be the next day's.
    return sa.func.date(sa.func.substr(at, 1, 19), f"+{BEIJING // timedelta(hours=1)} hours")
