"""Thresholds by label, asked for when scoring: in Python, on the command line, in a run, in a case."""

from __future__ import annotations

import json

import numpy as np
import pytest
from zhenyan.inference.errors import ConfigError, InputError
from zhenyan.inference.runs import RunFolder

BOTH = "这个茶我婆婆天天喝 精神好多了"  # near the thresholds of food_safety and illegal_endorsement, over both
LAWFUL = "二号链接两盒装 今天拍明天发"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.txt"
    path.write_text(f"{BOTH}\n{LAWFUL}\n", encoding="utf-8")
    return path


def labels_of(classifier, text):
    (prediction,) = classifier.predict([text], explain=False)
    return prediction.labels


def test_a_threshold_stands_in_place_of_the_bundles_up_or_down_and_scores_stay(classifier):
    (before,) = classifier.predict([BOTH], explain=False)
    score = before.scores["false_propaganda"]
    assert set(before.labels) == {"illegal_endorsement", "food_safety"}
    lower = classifier.with_thresholds(thresholds={"false_propaganda": score - 1e-3})
    assert set(labels_of(lower, BOTH)) == {"illegal_endorsement", "food_safety", "false_propaganda"}
    higher = classifier.with_thresholds(thresholds={"food_safety": before.scores["food_safety"] + 1e-3})
    assert labels_of(higher, BOTH) == ("illegal_endorsement",)
    assert lower.predict([BOTH], explain=False)[0].scores == before.scores
    assert labels_of(classifier, BOTH) == before.labels


def test_min_score_raises_a_threshold_that_was_asked_for_and_labels_leave_it_out(classifier):
    asked = {"food_safety": 0.01, "price_fraud": 0.9}
    names = classifier.bundle.label_ids
    found = dict(zip(names, classifier.with_thresholds(min_score=0.5, thresholds=asked).thresholds, strict=True))
    assert (found["food_safety"], found["price_fraud"]) == (np.float32(0.5), np.float32(0.9))
    own = dict(zip(names, classifier.bundle.thresholds, strict=True))
    assert found["illegal_prize_sale"] == np.float32(max(own["illegal_prize_sale"], 0.5))
    narrowed = classifier.with_thresholds(labels=["price_fraud"], thresholds=asked).thresholds
    assert dict(zip(names, narrowed, strict=True))["food_safety"] == np.inf


def test_however_low_a_text_with_no_content_is_no_hit(classifier):
    lowest = classifier.with_thresholds(thresholds=dict.fromkeys(classifier.bundle.label_ids, 5e-324))
    assert labels_of(lowest, "") == () and labels_of(lowest, LAWFUL) == classifier.bundle.label_ids


@pytest.mark.parametrize(("asked", "words"), [
    ({"food": 0.5}, "unknown label food; this bundle has false_propaganda,"), ({3: 0.5}, "unknown label 3;"),
    ({"food_safety": 0}, "thresholds: food_safety: expected a number over 0 and up to 1, given 0"),
    ({"food_safety": 1.5}, "given 1.5"), ({"food_safety": float("nan")}, "given nan"), ({"food_safety": "0.5"}, "given '0.5'"),
    ({"food_safety": True}, "given True"), ({"food_safety": None}, "given None"), ({"food_safety": 10**400}, "given 1000"),
    ([0.5], r"thresholds: expected numbers by label, such as \{'false_propaganda': 0.3\}, given \[0.5\]"),
])  # fmt: skip
def test_thresholds_that_cannot_be_are_refused(classifier, asked, words):
    with pytest.raises(ConfigError, match=words):
        classifier.with_thresholds(thresholds=asked)


def test_one_text_decided_by_several_has_the_evidence_of_each(classifier):
    only = classifier.with_thresholds(labels=["food_safety"])
    low = classifier.with_thresholds(thresholds={"false_propaganda": 1e-4}, labels=["false_propaganda"])
    texts, deciders = [BOTH, BOTH, LAWFUL, BOTH], [only, low, only, classifier]
    together = classifier.predict(texts, True, deciders)
    alone = [decider.predict([text], True)[0] for text, decider in zip(texts, deciders, strict=True)]
    assert [(one.labels, one.evidence) for one in together] == [(one.labels, one.evidence) for one in alone]
    assert [{span.label for span in one.evidence} for one in together[:2]] == [{"food_safety"}, {"false_propaganda"}]


@pytest.mark.parametrize(("more", "said"), [([], "one for each text, given fewer"), ([None], "given NoneType")])
def test_deciders_that_are_too_few_or_none_are_told(classifier, more, said):
    with pytest.raises(InputError, match=f"^deciders: expected .*{said}"):
        classifier.predict([BOTH, LAWFUL], deciders=[classifier, *more])


