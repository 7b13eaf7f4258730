"""The numbers page's figures, added up by the database as one by one in Python; imported as review_contract."""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from review_helpers import LABELS, finding, make_site, user
from zhenyan.inference.review import log, numbers, schema

NAMES = ("ann", "ben", "lea", "adm")
PAUSE = 300.0
BEIJING = timezone(timedelta(hours=8))
MIDNIGHTS = [datetime(2026, 11, day, 16, tzinfo=UTC) for day in range(1, 25)]  # Beijing's


@pytest.fixture
def rng():
    return random.Random(0)


@pytest.fixture
def long_site(tmp_path, database):
    """So many findings, each with two readings, and another run's beside them."""
    make_site(tmp_path / "other", [finding(n, "另一句") for n in range(1, 9)], database)
    return make_site(tmp_path, [finding(n) for n in range(1, 301)], database, second_share=1.0)


def finding_ids(site):
    """Ids of the site's findings, and of those of the other run."""
    with site.database.read() as connection:
        rows = connection.execute(sa.select(schema.finding.c.id, schema.finding.c.run_id)).all()
    return [[row.id for row in rows if (row.run_id == site.run.id) is own] for own in (True, False)]


def write_log(site, entries):
    """Entries of the log, all of the same fields."""
    with site.database.write() as connection:
        connection.execute(log.table.insert(), entries)


def last_entry(site):
    with site.database.read() as connection:
        return connection.scalar(sa.select(sa.func.max(log.table.c.id)))


def any_entry(rng, findings):
    """Something that somebody did: also what is no decision, of other runs or of none, and close to a midnight."""
    at = rng.choice(MIDNIGHTS) + timedelta(microseconds=rng.choice((-1, 0, 1, rng.randrange(-(10**11), 10**11))))
    return {
        "at": at, "who": rng.choice(NAMES), "action": rng.choice((*log.DECISIONS, "skip", "undo")), "undoes": None,
        "finding_id": rng.choice(findings), "seconds": rng.choice((None, 0.0, PAUSE, rng.uniform(0, 2 * PAUSE))),
    }  # fmt: skip


def paces_one_by_one(site):
    """What `throughput` tells, from every row of the log."""
    entry = log.table.c
    query = sa.select(entry.id, entry.who, entry.action, entry.at, entry.seconds, entry.undoes, schema.finding.c.run_id)
    with site.database.read() as connection:
        rows = connection.execute(query.outerjoin(schema.finding).order_by(entry.id)).all()
    undone = {row.undoes for row in rows}
    count, seconds, days = Counter(), defaultdict(float), defaultdict(set)
    for row in rows:
        if row.run_id == site.run.id and row.action in log.DECISIONS and row.id not in undone:
            count[row.who] += 1
            seconds[row.who] += min(row.seconds or 0.0, PAUSE)
            days[row.who].add(row.at.astimezone(BEIJING).date())
    return [(who, n, pytest.approx(seconds[who] / 3600, rel=1e-12), len(days[who])) for who, n in count.most_common()]


def test_paces_of_thousands_of_entries_are_those_counted_one_by_one(long_site, rng):
    own, others = finding_ids(long_site)
    write_log(long_site, [any_entry(rng, own * 9 + others + [None] * 99) for _ in range(4000)])
    undone = rng.sample(range(last_entry(long_site) - 3999, last_entry(long_site) + 1), 500)
    write_log(long_site, [any_entry(rng, own) | {"action": "undo", "undoes": number} for number in undone])
    expected = paces_one_by_one(long_site)
    assert len(expected) == 4 and sum(n for _, n, *_ in expected) > 2000 and min(days for *_, days in expected) > 20
    paces = numbers.throughput(long_site.database, long_site.run, long_site.settings)
    assert [(pace.who, pace.decisions, pace.hours, pace.days) for pace in paces] == expected
    (lea,) = numbers.throughput(long_site.database, long_site.run, long_site.settings, "lea")
    same = next(pace for pace in paces if pace.who == "lea")
    assert lea == replace(
        same, hours=pytest.approx(same.hours, rel=1e-12)
    )  # PostgreSQL may add them up in another order


def decided(site, *moments, who="ann", seconds=5.0):
    """One reviewer's pace after decisions at these moments."""
    own, _ = finding_ids(site)
    same = {"who": who, "action": "accept", "finding_id": own[0], "seconds": seconds}
    write_log(site, [same | {"at": moment} for moment in moments])
    return next(p for p in numbers.throughput(site.database, site.run, site.settings) if p.who == who)


