"""The gate before promotion: each bound refuses alone and is named, and a planted regression doesn't get through."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner
from zhenyan.inference.bundle import DEFAULT_BUNDLE
from zhenyan.inference.cli import main
from zhenyan.inference.errors import ConfigError
from zhenyan.training import cli_registry
from zhenyan.training import compare as comparing
from zhenyan.training.compare import Comparison, Difference, speeds
from zhenyan.training.config import TrackingConfig
from zhenyan.training.export import write_manifest
from zhenyan.training.promote import Gates, checks, load_gates
from zhenyan.training.registry import CHAMPION, PREVIOUS, Registry
from zhenyan.training.schema import load_schema

GATES = load_gates(Path(__file__).parents[2] / "configs/gates.yaml")
FACTS = {
    "latency_ms": 2.0, "calibration_error_any_violation": 0.03, "evasion_mean_fall": 0.01, "evasion_worst_fall": 0.02,
}  # fmt: skip


def comparison(fallen: dict[str, float], flips: int = 0, **facts: float) -> Comparison:
    """Candidate b against champion a, both at F1 0.9 but for `fallen` (name -> fall)."""
    schema = load_schema()
    names = ["any violation", "core labels, micro", *schema.ids]
    positives = dict.fromkeys(names[:2], 100)
    scores = {name: Difference(0.9, 0.9 - fallen.get(name, 0.0), -0.5, 0.5, positives.get(name, 50)) for name in names}
    return Comparison("a", "b", 100, scores, {}, [{}] * flips, {"a": FACTS, "b": FACTS | facts})


def failed(found: Comparison, gates: Gates | None = None) -> list[str]:
    return [check.name for check in checks(found, gates or GATES, load_schema()) if not check.passed]


def test_an_equal_candidate_passes():
    assert failed(comparison({})) == []


@pytest.mark.parametrize(
    ("found", "name", "bound"),
    [
        (comparison({"any violation": 0.02}), "fall of any-violation F1", "any_violation_drop"),
        (comparison({"core labels, micro": 0.02}), "fall of core micro F1", "core_micro_drop"),
        (comparison({"food_safety": 0.04}), "fall of F1, food_safety", "core_label_drop"),
        (comparison({"ip_infringement": 0.09}), "fall of F1, ip_infringement", "other_label_drop"),
        (
            comparison({}, calibration_error_any_violation=0.06),
            "calibration error of any violation",
            "any_violation_calibration_error",
        ),
        (comparison({}, evasion_mean_fall=0.05), "mean fall under evasion", "evasion_mean_fall"),
        (comparison({}, evasion_worst_fall=0.2), "worst fall under evasion", "evasion_worst_fall"),
        (comparison({}, latency_ms=3.1), "latency against the champion's", "latency_ratio"),
        (comparison({}, flips=26), "rows decided differently", "flip_rate"),
    ],
)
def test_each_bound_refuses_alone_is_named_and_can_be_switched_off(found, name, bound):
    assert failed(found) == [name]
    assert failed(found, GATES.model_copy(update={bound: None})) == []


def test_labels_with_few_rows_do_not_count():
    assert failed(comparison({"food_safety": 0.5}), GATES.model_copy(update={"min_positives": 51})) == []
    assert failed(comparison({"food_safety": 0.5}), GATES.model_copy(update={"min_positives": 50})) == [
        "fall of F1, food_safety"
    ]


@pytest.mark.parametrize("name", ["any violation", "core labels, micro"])
def test_rows_that_tell_nothing_let_nothing_pass(name):
    found = comparison({})
    found.scores[name] = Difference(0.0, 0.0, 0.0, 0.0, 0)
    with pytest.raises(ConfigError, match=f"{name}: 0 positives among the rows measured, fewer than min_positives"):
        checks(found, GATES, load_schema())


def test_a_schema_without_core_labels_is_held_to_the_others():
    """No row could have one, so nothing ever passed."""
    schema = load_schema()
    plain = schema.model_copy(update={"labels": [one.model_copy(update={"core": False}) for one in schema.labels]})
    found = comparison({"food_safety": 0.09})
    found.scores["core labels, micro"] = Difference(0.0, 0.0, None, None, 0)
    held_to = {check.name: check.passed for check in checks(found, GATES, plain)}
    assert "fall of core micro F1" not in held_to
    assert [name for name, passed in held_to.items() if not passed] == ["fall of F1, food_safety"]


def test_a_better_candidate_passes():
    schema = load_schema()
    better = comparison(dict.fromkeys(["any violation", "core labels, micro", *schema.ids], -0.09))
    assert failed(better) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [("core_micro_drop: 3", "core_micro_drop: input should be less than or equal to 1, found 3"),
     ("latency: 2", "latency: no such key; there are latency_ratio, any_violation_drop"),
     ("flip_rate: yes", "flip_rate: value error, this is no switch, found true"),
     ("min_positives: on", "min_positives: value error, this is no switch, found true"),
     ("latency_ratio: .inf", "latency_ratio: input should be a finite number, found inf"),
     ("core_micro_drop: null", "evasion_mean_fall: field required"), ("", "must be a section with the keys any_violation_drop"),
     ("x: " + "[" * 5000, r"gates.yaml: not YAML that can be read: lists or sections are nested too deeply")],
)  # fmt: skip
def test_faults_in_the_gates_file_are_named(tmp_path, text, message):
    (tmp_path / "gates.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_gates(tmp_path / "gates.yaml")


@pytest.mark.slow
def test_a_planted_regression_of_the_bundled_model_is_refused(tmp_path, root, monkeypatch, capsys):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracking = {"uri": f"sqlite:///{tmp_path}/mlflow.db"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"tracking": tracking}), encoding="utf-8")
    lines = (root / "data/corpus/b24.jsonl").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if "food_safety" in json.loads(line)["labels"]][:30] + lines[:40]
    (tmp_path / "set.jsonl").write_text("\n".join(kept) + "\n", encoding="utf-8")
    registry = Registry(TrackingConfig(**tracking))
    monkeypatch.chdir(tmp_path)  # where a store without a server puts artifacts
    champion = registry.add(DEFAULT_BUNDLE)
    registry.promote(champion)
    planted = shutil.copytree(DEFAULT_BUNDLE, tmp_path / "planted")
    thresholds = json.loads((planted / "thresholds.json").read_text(encoding="utf-8"))
    thresholds["food_safety"]["threshold"] = 0.9999
    (planted / "thresholds.json").write_text(json.dumps(thresholds), encoding="utf-8")
    write_manifest(planted, json.loads((planted / "manifest.json").read_text(encoding="utf-8"))["precision"])
    monkeypatch.chdir(root)
    options = ["--rows", tmp_path / "set.jsonl", "--config", tmp_path / "config.yaml"]
    monkeypatch.setattr(sys, "argv", ["zhenyan", "promote", str(planted), *map(str, options)])
    with pytest.raises(SystemExit) as exited:
        main()
    said = capsys.readouterr()
    assert exited.value.code == 2 and "stays out" in said.err and "fall of F1, food_safety" in said.err
    assert registry.version(CHAMPION) == champion
    monkeypatch.setattr(sys, "argv", ["zhenyan", "promote", str(DEFAULT_BUNDLE), *map(str, options)])
    with pytest.raises(SystemExit) as exited:  # else previous would be the same bundle, and nothing to roll back to
        main()
    assert exited.value.code == 2 and "is zhenyan version 1, the champion already" in capsys.readouterr().err
    assert registry.version(PREVIOUS) is None


def called(*words):
    app = typer.Typer()
    cli_registry.register(app)
    return CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)


def test_what_can_not_be_measured_or_registered_is_said_before_it_is_tried(tmp_path):
    tracking = {"uri": f"sqlite:///{tmp_path}/mlflow.db"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"tracking": tracking}), encoding="utf-8")
    rows, config = tmp_path / "set.jsonl", ["--config", tmp_path / "config.yaml"]
    rows.write_text('{"text": "今天两盒装", "labels": ["no_such"]}\n', encoding="utf-8")
    for command, message in (
        (["compare", DEFAULT_BUNDLE, DEFAULT_BUNDLE, "--rows", rows], r"set\.jsonl:1: unknown label no_such"),
        (["promote", DEFAULT_BUNDLE, "--name", "bad/name"], "--name 'bad/name': a registered model's name"),
        (
            ["promote", DEFAULT_BUNDLE, "--challenger", "--rows", rows],
            "leave --rows, --gates and --absolute-gates to the promotion",
        ),
        (["promote", DEFAULT_BUNDLE, "--challenger", "--gates", rows], "--challenger measures nothing"),
        (["promote", DEFAULT_BUNDLE, "--challenger", "--absolute-gates"], "--challenger measures nothing"),
        (["rollback", "--name", "other"], "other: nothing to roll back to: no version has the alias 'champion'"),
        (
            ["versions", "--name", "other"],
            "--name other: no such model; registered: nothing yet, zhenyan promote FOLDER",
        ),
        (["promote", DEFAULT_BUNDLE, "--gates", rows], r"set\.jsonl: text: .*no such key"),  # the first version, too
    ):
        with pytest.raises(ConfigError, match=message):
            called(*command, *config)
    hashed = {"id": "1", "sha256": "0" * 64, "doc": "0" * 64, "start": 0, "end": 5, "labels": []}
    rows.write_text(json.dumps(hashed) + "\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="1 hashed labels find no text"):
        called("compare", DEFAULT_BUNDLE, DEFAULT_BUNDLE, "--rows", rows, *config)
    rows.write_text('{"text": "今天两盒装", "labels": []}\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"both are zhenyan-\w+; give two models"):
        called("compare", DEFAULT_BUNDLE, DEFAULT_BUNDLE, "--rows", rows, *config)


def test_speeds_are_measured_in_turns(monkeypatch):
    """By a clock that only the models move; an empty cache is no part of what is measured, an outlier no median."""
    clock, asked = [100.0], []

    class Timed:
        def __init__(self, name: str, *seconds: float) -> None:
            self.name, self.seconds, self.cached = name, list(seconds), True

        def clear_cache(self) -> None:
            self.cached = False
            clock[0] += 7

        def score(self, texts: list[str]) -> None:
            assert not self.cached, "a cached line takes no time"
            self.cached = True
            asked.append((self.name, *texts))
            clock[0] += self.seconds.pop(0)

    monkeypatch.setattr(comparing.time, "perf_counter", lambda: clock[0])
    pair = [Timed("a", 0.004, 0.9, 0.005, 0.9, 0.02, 0.03), Timed("b", 0.001, 0.001, 0.9, 0.005, 0.006, 0.9)]
    slow, fast = speeds(pair, ["一", "二", "三", "四"], alone=3)
    assert asked[:6] == [(name, text) for text in "一二三" for name in "ab"]
    assert asked[6:] == [(name, *"一二三四") for _ in range(3) for name in "ab"]
    assert slow == pytest.approx({"latency_ms": 5, "lines_per_second": 200})
    assert fast == pytest.approx({"latency_ms": 1, "lines_per_second": 800})
