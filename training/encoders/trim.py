"""Trimming the vocabulary of a multilingual encoder to what Chinese text uses.

Keeps the specials, every piece made of Han characters, punctuation and symbols, and ASCII pieces of up to three
characters. A piece that is dropped is still readable through its parts, so no text becomes unknown that wasn't.
"""

from __future__ import annotations

import json
import re
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel, PreTrainedTokenizerFast

_HAN = "\u2e80-\u2fdf\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_KEEP = re.compile(
    rf"▁?(?:[{_HAN}]+|[!-~]{{1,3}}|[\u00a0-\u00bf\u00d7\u00f7\u2000-\u2bff\u3000-\u303f\ufe30-\ufe4f\uff00-\uffef"
    rf"\U0001f000-\U0001faff]|[{_HAN}0-9%]+|[0-9]+)?"
)


def keeps(piece: str) -> bool:
    """Whether a piece of a SentencePiece vocabulary is of use for Chinese text."""
    return _KEEP.fullmatch(piece) is not None


def trim_vocabulary(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Model (changed in place) and a new tokenizer with only the pieces of `keeps` and the specials.

    Only Unigram tokenizers are trimmed; a Chinese WordPiece vocabulary (21,128 pieces) comes back unchanged.
    """
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    if state["model"]["type"] != "Unigram":
        return model, tokenizer
    special = set(tokenizer.all_special_ids)
    vocab = state["model"]["vocab"]
    kept = [i for i, (piece, _) in enumerate(vocab) if i in special or keeps(piece)]
    new_id = {old: new for new, old in enumerate(kept)}
    state["model"]["vocab"] = [vocab[i] for i in kept]
    state["model"]["unk_id"] = new_id[state["model"]["unk_id"]]
    for token in state["added_tokens"]:
        token["id"] = new_id[token["id"]]
    for token in (state.get("post_processor") or {}).get("special_tokens", {}).values():
        token["ids"] = [new_id[i] for i in token["ids"]]
    _shrink_embedding(model, kept)
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        if (old := getattr(model.config, name, None)) is not None:
            setattr(model.config, name, new_id[old])
    trimmed = type(tokenizer)(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        model_max_length=tokenizer.model_max_length,
        **tokenizer.special_tokens_map,
    )
    return model, trimmed


def _shrink_embedding(model: PreTrainedModel, kept: list[int]) -> None:
    old: Any = model.get_input_embeddings()
    new = torch.nn.Embedding(len(kept), old.embedding_dim, padding_idx=None, dtype=old.weight.dtype)
    new.weight.data = old.weight.data[kept].clone()
    model.set_input_embeddings(new)
    model.config.vocab_size = len(kept)
