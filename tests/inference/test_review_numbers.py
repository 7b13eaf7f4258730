"""Kappa, intervals, precision, agreement, throughput, and the rules of outcomes."""

from collections import Counter

import pytest
from review_helpers import Browser, Clock, decide, finding, make_site, user
from zhenyan.inference.review import numbers
from zhenyan.inference.review.marks import mark
from zhenyan.inference.review.outcome import Reading, outcome, second_read, verdict
from zhenyan.inference.review.undo import undo


def test_kappa_of_a_known_table():
    """Cohen's own kind of example: 20 both yes, 15 both no, 5 and 10 apart: po 0.7, pe 0.5."""
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    assert numbers.kappa(Counter(pairs)) == pytest.approx(0.4)


def test_kappa_at_its_ends():
    assert numbers.kappa(Counter()) is None
    assert numbers.kappa(Counter([(True, True)] * 3)) is None
    assert numbers.kappa(Counter([(True, True), (False, False)])) == 1
    assert numbers.kappa(Counter([(True, False), (False, True)])) == -1


def test_wilson_intervals_stay_between_0_and_1():
    low, high = numbers.wilson(8, 10)
    assert (round(low, 3), round(high, 3)) == (0.490, 0.943)
    assert numbers.wilson(0, 0) == (0.0, 1.0)
    assert numbers.wilson(0, 5)[0] == 0.0
    assert numbers.wilson(5, 5)[1] == 1.0


@pytest.mark.parametrize(
    ("labels", "expected"), [(["a"], "accepted"), ([], "rejected"), (["b"], "relabelled"), (["a", "b"], "relabelled")]
)
def test_labels_that_stand_accept_reject_or_relabel(labels, expected):
    assert verdict("a", labels) == expected


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ([Reading(False)], ("open", None)),
        ([Reading(False, ("a",))], ("accepted", ["a"])),
        ([Reading(False, ("a",)), Reading(False)], ("open", None)),
        ([Reading(False, ("b", "a")), Reading(False, ("a", "b"))], ("relabelled", ["a", "b"])),
        ([Reading(False, ("a",)), Reading(False, ())], ("disputed", None)),
        ([Reading(False, ("a",)), Reading(False, ()), Reading(True)], ("disputed", None)),
        ([Reading(False, ("a",)), Reading(False, ()), Reading(True, ())], ("rejected", [])),
        ([Reading(False, ("a",)), Reading(False), Reading(True, ())], ("rejected", [])),
    ],
)
def test_the_state_of_a_finding_follows_from_its_readings(readings, expected):
    assert outcome("a", readings) == expected


def test_second_readings_are_drawn_by_share_and_stay_drawn():
    keys = [f"f{n:06d}" for n in range(2000)]
    tenth = {key for key in keys if second_read("digest", key, 0.1)}
    assert 150 < len(tenth) < 250
    assert tenth <= {key for key in keys if second_read("digest", key, 0.2)}
    assert not any(second_read("digest", key, 0.0) for key in keys)
    assert all(second_read("digest", key, 1.0) for key in keys)


def test_numbers_of_a_review(tmp_path):
    clock = Clock()
    site = make_site(tmp_path, clock=clock, second_share=1.0)
    answers = {"f000001": (None, None), "f000002": ([], []), "f000003": (None, []), "f000004": (["price_fraud"], [])}
    for key, given in answers.items():
        for name, labels in zip(("ann", "ben"), given, strict=True):
            item = site.desk.open(user(site, name), key)
            clock.forward(seconds=30 if name == "ann" else 3600)
            site.desk.decide(user(site, name), item.reading, item.version, labels)
    (only,) = numbers.precision(site.database, site.run)
    assert (only.label, only.stand, only.decided, only.share) == ("food_safety", 1, 2, 0.5)
    every, pair = numbers.agreement(site.database, site.run)
    assert (every.pairs, every.same, every.same_labels, every.who) == (4, 0.75, 0.5, "")
    assert every.kappa == pair.kappa == 0.5
    assert pair.who == "ann – ben"
    ann, ben = sorted(numbers.throughput(site.database, site.run, site.settings), key=lambda pace: pace.who)
    assert (ann.decisions, round(ann.hours, 4), ann.per_hour) == (4, round(120 / 3600, 4), pytest.approx(120))
    assert ben.hours == pytest.approx(4 * 300 / 3600)
    assert [p.who for p in numbers.throughput(site.database, site.run, site.settings, "ben")] == ["ben"]


def test_of_one_pair_all_agree_as_it_does_whoever_read_first(tmp_path):
    site = make_site(tmp_path, second_share=1.0)
    answers = {"f000001": ("ann", None, []), "f000002": ("ben", [], None), "f000003": ("ann", None, None)}
    for key, (first, of_ann, of_ben) in answers.items():
        for name in sorted(("ann", "ben"), key=lambda name: name != first):
            item = site.desk.open(user(site, name), key)
            site.desk.decide(user(site, name), item.reading, item.version, of_ann if name == "ann" else of_ben)
    every, pair = numbers.agreement(site.database, site.run)
    assert (every.kappa, every.pairs) == (pair.kappa, pair.pairs)


def test_a_mark_is_work_until_it_is_taken_back(tmp_path):
    site = make_site(tmp_path)
    decide(site, "f000001", None)
    mark(site.desk, user(site, "ann"), "m7-3", finding(7, label="price_fraud"))
    paces = [numbers.throughput(site.database, site.run, site.settings)]
    undo(site.desk, user(site, "ann"))
    paces.append(numbers.throughput(site.database, site.run, site.settings))
    assert [[(pace.who, pace.decisions) for pace in each] for each in paces] == [[("ann", 2)], [("ann", 1)]]


def test_pairs_are_named_in_one_order_and_a_lead_who_settles_is_no_reader(tmp_path):
    site = make_site(tmp_path, second_share=1.0)
    for key, names in (("f000001", ("ben", "ann")), ("f000002", ("ann", "ben"))):
        for name in names:
            item = site.desk.open(user(site, name), key)
            site.desk.decide(user(site, name), item.reading, item.version, None if name == "ann" else [])
    before = numbers.agreement(site.database, site.run)
    assert [(one.who, one.pairs, one.same) for one in before] == [("", 2, 0.0), ("ann – ben", 2, 0.0)]
    item = site.desk.open(user(site, "lea"), "f000001")
    assert item.settles
    site.desk.decide(user(site, "lea"), item.reading, item.version, None)
    assert numbers.agreement(site.database, site.run) == before


def test_the_page_says_whose_days_it_counts(tmp_path):
    site = make_site(tmp_path)
    item = site.desk.open(user(site, "lea"), "f000001")
    site.desk.decide(user(site, "lea"), item.reading, item.version, None)
    assert "Days (UTC+8)" in Browser(site, "lea").get("/numbers").text
    assert "天数（北京时间）" in Browser(site, "lea", language="zh").get("/numbers").text
