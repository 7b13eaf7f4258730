"""What the desk promises on every database. Modules import these tests and say what `database` is."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa
from review_helpers import Clock, finding, make_site, state, user
from zhenyan.inference.review import log, schema
from zhenyan.inference.review.desk import Wanted
from zhenyan.inference.review.errors import Conflict
from zhenyan.inference.review.intake import take_in
from zhenyan.inference.review.listing import Filter, find, list_findings
from zhenyan.inference.review.settings import Settings
from zhenyan.inference.review.undo import undo


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def site(tmp_path, database, clock):
    return make_site(tmp_path, database=database, clock=clock)


def read(site, name, key, labels):
    """One reviewer's decision on one finding."""
    who = user(site, name)
    item = site.desk.open(who, key)
    return site.desk.decide(who, item.reading, item.version, labels)


def history(site, key):
    with site.database.read() as connection:
        return list(reversed(log.entries(connection, site.run.id, key)))


def test_the_riskiest_free_finding_comes_first(site):
    ann, ben = user(site, "ann"), user(site, "ben")
    assert site.desk.claim(ann, Wanted()).finding.key == "f000001"
    assert site.desk.claim(ben, Wanted()).finding.key == "f000002"
    assert site.desk.current(ann).finding.key == "f000001"


def test_reviewers_at_once_never_hold_the_same_and_lose_nothing(tmp_path, database):
    site = make_site(tmp_path, [finding(n) for n in range(1, 41)], database)
    names = ("ann", "ben", "lea", "adm")
    got, faults = {name: [] for name in names}, []

    def work(name):
        try:
            who = user(site, name)
            while item := site.desk.claim(who, Wanted()):
                site.desk.decide(who, item.reading, item.version, None)
                got[name].append(item.finding.key)
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    every = [key for keys in got.values() for key in keys]
    assert sorted(every) == [f"f{n:06d}" for n in range(1, 41)]
    with site.database.read() as connection:
        logged = connection.scalar(sa.select(sa.func.count()).where(log.table.c.action == "accept"))
    assert logged == 40


def test_two_last_readings_at_once_both_count(tmp_path, database):
    site = make_site(tmp_path, [finding(n) for n in range(1, 13)], database, second_share=1.0)
    barrier, faults = threading.Barrier(2), []

    def work(name):
        try:
            for number in range(1, 13):
                who = user(site, name)
                item = site.desk.open(who, f"f{number:06d}")
                barrier.wait(timeout=30)
                site.desk.decide(who, item.reading, item.version, None)
        except Exception as fault:
            faults.append(fault)
            barrier.abort()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("ann", "ben")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert {state(site, f"f{n:06d}")[0] for n in range(1, 13)} == {"accepted"}


def test_a_lease_that_ran_out_is_free_and_its_late_decision_is_refused(site, clock):
    ann, ben = user(site, "ann"), user(site, "ben")
    old = site.desk.claim(ann, Wanted())
    clock.forward(minutes=16)
    assert site.desk.claim(ben, Wanted()).finding.key == old.finding.key
    with pytest.raises(Conflict, match="another reviewer has it"):
        site.desk.decide(ann, old.reading, old.version, [])
    assert state(site, old.finding.key) == ("open", None)


def test_a_late_decision_counts_when_nobody_else_took_the_finding(site, clock):
    ann = user(site, "ann")
    item = site.desk.claim(ann, Wanted())
    clock.forward(hours=2)
    assert site.desk.decide(ann, item.reading, item.version, []) == "reject"


def test_a_page_that_is_out_of_date_changes_nothing(site):
    ann = user(site, "ann")
    item = site.desk.claim(ann, Wanted())
    with pytest.raises(Conflict, match="out of date"):
        site.desk.decide(ann, item.reading, item.version - 1, [])
    site.desk.decide(ann, item.reading, item.version, None)
    with pytest.raises(Conflict, match="decided already"):
        site.desk.decide(ann, item.reading, item.version, [])
    assert state(site, item.finding.key) == ("accepted", ["food_safety"])


