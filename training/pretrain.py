"""Continued masked-language training of an encoder on unlabelled lines, so that it knows how hosts speak.

Devlin et al. 2019 for the objective, Gururangan et al. 2020 (Don't Stop Pretraining) for doing it again on the domain.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from pathlib import Path
from typing import Any, cast

import datasets
import torch
from torch.nn import functional as F
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DataCollatorForLanguageModeling,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    set_seed,
)
from zhenyan.inference.errors import ConfigError
from zhenyan.inference.normalise import normalise
from zhenyan.training import distributed
from zhenyan.training.checkpoints import newest_checkpoint
from zhenyan.training.config import PretrainConfig
from zhenyan.training.encoders.load import set_dropout
from zhenyan.training.trainer import EpochOfCollator, EpochSampler

IGNORED = -100  # the collator's label of a token that was not masked


def digest(texts: list[str], config: PretrainConfig, encoder: str) -> str:
    """Key of the cache: the same texts, options and starting encoder give the same trained encoder."""
    options = json.dumps([config.model_dump(exclude={"written"}), encoder, sorted(texts)], ensure_ascii=False)
    return hashlib.sha256(options.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def with_lm_head(encoder: PreTrainedModel) -> BertForMaskedLM:
    """A masked-language model around `encoder`, its output layer tied to the word embeddings."""
    if encoder.config.model_type != "bert":
        raise ConfigError(
            f"pretrain: needs a 'bert' encoder, found {encoder.config.model_type!r}; set pretrain to null"
        )
    model = BertForMaskedLM(cast(BertConfig, encoder.config))
    model.bert = cast(BertModel, encoder)
    model.tie_weights()
    return model


class MaskingCollator(DataCollatorForLanguageModeling):
    """Masks that depend on seed, epoch and texts only, so that a resumed training masks what an unbroken one would have."""

    draw, epoch = 0, 0

    def torch_call(self, examples: list[Any]) -> dict[str, Any]:
        """Pad and mask one batch."""
        rng = random.Random(f"{self.draw}:{self.epoch}:{[list(example['input_ids']) for example in examples]}")
        self.generator = torch.Generator().manual_seed(rng.getrandbits(63))
        return super().torch_call(examples)


class MaskedTrainer(Trainer):
    """Trainer that computes the vocabulary's logits where a token was masked only.

    Over all positions they are as much work as the whole encoder, and six sevenths of them enter no loss.
    """

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> torch.Tensor:
        """Mean cross-entropy over masked tokens."""
        inner: Any = getattr(model, "module", model)
        hidden = inner.bert(inputs["input_ids"], inputs["attention_mask"]).last_hidden_state
        masked = inputs["labels"] != IGNORED
        return F.cross_entropy(inner.cls(hidden[masked]).float(), inputs["labels"][masked])

    def _get_train_sampler(self, train_dataset: datasets.Dataset | None = None) -> EpochSampler:
        rows: Any = self.train_dataset if train_dataset is None else train_dataset
        lengths = [len(ids) for ids in rows["input_ids"]]
        return EpochSampler(self.args.train_batch_size * distributed.processes(), lengths, self.args.seed)


def continue_pretraining(
    encoder: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    texts: list[str],
    config: PretrainConfig,
    folder: Path,
    seed: int,
) -> None:
    """Train on `texts`, in every process, and save encoder and tokenizer to `folder`.

    Cut off and called again with the same arguments, the seed too, it goes on from its last checkpoint, one for each tenth
    of the way.
    """
    encodings = datasets.Dataset.from_dict({"text": texts}).map(
        lambda batch: tokenizer([normalise(t) for t in batch["text"]], truncation=True, max_length=config.max_tokens),
        batched=True,
        remove_columns=["text"],
    )
    set_seed(seed)  # the output layer starts at random
    set_dropout(encoder, 0.0)  # masks are noise enough; see EncoderConfig.inner_dropout
    model = with_lm_head(encoder)
    partial = folder.with_suffix(".partial")
    arguments = TrainingArguments(
        output_dir=str(partial / "trainer"),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=distributed.share(config.batch_size, "pretrain.batch_size"),
        learning_rate=config.learning_rate,
        warmup_steps=0.05,
        weight_decay=0.01,
        bf16=config.bf16,
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        save_strategy="steps",
        save_steps=0.1,
        save_total_limit=2,
        logging_steps=100,
        report_to=[],
        dataloader_pin_memory=False,
    )
    collator = MaskingCollator(tokenizer, mlm_probability=config.mask_probability, pad_to_multiple_of=8)
    collator.draw = seed
    trainer = MaskedTrainer(
        model=model,
        args=arguments,
        train_dataset=encodings,
        data_collator=collator,
        callbacks=[EpochOfCollator(collator)],
    )
    checkpoint = newest_checkpoint(partial / "trainer")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if distributed.is_first():
        _save(encoder, tokenizer, folder, partial)
    distributed.first_says(None)


def _save(encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path, partial: Path) -> None:
    """Through a folder of another name, so that a folder of the right name is always whole."""
    encoder.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    shutil.rmtree(partial / "trainer", ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial.rename(folder)
