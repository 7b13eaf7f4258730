"""The linear model over neighbouring characters (`pairs.py`), fitted on labelled rows and put beside a finished network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, diags
from sklearn.linear_model import LogisticRegression
from zhenyan.inference.normalise import normalise
from zhenyan.training.config import PairsConfig
from zhenyan.training.evaluate import labelled
from zhenyan.training.modelling import MultiLabelClassifier
from zhenyan.training.pairs import CharacterPairs, bucket, ends, insides
from zhenyan.training.rows import Row


def surfaces(tokenizer: Any) -> list[str]:
    """What each token of a vocabulary stands for, nothing for special ones; of byte-level ones their bytes, as characters."""
    special = set(tokenizer.all_special_ids)
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    mark = "##" if type(tokenizer.backend_tokenizer.model).__name__ == "WordPiece" else ""
    return ["" if number in special else (token or "").removeprefix(mark) for number, token in enumerate(tokens)]


def add_pairs(
    model: MultiLabelClassifier, tokenizer: Any, rows: Sequence[Row], config: PairsConfig, max_tokens: int
) -> None:
    """Give `model` a linear model over the characters and pairs of `rows`, which has `config.weight` of the say.

    For each label a logistic regression (C `config.strength`) over how often each stands in a row, divided by the root of how many
    there are in all. A text that stands twice counts once; a label with no positive or no negative row gets no weights.
    """
    told = sorted(rows, key=lambda row: row.annotated is None)  # of several the one in which every label was looked for
    known = {normalise(row.text): row for row in told}
    data = labelled(list(known.values()), model.labels)
    words = surfaces(tokenizer)
    encoded = tokenizer(list(known), truncation=True, max_length=max_tokens)["input_ids"]
    counts = _counts(encoded, words, config.buckets)
    weights = np.zeros((config.buckets, len(model.labels)), dtype=np.float32)
    bias = np.zeros(len(model.labels), dtype=np.float32)
    for column in range(len(model.labels)):
        seen = data.seen[:, column]
        truth = data.truth[seen, column]
        if truth.any() and not truth.all():
            fitted = LogisticRegression(C=config.strength, solver="liblinear").fit(counts[seen], truth)
            weights[:, column], bias[column] = fitted.coef_[0], fitted.intercept_[0]
    say = config.weight / (1 - config.weight)  # the network keeps its own scale: calibration follows
    model.pairs = CharacterPairs.of(words, weights * say, bias * say).to(model.head.weight.device)


def _counts(encoded: Sequence[Sequence[int]], words: Sequence[str], buckets: int) -> csr_matrix:
    """(rows, buckets): how often each character and pair stands in a row, over the root of how many there are, as CharacterPairs counts them."""
    row, ids = _flat(encoded)
    inside = _ones(*_flat(insides(words, buckets)), (len(words), buckets))
    tokens = _ones(row, ids, (len(encoded), len(words)))
    known = ends(words)[ids]
    left, right = known[:-1, 1], known[1:, 0]
    joined = (row[:-1] == row[1:]) & (left > 0) & (right > 0)
    across = _ones(row[1:][joined], bucket(left, right, buckets)[joined], (len(encoded), buckets))
    counts = csr_matrix(tokens @ inside + across)
    return csr_matrix(diags(1 / np.sqrt(np.maximum(counts.sum(1).A1, 1))) @ counts)


def _flat(lists: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """For every number in the lists the list's place, and the number."""
    numbers = [np.asarray(each, dtype=np.int64) for each in lists]
    return np.repeat(np.arange(len(lists)), [len(each) for each in lists]), np.concatenate(numbers)


def _ones(row: np.ndarray, column: np.ndarray, shape: tuple[int, int]) -> csr_matrix:
    """A matrix that counts places."""
    return csr_matrix((np.ones(len(row), dtype=np.float32), (row, column)), shape=shape)