def test_classify_decides_by_the_thresholds_given(answers):
    def decided(*asked):
        code, said, _ = answers("classify", "--json", *asked, BOTH)
        assert code == 0
        return set(json.loads(said)["labels"])

    assert decided() == {"illegal_endorsement", "food_safety"}
    assert decided("--threshold", "食品安全违法宣称=0.9") == {"illegal_endorsement"}
    asked = ("--threshold", "false_propaganda=0.001", "--threshold", "illegal_endorsement = 1")
    assert decided(*asked) == {"false_propaganda", "food_safety"}


@pytest.mark.parametrize(("asked", "said"), [
    (["food_safety"], "--threshold 'food_safety': expected LABEL=NUMBER, such as false_propaganda=0.3"),
    (["=0.5"], "--threshold '=0.5': expected LABEL=NUMBER"),
    (["food=0.5"], "--threshold 'food=0.5': unknown label food; this bundle has false_propaganda 虚假宣传, "),
    (["food_safety=0"], "--threshold 'food_safety=0': expected a number over 0 and up to 1, given '0'"),
    (["food_safety=1.1"], "given '1.1'"), (["food_safety=nan"], "given 'nan'"), (["food_safety=low"], "given 'low'"),
    (["food_safety="], "given ''"),
    (["food_safety=0.1", "食品安全违法宣称=0.2"], "food_safety is given twice; give it once"),
])  # fmt: skip
def test_mistakes_on_the_command_line_are_named(tmp_path, source, command, asked, said):
    words = [word for one in asked for word in ("--threshold", one)]
    for start in (("classify", LAWFUL), ("score", source, "-o", tmp_path / "out.jsonl")):
        code, told = command(*start, *words)
        assert code == 2 and "error: " in told and said in told.replace("\n", "")
    assert not (tmp_path / "out.jsonl.run").exists()


def test_a_run_is_decided_and_told_by_the_thresholds_given_and_its_case_is_verified(
    tmp_path, source, command, classifier
):
    output, page = tmp_path / "out.jsonl", tmp_path / "out.html"
    asked = ("--threshold", "false_propaganda=0.001", "--threshold", "食品安全违法宣称=0.9")
    assert command("score", source, "-o", output, "--report", page, "--no-context", *asked)[0] == 0
    folder = RunFolder.existing(output)
    given = {"false_propaganda": 0.001, "food_safety": 0.9}
    assert folder.manifest["options"]["thresholds"] == given
    assert folder.manifest["thresholds"]["food_safety"] == classifier.bundle.thresholds[3]  # the bundle's own
    found = {one["id"]: one for one in folder.findings()}
    assert {(one["label"], one["threshold"]) for one in found.values()} >= {("false_propaganda", 0.001)}
    assert "food_safety" not in {one["label"] for one in found.values()}
    assert "≥ 0.00" in page.read_text(encoding="utf-8")
    low = next(name for name, one in found.items() if one["label"] == "false_propaganda")
    assert command("evidence", output, low, "-o", tmp_path / "case.json")[0] == 0
    case = json.loads((tmp_path / "case.json").read_text(encoding="utf-8"))
    assert (case["options"]["thresholds"], case["finding"]["threshold"]) == (given, 0.001)
    assert command("verify", tmp_path / "case.json")[0] == 0


def test_a_run_with_another_threshold_is_another_run(tmp_path, source, command):
    output = tmp_path / "out.jsonl"
    quick = ("score", source, "-o", output, "--no-evidence", "--no-context")
    assert command(*quick, "--threshold", "food_safety=0.9")[0] == 0
    assert command(*quick, "--threshold", "食品安全违法宣称=0.9")[0] == 0  # the same
    code, said = command(*quick, "--threshold", "food_safety=0.8")
    assert code == 2 and 'option thresholds ({"food_safety": 0.9}, now {"food_safety": 0.8})' in said.replace("\n", "")
    code, said = command(*quick)
    assert code == 2 and 'option thresholds ({"food_safety": 0.9}, now null)' in said.replace("\n", "")


def test_a_run_that_an_earlier_version_began_goes_on(tmp_path, source, command):
    output = tmp_path / "out.jsonl"
    quick = ("score", source, "-o", output, "--no-evidence", "--no-context")
    assert command(*quick)[0] == 0
    folder = RunFolder.existing(output)
    manifest = folder.manifest
    del manifest["options"]["thresholds"]
    (folder.path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert command(*quick)[0] == 0