def at(hour, day=24, *rest):
    return datetime(2026, 11, day, hour, *(rest or (30,)), tzinfo=UTC)


def test_a_decision_whose_time_is_unknown_counts_no_hours(site):
    pace = decided(site, at(3), seconds=None)
    assert (pace.decisions, pace.hours, pace.days, pace.per_hour) == (1, 0, 1, None)


@pytest.mark.parametrize(("seconds", "per_hour"), [(1.0, None), (59.0, None), (60.0, 60)])
def test_less_than_a_minute_gives_no_pace(site, seconds, per_hour):
    assert decided(site, at(3), seconds=seconds).per_hour == (None if per_hour is None else pytest.approx(per_hour))


@pytest.mark.parametrize(
    ("moments", "days"),
    [
        ([at(3), at(4)], 1),
        ([at(23, 23), at(3)], 1),  # 7:30 and 11:30 of one morning in Beijing
        ([at(15), at(16)], 2),  # 23:30 and 0:30
        ([at(3), at(3, 25), at(4, 25)], 2),
        ([at(3), at(15, 24, 59, 59, 999_999)], 1),
        ([at(15, 24, 59, 59, 999_999), at(16, 24, 0)], 2),
    ],
)
def test_days_are_beijings(site, moments, days):
    assert decided(site, *moments).days == days


def test_of_equally_busy_reviewers_who_decided_first_comes_first(site):
    for who, many in (("lea", 1), ("ben", 2), ("ann", 2), ("lea", 1)):
        decided(site, *[at(3)] * many, who=who)
    paces = numbers.throughput(site.database, site.run, site.settings)
    assert [(pace.who, pace.decisions) for pace in paces] == [("lea", 2), ("ben", 2), ("ann", 2)]


def any_readings(rng, site):
    """Two readings of every finding and a third of some, of which some aren't done and some settle."""
    ids = {name: user(site, name).id for name in NAMES}
    for key in itertools.chain.from_iterable(finding_ids(site)):
        for number, name in enumerate(rng.sample(NAMES, rng.choice((1, 2, 2, 3))), 1):
            labels = rng.sample(LABELS[:3], rng.choice((0, 1, 1, 2)))
            state, kind = rng.choice(("done",) * 5 + ("open",)), rng.choice(("read",) * 5 + ("settle",))
            yield {"finding_id": key, "number": number, "kind": kind, "state": state, "version": 0,
                   "reviewer_id": ids[name], "labels": labels if state == "done" else None}  # fmt: skip


def agreement_one_by_one(site):
    """What `agreement` tells, from every reading."""
    tables = schema.reading.join(schema.finding).join(
        schema.reviewer, schema.reading.c.reviewer_id == schema.reviewer.c.id
    )
    columns = (schema.reading.c.finding_id, schema.finding.c.label, schema.reading.c.labels, schema.reviewer.c.name)
    query = sa.select(*columns).select_from(tables).where(schema.finding.c.run_id == site.run.id)
    query = query.where(schema.reading.c.kind == "read", schema.reading.c.state == "done")
    with site.database.read() as connection:
        rows = connection.execute(query.order_by(schema.reading.c.finding_id, schema.reading.c.number)).all()
    pairs = defaultdict(list)
    for _, readings in itertools.groupby(rows, key=lambda row: row.finding_id):
        for a, b in itertools.combinations(readings, 2):
            a, b = sorted((a, b), key=lambda row: row.name)
            pairs[""].append((a, b))
            pairs[f"{a.name} – {b.name}"].append((a, b))
    return [agreement_of(who, of) for who, of in pairs.items()]


def agreement_of(who, pairs):
    answers = [(a.label in a.labels, b.label in b.labels) for a, b in pairs]
    same, same_labels = (sum(a == b for a, b in answers), sum(set(a.labels) == set(b.labels) for a, b in pairs))
    kappa = numbers.kappa(Counter(answers))
    return numbers.Agreement(who, len(pairs), same / len(pairs), kappa, same_labels / len(pairs))


def test_agreement_of_many_readings_is_that_counted_one_by_one(long_site, rng):
    with long_site.database.write() as connection:
        connection.execute(schema.reading.delete())
        connection.execute(schema.reading.insert(), list(any_readings(rng, long_site)))
    found = numbers.agreement(long_site.database, long_site.run)
    assert found == agreement_one_by_one(long_site)
    assert len(found) == 7 and found[0].pairs > 150 and 0 < found[0].same_labels < found[0].same < 1
