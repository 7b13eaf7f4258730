"""Metrics against scikit-learn and by hand."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import average_precision_score, f1_score
from zhenyan.training import compare as comparing
from zhenyan.training import metrics
from zhenyan.training.calibration import fit_scaling
from zhenyan.training.cli import summary
from zhenyan.training.config import ThresholdConfig
from zhenyan.training.cross_validation import fold_table
from zhenyan.training.evaluate import evaluate, labelled
from zhenyan.training.evaluation_page import write_page
from zhenyan.training.evaluation_run import show
from zhenyan.training.metrics import (
    average_precision,
    bounds,
    calibration_error,
    confusion,
    precision_recall,
    reliability,
    report,
    resamples,
    score,
)
from zhenyan.training.model_card import changelog_entry
from zhenyan.training.rows import Row
from zhenyan.training.schema import load_schema
from zhenyan.training.thresholds import choose, choose_all


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


def test_f1_of_pooled_cells_is_0_where_there_are_none(arrays):
    truth, decided = arrays
    for some in (truth[:, 0], decided[:, 0]), (truth, decided):
        assert metrics.f1_score(*some) == score(*some).f1 == pytest.approx(f1_score(*map(np.ravel, some)))
    assert metrics.f1_score(truth & False, truth & False) == metrics.f1_score(truth[:0], truth[:0]) == 0


def test_interval_holds_the_value_and_groups_widen_it(arrays):
    truth, decided = arrays
    alone = score(truth, decided)
    assert alone.low < alone.f1 < alone.high
    flaky = decided.copy()
    flaky[:40] = ~truth[:40]  # one bad room
    groups = np.array(["bad"] * 40 + [f"room {i // 40}" for i in range(360)])
    by_row, by_room = score(truth, flaky), score(truth, flaky, groups)
    assert by_room.high - by_room.low > by_row.high - by_row.low


def test_an_interval_leaves_out_a_fortieth_on_either_side(arrays):
    truth, decided = arrays
    weights = resamples(None, len(truth), 0)
    counts = [(weights @ cells.sum(1)).astype(float) for cells in (truth & decided, decided, truth)]
    samples = np.sort(2 * counts[0] / (counts[1] + counts[2]))
    found = score(truth, decided)
    assert len(samples) == 1000
    assert samples[24] <= found.low <= samples[25] and samples[974] <= found.high <= samples[975]


def test_labels_that_no_row_has_count_in_no_average(arrays):
    truth, decided = arrays
    truth[:, [1, 4]] = False  # a core label and another; both are decided somewhere
    found = report(truth, decided, list("abcde"), ["a", "b"])
    each = f1_score(truth, decided, average=None, zero_division=0)
    assert each[1] == each[4] == 0 and decided[:, [1, 4]].any()
    assert found["macro_f1"] == pytest.approx(each[[0, 2, 3]].mean())
    assert found["core_macro_f1"] == pytest.approx(each[0])


def test_rows_of_a_single_group_are_resampled_one_by_one(arrays):
    assert score(*arrays, np.array(["b25"] * 400)) == score(*arrays)


def test_rows_of_few_groups_are_resampled_within_them_too():
    groups = np.repeat(["b24", "b25", "b26"], [50, 30, 20])
    weights = resamples(groups, 100, 0)
    sizes = np.array([50, 30, 20])
    of_group = np.stack([weights[:, groups == name].sum(1) for name in ("b24", "b25", "b26")], axis=1)
    assert (of_group % sizes == 0).all() and ((of_group // sizes).sum(1) == 3).all()  # three groups, each whole in size
    assert weights.mean() == pytest.approx(1, abs=0.05) and len(np.unique(weights[:, :50], axis=0)) > 500
    many = resamples(np.arange(100) // 10, 100, 0).reshape(-1, 10, 10)
    assert (many == many[:, :, :1]).all()  # ten groups: rows of one stand equally often


def test_interval_of_three_groups_that_are_right_as_often_is_no_single_point(arrays):
    truth, decided = (np.tile(a[:100], (3, 1)) for a in arrays)
    found = score(truth, decided, np.repeat(["b24", "b25", "b26"], 100))
    assert found.low < found.f1 - 0.02 and found.high > found.f1 + 0.02


def test_samples_without_a_positive_or_a_decision_bound_nothing():
    """A model that is always right isn't wrong in the samples that drew none of the few rows with the label."""
    truth = np.arange(60) == 7
    found = score(truth, truth)
    assert (found.f1, found.low, found.high) == (1, 1, 1)
    assert score(truth, np.arange(60) == 8).high == 0  # a decision without a positive is wrong, not undefined
    never = np.zeros((60, 1), dtype=bool)
    for undefined in (score(never, never), score(never[:0], never[:0])):
        assert (undefined.low, undefined.high) == (None, None)
    found = report(np.stack([truth, never[:, 0]], 1), np.stack([truth, never[:, 0]], 1), ["a", "b"], ["a"])
    json.dumps(found, allow_nan=False)
    assert (bounds(found["labels"]["a"], "-"), bounds(found["labels"]["b"], "-")) == ("1.00-1.00", "-")


