"""Several runs in one database, one made by an older version, one that can't be written; imported as review_contract."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from review_helpers import Browser, finding, make_site, user
from zhenyan.inference.review import database as module
from zhenyan.inference.review import log, numbers, schema
from zhenyan.inference.review.desk import Wanted
from zhenyan.inference.review.errors import CannotWrite, Conflict
from zhenyan.inference.review.listing import find
from zhenyan.inference.review.undo import undo


@pytest.fixture
def other(tmp_path, site):
    """Another run of the same database."""
    return make_site(
        tmp_path / "other", [finding(1, "另一句"), finding(2, "再一句")], site.database, clock=site.settings.clock
    )


def test_a_desk_takes_no_decision_on_another_run(site, other):
    ann = user(site, "ann")
    item = site.desk.claim(ann, Wanted())
    with pytest.raises(Conflict, match="gone"):
        other.desk.decide(ann, item.reading, item.version, None)
    with pytest.raises(Conflict, match="gone"):
        other.desk.skip(ann, item.reading, item.version)
    assert find(site.database, site.run, item.finding.key)[0].state == "open"
    assert site.desk.decide(ann, item.reading, item.version, None) == "accept"


def test_what_is_held_or_was_done_in_one_run_stays_when_the_other_is_read(site, other):
    ann = user(site, "ann")
    done = site.desk.claim(ann, Wanted())
    site.desk.decide(ann, done.reading, done.version, None)
    held = site.desk.claim(ann, Wanted())
    assert other.desk.claim(ann, Wanted())
    other.desk.release(ann)
    assert site.desk.current(ann) == held
    with pytest.raises(Conflict, match="nothing to undo"):
        undo(other.desk, ann)
    assert undo(site.desk, ann).finding.key == done.finding.key


def test_throughput_counts_what_stands_in_its_own_run(site, other):
    ann = user(site, "ann")
    for desk, many in ((site.desk, 3), (other.desk, 1)):
        for _ in range(many):
            item = desk.claim(ann, Wanted())
            desk.decide(ann, item.reading, item.version, None)
    undo(site.desk, ann)
    (pace,) = numbers.throughput(site.database, site.run, site.settings)
    assert (pace.who, pace.decisions) == ("ann", 2)


def test_a_settling_that_is_questioned_starts_anew(site):
    lea = user(site, "lea")
    item = site.desk.claim(lea, Wanted())
    site.desk.decide(lea, item.reading, item.version, None)
    site.desk.question(lea, item.finding.key)
    again = site.desk.open(lea, item.finding.key)
    site.desk.decide(lea, again.reading, again.version, [])
    site.desk.question(lea, item.finding.key)
    _, (_, settling) = find(site.database, site.run, item.finding.key)
    assert (settling.kind, settling.state) == ("settle", "open")
    assert (settling.decided, settling.labels, settling.reviewer_id, settling.lease_until) == (None, None, None, None)


def check_upgrade(url, tmp_path, monkeypatch):
    """A database of the first version, with a decision in it, opens with that decision and today's tables."""
    upgrade = module.command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(module.command, "upgrade", lambda config, _: upgrade(config, "0001"))
        old = module.open_database(module.database_url(None, url))
        site = make_site(tmp_path, database=old)
        item = site.desk.claim(user(site, "ann"), Wanted())
        site.desk.decide(user(site, "ann"), item.reading, item.version, [])
        old.close()
    database = module.open_database(module.database_url(None, url))
    with database.read() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) > "0001"
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    site = make_site(tmp_path, database=database)
    assert find(database, site.run, item.finding.key)[0].state == "rejected"
    assert undo(site.desk, user(site, "ann")).finding.key == item.finding.key
    database.close()


@pytest.fixture
def read_only(database):
    """Makes the database refuse writes, as one whose disk was mounted read-only."""

    def refuse(connection):
        sqlite = connection.dialect.name == "sqlite"
        connection.exec_driver_sql("PRAGMA query_only=ON" if sqlite else "SET TRANSACTION READ ONLY")

    return lambda: sa.event.listen(database.engine, "begin", refuse)


