"""The arithmetic of the benchmarks of choosing lines and of finding wrong labels, on a few rows."""

from __future__ import annotations

import json
from types import ModuleType

import numpy as np
import pytest
from zhenyan.training.confidence import Cells
from zhenyan.training.planted import Found, Planted
from zhenyan.training.rows import Row

LABELS = ["food_safety", "price_fraud", "public_order"]
BAD, GOOD = "这个茶喝完三高就降下来了第{}位", "今天的棉拖鞋三十五码到四十码都有第{}双"


@pytest.fixture
def labelling(bench) -> ModuleType:
    return bench("labelling")


def rows(rooms: int = 10, each: int = 20) -> list[Row]:
    """Rooms where every fourth line violates, in the same words."""
    return [
        Row((BAD if i % 4 == 0 else GOOD).format(f"{room}{i}"), ("food_safety",) if i % 4 == 0 else (),
            meta={"room": f"r{room}", "stratum": "random"})
        for room in range(rooms) for i in range(each)
    ]  # fmt: skip


def test_rooms_are_held_out_whole_and_each_is_a_test_once(labelling):
    tested = []
    for fold in range(5):
        parts = labelling.split(rows(), fold, 5, seed_lines=30)
        groups = [{row.group for row in part} for part in (parts.seed, parts.pool, parts.validation, parts.test)]
        assert sum(map(len, groups)) == len(set().union(*groups)) == 10
        assert len(parts.seed) == 30 and len(parts.test) == len(parts.validation) == 40 and len(parts.pool) == 80
        tested += sorted(groups[3])
    assert sorted(tested) == sorted({row.group for row in rows()})


def test_labels_without_a_row_are_neither_asked_about_nor_decided(labelling):
    parts = labelling.split(rows(), 0, 5, 30)
    learner = labelling.fit(parts.seed, parts.validation, LABELS)
    scores = learner.score([row.text for row in parts.test])
    assert learner.learnt == [0] and not scores[:, 1:].any() and not learner.decide(scores)[:, 1:].any()
    assert labelling.measure(learner, parts.test) == pytest.approx(dict.fromkeys(labelling.MEASURES, 1.0))
    places = labelling.by_choice(0)(learner, parts.pool, parts.seed, 5)
    assert len(places) == len(set(places)) <= 5 and set(places) <= set(range(len(parts.pool)))


def test_a_curve_takes_each_line_once(labelling):
    parts = labelling.split(rows(), 1, 5, 30)
    points = labelling.curve(parts, labelling.by_chance(0), LABELS, rounds=3, count=20)
    again = labelling.curve(parts, labelling.by_chance(0), LABELS, rounds=3, count=20)
    assert [point["labelled"] for point in points] == [30, 50, 70, 90] and points == again
    shares = [point["violating"] for point in labelling.curve(parts, labelling.by_chance(1), LABELS, 4, 20)[1:]]
    assert np.mean(shares) == pytest.approx(0.25)  # all 80 lines of the pool


def point(value: float, labelled: int = 300) -> dict[str, float]:
    return {"labelled": labelled, "violating": 0.5, "any_ap": value, "any_f1": value / 2, "micro_f1": 0.0}


def test_means_ranges_and_folds_ahead(labelling):
    curves = {
        "chosen": [[[point(0.5)]], [[point(0.3)]]],
        "random": [[[point(0.2)], [point(0.4)]], [[point(0.3)], [point(0.5)]]],
    }
    (found,) = labelling.summary(curves)
    assert found["labelled"] == 300 and found["chosen"]["any_ap"] == [0.4, 0.3, 0.5]
    assert found["random"]["any_ap"] == [0.35, 0.2, 0.5] and found["random"]["any_f1"] == [0.175, 0.1, 0.25]
    assert found["gain"]["any_ap"] == {"mean": 0.05, "low": -0.1, "high": 0.2, "folds_ahead": 1, "folds": 2}
    assert found["gain"]["micro_f1"]["folds_ahead"] == 0


def test_rounds_become_a_table_and_the_same_plot_each_time(labelling, tmp_path):
    curves = {way: [[[point(0.2, 300), point(value, 600)]]] for way, value in (("chosen", 0.4), ("random", 0.3))}
    results = {"sets": {"few": {"rows": 9, "rounds": labelling.summary(curves)}}}
    assert "| 600 | 50% / 50% | 0.400 / 0.300 (1 of 1) |" in labelling.table(results)
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "b.svg"):
        labelling.plot(results, tmp_path / name)
    drawn = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "few: any violation, F1" in drawn and drawn == (tmp_path / "b.svg").read_text(encoding="utf-8")


def test_planted_errors_are_counted_by_kind(bench):
    audit, given = bench("audit"), np.zeros((4, 1), dtype=bool)
    planted = Planted(Cells(["x"], ["字"] * 4, ["g"] * 4, ["g"] * 4, given, ~given), ["added", "", "dropped", ""])
    found = Found(planted, np.array([0, 1, 2, 3]), np.array([True, True, False, False]))
    told = audit.describe(found, [Row("a"), Row("b", contested=True), Row("c"), Row("d")])
    assert told["planted"] == 2 and told["precision"] == 0.5 and told["contested_of_false_alarms"] == 1.0
    assert told["kinds"]["added"] == {"planted": 1, "flagged": 1} and told["kinds"]["dropped"]["flagged"] == 0
    one = {"rows": 4, "contested": 0.25, "precision": [0.5, 0.5, 0.5], "runs": [told]}
    line = audit.table({"sets": {"few": one}}).splitlines()[-1]
    assert line == "| few, 4 | 2 | 0.500 (0.500 to 0.500) | 100% / 0% / 0% | 100% / 25% |" and json.dumps(told)
