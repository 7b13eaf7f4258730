"""`zhenyan export`: thresholds chosen anew, and bundles that a killed export doesn't lose."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import logging
import os
import tempfile

import numpy as np
import pytest
import typer
from rich.console import Console
from transformers import AutoTokenizer
from typer.testing import CliRunner
from zhenyan.inference.bundle import CARD, DEFAULT_BUNDLE, FILES, MANIFEST
from zhenyan.inference.errors import ConfigError
from zhenyan.training import cli
from zhenyan.training.config import ExportConfig, ThresholdConfig, TrainConfig
from zhenyan.training.evaluate import Labelled
from zhenyan.training.export import compare_decisions, export_run, in_one_window, report_bundle
from zhenyan.training.placing import check_output, place, tidy
from zhenyan.training.train import train


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_thresholds_are_chosen_anew_without_training(small_config, tmp_path):
    bounds = small_config.export.model_copy(update={"max_flip_rate": 1.0, "max_f1_drop": 1.0, "precision": "weights"})
    run = train(small_config.model_copy(update={"export": bounds}), console=Console(quiet=True))
    out = io.StringIO()
    plain, careful = tmp_path / "plain", tmp_path / "careful"
    assert export_run(run.folder, plain, Console(quiet=True))
    assert export_run(run.folder, tmp_path / "float", Console(quiet=True), {"export.precision": "fp32"})
    assert read(tmp_path / "float" / "manifest.json")["precision"] == "fp32"
    assert read(tmp_path / "float" / "thresholds.json") == read(plain / "thresholds.json")
    changes = {"thresholds.policy": "recall", "thresholds.target": 0.9}
    assert export_run(run.folder, careful, Console(file=out, width=200), changes)
    before, after = (read(folder / "thresholds.json") for folder in (plain, careful))
    assert before == read(run.folder / "thresholds.json") and list(after) == list(before)
    own = {label: one for label, one in after.items() if "fallback" not in one["chosen_by"]}
    assert own and all(one["chosen_by"] == "policy recall, target 0.9" and one["recall"] >= 0.9 for one in own.values())
    assert any(one["threshold"] < before[label]["threshold"] for label, one in own.items())
    manifest, card = read(careful / "manifest.json"), (careful / "MODEL_CARD.md").read_text(encoding="utf-8")
    found = manifest["validation"]["labels"]
    for label, one in own.items():
        assert found[label]["recall"] == pytest.approx(one["recall"])
        assert all(f"{one[name]:.3f}" in out.getvalue() for name in ("precision", "recall", "review_load"))
        assert f"| {one['threshold']:.3f} |" in card
    assert manifest["bundle_id"] != read(plain / "manifest.json")["bundle_id"] and "review load" in out.getvalue()


def test_texts_that_are_longer_as_they_are_read_are_not_compared_with_torch(tiny_encoder, monkeypatch, caplog):
    """Pictographs that stand for a number: 62 characters and two specials are more than 64 tokens once they are digits."""
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder, model_max_length=64)
    texts = ["同款" * 31, "🔟" * 62, "🔟" * 10]
    assert [len(ids) for ids in tokenizer(texts)["input_ids"]] == [64, 64, 12]
    assert in_one_window(tokenizer, texts, 64) == [0, 2] and "longer than the specified" not in caplog.text


FLIPS, MICRO, OF_A = "rows with a flipped decision", "fall of micro F1", "fall of F1, a"


@pytest.mark.parametrize(
    ("flipped", "refused"),
    [
        ([], []),
        ([(60, 0)], []),  # one row of a hundred: at the bound
        ([(60, 0), (61, 1)], [FLIPS]),  # false alarms that go: F1 rises
        ([(0, 0)], [MICRO]),  # a label's bound is at least what one of its rows is worth
        ([(0, 0), (1, 0)], [FLIPS, MICRO, OF_A]),
        ([(99, 1), (98, 1)], [FLIPS]),  # where nobody looked no F1 falls, but a user's decision is another
    ],
)
def test_the_gate_refuses_flips_and_falls(flipped, refused):
    """A hundred rows, twenty of them with label a, which all are found; two false alarms; b has no rows."""
    exact = np.zeros((100, 2))
    exact[:20, 0] = exact[60, 0] = exact[61, 1] = 0.9
    truth, seen = exact > 0.5, np.ones((100, 2), dtype=bool)
    truth[60:] = seen[98:, 1] = False
    given = exact.copy()
    for cell in flipped:
        given[cell] = 1 - exact[cell]
    data = Labelled([], truth, seen, np.arange(100))
    bounds = ExportConfig(max_flip_rate=0.01, max_f1_drop=0.01)
    config, stricter = (TrainConfig(export=bounds, thresholds=ThresholdConfig(min_positives=n)) for n in (20, 21))
    checks = compare_decisions(data, exact > 0.5, given > 0.5, ["a", "b"], config)
    assert [check.name for check in checks] == [FLIPS, MICRO, OF_A]
    assert [check.name for check in checks if not check.passed] == refused
    few = compare_decisions(data, exact > 0.5, given > 0.5, ["a", "b"], stricter)
    assert OF_A not in [check.name for check in few]


@pytest.mark.parametrize(("most", "passed"), [(0.01, False), (0.2, True)])
def test_no_bundle_is_exported_that_the_doctor_would_refuse(most, passed):
    """Of a hundred rows one flips, and it is one of ten probes."""
    exact = np.zeros((100, 1))
    given = exact.copy()
    given[7] = 0.9
    data = Labelled([], exact > 0.5, np.ones((100, 1), dtype=bool), np.arange(100))
    config = TrainConfig(export=ExportConfig(max_flip_rate=most))
    rows, probes, _ = compare_decisions(data, exact > 0.5, given > 0.5, ["a"], config, range(10))
    assert (rows.measured, rows.bound, rows.passed) == (0.01, most, True)
    assert (probes.name, probes.measured, probes.bound) == ("probes with a flipped decision", 0.1, most)
    assert probes.passed is passed


def test_a_quarter_of_what_the_doctor_allows_is_left_to_other_processors():
    truth = np.zeros((100, 1), dtype=bool)
    data = Labelled([], truth, ~truth, np.arange(100))
    config = TrainConfig(export=ExportConfig(max_flip_rate=0.005))
    _, probes, _ = compare_decisions(data, truth, truth, ["a"], config, range(10))
    assert probes.bound == 0.0075


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (
            "optim.epochs=2",
            r"--set optim\.epochs: export changes only thresholds\.policy, thresholds\.target.* and what begins with export\.",
        ),
        ("export.precision=weights", "no run folder"),
    ],
)
def test_only_thresholds_and_the_export_can_be_set(tmp_path, item, said):
    app = typer.Typer()
    cli.register(app)
    with pytest.raises(ConfigError, match=said):
        CliRunner().invoke(app, ["export", str(tmp_path), "-o", "x", "--set", item], catch_exceptions=False)


@pytest.mark.parametrize(
    ("killed", "holds"), [("while copying", "earlier"), ("between renames", "earlier"), ("while removing", "later")]
)
def test_a_killed_export_loses_no_bundle(tmp_path, monkeypatch, killed, holds):
    for name in ("earlier", "later"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.onnx").write_text(name)
    output, kept = tmp_path / "out[1]", tmp_path / ".out[1].mine"
    place(tmp_path / "earlier", output)
    (kept / "notes").mkdir(parents=True)
    monkeypatch.setattr(tempfile, "TemporaryDirectory", lambda dir, prefix: contextlib.nullcontext(f"{dir}/{prefix}1"))
    (tmp_path / ".out[1].1").mkdir()
    if killed == "while copying":
        (tmp_path / ".out[1].1/new").mkdir()
    else:
        place(tmp_path / "later", output)  # and the temporary folder stays, as after a kill
    if killed == "between renames":
        output.rename(tmp_path / ".out[1].1/new")
    tidy(output)
    assert (output / "model.onnx").read_text() == holds
    assert {path.name for path in tmp_path.iterdir()} == {"earlier", "later", "out[1]", ".out[1].mine"}


@pytest.mark.parametrize(
    ("names", "allowed"),
    [
        ((), True),
        ((".gitkeep", ".DS_Store"), True),
        ((MANIFEST, *FILES), True),
        ((MANIFEST, *FILES, CARD, ".DS_Store"), True),
        (("model.onnx", "tokenizer.json"), False),  # as other models have them
        ((CARD,), False),
        ((MANIFEST, *FILES, "config.json"), False),
    ],
)
def test_only_an_earlier_bundle_is_replaced(tmp_path, names, allowed):
    output = tmp_path / "out"
    output.mkdir()
    for name in names:
        (output / name).touch()
    refused = pytest.raises(ConfigError, match="holds something else than a bundle, which would be lost")
    with contextlib.nullcontext() if allowed else refused:
        check_output(tmp_path / "run", output)


def test_a_place_that_can_not_be_looked_at_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"can't be a bundle folder \(File name too long\)"):
        check_output(tmp_path / "run", tmp_path / ("x" * 300) / "out")


def test_a_bundle_that_its_run_has_no_room_for_is_told_of(tmp_path, monkeypatch):
    """It is whole where it was asked for."""

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("zhenyan.training.placing.shutil.copytree", full)
    console = Console(file=io.StringIO(), width=200)
    with pytest.raises(ConfigError, match=r"bundle: a bundle can't be put there \(No space left on device\)"):
        report_bundle(tmp_path, DEFAULT_BUNDLE, TrainConfig(), console)
    assert f"bundle {read(DEFAULT_BUNDLE / MANIFEST)['bundle_id']} in {DEFAULT_BUNDLE}" in console.file.getvalue()
