"""Tiny checkpoints in the shape of the repositories that configs/encoders/ names: files, architecture, tokenizer.

The weights are random; file names, class names and parameter names are those of the real ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

SIZE = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 130}
FOREIGN = ["▁привет", "ないです", "▁understanding"]  # pieces that Chinese text never uses


def wordpiece_files(folder: Path, characters: list[str], *, fast: bool) -> int:
    """vocab.txt and its settings, with tokenizer.json if `fast`; returns the size of the vocabulary."""
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *(f"##{c}" for c in characters)]
    (folder / "vocab.txt").write_text("\n".join(vocab) + "\n", encoding="utf-8")
    settings = {"do_lower_case": True, "tokenizer_class": "BertTokenizer", "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    if fast:
        raw = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(vocab)}, unk_token="[UNK]"))
        raw.normalizer, raw.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        raw.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
        raw.add_special_tokens(vocab[:5])
        raw.save(str(folder / "tokenizer.json"))
    return len(vocab)


def unigram_files(folder: Path, characters: list[str]) -> int:
    """tokenizer.json as XLM-R has it: specials in front, <mask> last; returns the size of the vocabulary."""
    pieces = ["▁", *characters, *FOREIGN]
    vocab = [(special, 0.0) for special in ("<s>", "<pad>", "</s>", "<unk>")]
    vocab += [(piece, -2.0 - i / 1000) for i, piece in enumerate(pieces)] + [("<mask>", 0.0)]
    raw = Tokenizer(models.Unigram(vocab, unk_id=3))
    raw.normalizer = normalizers.NFKC()
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    ends = [("<s>", 0), ("</s>", 2)]
    raw.post_processor = processors.TemplateProcessing("<s> $A </s>", "<s> $A </s> </s> $B </s>", ends)
    raw.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    raw.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "XLMRobertaTokenizer", "model_max_length": 512, "bos_token": "<s>", "eos_token": "</s>",
        "cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>",
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return len(vocab)


def _save_old(model: transformers.PreTrainedModel, folder: Path, legacy: bool = False) -> None:
    """config.json and pytorch_model.bin, as checkpoints of 2020 have them; `legacy`: TensorFlow's names of norms."""
    state = model.state_dict()
    if legacy:
        for old, new in (("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")):
            state = {name.replace(old, new): value for name, value in state.items()}
    torch.save(state, folder / "pytorch_model.bin")
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)


def bert(folder: Path, characters: list[str], layers: int = 2, legacy: bool = False) -> None:
    """MacBERT, RoBERTa-wwm-ext and RBT: BERT with its language-model head."""
    vocab = wordpiece_files(folder, characters, fast=True)
    config = transformers.BertConfig(vocab_size=vocab, num_hidden_layers=layers, **SIZE)
    _save_old(_stirred(transformers.BertForMaskedLM(config)), folder, legacy)


def ernie(folder: Path, characters: list[str]) -> None:
    """ERNIE 3.0: task embeddings, four token types, no tokenizer.json."""
    vocab = wordpiece_files(folder, characters, fast=False)
    config = transformers.ErnieConfig(
        vocab_size=vocab, num_hidden_layers=2, type_vocab_size=4, task_type_vocab_size=3, use_task_id=True, **SIZE
    )
    _save_old(_stirred(transformers.ErnieForMaskedLM(config)), folder)


def electra(folder: Path, characters: list[str]) -> None:
    """Chinese ELECTRA small: embeddings narrower than the layers."""
    vocab = wordpiece_files(folder, characters, fast=True)
    config = transformers.ElectraConfig(vocab_size=vocab, embedding_size=16, num_hidden_layers=2, **SIZE)
    _save_old(_stirred(transformers.ElectraForPreTraining(config)), folder)


def e5_small(folder: Path, characters: list[str]) -> None:
    """multilingual-e5-small: a BERT with XLM-R's tokenizer."""
    vocab = unigram_files(folder, characters)
    config = transformers.BertConfig(vocab_size=vocab + 3, num_hidden_layers=2, **SIZE)
    _stirred(transformers.BertModel(config)).save_pretrained(folder)


def e5_base(folder: Path, characters: list[str]) -> None:
    """multilingual-e5-base: XLM-RoBERTa."""
    vocab = unigram_files(folder, characters)
    config = transformers.XLMRobertaConfig(
        vocab_size=vocab, num_hidden_layers=2, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2, **SIZE
    )
    _stirred(transformers.XLMRobertaModel(config)).save_pretrained(folder)


def _stirred(model: transformers.PreTrainedModel) -> transformers.PreTrainedModel:
    """Norms that differ from fresh ones, so that a checkpoint that was not read shows."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "LayerNorm" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


# Hub id -> how to make it
CHECKPOINTS: dict[str, Callable[[Path, list[str]], None]] = {
    "hfl/chinese-macbert-base": bert,
    "hfl/chinese-roberta-wwm-ext": lambda folder, characters: bert(folder, characters, legacy=True),
    "hfl/rbt3": lambda folder, characters: bert(folder, characters, layers=3),
    "hfl/rbt6": lambda folder, characters: bert(folder, characters, layers=6),
    "hfl/chinese-electra-180g-small-discriminator": electra,
    "nghuyong/ernie-3.0-base-zh": ernie,
    "intfloat/multilingual-e5-small": e5_small,
    "intfloat/multilingual-e5-base": e5_base,
}


def make_all(folder: Path, text: str) -> Path:
    """All checkpoints below `folder`, in folders named as their Hub ids, over the characters of `text`."""
    characters = sorted({c for c in text.lower() if not c.isspace()})
    for name, make in CHECKPOINTS.items():
        (folder / name).mkdir(parents=True)
        make(folder / name, characters)
    return folder
