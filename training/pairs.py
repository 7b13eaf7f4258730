"""Neighbouring characters beside the encoder: a linear model over them errs otherwise than the network, and both together err less.

As in Wide & Deep (Cheng et al. 2016), but fitted by itself. It reads the same token ids, so it is a part of the exported graph: what is inside a
token is summed up for each token beforehand; the pair across two tokens is looked up by a hash (Weinberger et al. 2009, Feature hashing).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

# Characters have codes below 30,011, so that a pair's number stays below 2^24: OpenVINO takes the remainder in single precision.
_STRIDE = 557
_HAN, _HANS = 0x4E00, 0x5200  # the common Chinese characters have a code each; all others share what is left
_OTHERS = 9_017
_LEVELS = 127  # of int8

_Codes = TypeVar("_Codes", int, np.ndarray, Tensor)


def code(character: str) -> int:
    """A character's number, from 1 on; 0 stands for what is no character. Case doesn't count."""
    point = ord(character.lower()[0])
    return 1 + (point - _HAN if 0 <= point - _HAN < _HANS else _HANS + point % _OTHERS)


def bucket(first: _Codes, second: _Codes, buckets: int) -> _Codes:
    """Where the weights of a pair of codes, or of many pairs, stand; of a single character with `first` 0."""
    return (first * _STRIDE + second) % buckets


def insides(surfaces: Sequence[str], buckets: int) -> list[list[int]]:
    """For each token the places of its characters and of the pairs among them."""
    codes = [[code(character) for character in surface] for surface in surfaces]
    return [
        [bucket(0, c, buckets) for c in each] + [bucket(a, b, buckets) for a, b in pairwise(each)] for each in codes
    ]


def ends(surfaces: Sequence[str]) -> np.ndarray:
    """int64 (tokens, 2): the codes of each token's first and last character, 0 without any."""
    return np.array([(code(surface[0]), code(surface[-1])) if surface else (0, 0) for surface in surfaces])


class CharacterPairs(nn.Module):
    """Logits (rows, labels): the weights of all characters and neighbouring pairs, over the root of how many there are.

    Nothing in it is trained by gradients. Its weights are int8, in the exported file, too.
    """

    TABLES = ("tokens", "inside", "across", "step", "bias")
    tokens: Tensor
    inside: Tensor
    across: Tensor
    step: Tensor
    bias: Tensor

    def __init__(self, vocabulary: int, labels: int, buckets: int) -> None:
        super().__init__()
        tables = {
            # codes of each token's first and last character, 0 without any, and how many characters and pairs it holds
            "tokens": torch.zeros(vocabulary, 3, dtype=torch.int32),
            "inside": torch.zeros(vocabulary, labels, dtype=torch.int8),
            "across": torch.zeros(buckets, labels, dtype=torch.int8),
            "step": torch.zeros(2, labels),  # of inside and across
            "bias": torch.zeros(labels),
        }
        for name, value in tables.items():
            self.register_buffer(name, value)

    @classmethod
    def of(cls, surfaces: Sequence[str], weights: np.ndarray, bias: np.ndarray | None = None) -> CharacterPairs:
        """From each token's characters (none for special tokens), the weights, float (buckets, labels), and a bias (labels,)."""
        pairs = cls(len(surfaces), weights.shape[1], len(weights))
        places = insides(surfaces, len(weights))
        known = np.column_stack([ends(surfaces), [len(each) for each in places]])
        pairs.tokens = torch.from_numpy(known.astype(np.int32))
        summed = np.stack([weights[each].sum(0) for each in places])
        tables = summed, weights
        step = np.stack([np.abs(table).max(0).clip(1e-9) / _LEVELS for table in tables])
        pairs.step = torch.from_numpy(step.astype(np.float32))
        pairs.inside, pairs.across = (
            torch.from_numpy(np.round(table / each).astype(np.int8)) for table, each in zip(tables, step, strict=True)
        )
        if bias is not None:
            pairs.bias = torch.from_numpy(bias.astype(np.float32))
        return pairs

    def forward(self, input_ids: Tensor) -> Tensor:
        """Logits (rows, labels) of token ids (rows, width); padding and other special tokens hold nothing."""
        known = functional.embedding(input_ids, self.tokens).long()
        left, right = known[:, :-1, 1], known[:, 1:, 0]
        joined = ((left > 0) & (right > 0)).float()
        weights = functional.embedding(bucket(left, right, len(self.across)), self.across).float()
        across = (weights * joined.unsqueeze(-1)).sum(1)
        inside = functional.embedding(input_ids, self.inside).float().sum(1)
        # Steps taken apart would be constants of their own in the file, without the name by which they are read back.
        summed = (torch.stack([inside, across], dim=1) * self.step).sum(1)
        many = known[:, :, 2].sum(1).float() + joined.sum(1)
        return summed / many.clamp(min=1).sqrt().unsqueeze(-1) + self.bias

    def scaled(self, factor: Tensor) -> None:
        """Multiply each label's logit, in place, by `factor` (labels,)."""
        self.step.mul_(factor)
        self.bias.mul_(factor)

    def for_labels(self, columns: Sequence[int | None]) -> CharacterPairs:
        """The same with its labels laid out anew: for each the old column, or None for a new label, which has no weights."""
        laid = CharacterPairs(len(self.tokens), len(columns), len(self.across))
        laid.tokens.copy_(self.tokens)
        for new, old in enumerate(columns):
            if old is not None:
                for name in ("inside", "across", "step", "bias"):
                    getattr(laid, name)[..., new] = getattr(self, name)[..., old]
        return laid


def restored(tables: dict[str, Tensor]) -> CharacterPairs:
    """From what `state_dict` gave."""
    pairs = CharacterPairs(len(tables["tokens"]), *tables["across"].shape[::-1])
    pairs.load_state_dict(tables)
    return pairs
