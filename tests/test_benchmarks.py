"""The benchmark's arithmetic, its texts and table, and its workers on a small teacher."""

from __future__ import annotations

import importlib
import json
from types import ModuleType

import pytest
from zhenyan.inference.bundle import DEFAULT_BUNDLE

LIMIT = {"fp32": 100.0, "bf16": 200.0, "int8": 400.0, "memory_gb_per_s": 10.0}
MEASURED = {"start_s": 0.3, "lines_per_s": 1000.0, "p50_ms": 2.0, "p99_ms": 4.0, "peak_mib": 150.0}


@pytest.fixture
def run(bench) -> ModuleType:
    return bench("run")


def rows(run: ModuleType) -> list[dict]:
    """One row each of ours, of both peers, and one that failed."""
    systems = importlib.import_module("systems")

    def row(name: str, speed: float, p50: float, layers: int = 4, precision: str = "int8") -> dict:
        system = systems.System(name, "", "", layers, 384, precision, 10)
        return run.finish_row(MEASURED | {"lines_per_s": speed, "p50_ms": p50}, system, 35.0, 2, LIMIT)

    return [
        row(systems.OURS[0], 900, 2) | {"sound": True}, row(systems.OURS[1], 1500, 3) | {"sound": True}, row(systems.TEACHER_BF16, 500, 8, 12, "bf16"),
        row(systems.BERT_BASE, 20, 60, 12, "fp32"), row("TF-IDF", 5000, 1, 0, "fp32"),
        run.finish_row({"error": "RuntimeError: no"}, systems.System("other", "", "", 1, 1, "fp32", 1), 35.0, 2, LIMIT),
    ]  # fmt: skip


@pytest.fixture
def results(run) -> dict:
    starts, found = {"zhenyan": 0.4, "transformers": 8.0}, rows(run)
    return {
        "date": "2026-01-01", "machine": {"processor": "P"}, "threads": 2, "limits": LIMIT, "tokens_per_line": 35.0,
        "rows": found, "start_s": starts, "ratios": run.ratios(found, starts),
        "million_lines": {"rows": 1_000_000, "peak_mib": 180.0}, "install": {"wheels": 20, "mib": 120.0},
    }  # fmt: skip


def test_shares_of_the_limit(bench, run):
    machine = bench("machine")
    # 12 hidden² multiplications and as many additions for each weight, and the attention: by hand for 4 layers of 384.
    operations = 4 * (24 * 384**2 + 4 * 384 * 35) * 35
    assert machine.lines_limit(4, 384, 35, 400.0) == pytest.approx(400e9 / operations)
    ours = rows(run)[0]
    assert ours["share_of_limit"] == pytest.approx(900 * operations / 400e9, abs=1e-3)
    assert ours["tokens_per_s"] == 31_500 and ours["stream_hours_per_core_hour"] == 31_500 * 3600 / 18_000 / 2
    reading_ms = 1000 * 4 * 12 * 384**2 / 10e9
    assert machine.line_floor_ms(4, 384, 35, "int8", LIMIT) == pytest.approx(max(reading_ms, 1000 * operations / 400e9))


def test_ratios_count_the_faster_runtime(results):
    assert results["ratios"] == {
        "batch_vs_pipeline_bert_base": 75.0, "batch_vs_openvino_bf16_teacher": 3.0,
        "latency_vs_pipeline_bert_base": 30.0, "start_vs_transformers": 20.0,
    }  # fmt: skip


def test_a_runtime_that_is_not_sound_does_not_count(bench, run, results):
    results["rows"][1]["sound"] = False
    assert run.ratios(results["rows"], results["start_s"])["batch_vs_pipeline_bert_base"] == 45.0
    assert "OpenVINO (not sound here, not counted) | 1,500" in bench("table").table(results)


def test_what_is_missing_or_worse_than_promised_is_named(run, results):
    assert run.broken_promises(results) == []
    results["ratios"] = {"batch_vs_pipeline_bert_base": 59.0, "start_vs_transformers": 6.0}
    results["install"] = {"error": "no index"}
    results["million_lines"]["peak_mib"] = 251.0
    told = run.broken_promises(results)
    assert [line.partition(":")[0] for line in told] == [
        "batch_vs_pipeline_bert_base", "batch_vs_openvino_bf16_teacher", "latency_vs_pipeline_bert_base",
        "MiB for a million lines", "MiB of wheels",
    ]  # fmt: skip


