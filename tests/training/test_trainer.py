"""The Trainer around our network: what enters its loss, what evaluation reads, how fast each layer learns."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import datasets
import pytest
import torch
from torch.nn import functional as F
from transformers import BertConfig, BertModel, EarlyStoppingCallback
from zhenyan.training.config import DistilConfig, EvasionConfig, LossConfig, OptimConfig, TrainConfig
from zhenyan.training.losses import label_loss, positive_weights
from zhenyan.training.modelling import MultiLabelClassifier
from zhenyan.training.trainer import ClassifierTrainer, TrainerData, build_trainer, parameter_groups

LINE = "这个茶治疗糖尿病"


class Recorder:
    """In the tokenizer's place: keeps the texts it was given."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, texts: list[str], **_: Any) -> dict[str, torch.Tensor]:
        self.texts = texts
        return {name: torch.ones(len(texts), 1, dtype=torch.long) for name in ("input_ids", "attention_mask")}


@pytest.fixture
def network() -> MultiLabelClassifier:
    shape = BertConfig(vocab_size=8, hidden_size=4, num_hidden_layers=2, num_attention_heads=1, intermediate_size=4,
                       max_position_embeddings=8)  # fmt: skip
    return MultiLabelClassifier(BertModel(shape, add_pooling_layer=False), ["any"])


@pytest.fixture
def build(network, tmp_path):
    """A trainer that disguises every text, with other values of `optim`; and what its tokenizer reads."""

    def make(**optim: Any) -> tuple[ClassifierTrainer, Recorder]:
        rows = datasets.Dataset.from_list([
            {"row": row, "text": LINE, "target": [float(row % 2)], "mask": [1.0], "weight": 1.0, "written_live": False,
             "length": len(LINE)} for row in range(4)
        ])  # fmt: skip
        config = TrainConfig(
            evasion=EvasionConfig(probability=1.0, transforms=["homophone"]),
            optim=OptimConfig(precision="fp32", **optim),
        )
        recorder = Recorder()
        return build_trainer(network, recorder, TrainerData(rows, rows), config, tmp_path / "trainer", []), recorder

    return make


def test_evaluation_reads_texts_undisguised_and_training_disguised(build):
    trainer, recorder = build()
    disguising = trainer.data_collator
    next(iter(trainer.get_eval_dataloader()))
    assert recorder.texts == [LINE] * 4
    assert trainer.data_collator is disguising
    next(iter(trainer.get_train_dataloader()))
    assert len(recorder.texts) == 4 and LINE not in recorder.texts


def test_each_epoch_disguises_anew(build):
    trainer, recorder = build()
    rows, read = list(trainer.train_dataset), []
    for epoch in (0.0, 1.0, 2.0, 2.0):
        trainer.state.epoch = epoch
        trainer.callback_handler.on_epoch_begin(trainer.args, trainer.state, trainer.control)
        trainer.data_collator(rows)
        read.append(recorder.texts)
    assert read[0] != read[1] != read[2] == read[3]


@pytest.mark.parametrize(("patience", "expected"), [(0, []), (3, [3])])
def test_early_stopping_is_added_where_it_is_asked_for(build, patience, expected):
    trainer, _ = build(early_stopping=patience)
    stops = [each for each in trainer.callback_handler.callbacks if isinstance(each, EarlyStoppingCallback)]
    assert [stop.early_stopping_patience for stop in stops] == expected


def test_deep_layers_learn_slower_and_biases_and_norms_do_not_decay(network):
    optim = OptimConfig(learning_rate=1.0, head_learning_rate=10.0, layer_decay=0.5, weight_decay=0.25)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    groups = parameter_groups(network, optim)
    found = {names[id(each)]: (group["lr"], group["weight_decay"]) for group in groups for each in group["params"]}
    assert len(found) == len(names) == sum(len(group["params"]) for group in groups)
    assert found["head.weight"] == (10.0, 0.25) and found["head.bias"] == (10.0, 0.0)
    assert found["encoder.embeddings.word_embeddings.weight"] == (0.25, 0.25)
    assert found["encoder.embeddings.LayerNorm.weight"] == (0.25, 0.0)
    for layer, rate in ((0, 0.5), (1, 1.0)):
        prefix = f"encoder.encoder.layer.{layer}"
        assert found[f"{prefix}.intermediate.dense.weight"] == (rate, 0.25)
        assert found[f"{prefix}.intermediate.dense.bias"] == found[f"{prefix}.output.LayerNorm.weight"] == (rate, 0.0)


def loss_of(distil: DistilConfig | None, **changes: torch.Tensor) -> float:
    """compute_loss of two rows on a network that always answers the same; row 0 belongs to the teachers, row 1 to its labels."""
    trainer = ClassifierTrainer.__new__(ClassifierTrainer)
    trainer.config = TrainConfig(pretrain=None, distil=distil)
    trainer.pos_weight = torch.ones(2)
    inputs = {
        "target": torch.zeros(2, 2), "mask": torch.ones(2, 2), "weight": torch.ones(2),
        "answers": torch.full((2, 2), 0.5), "states": torch.eye(2), "share": torch.tensor([1.0, 0.0]),
    } | changes  # fmt: skip
    inputs = inputs if distil else {name: inputs[name] for name in ("target", "mask", "weight")}
    answer = SimpleNamespace(logits=torch.tensor([[1.0, -2.0], [0.5, 3.0]]), pooled=torch.eye(2))
    network: Any = lambda **_: answer  # noqa: E731
    return trainer.compute_loss(network, inputs).item()


@pytest.mark.parametrize(("name", "row"), [("target", 1), ("answers", 0), ("states", 0)])
def test_a_row_learns_from_labels_and_teachers_by_its_share(name, row):
    distil = DistilConfig(teachers=["teacher"])
    value = {"target": torch.zeros(2, 2), "answers": torch.full((2, 2), 0.5), "states": torch.eye(2)}[name]
    before = loss_of(distil)
    for changed in (0, 1):
        other = value.clone()
        other[changed] = 1 - other[changed] * 0.5
        assert (loss_of(distil, **{name: other}) != before) == (changed == row)


def test_without_teachers_every_row_learns_from_its_labels():
    before = loss_of(None)
    for row in (0, 1):
        other = torch.zeros(2, 2)
        other[row] = 1.0
        assert loss_of(None, target=other) != before


def test_only_easy_negatives_fade():
    logits = torch.tensor([[-3.0, 3.0]], requires_grad=True)
    ones = torch.ones(1, 2)

    def loss(target: torch.Tensor, gamma: float) -> torch.Tensor:
        return label_loss(logits, target, ones, torch.ones(1), torch.ones(2), LossConfig(gamma_negative=gamma))

    assert loss(ones, 2.0) == loss(ones, 0.0), "positives, easy or hard, stay"
    faded = loss(torch.zeros(1, 2), 2.0)
    share = torch.sigmoid(logits.detach()) ** 2
    assert torch.isclose(faded, (F.softplus(logits) * share).mean())
    assert share[0, 0] < 0.01 and share[0, 1] > 0.9
    faded.backward()
    assert torch.allclose(logits.grad, torch.sigmoid(logits.detach()) * share / 2), "the fading itself isn't learnt"


def test_positive_weights_count_seen_cells_only():
    config = LossConfig(pos_weight_cap=10, pos_weight_power=1)
    target = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    mask = torch.tensor([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    assert positive_weights(target, mask, config).tolist() == [3.0, 2.0]
    assert positive_weights(target, torch.ones(5, 2), config).tolist() == [1.5, 4.0]
    assert positive_weights(target, torch.zeros(5, 2), config).tolist() == [1.0, 1.0]
