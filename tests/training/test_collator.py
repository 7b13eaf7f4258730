"""What happens to training rows on their way into a batch: spliced, roughened, disguised, normalised, masked."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from zhenyan.inference.normalise import normalise
from zhenyan.training.config import DataConfig, EvasionConfig, TrainConfig
from zhenyan.training.dataset import SPLICE_CHARS, Collator, Lessons, splice, to_dataset
from zhenyan.training.rows import Row

LINE = "这个茶喝完三高就降下来了治疗糖尿病的效果比医院专家开的药还好"


class Recorder:
    """In the tokenizer's place: keeps the texts of the last batch and gives every one the same single token."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, texts: list[str], **_: Any) -> dict[str, torch.Tensor]:
        self.texts = texts
        ones = torch.ones(len(texts), 1, dtype=torch.long)
        return {"input_ids": ones, "attention_mask": ones, "token_type_ids": ones}


def only(**changes: Any) -> EvasionConfig:
    """No change but those named."""
    none = {name: 0.0 for name, field in EvasionConfig.model_fields.items() if isinstance(field.default, float)}
    return EvasionConfig(**{**none, **changes})


def item(text: str, row: int = 0, target: Sequence[float] = (0.0,), **values: Any) -> dict[str, Any]:
    filled = {"mask": [1.0] * len(target), "weight": 1.0, "written_live": False, **values}
    return {"row": row, "text": text, "target": list(target), **filled}


def read(rows: Sequence[dict[str, Any]], changes: EvasionConfig | None, epoch: int = 0, **fields: Any) -> list[str]:
    """The texts that the tokenizer is given."""
    recorder: Any = Recorder()
    Collator(recorder, 64, 3, changes, epoch=epoch, **fields)(list(rows))
    return recorder.texts


def test_a_spliced_row_has_both_texts_and_labels_where_both_were_annotated_and_the_lighter_weight():
    first = item("前面", target=[1.0, 0.0], mask=[1.0, 0.0], weight=1.0)
    second = item("后面", row=5, target=[0.0, 1.0], mask=[1.0, 1.0], weight=0.5)
    for one, other in ((first, second), (second, first)):
        made = [splice(one, other, random.Random(seed)) for seed in range(50)]
        for row in made:
            assert (row["target"], row["mask"], row["weight"]) == ([1.0, 1.0], [1.0, 0.0], 0.5)
            assert row["row"] == one["row"], "it stays the row it was"
        between = ("", " ", "，", "。")
        orders = {f"{a}{mark}{b}" for mark in between for a, b in (("前面", "后面"), ("后面", "前面"))}
        assert {row["text"] for row in made} == orders


@pytest.mark.parametrize("other", [1, 60])
def test_long_texts_are_not_spliced(other):
    rest = item("乙" * other, target=[1.0])
    fits, over = item("甲" * (SPLICE_CHARS - other)), item("甲" * (SPLICE_CHARS - other + 1))
    assert splice(over, rest, random.Random(0)) == over
    assert splice(fits, rest, random.Random(0))["target"] == [1.0]


def test_rows_with_a_teachers_answer_are_never_spliced():
    rows = datasets.Dataset.from_list([item(LINE)])
    lessons = Lessons(*(np.ones((1, 1), np.float32),) * 2, np.ones(1, np.float32))
    recorder: Any = Recorder()
    config = TrainConfig(evasion=only(splice=1.0))
    taught, untaught = (Collator.for_training(recorder, config, rows, given) for given in (lessons, None))
    assert taught.partners is None and taught.lessons is lessons
    assert untaught.partners is rows and untaught.lessons is None
    taught(list(rows))
    assert recorder.texts == [LINE]
    untaught(list(rows))
    assert len(recorder.texts[0]) >= 2 * len(LINE)


def test_a_batch_tells_which_cells_nobody_looked_at():
    rows = [item("一", target=[1.0, 0.0], mask=[1.0, 0.0]), item("二", target=[1.0, 0.0], mask=[0.0, 1.0], weight=0.5)]
    recorder: Any = Recorder()
    batch = Collator(recorder, 64)(rows)
    assert batch["labels"].tolist() == [[1.0, -1.0], [-1.0, 0.0]]
    assert batch["target"].tolist() == [[1.0, 0.0]] * 2 and batch["weight"].tolist() == [1.0, 0.5]
    assert "token_type_ids" not in batch


def test_a_row_gets_the_lesson_of_its_number():
    lessons = Lessons(*(np.arange(6, dtype=np.float32).reshape(3, 2) + n for n in (0, 10)), np.arange(3.0))
    recorder: Any = Recorder()
    batch = Collator(recorder, 64, lessons=lessons)([item("丙", row=2), item("甲", row=0)])
    assert batch["answers"].tolist() == [[4.0, 5.0], [0.0, 1.0]]
    assert batch["states"].tolist() == [[14.0, 15.0], [10.0, 11.0]] and batch["share"].tolist() == [2.0, 0.0]


@pytest.mark.parametrize("changes", [None, only(probability=1.0, transforms=["full_width"])])
def test_texts_are_normalised_as_in_serving_after_all_else(changes):
    assert read([item("４９元全\u200b网第一")], changes) == ["49元全网第一"]


@pytest.mark.parametrize("changes", [only(splice=0.5), only(probability=0.5, transforms=["pinyin", "homophone"])])
def test_batches_are_changed_as_a_whole_anew_in_each_epoch(changes):
    rows = [item(f"治疗{i}", row=i) for i in range(8)]
    partners = datasets.Dataset.from_list([item(f"今天{i}号链接", row=i) for i in range(8)])
    changed = []
    for epoch in range(30):
        texts = read(rows, changes, epoch, partners=partners)
        assert texts == read(rows, changes, epoch, partners=partners), "an epoch that is resumed is the same"
        which = {text != row["text"] for text, row in zip(texts, rows, strict=True)}
        assert len(which) == 1, "all or none"
        changed += which
    assert 5 < sum(changed) < 25


@pytest.mark.parametrize(
    "changes", [only(splice=1.0), only(speech=1.0), only(probability=1.0, transforms=["homophone"])]
)
def test_each_row_is_changed_in_another_way_in_each_epoch(changes):
    rows = [item(LINE, row=i, written_live=True) for i in range(2)]
    partners = datasets.Dataset.from_list([item(f"今天{i}号链接", row=i) for i in range(8)])
    epochs = [read(rows, changes, epoch, partners=partners) for epoch in range(8)]
    assert all(len({texts[i] for texts in epochs}) > 4 for i in range(2))
    assert any(first != second for first, second in epochs), "and rows differ from each other"


def test_only_written_live_lines_are_roughened():
    metas = [{"batch": "b01"}, {"room": "r-1"}]
    rows = [Row(LINE, channel=channel, meta=meta) for channel in ("live", "copy") for meta in metas]
    data = to_dataset(rows, ["any"], DataConfig())
    assert list(data["written_live"]) == [True, False, False, False]
    epochs = [read(list(data), only(speech=1.0), epoch) for epoch in range(10)]
    assert [any(texts[i] != normalise(LINE) for texts in epochs) for i in range(4)] == [True, False, False, False]
    assert all(texts == [LINE] * 4 for texts in (read(list(data), only(), epoch) for epoch in range(10)))
