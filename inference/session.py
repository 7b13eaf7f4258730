"""Runtimes that turn padded token arrays into logits: ONNX Runtime always, OpenVINO where installed."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Protocol

# ONNX Runtime reports its use to Microsoft over the network, and keeps an id below HOME and TMPDIR, unless it finds this
# when it is first imported; only here is it imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime
from zhenyan.inference.cpu import allowed_cpus, multiplies_int8_exactly, processor
from zhenyan.inference.errors import BundleError, ConfigError, MissingExtra

RUNTIMES = ("onnxruntime", "openvino", "openvino-bf16")
MAX_THREADS = 1024


def package(runtime: str) -> str:
    """Name of the package that a runtime comes in."""
    return runtime.removesuffix("-bf16")


class Session(Protocol):
    """input_ids and attention_mask, int64 (rows, width) -> logits, float32 (rows, labels)."""

    def __call__(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray: ...


class OnnxSession:
    """ONNX Runtime on the CPU with explicit threads; safe to call from several threads at once."""

    def __init__(self, model: Path, threads: int | None = None, spin: bool = True) -> None:
        try:
            self._session = open_onnx(str(model), threads, spin)
        except Exception as error:  # ONNX Runtime's own share no class
            reason = str(error).strip().rpartition("failed:")[2]
            raise BundleError(
                f"{model}: ONNX Runtime {onnxruntime.__version__} can't run it ({reason}); "
                "install a newer onnxruntime or use another bundle"
            ) from None

    def __call__(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return self._session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]


def open_onnx(model: str | bytes, threads: int | None = None, spin: bool = True) -> onnxruntime.InferenceSession:
    """ONNX Runtime over a file or a serialised model, on the CPU, with all threads the process may use by default.

    `spin`: its threads stay awake for some milliseconds after each run.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or allowed_cpus()
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # shapes vary: patterns would only hold memory
    options.log_severity_level = 3
    if not spin:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Where the fast uint8 × int8 product may overflow, take the exact one, which is half as fast.
    if not multiplies_int8_exactly(processor()[1]):
        options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class OpenVinoSession:
    """OpenVINO on the CPU; it reads the same ONNX file.

    `precision` f32 computes as the file says. bf16 rounds what products take to bfloat16, which processors with AMX or
    AVX512-BF16 multiply several times faster; elsewhere it changes nothing. Quantising activations on the fly, with one
    scale for a group of tokens, is switched off: a text's score would depend on its neighbours.
    """

    def __init__(self, model: Path, threads: int | None = None, precision: str = "f32") -> None:
        try:
            import openvino
        except ImportError:
            raise MissingExtra("openvino", "openvino") from None
        options = {
            "INFERENCE_NUM_THREADS": threads or allowed_cpus(),
            "INFERENCE_PRECISION_HINT": precision,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
        }
        try:
            self._compiled = openvino.Core().compile_model(str(model), "CPU", options)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise BundleError(f"{model}: OpenVINO can't run it ({reason}); use the runtime onnxruntime") from None
        self._turn = threading.Lock()  # what was compiled has one place for its inputs and outputs

    def __call__(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        with self._turn:
            result = self._compiled({"input_ids": ids, "attention_mask": mask})
            return np.array(result["logits"], dtype=np.float32)


def open_session(model: Path, runtime: str = "onnxruntime", threads: int | None = None, spin: bool = True) -> Session:
    """A session of the named runtime; `spin` is ONNX Runtime's alone.

    ConfigError for an unknown name or a number of threads that is none, MissingExtra when it isn't installed, BundleError when it can't run the file.
    """
    if runtime not in RUNTIMES:
        raise ConfigError(f"runtime: {runtime!r} is unknown; allowed: {', '.join(RUNTIMES)}, auto")
    if threads is not None and (type(threads) is not int or not 1 <= threads <= MAX_THREADS):
        raise ConfigError(
            f"threads: expected a whole number from 1 to {MAX_THREADS}, or None for all, given {threads!r}"
        )
    if runtime == "onnxruntime":
        return OnnxSession(model, threads, spin)
    return OpenVinoSession(model, threads, "bf16" if runtime == "openvino-bf16" else "f32")
