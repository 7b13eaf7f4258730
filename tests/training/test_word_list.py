"""The word list that bundles are measured beside: what it decides, and what is said of a faulty one."""

from __future__ import annotations

import re

import pytest
from rich.console import Console
from zhenyan.inference.classifier import Classifier
from zhenyan.inference.errors import ConfigError
from zhenyan.training import baselines
from zhenyan.training.baselines import load_word_list
from zhenyan.training.evaluation_run import Options, evaluate_bundle
from zhenyan.training.schema import load_schema

LABELS = ["price_fraud", "food_safety"]


@pytest.fixture
def word_list(tmp_path):
    """Reads a word list of this text."""

    def read(text):
        path = tmp_path / "words.yaml"
        path.write_text(text, encoding="utf-8")
        return load_word_list(LABELS, path)

    return read


def test_a_word_decides_its_label(word_list):
    decided = word_list("price_fraud: [原价, 史低]").decide(["原价九十九", "原来的价", "原價"], LABELS)
    assert decided.tolist() == [[True, False], [False, False], [True, False]]
    assert word_list("{}").decide([], LABELS).shape == (0, 2)


def test_the_list_of_the_repository_is_whole():
    assert list(load_word_list(load_schema().ids).root) == load_schema().ids


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("price_fraud:", r"words\.yaml: price_fraud: .*valid list, found None"),
        ("price_fraud: 原价", r"price_fraud: .*valid list, found '原价'"),
        ("price_fraud: [1, 2]", r"price_fraud\.0: .*valid string, found 1\n.*price_fraud\.1: "),
        ("price_fraud: [原价, ' ']", r"price_fraud\.1: .*at least 1 character, found ' '"),
        ("", r"\(whole file\): .*, found None"),
        ("[原价]", r"\(whole file\): .*, found \['原价'\]"),
        ("price_frod: [原价]", r"unknown label price_frod; the schema has price_fraud, food_safety; .*--no-baselines"),
    ],
)
def test_a_faulty_word_list_is_named(word_list, text, words):
    with pytest.raises(ConfigError) as refused:
        word_list(text)
    assert re.search(words, str(refused.value)) and str(refused.value).count("words.yaml") == 1 + words.count("\\n")


def test_a_faulty_word_list_is_found_before_the_bundle_is_measured(tmp_path, small_config, root, monkeypatch):
    path = tmp_path / "words.yaml"
    path.write_text("price_fraud:\n", encoding="utf-8")
    monkeypatch.setattr(baselines.load_word_list, "__defaults__", (path,))
    monkeypatch.setattr(Classifier, "score", lambda *_: pytest.fail("measured first"))
    config = tmp_path / "config.yaml"
    with pytest.raises(ConfigError, match=r"words\.yaml: price_fraud"):
        evaluate_bundle(None, [str(root / "data/corpus/b03.jsonl")], config, Options(), Console(quiet=True))
