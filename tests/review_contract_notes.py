"""Notes on decisions, lines that reviewers mark, one decision on all with the same words; imported as review_contract."""

from __future__ import annotations

import threading

import pytest
from review_contract import history, read, state
from review_helpers import finding, make_site, user
from zhenyan.inference.review import exchange, numbers
from zhenyan.inference.review.desk import Wanted
from zhenyan.inference.review.errors import Conflict, Said
from zhenyan.inference.review.listing import Filter, find, list_findings
from zhenyan.inference.review.marks import mark
from zhenyan.inference.review.notes import kept
from zhenyan.inference.review.settings import MAX_NOTE
from zhenyan.inference.review.undo import undo


def test_a_note_goes_and_comes_with_its_decision(site):
    ann, lea, nasty = user(site, "ann"), user(site, "lea"), "价格\x00另查\ud800<b>"
    item = site.desk.open(ann, "f000001")
    site.desk.decide(ann, item.reading, item.version, [], note=kept(f" {nasty}\r\n二 "))
    note = "价格\ufffd另查?<b>\n二"
    assert _note_of(site) == [note]
    assert history(site, "f000001")[-1].after == {"labels": [], "state": "rejected", "note": note}
    undo(site.desk, ann)
    assert _note_of(site) == [None]
    read(site, "ann", "f000001", None)
    site.desk.question(lea, "f000001")
    item = site.desk.open(lea, "f000001")
    site.desk.decide(lea, item.reading, item.version, [], note="settled")
    site.desk.question(lea, "f000001")
    assert _note_of(site) == [None, None]
    undo(site.desk, lea)
    assert _note_of(site) == [None, "settled"]


def _note_of(site):
    return [reading.note for reading in find(site.database, site.run, "f000001")[1]]


def test_a_note_that_is_too_long_is_refused():
    assert kept("长" * MAX_NOTE + " \n") == "长" * MAX_NOTE
    with pytest.raises(Said, match="the note has 501 characters; shorten it to 500"):
        kept("长" * (MAX_NOTE + 1))


def test_a_marked_line_is_a_finding_until_it_is_taken_back(site):
    ann, line = user(site, "ann"), finding(7, label="price_fraud", risk=0.1)
    assert mark(site.desk, ann, "m7-3", line) == "accepted"
    assert state(site, "m7-3") == ("accepted", ["price_fraud"])
    with pytest.raises(Conflict, match="m7-3: this line is marked so already"):
        mark(site.desk, user(site, "ben"), "m7-3", line)
    assert numbers.precision(site.database, site.run) == []
    (missed,) = numbers.precision(site.database, site.run, "reviewer")
    assert (missed.label, missed.stand, missed.decided) == ("price_fraud", 1, 1)
    assert [one.record["id"] for one in exchange.reviewed(site.database, site.run)][-1] == "m7-3"
    assert undo(site.desk, ann) == "m7-3"
    assert len(list(exchange.reviewed(site.database, site.run))) == 6
    listed = list_findings(site.database, site.run, Filter(state=""))
    assert (sum(listed.states.values()), listed.every, listed.total, len(listed.rows)) == (6, 7, 7, 7)
    assert numbers.precision(site.database, site.run, "reviewer") == []
    assert site.desk.waiting(ann, Wanted()) == 6
    assert mark(site.desk, user(site, "ben"), "m7-3", line) == "accepted"
    assert [entry.action for entry in history(site, "m7-3")] == ["mark", "undo", "mark"]


def test_a_marked_line_is_read_by_another_where_findings_are(tmp_path, database, clock):
    twice = make_site(tmp_path, database=database, clock=clock, second_share=1.0)
    ann, ben = user(twice, "ann"), user(twice, "ben")
    assert mark(twice.desk, ann, "m7-2", finding(7)) == "open"
    with pytest.raises(Conflict):
        twice.desk.open(ann, "m7-2")
    item = twice.desk.open(ben, "m7-2")
    with pytest.raises(Conflict, match="another reviewer has read it or is at it"):
        undo(twice.desk, ann)
    twice.desk.release(ben)
    assert undo(twice.desk, ann) == "m7-2"
    with pytest.raises(Conflict):
        twice.desk.decide(ben, item.reading, item.version, [])
    mark(twice.desk, ann, "m7-2", finding(7))
    read(twice, "ben", "m7-2", [])
    assert state(twice, "m7-2") == ("disputed", None)
    with pytest.raises(Conflict, match="another reviewer has read it"):
        undo(twice.desk, ann)
    assert numbers.agreement(twice.database, twice.run) == []


