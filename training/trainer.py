"""The Hugging Face Trainer, told our loss, our learning rates and our epoch-dependent collator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import datasets
import numpy as np
import torch
from scipy.special import expit
from sklearn.metrics import average_precision_score
from transformers import EarlyStoppingCallback, EvalPrediction, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_pt_utils import LengthGroupedSampler
from zhenyan.inference.errors import ConfigError
from zhenyan.training import distributed
from zhenyan.training.config import OptimConfig, TrainConfig
from zhenyan.training.dataset import Collator, Lessons
from zhenyan.training.losses import label_loss, positive_weights, teacher_loss
from zhenyan.training.modelling import MultiLabelClassifier
from zhenyan.training.precision import uses_bf16

BEST = "selection"  # what early stopping and the choice of checkpoint look at


class Diverged(ConfigError):
    """Raised when a training has made numbers of the network that are none; in a search only that trial has failed."""


class EpochOfCollator(TrainerCallback):
    """Tells the collator which epoch it is, so that disguises or masks are drawn anew in each."""

    def __init__(self, collator: Any) -> None:
        self.collator = collator

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.collator.epoch = int(state.epoch or 0)


class EpochSampler(LengthGroupedSampler):
    """Rows of like length together, in an order drawn from seed and epoch alone.

    The Trainer's own sampler draws from the global generator. After a resume amid an epoch that stands elsewhere, and
    under several processes on CPUs dropout moves it on by different amounts, so that they would train on other orders.
    """

    def __init__(self, batch_size: int, lengths: list[int], seed: int) -> None:
        super().__init__(batch_size, lengths=lengths)
        self.seed = seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer before each epoch."""
        self.generator = torch.Generator().manual_seed(self.seed + epoch)


class ClassifierTrainer(Trainer):
    """Trainer with masked, weighted multi-label loss, optional teachers, and layer-wise learning rates."""

    def __init__(self, *, config: TrainConfig, collator: Collator, eval_collator: Collator, **kwargs: Any) -> None:
        super().__init__(data_collator=collator, **kwargs)
        self.config = config
        self.eval_collator = eval_collator
        self.add_callback(EpochOfCollator(collator))
        for noisy in (PrinterCallback, ProgressCallback):  # our own bar says more
            self.remove_callback(noisy)
        columns = kwargs["train_dataset"].with_format("torch")
        self.pos_weight = positive_weights(columns["target"][:], columns["mask"][:], config.loss)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Labels' loss, mixed with the teachers' where there are any."""
        output = model(**inputs)
        logits = output.logits.float()
        pos_weight = self.pos_weight.to(logits.device)
        taught = inputs.get("share", torch.zeros_like(inputs["weight"]))
        rows = (inputs["target"], inputs["mask"], inputs["weight"])
        loss = label_loss(logits, *rows, pos_weight, self.config.loss, 1 - taught)
        if "answers" in inputs and (distil := self.config.distil):
            pooled = output.pooled.float()
            loss = loss + teacher_loss(
                logits, pooled, inputs["answers"], inputs["states"], distil.hidden_weight, taught
            )
        return (loss, output) if return_outputs else loss

    def _get_train_sampler(self, train_dataset: datasets.Dataset | None = None) -> EpochSampler:
        rows: Any = self.train_dataset if train_dataset is None else train_dataset
        optim = self.config.optim
        return EpochSampler(optim.batch_size * optim.accumulate, list(rows["length"]), self.config.seed)

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        """Nothing after the last step: resumed from the checkpoint there, the Trainer forgets that it had stopped."""
        states: Any = self.state.stateful_callbacks
        if not states["TrainerControl"]["args"]["should_training_stop"]:
            super()._run_epoch(*args, **kwargs)
            return
        self.control.should_training_stop = True
        best = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.best_global_step}"
        if best.is_dir():  # the state tells where the run lay when it was cut off
            self.state.best_model_checkpoint = str(best)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Evaluation sees texts undisguised."""
        collator, self.data_collator = self.data_collator, self.eval_collator
        try:
            return super().get_eval_dataloader(eval_dataset)
        finally:
            self.data_collator = collator

    def create_optimizer(self, *_: Any, **__: Any) -> torch.optim.Optimizer:
        """AdamW: the head faster, each encoder layer slower the deeper it lies, no decay on biases and norms."""
        if self.optimizer is None:
            groups = parameter_groups(cast(MultiLabelClassifier, self.model), self.config.optim)
            self.optimizer = torch.optim.AdamW(groups, lr=self.config.optim.learning_rate, fused=True)
        return self.optimizer