@pytest.mark.parametrize(
    ("labels", "action", "after"),
    [
        (None, "accept", ("accepted", ["food_safety"])),
        ([], "reject", ("rejected", [])),
        (["price_fraud", "food_safety"], "relabel", ("relabelled", ["food_safety", "price_fraud"])),
        (["food_safety"], "accept", ("accepted", ["food_safety"])),
    ],
)
def test_decisions_and_their_log(site, clock, labels, action, after):
    ann = user(site, "ann")
    item = site.desk.claim(ann, Wanted())
    clock.forward(seconds=42)
    assert site.desk.decide(ann, item.reading, item.version, labels) == action
    assert state(site, item.finding.key) == after
    (entry,) = history(site, item.finding.key)
    assert (entry.who, entry.action, entry.model, entry.seconds) == ("ann", action, site.run.bundle, 42.0)
    assert entry.before == {"labels": None, "state": "open"}
    assert entry.after == {"labels": after[1], "state": after[0]}
    assert entry.at == clock.now


def test_a_label_and_a_stream_narrow_what_is_handed_out(tmp_path, database):
    records = [
        finding(1),
        finding(2, label="price_fraud"),
        finding(3, stream="乙"),
        finding(4, stream="甲"),
    ]
    site = make_site(tmp_path, records, database)
    ann = user(site, "ann")
    assert site.desk.claim(ann, Wanted(label="price_fraud")).finding.key == "f000002"
    assert site.desk.claim(ann, Wanted(stream="乙")).finding.key == "f000003"
    assert site.desk.claim(ann, Wanted(label="price_fraud", stream="乙")) is None
    assert site.desk.waiting(ann, Wanted()) == 4


@pytest.mark.parametrize(("sort", "order"), [("risk", [1, 2, 3, 4, 5, 6]), ("stream", [6, 4, 3, 5, 2, 1])])
def test_what_comes_next_is_as_it_was_asked_for(tmp_path, database, sort, order):
    """By risk, or by stream and time of the text: what has no time first, by its rows, of one time the first in the run."""
    places = {1: ("b", 5.0), 2: ("a", 9.0), 3: ("a", 3.0), 4: ("a", None), 5: ("a", 3.0), 6: ("a", None)}
    records = [
        finding(
            n, stream=stream, place={"file": "a", "place": "x", "row": 10 - n} | ({} if start is None else {"start": start}),
            times=[{"place": "y", "start": float(n)}], count=2,
        )
        for n, (stream, start) in places.items()
    ]  # fmt: skip
    site = make_site(tmp_path, records, database)
    ann, given = user(site, "ann"), []
    while item := site.desk.claim(ann, Wanted(sort=sort)):
        given.append(item.finding.key)
        site.desk.decide(ann, item.reading, item.version, None)
    assert given == [f"f{n:06d}" for n in order]
    for shown in (Filter(state="", sort=sort), Filter(state="accepted", sort=sort)):
        assert [row.key for row in list_findings(database, site.run, shown).rows] == given


def test_a_skipped_finding_goes_to_others_and_comes_back_when_opened(site):
    ann, ben = user(site, "ann"), user(site, "ben")
    item = site.desk.claim(ann, Wanted())
    site.desk.skip(ann, item.reading, item.version)
    assert site.desk.claim(ann, Wanted()).finding.key == "f000002"
    assert site.desk.claim(ben, Wanted()).finding.key == "f000001"
    site.desk.release(ben)
    assert site.desk.open(ann, "f000001").finding.key == "f000001"


def test_what_another_holds_cannot_be_opened(site):
    site.desk.claim(user(site, "ann"), Wanted())
    with pytest.raises(Conflict, match="another reviewer has it"):
        site.desk.open(user(site, "ben"), "f000001")
    with pytest.raises(Conflict, match="no such finding"):
        site.desk.open(user(site, "ben"), "f999999")


