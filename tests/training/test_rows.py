"""What is given in place of JSON Lines files, and rows that repeat each other."""

from __future__ import annotations

import pytest
from rich.console import Console
from zhenyan.inference.errors import ConfigError, InputError
from zhenyan.training.config import DataConfig, DistilConfig, VoiceConfig
from zhenyan.training.corpus_check import check_corpus
from zhenyan.training.dataset import crossed_rows, looks_dangerous, origin, weights
from zhenyan.training.export import probe_rows
from zhenyan.training.reports import print_check
from zhenyan.training.rows import Row, expand, row_from_json
from zhenyan.training.schema import load_schema
from zhenyan.training.splits import Splits
from zhenyan.training.voice import drawn


def test_a_tables_name_with_a_space_is_quoted_in_the_command(tmp_path):
    (tmp_path / "my table.csv").write_bytes(b"text,labels\n")
    with pytest.raises(InputError, match=r"data import '[^']*my table\.csv' --labels-column"):
        expand(str(tmp_path / "my table.csv"))


@pytest.mark.parametrize("name", ["mine.csv", "mine.TSV", "mine.xlsx", "mine.parquet"])
def test_a_table_is_named_once_with_what_makes_rows_of_it(tmp_path, name):
    (tmp_path / name).write_bytes(b"text,labels\n" * 3)
    for given in (tmp_path / name, tmp_path / "mine*"):
        with pytest.raises(
            InputError, match=rf"{name}: is a table; .*`zhenyan data import .*{name} --labels-column NAME --batch NAME"
        ) as error:
            expand(str(given))
        assert "\n" not in str(error.value)


def test_an_old_workbook_is_to_be_saved_anew_first(tmp_path):
    (tmp_path / "mine.xls").write_bytes(b"\xd0\xcf\x11\xe0")
    with pytest.raises(InputError, match=r"mine\.xls: is a table; .*makes them, once it is saved as \.xlsx"):
        expand(tmp_path / "mine.xls")


def test_a_folder_without_rows_is_told_from_one_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"holds no \.jsonl file; give a \.jsonl file, a folder of them or a glob"):
        expand(tmp_path)
    with pytest.raises(InputError, match="nowhere: no such file"):
        expand(tmp_path / "nowhere")


@pytest.mark.parametrize("times", [3, 500])
def test_a_text_that_stands_many_times_is_told_once_a_row(times):
    text = "来家人们今天拍明天就给大家发货啊"
    rows = [Row(text, id=str(n), origin=f"f:{n}", meta={"source": "r"}) for n in range(1, times + 1)]
    rows.append(Row(text, ("food_safety",), id="x", origin="f:x", meta={"source": "r"}))
    faults = check_corpus(rows, load_schema(), Splits(validation=[], test=[])).faults
    told = [fault for fault in faults if "the same text" in fault]
    assert told[:-1] == [f"f:{n} and f:1: the same text" for n in range(2, times + 1)]
    assert told[-1] == "f:x and f:1: the same text with other labels"


@pytest.mark.parametrize("times", [3, 500])
def test_of_pairs_that_repeat_one_text_each_is_told_once(times):
    text = "来家人们今天拍明天就给大家发货啊"
    sides = [(n, labels) for n in range(times) for labels in ((), ("food_safety",))]
    rows = [
        Row(text + "嗯" * bool(labels), labels, id=f"{n}{labels}", origin=f"f:{n}{'b' if labels else 'a'}",
            meta={"source": "r", "pair": f"p{n}"})
        for n, labels in sides
    ]  # fmt: skip
    told = check_corpus(rows, load_schema(), Splits(validation=[], test=[])).faults
    same = [fault for fault in told if "the same text" in fault]
    assert same == [f"f:{n}{side} and f:0{side}: the same text" for n in range(1, times) for side in "ab"]


def test_of_public_rows_that_contradict_each_other_the_others_are_counted():
    text = "来家人们今天拍明天就给大家发货啊"
    public = [
        Row(text, ("food_safety",) * (n > 1), id=str(n), origin=f"f:{n}", meta={"room": "r"}) for n in range(1, 6)
    ]
    (note,) = check_corpus([], load_schema(), Splits(validation=[], test=[]), public).notes
    assert note == "f:2 and f:1: the same text with other labels; 3 more rows have this text"


