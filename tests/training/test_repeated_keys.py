"""A key that stands twice in a YAML file: one of its values would be lost without a word."""

from __future__ import annotations

import pytest
from zhenyan.inference.errors import ConfigError
from zhenyan.training.config import load_config
from zhenyan.training.overrides import parse
from zhenyan.training.schema import load_schema, load_yaml
from zhenyan.training.splits import load_splits


def test_authors_held_out_twice_are_not_trained_on(tmp_path, root):
    path, text = tmp_path / "splits.yaml", (root / "data/splits.yaml").read_text(encoding="utf-8")
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines, 1) if line.startswith("test:"))
    path.write_text(text + "test: [b25]\n", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_splits(path)
    said = f"the key 'test' stands in line {first} already; keep one of them"
    assert str(error.value) == f"{path}:{len(lines) + 1}: not YAML: {said}"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("optim:\n  epochs: 3\nseed: 1\noptim:\n  batch_size: 8\n", 4, "'optim' stands in line 1"),
        ("optim:\n  epochs: 3\n  batch_size: 8\n  'epochs': 4\n", 4, "'epochs' stands in line 2"),
        ("optim: {epochs: 3, epochs: 4}\n", 1, "'epochs' stands in line 1"),
    ],
)
def test_a_configuration_that_repeats_a_key_is_refused(tmp_path, text, line, words):
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"own\.yaml:{line}: not YAML: the key {words} already; keep one of them"):
        load_config(path)


def test_a_label_that_repeats_a_key_is_refused(tmp_path, root):
    path, text = tmp_path / "labels.yaml", (root / "configs/labels.yaml").read_text(encoding="utf-8")
    path.write_text(text.replace("    core: true\n", "    core: true\n    core: false\n", 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"labels\.yaml:\d+: not YAML: the key 'core' stands in line \d+ already"):
        load_schema(path)


def test_an_override_that_repeats_a_key_is_refused():
    with pytest.raises(ConfigError, match=r"--set optim: not YAML: .* \(the key 'epochs' stands in line 1 already"):
        parse(["optim={epochs: 1, epochs: 2}"])


def test_keys_of_different_sections_or_put_in_by_a_merge_are_no_repeats(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: &b\n  <<: *a\n  x: 3\nc:\n  <<: *a\n1: one\n'1': word\n", "utf-8")
    assert load_yaml(path) == {
        "a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}, "c": {"x": 1, "y": 2}, 1: "one", "1": "word"
    }  # fmt: skip
