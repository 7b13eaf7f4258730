"""What is given in place of JSON Lines files, and rows that repeat each other."""

from __future__ import annotations

import pytest
from zhenyan.inference.errors import InputError
from zhenyan.training.corpus_check import check_corpus
from zhenyan.training.rows import Row, expand
from zhenyan.training.schema import load_schema
from zhenyan.training.splits import Splits


@pytest.mark.parametrize("name", ["mine.csv", "mine.TSV", "mine.xlsx", "mine.parquet"])
def test_a_table_is_named_once_with_what_makes_rows_of_it(tmp_path, root, name):
    (tmp_path / name).write_bytes(b"text,labels\n" * 3)
    for given in (tmp_path / name, tmp_path / "mine*"):
        with pytest.raises(
            InputError, match=rf"{name}: is a table; .*docs/ml-engineers\.md, Rows from a table"
        ) as error:
            expand(str(given))
        assert "\n" not in str(error.value)
    assert "### Rows from a table\n" in (root / "docs/ml-engineers.md").read_text(encoding="utf-8")


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