def test_ratios_without_openvino(run):
    found = [row for row in rows(run) if "OpenVINO" not in row["name"]]
    assert run.ratios(found, {"zhenyan": 1.0, "transformers": 6.0}) == {
        "start_vs_transformers": 6.0, "batch_vs_pipeline_bert_base": 45.0, "latency_vs_pipeline_bert_base": 30.0,
    }  # fmt: skip


def test_results_become_a_table_and_the_same_plot_each_time(bench, results, tmp_path):
    made = bench("table").table(results)
    assert "| zhenyan bundle, OpenVINO | 1,500 | 52,500 |" in made and "not measured: RuntimeError: no" in made
    assert "| ratio (the bundle in its best sound runtime for each) | times better |" in made
    assert "| start of a fresh process, against transformers and its pipeline (0.40 s / 8.00 s) | 20.0 |" in made
    assert "Peak memory of `zhenyan score` on 1,000,000 lines: 180 MiB" in made and "20 wheels, 120 MiB" in made
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "b.svg"):
        bench("table").plot(results, tmp_path / name)
    drawn = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "zhenyan bundle, OpenVINO" in drawn and drawn == (tmp_path / "b.svg").read_text(encoding="utf-8")


def test_texts_have_real_lengths(bench):
    texts = bench("texts")
    source = [chr(0x4E00 + n % 5000) * 40 for n in range(400)]
    made = texts.make(3000, source)
    assert made == texts.make(3000, source) and len(set(made)) > 2900
    mean = json.loads(texts.HISTOGRAM.read_text(encoding="utf-8"))["mean"]
    assert sum(map(len, made)) / len(made) == pytest.approx(mean, rel=0.1)


def test_a_trial_of_the_memory_leaves_the_kept_measurement(bench, root, tmp_path, monkeypatch, capsys):
    memory, kept = bench("memory"), (root / "benchmarks/memory.json").read_bytes()
    monkeypatch.setattr(
        memory, "measure", lambda rows, ending, model: {"rows": rows, "output": ending, "peak_mib": 1.0}
    )
    monkeypatch.setattr(
        "sys.argv", ["memory.py", "--rows", "10", "--outputs", ".csv", "--output", str(tmp_path / "out")]
    )
    memory.main()
    found = json.loads((tmp_path / "out/memory.json").read_text(encoding="utf-8"))
    assert [(run["rows"], run["output"]) for run in found["runs"]] == [(10, ".csv"), (10, ".jsonl")]
    assert (root / "benchmarks/memory.json").read_bytes() == kept


def test_the_bundle_row_matches_the_bundle(bench):
    layers, hidden, precision = bench("systems").bundle_shape(DEFAULT_BUNDLE)
    assert layers in range(1, 25) and hidden % 64 == 0 and precision in ("fp32", "int8")


@pytest.mark.slow
@pytest.mark.alone
def test_workers_on_a_small_teacher(bench, run, tmp_path, tiny_encoder, sample_texts):
    """The files that the benchmark makes of a teacher are those that its workers read."""
    from zhenyan.training.encoders.load import load_encoder
    from zhenyan.training.modelling import MultiLabelClassifier, save_model
    from zhenyan.training.schema import load_schema

    systems, teacher = bench("systems"), tmp_path / "teacher"
    encoder, tokenizer = load_encoder(str(tiny_encoder), trim=False)
    model = MultiLabelClassifier(encoder, load_schema().ids)
    save_model(model, tokenizer, tmp_path / "run" / "model", max_tokens=128, pad_id=tokenizer.pad_token_id)
    systems.teacher_files(teacher, tmp_path / "run")
    chosen = systems.systems(DEFAULT_BUNDLE, teacher, teacher / "pipeline", tmp_path)
    by_name = {system.name: system for system in chosen}
    for name in (systems.OURS[0], "teacher, ONNX Runtime dynamic int8", "teacher, transformers pipeline"):
        found = run.run_worker(by_name[name], sample_texts[:4], tmp_path, 1)
        assert set(found) == set(MEASURED) and 0 < found["p50_ms"] <= found["p99_ms"] and found["peak_mib"] > 10
    broken = run.run_worker(systems.System("x", "onnx", "none.onnx", 1, 1, "fp32", 1), ["a"], tmp_path, 1)
    assert "none.onnx" in broken["error"]