def parameter_groups(model: MultiLabelClassifier, config: OptimConfig) -> list[dict[str, Any]]:
    """Optimiser groups by learning rate and weight decay."""
    layers: int = model.encoder.config.num_hidden_layers
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if name.startswith("head."):
            rate = config.head_learning_rate
        else:
            depth = int(name.split(".layer.")[1].split(".")[0]) + 1 if ".layer." in name else 0
            rate = config.learning_rate * config.layer_decay ** (layers - depth)
        decay = 0.0 if parameter.ndim < 2 else config.weight_decay
        groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": members, "lr": rate, "weight_decay": decay} for (rate, decay), members in groups.items()]


def selection_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Threshold-free quality on validation rows: average precision of 'any violation' and of each label, averaged.

    Truth is -1 where nobody looked for the label. Diverged when a score is no number.
    """
    logits = prediction.predictions[0] if isinstance(prediction.predictions, tuple) else prediction.predictions
    if np.isnan(logits).any():
        raise Diverged(
            "the training diverged: the model's scores are no numbers any more; start another run with lower "
            "optim.learning_rate and optim.head_learning_rate"
        )
    seen, truth = np.asarray(prediction.label_ids) >= 0, np.asarray(prediction.label_ids) > 0.5
    scores = np.where(seen, expit(logits), 0.0)
    each = [
        average_precision_score(truth[seen[:, i], i], scores[seen[:, i], i])
        for i in range(truth.shape[1])
        if truth[:, i].sum() >= 5
    ]
    any_ap = average_precision_score(truth.any(1), scores.max(1)) if truth.any() else 0.0
    macro = float(np.mean(each)) if each else 0.0
    return {BEST: float((any_ap + macro) / 2), "any_average_precision": float(any_ap), "macro_average_precision": macro}


def check_machine(config: TrainConfig) -> None:
    """ConfigError when this machine, or so many processes, can't train by `config`: said before the hours that come first."""
    if config.optim.precision == "fp16" and not torch.cuda.is_available():
        raise ConfigError("optim.precision: fp16 needs a GPU; on this machine use bf16, fp32 or auto")
    distributed.share(config.optim.batch_size, "optim.batch_size")


def training_arguments(config: TrainConfig, folder: Path, rows: int) -> TrainingArguments:
    """Our configuration in the Trainer's words; ConfigError when this machine or so many processes can't do it."""
    check_machine(config)
    optim = config.optim
    steps_per_epoch = max(1, -(-rows // (optim.batch_size * optim.accumulate)))
    every = max(1, steps_per_epoch // optim.evaluations_per_epoch)
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=optim.epochs,
        per_device_train_batch_size=distributed.share(optim.batch_size, "optim.batch_size"),
        per_device_eval_batch_size=64,
        gradient_accumulation_steps=optim.accumulate,
        learning_rate=optim.learning_rate,
        warmup_steps=optim.warmup,
        bf16=uses_bf16(optim),
        fp16=optim.precision == "fp16",
        use_cpu=not torch.cuda.is_available(),
        seed=config.seed,
        data_seed=config.seed,
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=True,
        restore_callback_states_from_checkpoint=True,  # how long the score hasn't risen, for early stopping
        metric_for_best_model=BEST,
        greater_is_better=True,
        logging_steps=min(50, every),
        report_to=[],
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=False,
        ddp_backend=distributed.backend(),
        ddp_find_unused_parameters=False,
    )


@dataclass(frozen=True)
class TrainerData:
    """Rows to train on, what teachers say of them to a student, and rows to evaluate on; as `to_dataset` makes them."""

    train: datasets.Dataset
    validation: datasets.Dataset
    lessons: Lessons | None = None


def build_trainer(
    model: MultiLabelClassifier,
    tokenizer: Any,
    data: TrainerData,
    config: TrainConfig,
    folder: Path,
    callbacks: list[TrainerCallback],
) -> ClassifierTrainer:
    """A trainer ready to run."""
    if config.optim.early_stopping:
        callbacks = [*callbacks, EarlyStoppingCallback(config.optim.early_stopping)]
    return ClassifierTrainer(
        config=config,
        collator=Collator.for_training(tokenizer, config, data.train, data.lessons),
        eval_collator=Collator(tokenizer, config.encoder.max_tokens),
        model=model,
        args=training_arguments(config, folder, len(data.train)),
        train_dataset=data.train,
        eval_dataset=data.validation,
        compute_metrics=selection_metrics,
        callbacks=callbacks,
    )