def test_calibration_error_of_perfect_and_of_overconfident():
    rng = np.random.default_rng(1)
    p = rng.random((5000, 1))
    truth = rng.random((5000, 1)) < p
    assert calibration_error(truth, p) < 0.03
    assert calibration_error(truth, np.clip(p * 2, 0, 1)) > 0.1


def every_cut(truth, scores):
    """Score, precision, recall and review load at each distinct score, falling: what deciding from there on would give."""
    for cut in sorted(set(scores.tolist()), reverse=True):
        decided = scores >= cut
        hits = int((truth & decided).sum())
        yield cut, hits / decided.sum(), hits / truth.sum(), decided.mean()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("target", [0.5, 0.8, 0.95])
def test_threshold_policies_by_brute_force(seed, target):
    """The lowest cut that keeps the precision, the highest that reaches the recall; scores have ties."""
    rng = np.random.default_rng(seed)
    truth = rng.random(120) < 0.3
    scores = np.clip(0.3 * truth + 0.7 * rng.random(120), 0.01, 0.99).round(2)
    cuts = list(every_cut(truth, scores))
    keeps = [one for one in cuts if one[1] >= target] or [max(cuts, key=lambda one: one[1])]
    reaches = [one for one in cuts if one[2] >= target]
    for policy, expected in (("precision", keeps[-1]), ("recall", reaches[0])):
        found = choose(truth, scores, ThresholdConfig(policy=policy, target=target))
        below = max((one[0] for one in cuts if one[0] < expected[0]), default=0.0)
        assert found["threshold"] == pytest.approx((expected[0] + below) / 2)  # halfway: no rounding flips it
        assert (found["precision"], found["recall"], found["review_load"]) == pytest.approx(expected[1:])
        assert found["chosen_by"].startswith(f"policy {policy}, target {target}")
        assert ("out of reach" in found["chosen_by"]) == (found[policy] < target)


def test_a_floor_that_no_cut_keeps_gives_the_most_precise_one():
    truth, scores = np.array([False, True, True, True, False]), np.array([0.9, 0.8, 0.6, 0.4, 0.2])
    found = choose(truth, scores, ThresholdConfig(policy="precision", target=0.9, min_positives=3))
    assert found["threshold"] == pytest.approx(0.3) and found["precision"] == pytest.approx(0.75)
    assert found["chosen_by"] == "policy precision, target 0.9, out of reach: the highest precision"


def test_a_threshold_below_the_lowest_score_lies_halfway_to_zero():
    found = choose(np.array([True, True, False, True]), np.array([0.9, 0.8, 0.6, 0.4]),
                   ThresholdConfig(policy="recall", target=1.0, min_positives=3))  # fmt: skip
    assert found["threshold"] == pytest.approx(0.2) and found["recall"] == 1


def test_a_threshold_between_neighbouring_numbers_keeps_the_lower_one_out():
    one = np.float32(1)
    below = np.nextafter(one, np.float32(0))
    lowest = np.nextafter(below, np.float32(0))
    truth = np.repeat([True, False, False], 10)
    for high, low in ((one, below), (below, lowest)):
        found = choose(truth, np.repeat([high, low, low], 10), ThresholdConfig(policy="precision", target=0.9))
        decided = np.repeat([high, low, low], 10) >= np.float32(found["threshold"])  # as a bundle decides
        assert (decided == truth).all() and found["precision"] == found["recall"] == 1


