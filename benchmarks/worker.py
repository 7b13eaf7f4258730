"""One system under test in a process of its own: prints one JSON line with what was measured.

Timed: import and load; batch throughput over all texts, the best of several passes; latency of single texts; peak memory.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Score = Callable[[Sequence[str]], Any]
BATCH = 32


def bundle(path: str, threads: int, runtime: str = "onnxruntime") -> tuple[Score, Callable[[], None]]:
    """zhenyan's own path over a bundle folder; the second value forgets cached scores."""
    from zhenyan.inference import Classifier

    classifier = Classifier.load(path, runtime=runtime, threads=threads, explain=False)
    return classifier.score, classifier.clear_cache


def raw_onnx(path: str, threads: int) -> tuple[Score, Callable[[], None]]:
    """What a user would write over an ONNX file: sorted by length, batches of 32, padded."""
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(Path(path).with_name("tokenizer.json")))

    def run(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return session.run(None, {"input_ids": ids, "attention_mask": mask})[0]

    return _batched(run, tokenizer), lambda: None


def openvino(path: str, threads: int, precision: str) -> tuple[Score, Callable[[], None]]:
    """OpenVINO on the same ONNX file."""
    import openvino as ov
    from tokenizers import Tokenizer

    compiled = ov.Core().compile_model(
        path, "CPU", {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}
    )
    tokenizer = Tokenizer.from_file(str(Path(path).with_name("tokenizer.json")))
    return _batched(lambda ids, mask: compiled({"input_ids": ids, "attention_mask": mask})[0], tokenizer), lambda: None


def _batched(run: Callable[..., Any], tokenizer: Any) -> Score:
    import numpy as np

    def score(texts: Sequence[str]) -> Any:
        encoded = sorted((e.ids[:128] for e in tokenizer.encode_batch(list(texts))), key=len)
        results = []
        for start in range(0, len(encoded), BATCH):
            rows = encoded[start : start + BATCH]
            width = max(map(len, rows))
            ids = np.array([r + [1] * (width - len(r)) for r in rows], dtype=np.int64)
            mask = np.array([[1] * len(r) + [0] * (width - len(r)) for r in rows], dtype=np.int64)
            results.append(run(ids, mask))
        return np.concatenate(results)

    return score


def pipeline(path: str, threads: int) -> tuple[Score, Callable[[], None]]:
    """The transformers pipeline, as its documentation shows it, with every label's score."""
    import torch
    from transformers import pipeline as make

    torch.set_num_threads(threads)
    classify = make("text-classification", model=path, top_k=None, function_to_apply="sigmoid", device="cpu")
    return lambda texts: classify(list(texts), batch_size=BATCH, truncation=True, max_length=128), lambda: None


def tfidf(path: str, threads: int) -> tuple[Score, Callable[[], None]]:
    """TF-IDF and logistic regression trained on the written corpus."""
    from zhenyan.training.baselines import TfidfBaseline
    from zhenyan.training.dataset import targets
    from zhenyan.training.rows import read_rows
    from zhenyan.training.schema import load_schema

    rows, labels = read_rows([path]), load_schema().ids
    return TfidfBaseline(labels).fit([row.text for row in rows], targets(rows, labels)[0] > 0.5).score, lambda: None


SYSTEMS: dict[str, Callable[..., tuple[Score, Callable[[], None]]]] = {
    "bundle": bundle,
    "bundle-openvino": lambda path, threads: bundle(path, threads, "openvino"),
    "bundle-openvino-bf16": lambda path, threads: bundle(path, threads, "openvino-bf16"),
    "onnx": raw_onnx,
    "openvino-bf16": lambda path, threads: openvino(path, threads, "bf16"),
    "openvino-f32": lambda path, threads: openvino(path, threads, "f32"),
    "pipeline": pipeline,
    "tfidf": tfidf,
}


def peak_mib() -> float:
    """Peak resident memory of this program so far, in MiB; getrusage would count what the parent held when it forked."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(system: str, path: str, texts: list[str], threads: int, passes: int, singles: int) -> dict[str, float]:
    """Everything about one system."""
    started = time.perf_counter()
    score, forget = SYSTEMS[system](path, threads)
    score(texts[:1])
    start = time.perf_counter() - started
    forget()
    score(texts[:64])
    best = float("inf")
    for _ in range(passes):
        forget()
        began = time.perf_counter()
        score(texts)
        best = min(best, time.perf_counter() - began)
    latencies = []
    for text in texts[:singles]:
        forget()
        began = time.perf_counter()
        score([text])
        latencies.append(1000 * (time.perf_counter() - began))
    latencies.sort()
    return {
        "start_s": start, "lines_per_s": len(texts) / best, "p50_ms": latencies[len(latencies) // 2],
        "p99_ms": latencies[int(len(latencies) * 0.99)], "peak_mib": peak_mib(),
    }  # fmt: skip


def main() -> None:
    """Read the request from the command line, print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("path")
    parser.add_argument("texts", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--singles", type=int, default=200)
    given = parser.parse_args()
    texts = json.loads(given.texts.read_text(encoding="utf-8"))
    print(json.dumps(measure(given.system, given.path, texts, given.threads, given.passes, given.singles)))


if __name__ == "__main__":
    main()
