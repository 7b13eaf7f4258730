"""Several runs in one database, one made by an older version, one that can't be written; imported as review_contract."""

from __future__ import annotations

import dataclasses

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from review_helpers import Browser, decide, disputed, finding, make_site, user
from zhenyan.inference.review import database as module
from zhenyan.inference.review import log, numbers, schema
from zhenyan.inference.review.desk import Wanted
from zhenyan.inference.review.errors import CannotWrite, Conflict
from zhenyan.inference.review.listing import Filter, find, list_findings
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
    assert undo(site.desk, ann) == done.finding.key


def test_a_stream_with_a_long_name_is_taken_in_and_chosen(tmp_path, site):
    """PostgreSQL's indexes take no more than 2,704 bytes."""
    name = "".join(map(chr, range(0x4E00, 0x4E00 + 3000)))
    long = make_site(tmp_path / "long", [finding(1), finding(2, stream=name)], site.database)
    (chosen,) = (stream for stream in list_findings(long.database, long.run, Filter()).streams if stream[:200] in name)
    held = long.desk.claim(user(long, "ann"), Wanted(stream=chosen))
    assert (held.finding.key, held.finding.record["stream"]) == ("f000002", name)


@pytest.mark.parametrize("names", [("长" * 400 + "甲", "长" * 400 + "乙"), ("\n", " "), ("", "\u3000\r\n")])
def test_streams_that_look_alike_in_the_list_are_chosen_apart(tmp_path, site, names):
    alike = make_site(tmp_path / "alike", [finding(n, stream=name) for n, name in enumerate(names, 1)], site.database)
    streams = list_findings(alike.database, alike.run, Filter()).streams
    assert len(streams) == 2 and all(stream.strip() and len(stream) <= 300 for stream in streams)
    found = [list_findings(alike.database, alike.run, Filter(stream=stream)).rows for stream in streams]
    assert sorted(row.record["stream"] for rows in found for row in rows) == sorted(names)
    assert list(map(len, found)) == [1, 1]


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
    """A database of the first version, with a decision in it, opens with that decision and today's tables and times."""
    upgrade = module.command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(module.command, "upgrade", lambda config, _: upgrade(config, "0001"))
        old = module.open_database(module.database_url(None, url))
        _later_columns(old, "ADD COLUMN {} TEXT")  # today's code, which makes the decision, asks for them
        times = [{"place": "cue 1", "start": 1.0}, {"place": "cue 9", "start": 90.0}]
        said = {"count": 2, "place": {"file": "a.srt", **times[1]}, "times": times}
        untimed = finding(4, place={"file": "a.txt", "place": "line 7", "row": 7})
        site = make_site(tmp_path, [finding(1, **said), finding(2, '"count": 1,', **said), finding(3), untimed], old)
        with old.write() as connection:
            for key, start in {"f000001": 1.0, "f000002": 1.0, "f000004": None}.items():
                connection.execute(schema.finding.update().where(schema.finding.c.key == key).values(start=start))
        item = site.desk.claim(user(site, "ann"), Wanted())
        site.desk.decide(user(site, "ann"), item.reading, item.version, [])
        _later_columns(old, "DROP COLUMN {}")
        old.close()
    database = module.open_database(module.database_url(None, url))
    with database.read() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) > "0001"
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
        starts = connection.scalars(sa.select(schema.finding.c.start).order_by(schema.finding.c.position)).all()
    assert starts == [90.0, 90.0, 15.0, 7 - 1e12]
    site = dataclasses.replace(site, database=database)
    assert find(database, site.run, item.finding.key)[0].state == "rejected"
    assert undo(site.desk, user(site, "ann")) == item.finding.key
    database.close()


def _later_columns(database, change):
    """Add or drop what later versions of the tables have."""
    with database.write() as connection:
        for table, column in (("reading", "note"), ("finding", "origin"), ("finding", "words")):
            connection.execute(sa.text(f"ALTER TABLE {table} {change.format(column)}"))


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


def test_an_old_page_decides_nothing_on_the_finding_that_took_its_readings_number(twice, clock):
    """SQLite gives the number of a row that was deleted, the settling reading of a dispute undone, to the next one."""
    lea, old = user(twice, "lea"), disputed(twice, "f000001")
    clock.forward(minutes=20)
    undo(twice.desk, user(twice, "ben"))
    item = twice.desk.current(user(twice, "ben"))
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
    undo(twice.desk, lea)
    assert twice.desk.current(lea).reading == item.reading