@pytest.mark.parametrize("blank", ["", "  ", None])
def test_a_name_that_is_empty_is_none(blank):
    """Tables have a cell for every column: an empty one made a written row a moved one."""
    names = {"batch": "me", "rewriter": blank, "pair": blank, "room": blank}
    row = row_from_json({"text": "好", "labels": [], **names}, "f:1")
    assert row.meta == {"batch": "me"} and origin(row) == "written" and not looks_dangerous(row)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({"batch": "b22 "}, "'batch' must not begin or end with a space, found 'b22 '"),
        ({"pair": False}, "'pair' must be a single name, found False"),
        ({"id": ["a"]}, r"'id' must be text or a number, found \['a'\]"),
    ],
)
def test_a_name_that_is_none_is_told(field, words):
    with pytest.raises(InputError, match=words):
        row_from_json({"text": "好", "labels": [], **field}, "f:1")


def test_the_sides_of_a_pair_are_known_by_its_name_whatever_its_type():
    rows = [Row("甲", ("food_safety",), origin="f:1", meta={"batch": "a", "pair": 1}),
            Row("乙", (), origin="f:2", meta={"batch": "a", "pair": "1"})]  # fmt: skip
    assert not check_corpus(rows, load_schema(), Splits(validation=[], test=[])).faults


def test_groups_of_the_splits_that_no_row_is_of_are_named():
    rows = [Row("甲", (), origin="f:1", meta={"batch": "b22"})]
    found = check_corpus(rows, load_schema(), Splits(validation=["b22", "b2Z"], test=["b24"]))
    assert found.absent_groups == ["b2Z", "b24"] and not found.notes


def test_copy_is_not_real_whatever_it_is_grouped_by():
    """What was decided on the review page has a room, what `data import` gives a source; neither names a batch."""
    names = [
        ("live", {"room": "r"}),
        ("copy", {"room": "shop"}),
        ("copy", {"source": "tasks"}),
        ("copy", {"batch": "b"}),
    ]
    rows = [row_from_json({"text": f"第{i}行", "labels": [], "channel": channel, **name}, f"f:{i}")
            for i, (channel, name) in enumerate(names)]  # fmt: skip
    assert [origin(row) for row in rows] == ["real", "written", "written", "written"]
    assert [row.group for row in rows] == ["r", "shop", "tasks", "b"]
    assert weights(rows, DataConfig(written_weight=2.0)) == [1.0, 2.0, 2.0, 2.0]
    some, real = drawn(rows, VoiceConfig(), seed=1)
    assert [row.group for row, spoken in zip(some, real, strict=True) if spoken] == ["r"]
    with pytest.raises(ConfigError, match="no real line to make others of"):
        crossed_rows(rows[1:], DistilConfig(teachers=["a"], crossed=1), seed=1)
    assert probe_rows(rows) == [3]  # a bundle ships them, so a shop's own copy stays here


def test_a_check_tells_author_batches_from_rooms_and_sources():
    """A writer with rooms is one author, not as many as rooms."""
    metas = [{"batch": "s01", "room": "s01-r1"}, {"batch": "s01", "room": "s01-r2", "domain": "tea"}, {"room": "r-1"},
             {"rewriter": "k01", "source": "a.tsv"}, {"source": "a.tsv"}, {}]  # fmt: skip
    rows = [Row(f"第{i}款今天{i}号链接", origin=f"f:{i}", meta=meta) for i, meta in enumerate(metas)]
    console = Console(width=300, record=True)
    for some in (rows, rows[-1:], rows[4:5]):
        print_check(check_corpus(some, load_schema(), Splits(validation=[], test=[])), console, notes=False)
    said = [line.split(":")[0] for line in console.export_text().splitlines() if " compliant (" in line]
    assert said == ["6 rows in 2 batches, 3 rooms, 1 source and 1 domain", "1 rows", "1 rows in 1 source"]
