"""What the gate on calibration measures: any violation and the labels, not the many easy cells."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console
from zhenyan.training import compare as comparing
from zhenyan.training.compare import Comparison, Difference, comparison_view
from zhenyan.training.evaluate import evaluate, labelled
from zhenyan.training.evaluation_page import write_page
from zhenyan.training.evaluation_run import print_details
from zhenyan.training.metrics import calibration, calibration_words, label_errors
from zhenyan.training.promote import checks, load_gates
from zhenyan.training.rows import Row, read_rows
from zhenyan.training.schema import load_schema

SCHEMA = load_schema()
ANY, LABELS = "calibration error of any violation", "calibration error of labels, mean"


def test_easy_cells_do_not_hide_what_is_said_of_any_violation():
    """By hand: fourteen labels, half the rows violating, each cell said to hold with 0.05."""
    truth = np.zeros((40, 14), dtype=bool)
    truth[:20, 0] = True
    found = calibration(truth, np.full((40, 14), 0.05), np.ones((40, 14), dtype=bool))
    assert found["calibration_error"] == pytest.approx(0.05 - 20 / 560)
    assert found["calibration_error_any_violation"] == pytest.approx(0.45)
    assert found["calibration_error_labels"] == pytest.approx(0.45)  # of the only one with enough rows


def test_a_label_with_few_rows_and_what_nobody_looked_for_count_not():
    truth, p = np.zeros((40, 2), dtype=bool), np.zeros((40, 2))
    truth[:19, 0], truth[:20, 1], p[:20, 1] = True, True, 0.8
    seen = np.ones((40, 2), dtype=bool)
    seen[:, 0] = False
    found = calibration(truth, np.where(seen, p, np.nan), seen)
    assert found["calibration_error_any_violation"] == found["calibration_error_labels"] == pytest.approx(0.1)
    assert list(label_errors(truth, p, np.ones((40, 2), dtype=bool), 20)) == [1]
    assert "calibration_error_labels" not in calibration(truth, p, seen, 21)
    assert calibration(truth, p, ~np.ones((40, 2), dtype=bool))["calibration_error_any_violation"] == 0


def test_words_for_reports_of_before_and_of_today():
    assert calibration_words({"calibration_error": 0.0061}) == "all decisions pooled 0.006"
    today = {"calibration_error": 0.005, "calibration_error_any_violation": 0.045, "calibration_error_labels": 0.0107}
    assert calibration_words(today) == "any violation 0.045, mean over labels 0.011, all decisions pooled 0.005"


def comparison(errors: dict[str, float], positives: int = 50) -> Comparison:
    scores = {name: Difference(0.9, 0.9, 0, 0, 100) for name in ("any violation", "core labels, micro")}
    scores |= {label: Difference(0.9, 0.9, 0, 0, positives) for label in errors}
    facts = {"latency_ms": 2.0, "calibration_error_any_violation": 0.03}
    return Comparison("a", "b", 100, scores, {}, [], {"a": facts, "b": facts}, {"b": errors})


def test_the_mean_over_labels_is_of_those_with_enough_rows():
    gates = load_gates()
    found = {
        check.name: check for check in checks(comparison({"food_safety": 0.01, "price_fraud": 0.04}), gates, SCHEMA)
    }
    assert found[LABELS].measured == pytest.approx(0.025) and not found[LABELS].passed
    few = comparison({"food_safety": 0.01, "price_fraud": 0.04})
    few.scores["price_fraud"] = Difference(0.9, 0.9, 0, 0, gates.min_positives - 1)
    assert {check.name: check.measured for check in checks(few, gates, SCHEMA)}[LABELS] == pytest.approx(0.01)
    none = comparison({"food_safety": 0.5}, gates.min_positives - 1)
    assert LABELS not in {check.name for check in checks(none, gates, SCHEMA)}
    off = gates.model_copy(update={"label_calibration_error": None})
    assert LABELS not in {check.name for check in checks(comparison({"food_safety": 0.5}), off, SCHEMA)}


@pytest.fixture(scope="module")
def measured(classifier):
    """The written test split and the bundled model's log-odds for it."""
    data = labelled(read_rows([f"data/corpus/b2{n}.jsonl" for n in (4, 5, 6)]), SCHEMA.ids)
    p = np.clip(classifier.score(data.texts).astype(float), 1e-9, 1 - 1e-9)
    return data, np.log(p / (1 - p))


@pytest.mark.parametrize(
    ("change", "passes"),
    [
        (lambda logits: logits, True),
        (lambda logits: 5 * logits, False),
        (lambda logits: np.where(logits > 0, 50.0, -50.0), False),
        (lambda logits: 0.5 * logits, False),
        (lambda logits: 0 * logits - 3, False),  # about 0.05 for everything
    ],
    ids=["as it is", "times five", "hard", "halved", "constant"],
)
def test_the_bundled_model_keeps_the_bounds_and_one_that_is_too_sure_does_not(
    measured, tmp_path, monkeypatch, change, passes
):
    data, logits = measured
    scores = 1 / (1 + np.exp(-change(logits)))

    class Told:
        bundle = SimpleNamespace(id="b", folder=tmp_path, label_ids=tuple(SCHEMA.ids))
        thresholds = np.full(len(SCHEMA.ids), 0.5)

        def clear_cache(self) -> None:
            pass

        def score(self, texts: list[str]) -> np.ndarray:
            return scores[: len(texts)]

    monkeypatch.setattr(comparing.Classifier, "load", lambda folder, explain: Told())
    found = comparing.compare(tmp_path, tmp_path, data, SCHEMA, evasion=False)
    results = {check.name: check.passed for check in checks(found, load_gates(), SCHEMA)}
    assert (results[ANY], results[LABELS]) == (passes, passes)
    assert found.facts["b"]["calibration_error"] < 0.05, "the pooled one, which passes them all"
    assert "calibration_error, pooled" in list(comparison_view(found)[-1].columns[0].cells)


def test_a_bundle_that_lacks_the_labels_has_no_mean_over_them():
    facts = {"a": {"calibration_error": 0.1, "calibration_error_labels": 0.2}, "b": {"calibration_error": 0.1}}
    table = comparison_view(Comparison("a", "b", 9, {}, {}, [], facts))[-1]
    assert list(table.columns[2].cells) == ["0.100", "-"]


def test_terminal_page_and_record_tell_all_three(tmp_path):
    rows = [Row(f"降压茶{i}", ("food_safety",)) for i in range(20)] + [Row(f"两盒{i}") for i in range(20)]
    data = labelled(rows, SCHEMA.ids)
    scores = np.where(data.truth, 0.8, 0.0)
    found = json.loads(json.dumps(evaluate(data, scores, scores >= 0.5, SCHEMA)))
    words = calibration_words(found)
    assert words == "any violation 0.100, mean over labels 0.100, all decisions pooled 0.007"
    out = io.StringIO()
    print_details(found, Console(file=out, width=300))
    assert f"calibration error: {words}; false alarms" in out.getvalue()
    whole = {
        "bundle": "b",
        "rows": 40,
        "set": "x",
        "unknown_labels": [],
        "trained_on": None,
        "unread": 0,
        "errors_asked": 0,
    }
    whole |= {"thresholds": {}, "models": {"b": found}}
    write_page(tmp_path / "page.html", whole, SCHEMA)
    assert f"expected calibration error: {words};" in (tmp_path / "page.html").read_text(encoding="utf-8")