def test_undo_after_a_question_takes_the_question_back(site, clock):
    """Not an older step; what the lead holds meanwhile stays in their hands."""
    ann, lea = user(site, "ann"), user(site, "lea")
    decide(site, "f000002", None, "lea")
    decide(site, "f000001", [])
    before = find(site.database, site.run, "f000001")
    clock.forward(days=1)
    site.desk.question(lea, "f000001")
    held = site.desk.claim(lea, Wanted())
    assert undo(site.desk, lea) == "f000001"
    assert find(site.database, site.run, "f000001") == before
    assert site.desk.current(lea) == held
    with site.database.read() as connection:
        undone, question = log.entries(connection, site.run.id, "f000001")[:2]
    assert (undone.action, undone.undoes) == ("undo", question.id)
    assert (undone.before, undone.after) == ({"state": "disputed"}, {"state": "rejected"})
    assert [undo(site.desk, ann), undo(site.desk, lea)] == ["f000001", "f000002"]  # nor does it stand in ann's way


def test_the_page_names_the_finding_whose_question_was_undone(site):
    decide(site, "f000001", None)
    lea = Browser(site, "lea")
    lea.submit("/start")
    lea.submit("/finding/f000001/question")
    page = lea.submit("/undo", hx=True).text
    assert "f000001 taken back" in page and 'name="key" value="f000002"' in page


@pytest.mark.parametrize("open_it", [False, True], ids=["at once", "in the lead's own hands"])
def test_a_settling_comes_back_when_its_question_is_undone(twice, clock, open_it):
    lea, adm = user(twice, "lea"), user(twice, "adm")
    item = disputed(twice, "f000001")
    clock.forward(minutes=3)
    twice.desk.decide(lea, item.reading, item.version, ["price_fraud"])
    row, (*reads, settling) = find(twice.database, twice.run, "f000001")
    clock.forward(days=1)
    twice.desk.question(adm, "f000001")
    if open_it:
        twice.desk.open(adm, "f000001")
    undo(twice.desk, adm)
    again = find(twice.database, twice.run, "f000001")
    assert (again[0], again[1][:-1]) == (row, reads)
    assert again[1][-1]._asdict() | {"version": settling.version} == settling._asdict()
    assert twice.desk.current(adm) is None and undo(twice.desk, lea) == "f000001"


def test_a_question_that_another_lead_is_at_stays(site, clock):
    lea, adm = user(site, "lea"), user(site, "adm")
    decide(site, "f000001", None)
    site.desk.question(lea, "f000001")
    item = site.desk.open(adm, "f000001")
    with pytest.raises(Conflict, match="a lead has settled it or is at it"):
        undo(site.desk, lea)
    site.desk.decide(adm, item.reading, item.version, [])
    site.desk.question(adm, "f000001")  # free again, but in dispute for another reason
    with pytest.raises(Conflict, match="a lead has settled it or is at it"):
        undo(site.desk, lea)
    assert find(site.database, site.run, "f000001")[0].state == "disputed"
    item = site.desk.open(adm, "f000001")
    site.desk.decide(adm, item.reading, item.version, [])
    with pytest.raises(Conflict, match="a lead has settled it or is at it"):  # decided again: it is nobody's any more
        undo(site.desk, lea)
    assert undo(site.desk, adm) == "f000001"
    site.desk.release(adm)
    assert [undo(site.desk, adm) for _ in range(2)] == ["f000001"] * 2  # the question, then the settling
    site.desk.release(adm)
    assert undo(site.desk, lea) == "f000001"
    assert find(site.database, site.run, "f000001")[0].state == "accepted"


def test_a_dispute_is_not_opened_by_a_reviewer_nor_a_decided_finding_by_anyone(twice):
    """Both were told that another reviewer had it, or that they had read it."""
    for name, labels in (("lea", None), ("ben", [])):
        decide(twice, "f000001", labels, name)
    ann, adm = user(twice, "ann"), user(twice, "adm")
    held = twice.desk.claim(ann, Wanted())
    with pytest.raises(Conflict, match="f000001: its readings differ, a lead is to settle it"):
        twice.desk.open(ann, "f000001")
    assert twice.desk.current(ann) == held  # what they were at stays in their hands
    decide(twice, "f000001", None, "adm")
    for who in (ann, adm):
        with pytest.raises(Conflict, match="f000001: it is decided already"):
            twice.desk.open(who, "f000001")
