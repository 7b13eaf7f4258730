"""Metrics against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.metrics import f1_score
from zhenyan.training.config import ThresholdConfig
from zhenyan.training.metrics import calibration_error, report, score
from zhenyan.training.thresholds import choose


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    truth = rng.random((400, 5)) < 0.2
    return truth, truth ^ (rng.random((400, 5)) < 0.1)


def test_f1_equals_scikit_learn(arrays):
    truth, decided = arrays
    found = report(truth, decided, list("abcde"), ["a", "b"])
    assert found["micro"]["f1"] == pytest.approx(f1_score(truth, decided, average="micro"))
    assert found["macro_f1"] == pytest.approx(f1_score(truth, decided, average="macro"))
    assert found["core_micro"]["f1"] == pytest.approx(f1_score(truth[:, :2], decided[:, :2], average="micro"))
    assert found["any_violation"]["f1"] == pytest.approx(f1_score(truth.any(1), decided.any(1)))


def test_interval_holds_the_value_and_groups_widen_it(arrays):
    truth, decided = arrays
    alone = score(truth, decided)
    assert alone.low < alone.f1 < alone.high
    flaky = decided.copy()
    flaky[:40] = ~truth[:40]  # one bad room
    groups = np.array(["bad"] * 40 + [f"room {i // 40}" for i in range(360)])
    by_row, by_room = score(truth, flaky), score(truth, flaky, groups)
    assert by_room.high - by_room.low > by_row.high - by_row.low


def test_calibration_error_of_perfect_and_of_overconfident():
    rng = np.random.default_rng(1)
    p = rng.random((5000, 1))
    truth = rng.random((5000, 1)) < p
    assert calibration_error(truth, p) < 0.03
    assert calibration_error(truth, np.clip(p * 2, 0, 1)) > 0.1


def test_threshold_policies():
    truth = np.array([0] * 80 + [1] * 20, dtype=bool)
    scores = np.concatenate([np.linspace(0, 0.6, 80), np.linspace(0.4, 1, 20)])
    best = choose(truth, scores, ThresholdConfig(policy="f1"))
    precise = choose(truth, scores, ThresholdConfig(policy="precision", target=0.95))
    complete = choose(truth, scores, ThresholdConfig(policy="recall", target=0.95))
    assert complete["threshold"] < best["threshold"] < precise["threshold"] + 1e-9
    assert precise["precision"] >= 0.95 and complete["recall"] >= 0.95
    assert complete["review_load"] > precise["review_load"]


def test_too_few_positives_say_so():
    found = choose(
        np.array([1, 0, 0], dtype=bool), np.array([0.9, 0.1, 0.2]), ThresholdConfig(min_positives=10, fallback=0.5)
    )
    assert found["threshold"] == 0.5 and "1 validation positives" in found["chosen_by"]