def test_undo_takes_steps_back_one_by_one(site):
    ann = user(site, "ann")
    for labels in (None, []):
        item = site.desk.claim(ann, Wanted())
        site.desk.decide(ann, item.reading, item.version, labels)
    item = site.desk.claim(ann, Wanted())
    site.desk.skip(ann, item.reading, item.version)
    for key in ("f000003", "f000002", "f000001"):
        assert undo(site.desk, ann) == site.desk.current(ann).finding.key == key
    assert state(site, "f000001") == ("open", None)
    with pytest.raises(Conflict, match="nothing to undo"):
        undo(site.desk, ann)
    first, second = history(site, "f000001")
    assert (second.action, second.undoes, second.before) == ("undo", first.id, first.after)


def test_undone_findings_can_be_decided_again(site):
    ann = user(site, "ann")
    item = site.desk.claim(ann, Wanted())
    site.desk.decide(ann, item.reading, item.version, None)
    undo(site.desk, ann)
    again = site.desk.current(ann)
    with pytest.raises(Conflict):
        site.desk.decide(ann, item.reading, item.version, [])
    site.desk.decide(ann, again.reading, again.version, [])
    assert state(site, "f000001") == ("rejected", [])
    assert [entry.action for entry in history(site, "f000001")] == ["accept", "undo", "reject"]


def test_undo_touches_only_ones_own_steps(site):
    read(site, "ann", "f000001", None)
    with pytest.raises(Conflict, match="nothing to undo"):
        undo(site.desk, user(site, "ben"))


def test_undo_of_a_skip_that_someone_else_has_taken(site):
    ann, ben = user(site, "ann"), user(site, "ben")
    item = site.desk.claim(ann, Wanted())
    site.desk.skip(ann, item.reading, item.version)
    site.desk.open(ben, "f000001")
    assert undo(site.desk, ann) == "f000001"
    assert site.desk.current(ann) is None
    site.desk.claim(ann, Wanted())
    item = site.desk.current(ann)
    site.desk.skip(ann, item.reading, item.version)
    site.desk.release(ben)
    mine = site.desk.open(ann, "f000001")
    site.desk.open(ben, "f000002")
    assert undo(site.desk, ann) == "f000002"
    kept = site.desk.current(ann)  # what is open stays open
    assert (kept.finding.key, kept.version) == ("f000001", mine.version)


@pytest.fixture
def twice(tmp_path, database, clock):
    return make_site(tmp_path, database=database, clock=clock, second_share=1.0)


def test_a_second_reading_goes_to_someone_else(twice):
    assert read(twice, "ann", "f000001", None) == "accept"
    assert state(twice, "f000001") == ("open", None)
    with pytest.raises(Conflict):
        twice.desk.open(user(twice, "ann"), "f000001")
    assert twice.desk.claim(user(twice, "ann"), Wanted()).finding.key == "f000002"
    read(twice, "ben", "f000001", None)
    assert state(twice, "f000001") == ("accepted", ["food_safety"])


def test_both_readings_can_be_out_at_once(twice):
    assert twice.desk.claim(user(twice, "ann"), Wanted()).finding.key == "f000001"
    assert twice.desk.claim(user(twice, "ben"), Wanted()).finding.key == "f000001"
    assert twice.desk.claim(user(twice, "lea"), Wanted()).finding.key == "f000002"


def test_readings_that_differ_are_settled_by_a_lead(twice):
    read(twice, "ann", "f000001", None)
    read(twice, "ben", "f000001", [])
    assert state(twice, "f000001") == ("disputed", None)
    assert twice.desk.claim(user(twice, "adm"), Wanted(settle=True)).settles
    twice.desk.release(user(twice, "adm"))
    with pytest.raises(Conflict):
        twice.desk.open(user(twice, "adm"), "f000009")
    assert read(twice, "lea", "f000001", ["price_fraud"]) == "settle"
    assert state(twice, "f000001") == ("relabelled", ["price_fraud"])


def test_a_reviewer_cannot_settle(twice):
    read(twice, "ann", "f000001", None)
    read(twice, "ben", "f000001", [])
    other = user(twice, "ann")
    assert twice.desk.claim(other, Wanted(settle=True)).finding.key == "f000002"
    with pytest.raises(Conflict):
        twice.desk.open(other, "f000001")


