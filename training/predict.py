"""Scoring rows with a PyTorch model: for evaluation while training, thresholds, teachers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast
from zhenyan.inference.batching import plan_batches
from zhenyan.inference.normalise import normalise
from zhenyan.inference.windows import readings_of
from zhenyan.training.modelling import MultiLabelClassifier

TOKEN_BUDGET = 4096


@torch.inference_mode()
def predict(
    model: MultiLabelClassifier,
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    max_tokens: int,
    bf16: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Logits (texts, labels) and pooled vectors (texts, hidden), float32, in order.

    `bf16`: compute in bfloat16, exact to a hundredth or so; `precision.uses_bf16` says where that is faster.
    """
    model.eval()
    device = next(model.parameters()).device
    plain = [normalise(text) for text in texts]
    encoded = tokenizer(plain, truncation=True, max_length=max_tokens)["input_ids"] if plain else []
    logits = np.zeros((len(texts), len(model.labels)), dtype=np.float32)
    pooled = np.zeros((len(texts), model.encoder.config.hidden_size), dtype=np.float32)
    for rows in plan_batches([len(ids) for ids in encoded], TOKEN_BUDGET):
        batch = tokenizer.pad({"input_ids": [encoded[i] for i in rows]}, return_tensors="pt").to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            output = model(batch["input_ids"], batch["attention_mask"])
        logits[rows] = output.logits.float().cpu().numpy()
        pooled[rows] = output.pooled.float().cpu().numpy()
    return logits, pooled


def predict_as_read(
    model: MultiLabelClassifier, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_tokens: int
) -> np.ndarray:
    """Logits (texts, labels), float32, as `Classifier` reads texts: the highest of the whole and, of a long one, its runs of clauses.

    For what is decided with. A run's margin is taken from calibrated logits: `predict` gives those to calibrate, and a teacher's.
    """
    read = readings_of([normalise(text) for text in texts])
    return read.highest(predict(model, tokenizer, read.texts, max_tokens)[0])