@pytest.mark.parametrize(("positives", "chosen"), [(10, True), (9, False)])
def test_so_many_positives_are_enough(positives, chosen):
    config = ThresholdConfig(policy="recall", min_positives=10, fallback=0.77)
    found = choose(np.arange(40) < positives, np.linspace(0.9, 0.1, 40), config)
    assert ("fallback" not in found["chosen_by"]) == chosen == (found["threshold"] != 0.77)


def test_too_few_positives_say_so():
    found = choose(
        np.array([1, 0, 0], dtype=bool), np.array([0.9, 0.1, 0.2]), ThresholdConfig(min_positives=10, fallback=0.5)
    )
    assert found["threshold"] == 0.5 and "1 validation positives" in found["chosen_by"]


def test_scores_that_tell_nothing_apart_say_so():
    found = choose(np.arange(40) < 12, np.zeros(40), ThresholdConfig(fallback=0.5))
    assert found["threshold"] == 0.5 and "alike" in found["chosen_by"]


def test_of_thresholds_as_good_within_the_margin_the_lowest_is_taken():
    truth, scores = np.arange(600) < 100, np.linspace(0.99, 0.01, 600)
    wide, kind, best = (
        choose(truth, scores, ThresholdConfig(policy="f1", margin=margin)) for margin in (0.02, 0.0025, 0)
    )
    assert [found["chosen_by"] for found in (wide, best)] == ["policy f1, margin 0.02", "policy f1, margin 0"]
    assert (
        wide["threshold"] < kind["threshold"] < best["threshold"] and wide["recall"] >= kind["recall"] >= best["recall"]
    )
    f1_of = [2 * c["precision"] * c["recall"] / (c["precision"] + c["recall"]) for c in (wide, kind, best)]
    assert f1_of[2] - f1_of[0] < 0.05


def test_average_precision_and_curve_equal_scikit_learn_where_somebody_looked(arrays):
    truth, _ = arrays
    rng = np.random.default_rng(2)
    scores, seen = rng.random(truth.shape), rng.random(truth.shape) < 0.7
    truth = truth & seen
    found = average_precision(truth, scores, list("abcde"), seen)
    assert found["a"] == pytest.approx(average_precision_score(truth[seen[:, 0], 0], scores[seen[:, 0], 0]))
    curve = precision_recall(truth[seen[:, 0], 0], scores[seen[:, 0], 0])
    assert len(curve["recall"]) == len(curve["precision"]) <= 100
    assert curve["recall"] == sorted(curve["recall"]) and curve["recall"][0] == 0 and curve["recall"][-1] == 1


def test_reliability_counts_every_cell_and_averages_to_the_shares():
    truth, p = np.array([1, 0, 1, 1], dtype=bool), np.array([0.05, 0.05, 0.95, 1.0])
    found = reliability(truth, p)
    assert found["count"] == [2, 2]
    assert found["probability"] == pytest.approx([0.05, 0.975]) and found["share"] == pytest.approx([0.5, 1.0])
    assert calibration_error(truth, p) == pytest.approx((2 * 0.45 + 2 * 0.025) / 4)


def test_confusion_counts_hits_swaps_misses_and_false_alarms():
    truth = np.array([[1, 0], [1, 0], [0, 0], [0, 1], [0, 0], [1, 1], [0, 1]], dtype=bool)
    decided = np.array([[1, 0], [0, 1], [1, 0], [0, 0], [0, 0], [1, 0], [1, 1]], dtype=bool)
    assert confusion(truth, decided).tolist() == [[2, 1, 0], [0, 1, 2], [2, 0, 1]]


def test_rows_that_nobody_read_are_neither_compliant_ones_left_alone_nor_right_pairs():
    labels = load_schema().ids
    unread = [Row(f"第{i}行", annotated=(), meta={"pair": "p"}) for i in range(2)]
    read = [Row(f"第{i}句", annotated=("food_safety",), meta={"pair": "q"}) for i in range(2)]
    data = labelled([*unread, *read], labels)
    nothing = np.zeros(data.truth.shape)
    found = evaluate(data, nothing, nothing > 0, load_schema())
    assert found["minimal_pairs"]["pairs"] == 1 and found["confusion"]["table"][-1][-1] == 2