def test_a_dispute_goes_away_with_the_decision_that_made_it(twice):
    read(twice, "ann", "f000001", None)
    read(twice, "ben", "f000001", [])
    undo(twice.desk, user(twice, "ben"))
    assert state(twice, "f000001") == ("open", None)
    item = twice.desk.current(user(twice, "ben"))
    twice.desk.decide(user(twice, "ben"), item.reading, item.version, None)
    assert state(twice, "f000001") == ("accepted", ["food_safety"])


def test_what_a_lead_settled_is_not_undone_by_its_readers(twice):
    read(twice, "ann", "f000001", None)
    read(twice, "ben", "f000001", [])
    read(twice, "lea", "f000001", [])
    with pytest.raises(Conflict, match="settled"):
        undo(twice.desk, user(twice, "ben"))
    undo(twice.desk, user(twice, "lea"))
    assert state(twice, "f000001") == ("disputed", None)


def test_a_lead_can_question_a_decision(site):
    read(site, "ann", "f000001", None)
    site.desk.question(user(site, "lea"), "f000001")
    assert state(site, "f000001") == ("disputed", None)
    read(site, "lea", "f000001", [])
    assert state(site, "f000001") == ("rejected", [])
    site.desk.question(user(site, "lea"), "f000001")
    assert state(site, "f000001") == ("disputed", None)
    with pytest.raises(Conflict, match="a lead is to settle it already"):
        site.desk.question(user(site, "lea"), "f000001")


def test_a_raised_share_adds_second_readings_to_open_findings_only(site):
    read(site, "ann", "f000001", None)
    for _ in range(2):
        take_in(site.database, site.folder, Settings(second_share=1.0))
    counts = [len(find(site.database, site.run, f"f{n:06d}")[1]) for n in range(1, 7)]
    assert counts == [1, 2, 2, 2, 2, 2]


def test_a_run_is_taken_in_once_and_a_run_scored_anew_is_another(tmp_path, site):
    again = take_in(site.database, site.folder, site.settings)
    assert again == site.run
    other = make_site(tmp_path / "other", [finding(1), finding(2)], site.database)
    assert other.run.id != site.run.id
    assert site.desk.waiting(user(site, "ann"), Wanted()) == 6


@pytest.mark.parametrize("statement", ["UPDATE log SET who = 'x'", "DELETE FROM log"])
def test_the_log_refuses_changes(site, statement):
    read(site, "ann", "f000001", None)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), site.database.write() as connection:
        connection.execute(sa.text(statement))
    assert len(history(site, "f000001")) == 1


def test_the_tables_are_those_of_the_migrations(site):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with site.database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []


def test_text_that_databases_dislike_survives(tmp_path, database):
    nasty = "a\x00b\ud800c\u202e" + "长" * 100_000
    site = make_site(tmp_path, [finding(1, nasty, stream="s\x00\udfff")], database)
    item = site.desk.claim(user(site, "ann"), Wanted())
    assert item.finding.record["text"] == nasty
    assert item.finding.stream == "s\ufffd?"


def test_earlier_decisions_on_like_lines(tmp_path, database):
    records = [
        finding(1, "喝了这个茶三高就降下来了啊"),
        finding(2, "喝了这个茶三高就降下来了呢"),
        finding(3, "今天二号链接拍两盒"),
    ]
    site = make_site(tmp_path, records, database)
    assert site.memory.like(2, records[1]["text"]) == []
    read(site, "ann", "f000001", [])
    ids = {key: find(site.database, site.run, key)[0].id for key in ("f000001", "f000002", "f000003")}
    (past,) = site.memory.like(ids["f000002"], records[1]["text"])
    assert (past.key, past.state) == ("f000001", "rejected")
    assert site.memory.like(ids["f000001"], records[0]["text"]) == []
    assert site.memory.like(ids["f000003"], records[2]["text"]) == []
    undo(site.desk, user(site, "ann"))
    assert site.memory.like(ids["f000002"], records[1]["text"]) == []
