"""What is said in real rooms scores lower than what is written: a bias for how real a text sounds, as a part of the head."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import Ridge
from zhenyan.inference.errors import ConfigError
from zhenyan.training.config import VoiceConfig
from zhenyan.training.dataset import origin
from zhenyan.training.modelling import MultiLabelClassifier
from zhenyan.training.predict import predict
from zhenyan.training.rows import Row

_STRENGTH = 100.0  # of the ridge; states of several thousand rows leave little to choose


def drawn(rows: Sequence[Row], config: VoiceConfig, seed: int) -> tuple[list[Row], np.ndarray]:
    """Training rows to tell voices by, and which of them are real; ConfigError unless there are both kinds."""
    some = random.Random(seed).sample(list(rows), min(config.rows, len(rows)))
    real = np.array([origin(row) == "real" for row in some])
    if real.all() or not real.any():
        raise ConfigError(
            f"voice: {'no written' if len(real) and real.all() else 'no real'} training row to tell voices by; "
            "run `zhenyan data fetch` and name data.written, or set voice to null"
        )
    return some, real


def add_voice(
    model: MultiLabelClassifier, tokenizer: Any, rows: Sequence[Row], config: VoiceConfig, max_tokens: int, seed: int
) -> None:
    """Raise every label's logit by `config.shift` for texts like those of real rooms, by nothing for written ones.

    How real a text sounds is estimated from its pooled state by ridge regression (Hoerl and Kennard 1970) over `config.rows` of the training
    rows: 1 for real ones, 0 for written and moved ones. It is linear, so it is added to every row of the head.
    """
    some, real = drawn(rows, config, seed)
    _, states = predict(model, tokenizer, [row.text for row in some], max_tokens)
    heard = Ridge(alpha=_STRENGTH).fit(states, real.astype(np.float32))
    direction = torch.from_numpy(heard.coef_).to(model.head.weight)
    with torch.no_grad():
        model.head.weight.add_(config.shift * direction)
        model.head.bias.add_(config.shift * float(heard.intercept_))