def test_thresholds_and_calibration_ignore_what_nobody_annotated():
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (400, 2))
    truth = logits + rng.normal(0, 1, logits.shape) > 1
    seen = np.ones_like(truth)
    seen[200:, 1] = False
    masked = truth & seen
    config = ThresholdConfig()
    scores = 1 / (1 + np.exp(-logits))
    whole = choose_all(masked, scores, ["a", "b"], config, seen)
    half = choose_all(truth[:200], scores[:200], ["a", "b"], config)
    assert whole["b"] == half["b"]
    other = logits.copy()
    other[200:, 1] = 50.0
    first, second = (fit_scaling(masked, values, 10, seen) for values in (logits, other))
    assert first.slope == pytest.approx(second.slope) and first.offset == pytest.approx(second.offset)


def test_a_label_that_every_row_carries_has_no_threshold_of_its_own():
    found = choose(np.ones(16, dtype=bool), np.linspace(0.3, 0.9, 16), ThresholdConfig())
    assert found["threshold"] == 0.5 and found["chosen_by"].startswith("fallback: every validation row")


def test_rows_of_which_nobody_knows_whether_they_violate_count_for_their_labels_only():
    truth, decided = np.array([[1, 0], [0, 0], [0, 0]], dtype=bool), np.array([[1, 0], [0, 1], [0, 0]], dtype=bool)
    told = np.array([True, False, True])
    found = report(truth, decided, ["a", "b"], ["a"], np.array(["x", "y", "z"]), told)
    assert (found["any_violation"]["predicted"], found["any_violation"]["f1"]) == (1, 1.0)
    assert found["labels"]["b"]["predicted"] == 1 and found["rows"] == 3
    assert report(truth, decided, ["a", "b"], ["a"])["any_violation"]["predicted"] == 2
    nobody = report(truth, decided, ["a", "b"], ["a"], np.array(["x", "y", "z"]), np.zeros(3, dtype=bool))
    assert nobody["any_violation"]["positives"] == 0


def test_of_a_schema_without_core_labels_nothing_is_said_of_them(tmp_path, monkeypatch):
    """0.000 in every table would look like a failure of the model."""
    schema = load_schema()
    plain = schema.model_copy(update={"labels": [one.model_copy(update={"core": False}) for one in schema.labels]})
    rows = [Row(f"降压茶{i}", ("food_safety",), channel=("live", "copy")[i % 2]) for i in range(40)]
    data = labelled(rows, plain.ids)
    found = evaluate(data, data.truth * 0.9, data.truth, plain)
    whole = {"bundle": "b", "rows": 40, "set": "x", "unknown_labels": [], "trained_on": None, "unread": 0,
             "errors_asked": 0, "thresholds": {}, "models": {"b": found}}  # fmt: skip
    write_page(tmp_path / "page.html", whole, plain)
    console = Console(width=300, record=True)
    show(whole, plain, console)
    console.print(fold_table(found | {"folds": 2}))
    manifest = {"validation": found, "bundle_id": "b", "training_run": "r", "schema_version": 1, "labels": plain.ids,
                "precision": "int8", "data_sha256": "0", "commit": "0"}  # fmt: skip
    told = console.export_text(), summary(found), changelog_entry(manifest)
    model = SimpleNamespace(bundle=SimpleNamespace(id="b", folder=tmp_path, label_ids=tuple(plain.ids)), thresholds=0.5)
    model.score, model.clear_cache = lambda texts: (data.truth * 0.9)[: len(texts)], lambda: None
    monkeypatch.setattr(comparing.Classifier, "load", lambda folder, explain: model)
    assert "core labels, micro" not in comparing.compare(tmp_path, tmp_path, data, plain, evasion=False).scores
    for words in (*told, (tmp_path / "page.html").read_text(encoding="utf-8").split("</style>")[1]):
        assert "acro F1 1.000" in words
        assert not re.search(r"\bcore\b", words, re.IGNORECASE)
