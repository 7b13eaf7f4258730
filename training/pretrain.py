"""Continued masked-language training of an encoder on unlabelled lines, so that it knows how hosts speak.

Devlin et al. 2019 for the objective, Gururangan et al. 2020 (Don't Stop Pretraining) for doing it again on the domain.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import random
import shutil
import time
from collections.abc import Iterator
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
from zhenyan.inference import locks
from zhenyan.inference import normalise as normaliser
from zhenyan.inference.bundle import sha256, text_digest
from zhenyan.inference.errors import ConfigError
from zhenyan.inference.normalise import normalise
from zhenyan.training import distributed
from zhenyan.training.checkpoints import newest_checkpoint
from zhenyan.training.config import EncoderConfig, PretrainConfig
from zhenyan.training.encoders.load import OFFLINE_DEFAULT, revision, set_dropout
from zhenyan.training.outputs import make_folders
from zhenyan.training.precision import bf16_is_faster
from zhenyan.training.trainer import Diverged, EpochOfCollator, EpochSampler

IGNORED = -100  # the collator's label of a token that was not masked
WAIT = 5.0  # seconds between two looks at whether another training is done

log = logging.getLogger("zhenyan.pretrain")


def digest(texts: list[str], config: PretrainConfig, encoder: EncoderConfig) -> str:
    """Key of the cache: the same texts as they are read, options and starting encoder give the same trained encoder.

    The seed is left out, so that teachers of several seeds share it.
    """
    start = [_content(encoder.source), encoder.trim_vocabulary, normaliser.VERSION]
    options = json.dumps([config.model_dump(exclude={"written"}), start, sorted(texts)], ensure_ascii=False)
    return text_digest(options)[:16]


def _content(source: str) -> str | dict[str, str]:
    """What tells an encoder from others: its name, on the Hub its revision too, or the digests of a folder's files.

    What lies on the Hub or in a folder may change under its name.
    """
    if source == OFFLINE_DEFAULT:
        return source
    if not Path(source).is_dir():
        return f"{source}@{revision(source)}"
    return {path.name: sha256(path) for path in sorted(Path(source).iterdir()) if path.is_file()}


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
    of the way. While another training makes the same folder it waits, and takes what that one has made. Diverged, and nothing
    is saved, when weights are no numbers any more.
    """
    partial = folder.with_suffix(".partial")
    with _alone(folder):
        if distributed.first_says(is_whole(folder)):
            return
        trainer = _trainer(encoder, tokenizer, texts, config, partial / "trainer", seed)
        checkpoint = newest_checkpoint(partial / "trainer")
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        _check_finite(encoder, config, partial)
        if distributed.is_first():
            _save(encoder, tokenizer, folder, partial)
        distributed.first_says(None)


def _trainer(
    encoder: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    texts: list[str],
    config: PretrainConfig,
    output: Path,
    seed: int,
) -> MaskedTrainer:
    encodings = datasets.Dataset.from_dict({"text": texts}).map(
        lambda batch: tokenizer([normalise(t) for t in batch["text"]], truncation=True, max_length=config.max_tokens),
        batched=True,
        remove_columns=["text"],
    )
    set_seed(seed)  # the output layer starts at random
    set_dropout(encoder, 0.0)  # masks are noise enough; see EncoderConfig.inner_dropout
    model = with_lm_head(encoder)
    collator = MaskingCollator(tokenizer, mlm_probability=config.mask_probability, pad_to_multiple_of=8)
    collator.draw = seed
    return MaskedTrainer(
        model=model,
        args=_arguments(config, output, seed),
        train_dataset=encodings,
        data_collator=collator,
        callbacks=[EpochOfCollator(collator)],
    )


def _arguments(config: PretrainConfig, output: Path, seed: int) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(output),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=distributed.share(config.batch_size, "pretrain.batch_size"),
        learning_rate=config.learning_rate,
        warmup_steps=0.05,
        weight_decay=0.01,
        bf16=config.bf16 and bf16_is_faster(),
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        save_strategy="steps",
        save_steps=0.1,
        save_total_limit=2,
        logging_steps=100,
        report_to=[],
        dataloader_pin_memory=False,
    )


def _check_finite(encoder: PreTrainedModel, config: PretrainConfig, partial: Path) -> None:
    """Diverged when a weight is no number: saved, it would spoil every training that finds this encoder in the cache."""
    if all(bool(torch.isfinite(weight).all()) for weight in encoder.parameters()):
        return
    if distributed.is_first():
        shutil.rmtree(partial, ignore_errors=True)  # its checkpoints have diverged, too
    raise Diverged(
        f"pretrain.learning_rate: with {config.learning_rate:g} masked-language training diverged: the encoder's weights are "
        "no numbers any more; nothing was kept; set it lower"
    )


def _save(encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path, partial: Path) -> None:
    """Through a folder of another name, so that a folder of the right name is always whole."""
    encoder.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    shutil.rmtree(partial / "trainer", ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if is_whole(folder):  # where there are no locks another training may have been first; its encoder is as good
        shutil.rmtree(partial)
    else:
        partial.rename(folder)


def is_whole(folder: Path) -> bool:
    """Whether an encoder was saved there: only whole ones get the folder's name."""
    return (folder / "config.json").exists()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Until the block ends no other training makes `folder`: a lock beside it, which stays.

    Only the first process locks, and tells the others again and again: in a single call they may wait for minutes only.
    """
    for attempt in itertools.count():
        lock = _lock(folder.with_suffix(".lock")) if distributed.is_first() else None
        if distributed.first_says(lock is not None):
            break
        if attempt == 0 and distributed.is_first():
            log.warning("%s: another training makes this encoder; waiting for it", folder)
        time.sleep(WAIT)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _lock(beside: Path) -> int | None:
    """A descriptor that holds the lock until it is closed or the process ends; None while another process holds it."""
    make_folders(f"cache {beside.parent}", beside.parent)
    lock = os.open(beside, os.O_RDWR | os.O_CREAT, 0o666)
    if locks.take(lock) is not False:  # where there are no locks the last to finish gives way to the first
        return lock
    os.close(lock)
    return None
