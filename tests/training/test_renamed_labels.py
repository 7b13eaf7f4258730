"""Measuring a bundle whose labels the schema has renamed since: the same label under two names is one."""

from __future__ import annotations

import numpy as np
import pytest
from linear_bundle import write_bundle
from zhenyan.inference.classifier import Classifier
from zhenyan.training.compare import compare
from zhenyan.training.config import TrainConfig
from zhenyan.training.dataset import Corpus
from zhenyan.training.evaluate import bundle_columns, label_columns, labelled
from zhenyan.training.evaluation_run import Options, measure
from zhenyan.training.mistakes import MISSED, error_records
from zhenyan.training.promote import checks, load_gates
from zhenyan.training.rows import Row
from zhenyan.training.schema import Change, former, load_schema

OLD = load_schema()
NEW = OLD.model_copy(update={
    "labels": [one.model_copy(update={"id": "food_law"}) if one.id == "food_safety" else one for one in OLD.labels],
    "changes": [Change(date="2026-12-01", kind="rename", labels=["food_safety"], into=["food_law"])],
})  # fmt: skip
# The name of one label given to another, each as a model of before knows it.
SHIFTED = [
    Change(date="2026-12-01", kind="rename", labels=["price_fraud"], into=["sham_price"]),
    Change(date="2026-12-01", kind="rename", labels=["consumer_rights"], into=["price_fraud"]),
]
AGAIN = [
    Change(date="2026-12-01", kind="retire", labels=["price_fraud"]),
    Change(date="2026-12-02", kind="add", labels=["price_fraud"]),
]
TEXTS = [f"喝{i}杯降压茶血压就降" for i in range(30)] + [f"今天{i}盒装的拍一下" for i in range(30)]


def rows(label: str) -> list[Row]:
    return [Row(text, (label,) if i < 30 else (), meta={"batch": f"b{i % 12}"}) for i, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory, tiny_encoder):
    """Of before the rename: one that is right, and one that never finds the label."""
    folder = tmp_path_factory.mktemp("bundles")
    return [
        write_bundle(folder / name, rows("food_safety"), OLD, tiny_encoder, name=name, blind=blind)
        for name, blind in (("right", ()), ("blind", ("food_safety",)))
    ]


def test_a_renamed_label_keeps_its_column(bundles):
    classifier = Classifier.load(bundles[0], explain=False)
    raw = classifier.score(TEXTS)
    there, here = OLD.ids.index("food_safety"), NEW.ids.index("food_law")
    assert np.array_equal(label_columns(classifier, NEW.ids, raw, NEW.changes)[:, here], raw[:, there])
    assert np.isnan(label_columns(classifier, ["food_safety", "none_such"], raw, NEW.changes)[:, 1]).all()


def test_the_gate_holds_a_candidate_to_what_the_champion_knows_by_another_name(bundles):
    found = compare(*bundles, labelled(rows("food_law"), NEW.ids), NEW, evasion=False)
    assert (found.scores["food_law"].a, found.scores["food_law"].b) == (1, 0)
    gates = load_gates().model_copy(update={"latency_ratio": None, "flip_rate": None})
    failed = {check.name for check in checks(found, gates, NEW) if not check.passed}
    assert "fall of F1, food_law" in failed and "fall of any-violation F1" in failed


def test_a_renamed_label_is_known_and_its_errors_are_explained(bundles):
    data = labelled([*rows("food_law"), Row("今天三盒装的拍一下", ("food_law",))], NEW.ids)
    classifier = Classifier.load(bundles[0])
    measured = measure(
        classifier, data, NEW, Corpus(data.rows, [], [], []), data.rows, TrainConfig(), Options(baselines=False)
    )
    assert measured["unknown_labels"] == []
    assert measured["models"][classifier.bundle.id]["labels"]["food_law"]["recall"] == pytest.approx(30 / 31)
    (miss,) = error_records(classifier, data, classifier.score(data.texts), NEW, data.rows, 5)
    assert (miss["kind"], miss["label"], miss["true"], miss["decided"]) == (MISSED, "food_law", ["food_law"], [])
    assert {span["label"] for span in miss["evidence"]} == {"food_law"}


def test_a_name_that_is_used_again_is_each_labels_own():
    old, between = OLD.ids, ["sham_price" if name == "price_fraud" else name for name in OLD.ids]
    new = ["price_fraud" if name == "consumer_rights" else name for name in between]
    names = ["price_fraud", "sham_price", "food_safety", "none_such"]
    assert [former(name, old, SHIFTED) for name in names] == ["consumer_rights", "price_fraud", "food_safety", None]
    assert [former(name, between, SHIFTED) for name in names] == ["consumer_rights", "sham_price", "food_safety", None]
    assert [former(name, new, SHIFTED) for name in names] == ["price_fraud", "sham_price", "food_safety", None]


def test_a_label_added_under_a_retired_name_starts_afresh():
    without = [name for name in OLD.ids if name != "price_fraud"]
    assert former("price_fraud", ["price_fraud"], AGAIN) is None
    assert former("price_fraud", OLD.ids, AGAIN) is None and former("price_fraud", without, AGAIN) is None
    assert former("price_fraud", [*without, "price_fraud"], AGAIN) == "price_fraud"  # new labels come last
    later = [*AGAIN, Change(date="2026-12-03", kind="rename", labels=["price_fraud"], into=["sham_price"])]
    assert former("sham_price", OLD.ids, later) is None
    assert former("sham_price", [*without, "price_fraud"], later) == "price_fraud"


def test_a_model_of_no_recorded_version_is_asked_by_the_last_name_it_knows():
    changes = [Change(date="2026-12-01", kind="rename", labels=["food_safety"], into=["food_law"]),
               Change(date="2026-12-02", kind="add", labels=["tried_out"])]  # fmt: skip
    known = [*OLD.ids, "tried_out"]  # a label that was tried before the rename
    assert [former(name, known, changes) for name in ("food_law", "tried_out")] == ["food_safety", "tried_out"]


def test_a_bundle_is_asked_for_the_label_that_bears_the_name_now(bundles):
    shifted = OLD.model_copy(update={"changes": SHIFTED})
    columns = bundle_columns(Classifier.load(bundles[0], explain=False), ["price_fraud", "sham_price"], shifted.changes)
    assert columns == [OLD.ids.index("consumer_rights"), OLD.ids.index("price_fraud")]