SAID = "这个茶喝了三高就降"


@pytest.fixture
def repeated(tmp_path, database, clock):
    """Four findings of the same words under one label, one under another, one of other words."""
    more = {5: {"label": "price_fraud"}, 6: {"text": f"{SAID} "}}
    records = [finding(n, **{"text": SAID, **more.get(n, {})}) for n in range(1, 7)]
    return make_site(tmp_path, records, database, clock=clock)


def decide_alike(site, name, key, labels, note=None):
    who = user(site, name)
    item = site.desk.open(who, key)
    return site.desk.decide_alike(who, item.reading, item.version, labels, key, note)


def states(site):
    return [state(site, f"f{n:06d}")[0] for n in range(1, 7)]


def test_a_decision_on_all_with_the_same_words(repeated):
    ann = user(repeated, "ann")
    assert repeated.desk.alike(ann, repeated.desk.open(ann, "f000002")) == 3
    assert decide_alike(repeated, "ann", "f000002", [], "rumour") == ("reject", 3)
    assert states(repeated) == ["rejected"] * 4 + ["open"] * 2
    for n in (1, 3, 4):
        (entry,) = history(repeated, f"f{n:06d}")
        assert (entry.action, entry.seconds, entry.after["note"]) == ("reject", None, "rumour")
    assert {undo(repeated.desk, ann) for _ in range(4)} == {f"f{n:06d}" for n in range(1, 5)}
    assert states(repeated) == ["open"] * 6
    assert repeated.desk.alike(ann, repeated.desk.open(ann, "f000005")) == 0


def test_what_others_hold_or_one_skipped_or_read_is_left_alone(repeated):
    ann, ben = user(repeated, "ann"), user(repeated, "ben")
    held = repeated.desk.open(ben, "f000001")
    passed = repeated.desk.open(ann, "f000003")
    repeated.desk.skip(ann, passed.reading, passed.version)
    assert decide_alike(repeated, "ann", "f000002", ["price_fraud"]) == ("relabel", 1)
    assert states(repeated) == ["open", "relabelled", "open", "relabelled", "open", "open"]
    assert repeated.desk.decide(ben, held.reading, held.version, []) == "reject"


def test_second_readings_of_the_same_words_stay_for_others(tmp_path, database):
    twice = make_site(tmp_path, [finding(n, SAID) for n in range(1, 5)], database, second_share=1.0)
    assert decide_alike(twice, "ann", "f000001", None) == ("accept", 3)
    assert {state(twice, f"f{n:06d}")[0] for n in range(1, 5)} == {"open"}
    assert twice.desk.waiting(user(twice, "ann"), Wanted()) == 0
    assert decide_alike(twice, "ben", "f000001", []) == ("reject", 3)
    assert {state(twice, f"f{n:06d}")[0] for n in range(1, 5)} == {"disputed"}
    assert decide_alike(twice, "lea", "f000001", []) == ("settle", 0)


def test_two_who_decide_on_the_same_words_at_once_lose_nothing(tmp_path, database):
    """Each has opened theirs: what one opens while the other decides is theirs, and the other passes over it."""
    site = make_site(tmp_path, [finding(n, SAID) for n in range(1, 41)], database, second_share=1.0)
    pairs = (("ann", "f000001"), ("ben", "f000040"))
    opened = [(user(site, name), site.desk.open(user(site, name), key), key) for name, key in pairs]
    faults, done = [], []

    def work(who, item, key):
        try:
            done.append(site.desk.decide_alike(who, item.reading, item.version, None, key))
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=one) for one in opened]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (faults, done) == ([], [("accept", 39)] * 2)
    assert {state(site, f"f{n:06d}")[0] for n in range(1, 41)} == {"accepted"}
