"""What a student learns from besides labels: the answers of trained models, asked once and kept.

Pooled states are not kept: a first teacher whose states are learned too (`distil.hidden_weight`) is asked each time.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from zhenyan.inference import normalise as normaliser
from zhenyan.inference.bundle import sha256
from zhenyan.inference.io.jsonlines import write_atomic
from zhenyan.training import distributed
from zhenyan.training.config import TrainConfig
from zhenyan.training.dataset import Lessons, origin
from zhenyan.training.modelling import load_model
from zhenyan.training.outputs import make_folders
from zhenyan.training.precision import uses_bf16
from zhenyan.training.predict import predict, sigmoid
from zhenyan.training.rows import Row
from zhenyan.training.schema import Schema

_Opinion = Callable[[Any], tuple[np.ndarray, np.ndarray]]  # texts in, logits and pooled states out

_ASKED_AT_ONCE = 8192  # answers are kept after so many texts, so that a cut costs minutes


def learn_from(config: TrainConfig, schema: Schema, rows: Sequence[Row]) -> Lessons:
    """Ask every teacher about every text; about written and moved rows others where `distil.written` names them."""
    distil = config.distil
    assert distil is not None
    texts = np.array([row.text for row in rows], dtype=object)
    if distil.written is None:
        return Lessons(*ask(distil.teachers, config, schema, texts), np.full(len(rows), distil.weight, np.float32))
    answers, share = np.zeros((len(rows), len(schema.ids)), np.float32), np.zeros(len(rows), np.float32)
    real = np.array([origin(row) == "real" for row in rows])
    for chosen, taught in ((real, distil), (~real, distil.written)):
        if not chosen.any():
            continue
        answers[chosen], _ = ask(taught.teachers, config, schema, texts[chosen])
        share[chosen] = taught.weight
    return Lessons(answers, np.zeros((len(rows), 1), np.float32), share)


def ask(
    teachers: Sequence[Path], config: TrainConfig, schema: Schema, texts: Sequence[str] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The teachers' mean probabilities (texts, labels), and the first one's pooled states (texts, hidden).

    Without `distil.hidden_weight` nobody needs the states: they come back (texts, 0).
    """
    answers: list[np.ndarray] = []
    states = np.zeros((len(texts), 0), np.float32)
    for folder in teachers:
        if not answers and config.distil and config.distil.hidden_weight:
            logits, states = _opinion(folder, config, schema)(texts)
        else:
            logits = _remembered(folder, config, schema, texts)
        answers.append(sigmoid(logits))
    return np.asarray(np.mean(answers, axis=0, dtype=np.float32)), states


def _opinion(folder: Path, config: TrainConfig, schema: Schema) -> _Opinion:
    """A teacher, loaded."""
    teacher, tokenizer, meta = load_model(folder, schema.ids, schema.changes)
    teacher.encoder.set_attn_implementation("eager")
    return lambda texts: predict(teacher, tokenizer, texts, meta["max_tokens"], uses_bf16(config.optim))


def _remembered(folder: Path, config: TrainConfig, schema: Schema, texts: Sequence[str] | np.ndarray) -> np.ndarray:
    """Logits (texts, labels) from the cache; texts that this teacher was never asked about are asked now and kept."""
    path = config.cache / "answers" / f"{_digest(folder, config, schema)}.npz"
    keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16] for text in texts]
    known = _read(path)
    new = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    if new:
        make_folders(f"cache {config.cache}", path.parent)  # before minutes of work
        _ask_anew(_opinion(folder, config, schema), new, known, path)
    return np.array([known[key] for key in keys], np.float32).reshape(len(keys), len(schema.ids))


def _ask_anew(opinion: _Opinion, new: Mapping[bytes, str], known: dict[bytes, np.ndarray], path: Path) -> None:
    """Add the logits of the new texts to what is known, and keep all of it after every few thousand."""
    asked = list(new)
    for start in range(0, len(asked), _ASKED_AT_ONCE):
        some = asked[start : start + _ASKED_AT_ONCE]
        logits, _ = opinion([new[key] for key in some])
        known.update(zip(some, logits, strict=True))
        if distributed.is_first():
            _write(path, known)


def _digest(folder: Path, config: TrainConfig, schema: Schema) -> str:
    """Key of a teacher's answers: the same files, labels, reading of texts and arithmetic give the same logits."""
    files = {str(path.relative_to(folder)): sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    changes = [change.model_dump() for change in schema.changes]
    asked = json.dumps([files, schema.ids, changes, normaliser.VERSION, uses_bf16(config.optim)])
    return hashlib.sha256(asked.encode()).hexdigest()[:16]


def _read(path: Path) -> dict[bytes, np.ndarray]:
    """Logits by the digest of their text; none where there is no file, or it is damaged: they can be asked again."""
    try:
        with np.load(path) as kept:
            return {bytes(key): row for key, row in zip(kept["keys"], kept["logits"], strict=True)}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return {}


def _write(path: Path, known: dict[bytes, np.ndarray]) -> None:
    buffer = io.BytesIO()
    keys = np.frombuffer(b"".join(known), np.uint8).reshape(len(known), 16)
    np.savez(buffer, keys=keys, logits=np.array(list(known.values()), np.float32))
    write_atomic(path, [buffer.getvalue()])