def test_a_read_only_database_is_told_and_nothing_is_kept(site, clock, read_only, caplog):
    ann, lea = Browser(site, "ann"), Browser(site, "lea")
    item = site.desk.claim(user(site, "ann"), Wanted())
    token = ann.token()
    read_only()
    caplog.clear()
    decided = {"csrf": token, "verdict": "accept", "version": item.version}
    for headers in ({}, {"HX-Request": "true"}):
        answer = ann.post(f"/work/{item.reading}/decide", data=decided, headers=headers)
        assert answer.status_code == 503
        assert "written: it is read-only; nothing was recorded" in answer.text.replace("&#39;", "'")
    assert find(site.database, site.run, item.finding.key)[0].state == "open"
    assert [record.exc_info for record in caplog.records if record.name == "zhenyan.review"] == [None, None]
    assert f"POST /work/{item.reading}/decide" in caplog.text and "Traceback" not in caplog.text
    answer = Browser(site, language="zh").submit("/login", page="/login", name="ann", password="correct horse battery")
    assert (answer.status_code, "数据库为只读" in answer.text) == (503, True)
    with pytest.raises(CannotWrite, match="it is read-only"):
        site.accounts.set_role("ben", "lead")
    clock.forward(minutes=5)
    assert lea.get("/").status_code == lea.get("/log").status_code == 200


def test_what_is_no_fault_of_the_disk_stays_what_it_is(site):
    with pytest.raises(sa.exc.IntegrityError), site.database.write() as connection:
        log.append(connection, site.settings.clock(), "ann", "accept", finding_id=10**6)
        connection.execute(schema.reviewer.insert().values(name="ann", role="lead", created=site.settings.clock()))


def disputed(site, key):
    """ann accepts, ben rejects, lea opens it to settle it."""
    for name, labels in (("ann", None), ("ben", [])):
        item = site.desk.open(user(site, name), key)
        site.desk.decide(user(site, name), item.reading, item.version, labels)
    return site.desk.open(user(site, "lea"), key)


def test_an_old_page_decides_nothing_on_the_finding_that_took_its_readings_number(twice, clock):
    """SQLite gives the number of a row that was deleted, the settling reading of a dispute undone, to the next one."""
    lea, old = user(twice, "lea"), disputed(twice, "f000001")
    clock.forward(minutes=20)
    item = undo(twice.desk, user(twice, "ben"))
    twice.desk.decide(user(twice, "ben"), item.reading, item.version, None)
    new = disputed(twice, "f000002")
    for call in (lambda: twice.desk.decide(lea, new.reading, new.version, [], "f000001"),
                 lambda: twice.desk.skip(lea, new.reading, new.version, "f000001")):  # fmt: skip
        with pytest.raises(Conflict, match="gone"):
            call()
    answer = Browser(twice, "lea").submit(
        f"/work/{new.reading}/decide", version=new.version, key=old.finding.key, verdict="reject"
    )
    assert answer.status_code == 409
    assert find(twice.database, twice.run, "f000002")[0].state == "disputed"
    assert twice.desk.decide(lea, new.reading, new.version, [], "f000002") == "settle"


def test_a_reader_does_not_undo_what_a_lead_questioned(site):
    ann, lea = user(site, "ann"), user(site, "lea")
    item = site.desk.claim(ann, Wanted())
    site.desk.decide(ann, item.reading, item.version, None)
    site.desk.question(lea, item.finding.key)
    with pytest.raises(Conflict, match="a lead questioned it"):
        undo(site.desk, ann)
    assert find(site.database, site.run, item.finding.key)[0].state == "disputed"


def test_undo_of_a_skipped_dispute_hands_it_back(twice):
    lea, item = user(twice, "lea"), disputed(twice, "f000001")
    twice.desk.skip(lea, item.reading, item.version)
    assert undo(twice.desk, lea).reading == item.reading
