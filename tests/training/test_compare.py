"""Two models on the same rows: which is better, where one got worse, and what counts nowhere."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console
from zhenyan.training import compare as comparing
from zhenyan.training.compare import Comparison, Difference, comparison_view, difference, slice_differences
from zhenyan.training.evaluate import Labelled, labelled
from zhenyan.training.rows import Row
from zhenyan.training.schema import load_schema

SCHEMA = load_schema()
FOOD, FRAUD = (SCHEMA.ids.index(label) for label in ("food_safety", "price_fraud"))
TRUTH = np.arange(300) % 2 == 0
HALF = TRUTH & (np.arange(300) % 4 == 0)  # misses every second one


@pytest.mark.parametrize("groups", [None, np.arange(300) // 10], ids=["rows", "rooms"])
def test_who_misses_half_is_worse(groups):
    worse, better, equal = (difference(TRUTH, *pair, groups) for pair in ((TRUTH, HALF), (HALF, TRUTH), (HALF, HALF)))
    assert (worse.a, worse.b, worse.positives) == (1, pytest.approx(2 / 3), 150)
    assert worse.low < worse.b - worse.a < worse.high < 0 and worse.verdict == "worse"
    assert 0 < better.low < better.b - better.a < better.high and better.verdict == "better"
    assert (equal.low, equal.high, equal.verdict) == (0, 0, "no clear difference")


def test_samples_without_the_label_are_no_evidence_of_equality():
    """Two rows of forty have it, and only B finds them: samples without either tell nothing."""
    truth, none = np.arange(40) < 2, np.zeros(40, dtype=bool)
    found = difference(truth, none, truth, None)
    assert (found.low, found.high, found.verdict) == (1, 1, "better")
    for undefined in (difference(none, none, none, None), difference(none[:0], none[:0], none[:0], None)):
        assert (undefined.low, undefined.high, undefined.verdict) == (None, None, "no clear difference")
        assert undefined.bounds == "-"


def test_an_interval_over_zero_is_no_clear_difference():
    assert Difference(0.5, 0.6, -0.01, 0.2, 9).verdict == "no clear difference"
    assert Difference(0.5, 0.5, -0.2, 0.01, 9).verdict == "no clear difference"


def test_only_slices_that_are_clearly_worse_are_listed():
    found = {
        "channel: live": Difference(0.9, 0.8, -0.2, -0.05, 40),
        "channel: copy": Difference(0.9, 0.85, -0.2, 0.05, 40),
        "length: over 60": Difference(0.8, 0.9, 0.05, 0.2, 40),
    }
    out = io.StringIO()
    facts = {"a": {"x": 1.0}, "b": {"x": 1.0}}
    _, worse, _ = comparison_view(Comparison("a", "b", 90, {}, found, [], facts))
    Console(file=out, width=120).print(worse)
    assert "channel: live" in out.getvalue() and worse.row_count == 1
    assert len(comparison_view(Comparison("a", "b", 90, {}, {}, [], facts))) == 2  # no heading without a slice below it


def test_slices_resample_whole_rooms():
    """In each of twelve rooms one model is wrong on all rows or on none: rows alone would look like much more evidence."""
    rows = [Row(f"第{i}行", ("food_safety",), channel=("live", "copy")[i // 240], meta={"room": f"r{i // 20}"})
            for i in range(480)]  # fmt: skip
    data = labelled(rows, SCHEMA.ids)
    a, b = data.truth.copy(), data.truth.copy()
    b[(np.arange(480) // 20) % 3 == 0] = False
    found = slice_differences(data, a, b)["channel: live"]
    where = np.arange(480) < 240
    alone = difference(data.truth[where].any(1), a[where].any(1), b[where].any(1), None)
    assert found.b == alone.b and found.high - found.low > 2 * (alone.high - alone.low)


class Stub:
    """A model that scores the texts it is asked about as told."""

    def __init__(self, name: str, folder, scores: np.ndarray, labels=SCHEMA.ids) -> None:
        self.bundle = SimpleNamespace(id=name, folder=folder, label_ids=tuple(labels))
        self.thresholds, self.scores = np.full(len(labels), 0.5), scores

    def clear_cache(self) -> None:
        pass

    def score(self, texts: list[str]) -> np.ndarray:
        return self.scores[: len(texts)]


def test_what_nobody_looked_for_decides_nothing(tmp_path, monkeypatch):
    data: Labelled = labelled([Row("降压茶", ("food_safety",)), Row("两盒", annotated=("food_safety",))], SCHEMA.ids)
    right = np.zeros((2, len(SCHEMA.ids)))
    right[0, FOOD] = 0.9
    also = right.copy()
    also[1, FRAUD] = 0.9
    models = {"a": Stub("a", tmp_path, right), "b": Stub("b", tmp_path, also)}
    monkeypatch.setattr(comparing.Classifier, "load", lambda folder, explain: models[folder])
    found = comparing.compare("a", "b", data, SCHEMA, evasion=False)
    assert found.flips == [] and found.scores["any violation"].b == 1
    assert found.facts["a"]["calibration_error"] == found.facts["b"]["calibration_error"]


def test_each_row_is_scored_once_beside_the_speeds(tmp_path, monkeypatch):
    data = labelled([Row("降压茶", ("food_safety",)), Row("两盒")], SCHEMA.ids)
    asked = []

    class Counting(Stub):
        def score(self, texts: list[str]) -> np.ndarray:
            asked.append(self.bundle.id)
            return super().score(texts)

    models = {name: Counting(name, tmp_path, np.zeros((2, len(SCHEMA.ids)))) for name in ("a", "b")}
    monkeypatch.setattr(comparing.Classifier, "load", lambda folder, explain: models[folder])
    monkeypatch.setattr(comparing, "speeds", lambda pair, texts: [{}, {}])
    comparing.compare("a", "b", data, SCHEMA, evasion=False)
    assert asked == ["a", "b"]


def test_labels_that_a_bundle_lacks_are_no_well_calibrated_zeros(tmp_path, monkeypatch):
    data = labelled([Row("降压茶", ("food_safety",)), Row("两盒")], SCHEMA.ids)
    right = np.zeros((2, len(SCHEMA.ids)))
    right[0, FOOD] = 0.8
    models = {
        "all": Stub("all", tmp_path, right),
        "one": Stub("one", tmp_path, right[:, [FOOD]], ["food_safety"]),
    }
    monkeypatch.setattr(comparing.Classifier, "load", lambda folder, explain: models[folder])
    found = comparing.compare("all", "one", data, SCHEMA, evasion=False)
    cells = 2 * len(SCHEMA.ids)
    assert found.facts["all"]["calibration_error"] == pytest.approx(0.2 / cells)
    assert found.facts["one"]["calibration_error"] == pytest.approx(0.1)
    assert found.scores["food_safety"].b == 1
