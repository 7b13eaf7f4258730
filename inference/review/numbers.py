"""What reviewing tells: precision by label, agreement between reviewers, throughput."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta, timezone
from typing import Any

import sqlalchemy as sa
from zhenyan.inference.review import log
from zhenyan.inference.review.database import Database
from zhenyan.inference.review.intake import Run
from zhenyan.inference.review.outcome import CLOSED
from zhenyan.inference.review.schema import finding, reading, reviewer
from zhenyan.inference.review.settings import Settings

_Z = 1.96  # 95 percent
_BEIJING = timezone(timedelta(hours=8))  # the page says so; a day of UTC would end in the middle of a morning there


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
class Pace:
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


def kappa(pairs: Sequence[tuple[Hashable, Hashable]]) -> float | None:
    """Cohen's kappa of two readings; None for no pairs, or where both always give the same one answer."""
    if not pairs:
        return None
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    observed = sum(a == b for a, b in pairs) / len(pairs)
    chance = sum(first[answer] * second[answer] for answer in first) / len(pairs) ** 2
    return None if chance == 1 else (observed - chance) / (1 - chance)


def precision(database: Database, run: Run) -> list[Precision]:
    """By label, the most decided first. Only what was decided counts, so the riskiest findings weigh most."""
    many = sa.func.count().label("many")
    query = sa.select(finding.c.label, finding.c.labels, many).group_by(finding.c.label, finding.c.labels)
    query = query.where(finding.c.run_id == run.id, finding.c.state.in_(CLOSED))
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
    """Over all findings that were read twice, then for each pair of reviewers."""
    query = sa.select(reading.c.finding_id, finding.c.label, reading.c.labels, reviewer.c.name)
    query = query.select_from(reading.join(finding).join(reviewer, reading.c.reviewer_id == reviewer.c.id))
    other = reading.alias("other")
    twice = sa.exists().where(
        other.c.finding_id == reading.c.finding_id,
        other.c.id != reading.c.id,
        other.c.kind == "read",
        other.c.state == "done",
    )
    done = (finding.c.run_id == run.id, reading.c.kind == "read", reading.c.state == "done", twice)
    with database.read() as connection:
        rows = connection.execute(query.where(*done).order_by(reading.c.finding_id, reading.c.number)).all()
    every: list[tuple[Any, Any]] = []
    pairs: dict[str, list[tuple[Any, Any]]] = defaultdict(list)
    for _, readings in itertools.groupby(rows, key=lambda row: row.finding_id):
        for a, b in itertools.combinations(readings, 2):
            every.append((a, b))
            a, b = sorted((a, b), key=lambda row: row.name)
            pairs[f"{a.name} – {b.name}"].append((a, b))
    return [_agreement(who, of) for who, of in {"": every, **pairs}.items() if of]


def _agreement(who: str, pairs: Sequence[tuple[Any, Any]]) -> Agreement:
    answers = [(a.label in a.labels, b.label in b.labels) for a, b in pairs]
    return Agreement(
        who, len(pairs), sum(a == b for a, b in answers) / len(pairs), kappa(answers),
        sum(set(a.labels) == set(b.labels) for a, b in pairs) / len(pairs),
    )  # fmt: skip


def throughput(database: Database, run: Run, settings: Settings, only: str | None = None) -> list[Pace]:
    """By reviewer, the busiest first; `only` names one reviewer."""
    query = sa.select(log.table.c.who, log.table.c.seconds, log.table.c.at).join(finding)
    query = query.where(finding.c.run_id == run.id, log.table.c.action.in_(log.DECISIONS), log.standing())
    with database.read() as connection:
        rows = connection.execute(query if only is None else query.where(log.table.c.who == only)).all()
    return pace((row._mapping for row in rows), settings.pause.total_seconds())


def pace(entries: Iterable[Mapping[str, Any]], pause: float) -> list[Pace]:
    """Decisions, hours and days of each reviewer; `pause` in seconds bounds the time counted for one decision."""
    count: Counter[str] = Counter()
    seconds: dict[str, float] = defaultdict(float)
    days: dict[str, set[date]] = defaultdict(set)
    for entry in entries:
        count[entry["who"]] += 1
        seconds[entry["who"]] += min(entry["seconds"] or 0.0, pause)
        days[entry["who"]].add(entry["at"].astimezone(_BEIJING).date())
    return [Pace(who, n, seconds[who] / 3600, len(days[who])) for who, n in count.most_common()]
