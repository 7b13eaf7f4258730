"""Measuring the runtimes on this machine: is the bundle right here, and which runtime is fastest?

A bundle carries probes: texts with the probabilities of its fp32 model. A runtime is sound when it decides them alike
and a text's score doesn't depend on its neighbours.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from zhenyan.inference.bundle import Bundle, load_bundle, open_tokenizer, read_json
from zhenyan.inference.classifier import Classifier
from zhenyan.inference.cpu import allowed_cpus, processor
from zhenyan.inference.errors import BundleError, ConfigError, InputError, ZhenyanError
from zhenyan.inference.io.jsonlines import write_atomic
from zhenyan.inference.session import RUNTIMES, package

MAX_FLIPS = 0.01  # share of probes that a sound runtime may decide otherwise than fp32
MAX_DEPENDENCE = 1e-5  # largest difference between a text's probabilities alone and in a batch
_SECONDS = 2.0  # how long each runtime is timed
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")


@dataclass(frozen=True)
class Verdict:
    """One runtime on this machine; `fault` says why it could not be measured."""

    runtime: str
    installed: str | None
    flips: float | None = None
    largest_difference: float | None = None
    batch_invariance: float | None = None
    lines_per_second: float | None = None
    fault: str | None = None

    @property
    def sound(self) -> bool:
        """Whether it may be used."""
        if self.flips is None or self.batch_invariance is None:
            return False
        return self.flips <= MAX_FLIPS and self.batch_invariance <= MAX_DEPENDENCE


def choice_file() -> Path:
    """Where a saved choice is kept (XDG cache); ConfigError for a user who has no home."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        raise ConfigError(
            "the chosen runtime is kept in the home folder, and this user has none; set XDG_CACHE_HOME to a folder"
        ) from None
    return cache / "zhenyan" / "runtime.json"


def machine() -> dict[str, Any]:
    """What matters of the processor."""
    name, flags = processor()
    return {
        "processor": name or platform.processor() or platform.machine(),
        "cpus": allowed_cpus(),
        "flags": [flag for flag in _FLAGS if flag in flags],
    }


def installed(name: str) -> str | None:
    """Version of a package; None where it isn't installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def runtime_versions() -> dict[str, str | None]:
    """Installed version of each runtime; None where it isn't installed."""
    return {runtime: installed(package(runtime)) for runtime in RUNTIMES}


def examine(bundle: Bundle, runtime: str, seconds: float = _SECONDS) -> Verdict:
    """Check one runtime against the probes and time it; its faults are the verdict, so that the others are measured.

    BundleError for a bundle without probes, which says nothing of any runtime.
    """
    version = installed(package(runtime))
    if version is None:
        return Verdict(runtime, None)
    texts, want = _probes(bundle)
    try:
        classifier = Classifier.load(bundle.folder, runtime=runtime, explain=False)
        return _measure(classifier, runtime, version, texts, want, seconds)
    except ZhenyanError as error:
        return Verdict(runtime, version, fault=str(error))
    except Exception as error:  # the runtimes' own errors share no class
        said = (str(error).strip() or type(error).__name__).splitlines()[-1]
        return Verdict(runtime, version, fault=f"{runtime} fails ({said}); use another runtime")


def _probes(bundle: Bundle) -> tuple[list[str], np.ndarray]:
    """The probes' texts and the fp32 model's probabilities, float32 (texts, labels); BundleError when there are none."""
    path = bundle.folder / "probes.json"
    probes = read_json(path)
    try:
        texts, want = list(probes["texts"]), np.array(probes["probabilities"], dtype=np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{path}: not the probes of a bundle ({error!r}); export the bundle again") from None
    if not texts:
        raise BundleError(
            f"{path}: no probes to compare a runtime with; export the bundle again, with written rows (those with a `batch`) "
            "in its validation split: they become its probes"
        )
    if want.shape != (len(texts), len(bundle.labels)):
        raise BundleError(
            f"{path}: {len(texts)} probes, but answers of the shape {want.shape}; export the bundle again"
        )
    return texts, want


def _measure(
    classifier: Classifier, runtime: str, version: str, texts: Sequence[str], want: np.ndarray, seconds: float
) -> Verdict:
    """How far a runtime is from the probabilities it should give, how far from itself, and its speed."""
    got = classifier.score(texts)
    flips = ((got >= classifier.thresholds) != (want >= classifier.thresholds)).any(1).mean()
    classifier.clear_cache()
    alone = np.concatenate([classifier.score([text]) for text in texts[:40]])
    return Verdict(
        runtime, version, float(flips), float(np.abs(got - want).max()), float(np.abs(alone - got[:40]).max()),
        _speed(classifier, texts, seconds),
    )  # fmt: skip


def _speed(classifier: Classifier, texts: Sequence[str], seconds: float) -> float:
    """Lines a second in batches, each line scored anew: the best pass of those that began within `seconds`."""
    best, end = 0.0, time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        classifier.clear_cache()
        classifier.score(texts)
        best = max(best, len(texts) / (time.perf_counter() - began))
    return best


def choose(verdicts: Sequence[Verdict]) -> Verdict | None:
    """The fastest sound runtime."""
    sound = [v for v in verdicts if v.sound]
    return max(sound, key=lambda v: v.lines_per_second or 0, default=None)


def run(folder: Path | None) -> tuple[Bundle, list[Verdict], Verdict | None]:
    """Open the bundle, examine every runtime with it and choose the best."""
    bundle = load_bundle(folder)
    open_tokenizer(bundle)  # what is wrong with the bundle is no runtime's fault
    verdicts = [examine(bundle, runtime) for runtime in RUNTIMES]
    return bundle, verdicts, choose(verdicts)


def save_choice(bundle: Bundle, verdicts: Sequence[Verdict], best: Verdict) -> None:
    """Remember `best` for this bundle and machine (used by runtime "auto"); ConfigError where the file can't be written."""
    record = {
        "bundle": bundle.id,
        "machine": machine(),
        "versions": runtime_versions(),
        "runtime": best.runtime,
        "measured": [asdict(v) for v in verdicts],
    }
    try:
        choice_file().parent.mkdir(parents=True, exist_ok=True)
        write_atomic(choice_file(), [json.dumps(record, indent=1).encode()])
    except (OSError, InputError) as error:
        raise ConfigError(
            f"{choice_file()}: can't be written ({error}); set XDG_CACHE_HOME to a folder that can, or leave out --save"
        ) from None


def saved_choice(bundle: Bundle) -> str:
    """The runtime saved for this bundle, this machine and these versions; onnxruntime where there is none."""
    try:
        record = json.loads(choice_file().read_text(encoding="utf-8"))
        now = {"bundle": bundle.id, "machine": machine(), "versions": runtime_versions()}
        fits = all(record[key] == value for key, value in now.items()) and record["runtime"] in RUNTIMES
        return record["runtime"] if fits else "onnxruntime"
    except (ConfigError, OSError, ValueError, KeyError, TypeError, RecursionError):  # no home, no file, or a broken one
        return "onnxruntime"
