"""What a user gave wrongly is named, and nothing half-made stays: another run's file, pairs by number, a failed `zhenyan score`."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console
from zhenyan.inference.errors import ConfigError
from zhenyan.training import average as averages
from zhenyan.training.audit import contradictions
from zhenyan.training.confidence import Cells
from zhenyan.training.encoders.origin import model_name
from zhenyan.training.evaluate import labelled, minimal_pairs
from zhenyan.training.rows import row_from_json
from zhenyan.training.schema import load_schema

SCHEMA = load_schema()


@pytest.fixture
def old_run(tmp_path):
    """A run whose configuration holds a key of long ago."""
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "config.yaml").write_text("optim: {old_key: 1}\n", encoding="utf-8")
    return folder


def test_the_configuration_of_another_run_is_named_where_it_is_faulty(old_run):
    with pytest.raises(ConfigError, match=r"old/config\.yaml: optim\.old_key: no such key"):
        model_name(old_run / "model")


def test_a_mean_that_can_not_be_described_leaves_no_run_behind(old_run, small_config, monkeypatch):
    monkeypatch.setattr(averages, "mean_model", lambda *_: (SimpleNamespace(encoder=None), None))
    monkeypatch.setattr(averages, "check_length", lambda *_: None)
    with pytest.raises(ConfigError, match=r"optim\.old_key: no such key"):
        averages.average(small_config, {old_run / "model": 1.0}, Console(quiet=True))
    assert not small_config.runs.exists() or not list(small_config.runs.iterdir())


def test_a_pair_named_by_a_number_and_by_text_is_one_pair():
    text = "这个茶喝完三高就降下来了你们放心喝没有副作用"
    records = [
        {"text": text, "labels": ["food_safety"], "batch": "a", "pair": 7},
        {"text": text + "啊", "labels": [], "batch": "b", "pair": "7"},
    ]
    rows = [row_from_json(record, f"f:{number}") for number, record in enumerate(records, 1)]
    assert not list(contradictions(rows, Cells.of(rows, SCHEMA.ids), np.full((2, len(SCHEMA.ids)), 0.5)))
    data = labelled(rows, SCHEMA.ids)
    assert minimal_pairs(data, data.truth) == {"pairs": 1, "both_right": 1.0}


def test_a_failed_score_is_said(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 2))
    with pytest.raises(SystemExit, match=r"zhenyan score .*windows\.jsonl .*ended with exit code 2"):
        bench("context").findings([["两盒装"]], tmp_path)


@pytest.fixture(scope="module")
def tables():
    """docs/tables.py."""
    path = Path(__file__).parents[2] / "docs/tables.py"
    spec = importlib.util.spec_from_file_location("docs_tables_of_training", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_of_undefined_intervals_and_of_records_of_before(tables):
    none = {"precision": 0.0, "recall": 0.0, "f1": 0.0, "low": None, "high": None, "positives": 12, "predicted": 0}
    labels = {"price_fraud": none, "food_safety": none}
    report = {"rows": 20, "any_violation": none, "core_micro": none, "micro": none, "labels": labels}
    before = tables._accuracy_table("a set", {"model": report | {"calibration_error": 0.006}})
    assert "0.00 / 0.00 / **0.000** (-)" in before and before.index("food_safety") < before.index("price_fraud")
    assert "Calibration error: all decisions pooled 0.006." in before
    today = tables.compact({"model": report | {"calibration_error": 0.006, "calibration_error_any_violation": 0.045}})
    assert "Calibration error: any violation 0.045, all decisions pooled 0.006." in tables._accuracy_table(
        "a set", today
    )
