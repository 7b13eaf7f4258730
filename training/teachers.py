"""What a student learns from besides labels: the answers of trained models, asked once and kept.

Pooled states are not kept: a first teacher whose states are learned too (`distil.hidden_weight`) is asked each time.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from zhenyan.inference import normalise as normaliser
from zhenyan.inference.bundle import sha256, text_digest
from zhenyan.inference.errors import ConfigError
from zhenyan.inference.io.jsonlines import write_atomic
from zhenyan.training import distributed
from zhenyan.training.config import TrainConfig
from zhenyan.training.dataset import Lessons, labels_alone, origin
from zhenyan.training.modelling import load_model
from zhenyan.training.outputs import make_folders
from zhenyan.training.precision import uses_bf16
from zhenyan.training.predict import predict
from zhenyan.training.rows import Row
from zhenyan.training.schema import Schema

_Texts = Sequence[str] | np.ndarray
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
    _check_batches(distil.written.labels_alone, rows)
    real = np.array([origin(row) == "real" for row in rows])
    alone = np.array([labels_alone(row, distil.written) for row in rows])
    parts = [(chosen, taught) for chosen, taught in ((real, distil), (~real & ~alone, distil.written)) if chosen.any()]
    said = _ask_each([(taught.teachers, texts[chosen]) for chosen, taught in parts], config, schema)
    for (chosen, taught), probabilities in zip(parts, said, strict=True):
        answers[chosen], share[chosen] = _mean(probabilities), taught.weight
    share[[row.annotated == () for row in rows]] = distil.weight  # nothing else is known of them
    return Lessons(answers, np.zeros((len(rows), 1), np.float32), share)


def _check_batches(patterns: Sequence[str], rows: Sequence[Row]) -> None:
    """ConfigError for a pattern that no row's author batch matches."""
    batches = {row.writer for row in rows if row.annotated != ()} - {""}
    for pattern in patterns:
        if not any(fnmatchcase(batch, pattern) for batch in batches):
            raise ConfigError(
                f"distil.written.labels_alone: no training row is of a batch {pattern!r}; name one of data.written, or leave it out"
            )


def ask(teachers: Sequence[Path], config: TrainConfig, schema: Schema, texts: _Texts) -> tuple[np.ndarray, np.ndarray]:
    """The teachers' mean probabilities (texts, labels), and the first one's pooled states (texts, hidden).

    Without `distil.hidden_weight` nobody needs the states: they come back (texts, 0).
    """
    if not (config.distil and config.distil.hidden_weight):
        return _mean(_ask_each([(teachers, texts)], config, schema)[0]), np.zeros((len(texts), 0), np.float32)
    first, *others = teachers
    logits, states = _opinion(first, config, schema)(texts)
    return _mean([expit(logits), *_ask_each([(others, texts)], config, schema)[0]]), states


def _ask_each(
    parts: Sequence[tuple[Sequence[Path], _Texts]], config: TrainConfig, schema: Schema
) -> list[list[np.ndarray]]:
    """The probabilities (texts, labels) of each part's teachers; one that is named for several parts is loaded once."""
    said: dict[tuple[Path, int], np.ndarray] = {}
    for folder in dict.fromkeys(folder.resolve() for teachers, _ in parts for folder in teachers):
        teacher = _Remembered(folder, config, schema)
        for number, (teachers, texts) in enumerate(parts):
            if folder in [one.resolve() for one in teachers]:
                said[folder, number] = expit(teacher.logits(texts))
    return [[said[folder.resolve(), number] for folder in teachers] for number, (teachers, _) in enumerate(parts)]


def _mean(answers: Sequence[np.ndarray]) -> np.ndarray:
    return np.asarray(np.mean(answers, axis=0, dtype=np.float32))


def _opinion(folder: Path, config: TrainConfig, schema: Schema) -> _Opinion:
    """A teacher, loaded."""
    teacher, tokenizer, meta = load_model(folder, schema.ids, schema.changes)
    teacher.encoder.set_attn_implementation("eager")
    return lambda texts: predict(teacher, tokenizer, texts, meta["max_tokens"], uses_bf16(config.optim))


class _Remembered:
    """A teacher whose answers are kept in the cache; it is loaded for the first text that it was never asked about."""

    def __init__(self, folder: Path, config: TrainConfig, schema: Schema) -> None:
        self.labels, self.cache = len(schema.ids), config.cache
        self.path = config.cache / "answers" / f"{_digest(folder, config, schema)}.npz"
        self.known = _read(self.path)
        self._opinion = cache(partial(_opinion, folder, config, schema))

    def logits(self, texts: _Texts) -> np.ndarray:
        """Logits (texts, labels); what isn't known is asked now and kept."""
        keys = [bytes.fromhex(text_digest(text))[:16] for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self.known}
        if new:
            make_folders(f"cache {self.cache}", self.path.parent)  # before minutes of work
            self._ask_anew(new)
        return np.array([self.known[key] for key in keys], np.float32).reshape(len(keys), self.labels)

    def _ask_anew(self, new: Mapping[bytes, str]) -> None:
        """Add the logits of the new texts to what is known, and keep all of it after every few thousand."""
        asked = list(new)
        for start in range(0, len(asked), _ASKED_AT_ONCE):
            some = asked[start : start + _ASKED_AT_ONCE]
            logits, _ = self._opinion()([new[key] for key in some])
            self.known.update(zip(some, logits, strict=True))
            if distributed.is_first():
                _write(self.path, self.known)


def _digest(folder: Path, config: TrainConfig, schema: Schema) -> str:
    """Key of a teacher's answers: the same files, labels, reading of texts and arithmetic give the same logits."""
    files = {str(path.relative_to(folder)): sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    changes = [change.model_dump() for change in schema.changes]
    asked = json.dumps([files, schema.ids, changes, normaliser.VERSION, uses_bf16(config.optim)])
    return text_digest(asked)[:16]


def _read(path: Path) -> dict[bytes, np.ndarray]:
    """Logits by the digest of their text; none where there is no file, or it is damaged: they can be asked again."""
    try:
        with np.load(path) as kept:
            return {bytes(key): row for key, row in zip(kept["keys"], kept["logits"], strict=True)}
    except (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile):
        return {}


def _write(path: Path, known: dict[bytes, np.ndarray]) -> None:
    buffer = io.BytesIO()
    keys = np.frombuffer(b"".join(known), np.uint8).reshape(len(known), 16)
    np.savez(buffer, keys=keys, logits=np.array(list(known.values()), np.float32))
    write_atomic(path, [buffer.getvalue()])
