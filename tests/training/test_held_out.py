"""The rooms that one author wrote are held out together: in cross-validation, in the audit, beside what is measured."""

from __future__ import annotations

import numpy as np
import pytest
from rich.console import Console
from zhenyan.training import cross_validation
from zhenyan.training.audit import Suspect, nearest_disagreeing
from zhenyan.training.confidence import Cells, group_folds, out_of_fold
from zhenyan.training.corpus_check import check_corpus
from zhenyan.training.leaks import apart_from
from zhenyan.training.rows import Row
from zhenyan.training.schema import load_schema
from zhenyan.training.splits import Splits

SCHEMA = load_schema()


def room(author: str, number: int, count: int = 12) -> list[Row]:
    """Lines of one room that an author wrote."""
    meta = {"batch": author, "room": f"{author}-r{number}"}
    return [Row(f"{author}的第{number}间第{i}句两盒装", ("food_safety",) * (i % 2), meta=meta) for i in range(count)]


ROWS = [*room("s01", 1), *room("s01", 2), *room("s02", 1), *room("s02", 2)]


@pytest.mark.parametrize(
    ("meta", "group", "author"),
    [
        ({"room": "s01-r1", "batch": "s01"}, "s01-r1", "s01"),
        ({"room": "r-1", "rewriter": "c01", "source": "streams"}, "r-1", "c01"),
        ({"rewriter": "c01", "source": "streams"}, "c01", "c01"),
        ({"room": "r-1", "source": "streams"}, "r-1", "r-1"),
        ({"source": "streams"}, "streams", "streams"),
        ({"batch": 7}, "7", "7"),
        ({}, "", ""),
    ],
)
def test_who_wrote_a_room_is_held_out_with_it(meta, group, author):
    row = Row("两盒装", meta=meta)
    assert (row.group, row.author) == (group, author)


def test_a_split_names_one_room_of_an_author():
    assert [Splits(validation=["s01-r2"], test=[]).of(row) for row in ROWS[::12]] == ["train", "validation"] + [
        "train"
    ] * 2


def test_a_split_names_an_author_whose_rows_name_rooms():
    """They were trained on: rows with a room were held out by that alone."""
    splits = Splits(validation=["s01", "c01"], test=["s01-r2", "r-1"])
    assert [splits.of(row) for row in ROWS[::12]] == ["validation", "test", "train", "train"]
    rewritten = [Row("两盒装", meta={"rewriter": "c01", "room": room}) for room in ("r-1", "r-2")]
    assert [splits.of(row) for row in rewritten] == ["test", "validation"]
    found = check_corpus(ROWS, SCHEMA, splits)
    assert found.absent_groups == ["c01", "r-1"] and not found.empty_splits


def test_the_audit_judges_no_row_by_another_room_of_its_author(monkeypatch):
    cells = Cells.of(ROWS, SCHEMA.ids)
    learned = []
    monkeypatch.setattr(
        "zhenyan.training.confidence.TfidfBaseline.fit", lambda self, texts, *_: learned.append(texts) or self
    )
    monkeypatch.setattr(
        "zhenyan.training.confidence.TfidfBaseline.score",
        lambda self, texts: np.full((len(texts), len(SCHEMA.ids)), 0.5),
    )
    out_of_fold(cells, folds=4)
    assert len(learned) == 2 and all(len({text[:3] for text in texts}) == 1 for texts in learned)


def test_close_rows_are_shown_of_other_authors():
    cells = Cells.of(ROWS, SCHEMA.ids)
    one = Suspect(0, SCHEMA.ids.index("food_safety"), 0.9, "label", "")
    (nearest,) = nearest_disagreeing(cells, [one])
    assert nearest and all(ROWS[row].author == "s02" for row, _ in nearest)


def test_a_model_that_judges_a_row_saw_no_room_of_its_author(small_config, monkeypatch):
    held = []

    class Found:
        train = ROWS

    monkeypatch.setattr(cross_validation, "load_corpus", lambda *_: Found)
    monkeypatch.setattr(cross_validation, "train_without", lambda rows, *_: held.append({row.group for row in rows}))
    monkeypatch.setattr(
        cross_validation, "decide", lambda _, texts, schema: [np.zeros((len(texts), len(schema.ids)))] * 2
    )
    found = cross_validation.cross_validate(small_config, 4, Console(quiet=True))
    assert found["folds"] == 2 and sorted(map(sorted, held)) == [["s01-r1", "s01-r2"], ["s02-r1", "s02-r2"]]


def test_a_baseline_learns_from_no_room_of_a_measured_author():
    measured = [
        Row("九块九包邮", meta={"batch": "s01", "room": "s01-r2"}),
        Row("三盒装", meta={"rewriter": "c01", "room": "r-1"}),
    ]
    train = [
        *room("s01", 1), Row("四盒装", meta={"rewriter": "c01", "room": "r-2"}), Row("五盒装", meta={"room": "r-1"}),
        Row("六盒装", meta={"room": "r-2"}),
    ]  # fmt: skip
    assert [row.text for row in apart_from(train, measured)[0]] == ["六盒装"]


def test_rows_of_one_author_alone_can_not_hold_anything_out():
    with pytest.raises(Exception, match="several authors, or rooms that nobody wrote"):
        group_folds([row.author for row in ROWS[:24]], 5, 0)
