"""The network: an encoder, a pooling and one linear head over all labels, where asked for with a model of character pairs beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import ModelOutput
from zhenyan.inference.bundle import MANIFEST, load_bundle
from zhenyan.inference.errors import ConfigError
from zhenyan.training.encoders.load import backbone
from zhenyan.training.pairs import CharacterPairs, restored
from zhenyan.training.restore import read_bundle
from zhenyan.training.saved_model import AGAIN, ENCODER, HEAD, META, PAIRS, read_meta
from zhenyan.training.schema import Change, Schema, former


@dataclass
class ClassifierOutput(ModelOutput):
    """`logits` (rows, labels) and the `pooled` vectors (rows, hidden) they were read from."""

    logits: Tensor | None = None
    pooled: Tensor | None = None


def pool(hidden: Tensor, mask: Tensor, how: str) -> Tensor:
    """(rows, width, hidden) and (rows, width) -> (rows, hidden): the mean of unmasked tokens, or the first token."""
    if how == "cls":
        return hidden[:, 0]
    hidden = hidden.float()  # a sum of many bfloat16 numbers would lose what tells texts apart
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


class MultiLabelClassifier(nn.Module):
    """Logits of shape (rows, labels); each label is its own yes-or-no question (sigmoid)."""

    centre: Tensor
    spread: Tensor
    pairs: CharacterPairs | None
    accepts_loss_kwargs = False  # our loss is a mean over rows: the Trainer must average it over accumulated batches

    def __init__(
        self, encoder: PreTrainedModel, labels: list[str], pooling: str = "mean", dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.labels = list(labels)
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(encoder.config.hidden_size, len(labels))
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.register_module("pairs", None)
        self.register_buffer("centre", torch.zeros(encoder.config.hidden_size))
        self.register_buffer("spread", torch.ones(encoder.config.hidden_size))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> ClassifierOutput:
        """Run encoder, pooling and head; the trainer's targets among the arguments are left alone."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        pooled = (pool(hidden, attention_mask, self.pooling) - self.centre) / self.spread
        logits = self.head(self.dropout(pooled))
        return ClassifierOutput(logits=logits if self.pairs is None else logits + self.pairs(input_ids), pooled=pooled)

    def condition(self, pooled: Tensor, share: Tensor) -> None:
        """Start well: centre and scale pooled vectors as training rows' are, bias the head to the labels' shares.

        Sentence encoders such as E5 keep all texts in a narrow cone. Without this the first steps teach the encoder to
        tell nothing apart, the quickest way to a constant answer, from which it may not recover.
        `pooled` is (rows, hidden), `share` (labels,) the share of positives after weighting.
        """
        self.centre.copy_(pooled.mean(0))
        self.spread.copy_(pooled.std(0).clamp(min=1e-3))
        with torch.no_grad():
            self.head.bias.copy_(torch.logit(share.clamp(1e-3, 0.5)))


def blend(model: MultiLabelClassifier, start: Mapping[str, Tensor], share: float) -> None:
    """Move the weights back towards `start`, a state of the same network; `share` of the way that was trained remains.

    What a model learned before, on other rows, survives better so (Wortsman et al. 2022, WiSE-FT).
    """
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.lerp(start[name].to(value), value, share))


def save_model(model: MultiLabelClassifier, tokenizer: PreTrainedTokenizerFast, folder: Path, **meta: Any) -> None:
    """Write encoder, head, tokenizer and `meta` as safetensors and JSON; nothing is pickled."""
    folder.mkdir(parents=True, exist_ok=True)
    model.encoder.save_pretrained(folder / ENCODER)
    tokenizer.save_pretrained(folder / ENCODER)
    head = {"weight": model.head.weight, "bias": model.head.bias, "centre": model.centre, "spread": model.spread}
    if model.pairs is not None:
        head |= {PAIRS + name: value for name, value in model.pairs.state_dict().items()}
    save_file({name: value.detach().cpu().contiguous() for name, value in head.items()}, folder / HEAD)
    described = {"labels": model.labels, "pooling": model.pooling, **meta}
    (folder / META).write_text(json.dumps(described, ensure_ascii=False, indent=2), encoding="utf-8")


def _read_saved(
    folder: Path,
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast, dict[str, Tensor], dict[str, Any]]:
    meta = read_meta(folder)
    try:
        tokenizer = cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(folder / ENCODER))
        encoder = backbone(folder / ENCODER)
    except (OSError, ValueError, RuntimeError) as error:  # files that are whole, and don't fit each other
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"{folder / ENCODER}: can't be loaded ({reason}); {AGAIN}") from None
    return encoder, tokenizer, load_file(folder / HEAD), meta


def labels_of(folder: Path) -> list[str]:
    """The labels of a trained model or bundle; ConfigError when `folder` holds neither."""
    described = load_bundle(folder).manifest if (folder / MANIFEST).exists() else read_meta(folder)
    return list(described["labels"])


def width_of(folder: Path) -> int:
    """How wide the pooled states of a trained model or bundle are; ConfigError when a bundle doesn't say it."""
    if (folder / MANIFEST).exists():
        manifest = load_bundle(folder).manifest
        if "hidden" not in manifest:
            raise ConfigError(f"{folder / MANIFEST}: says nothing of `hidden`; export the bundle's run again")
        return int(manifest["hidden"])
    return int(AutoConfig.from_pretrained(folder / ENCODER).hidden_size)


def lacking(folder: Path, schema: Schema) -> list[str]:
    """Labels of the schema that a trained model or bundle can't answer for, under their former names neither."""
    known = labels_of(folder)
    return [label for label in schema.ids if former(label, known, schema.changes) is None]


def load_model(
    folder: Path, labels: list[str] | None = None, changes: Sequence[Change] = (), *, pairs: bool = True
) -> tuple[MultiLabelClassifier, PreTrainedTokenizerFast, dict[str, Any]]:
    """A trained model, its tokenizer and its meta, from a run's model folder or from a bundle.

    With `labels`, the head is laid out for them: rows are copied by label *name*, renames among the schema's `changes`
    followed, and new labels start fresh. Without `pairs` those beside the network are left behind: a training or a mean goes on from the network alone.
    """
    encoder, tokenizer, head, meta = read_bundle(folder) if (folder / MANIFEST).exists() else _read_saved(folder)
    wanted = labels or meta["labels"]
    model = MultiLabelClassifier(encoder, wanted, meta["pooling"])
    model.centre.copy_(head["centre"])
    model.spread.copy_(head["spread"])
    names = [former(label, meta["labels"], changes) for label in wanted]
    columns = [None if name is None else meta["labels"].index(name) for name in names]
    with torch.no_grad():
        for row, old in enumerate(columns):
            if old is not None:
                model.head.weight[row] = head["weight"][old]
                model.head.bias[row] = head["bias"][old]
    tables = {name.removeprefix(PAIRS): head[name] for name in head if name.startswith(PAIRS)}
    if pairs and tables:
        model.pairs = restored(tables).for_labels(columns)
    return model, tokenizer, meta
