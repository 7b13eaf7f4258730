"""What a retired label leaves behind: rows without a label, and a name that another label may bear."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml
from typer.testing import CliRunner
from zhenyan.training.cli import data
from zhenyan.training.corpus_check import check_corpus
from zhenyan.training.edits import corpus_line
from zhenyan.training.rows import Row, read_rows
from zhenyan.training.schema import load_schema
from zhenyan.training.splits import Splits

ROWS = {
    "only": {"labels": ["price_fraud"], "kind": "violation"},
    "both": {"labels": ["price_fraud", "food_safety"], "kind": "violation"},
    "other": {"labels": ["food_safety"], "kind": "violation"},
    "plain": {"labels": [], "kind": "plain"},
    "public": {"labels": ["price_fraud"]},
}


@pytest.fixture
def work(tmp_path, root, monkeypatch):
    """The configuration and five rows, in a folder to work in."""
    shutil.copytree(root / "configs", tmp_path / "configs")
    (tmp_path / "data/corpus").mkdir(parents=True)
    lines = [corpus_line({"id": name, "text": f"{name} 字", "batch": "b01"} | row) for name, row in ROWS.items()]
    (tmp_path / "data/corpus/b01.jsonl").write_bytes(b"".join(lines))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def migrate(folder, *changes):
    """Makes and applies a migration; returns what was printed and the rows by id."""
    (folder / "m.yaml").write_text(yaml.safe_dump({"changes": list(changes)}, allow_unicode=True), encoding="utf-8")
    done = CliRunner().invoke(data, ["migrate", "m.yaml", "--apply"], catch_exceptions=False)
    lines = (folder / "data/corpus/b01.jsonl").read_text(encoding="utf-8").splitlines()
    return done.output, {row["id"]: row for row in map(json.loads, lines)}


def added(*names):
    entry = load_schema().labels[0].model_dump(mode="json", exclude_none=True)
    return [entry | {"id": name, "core": False} for name in names]


def retire(*labels):
    return {"kind": "retire", "labels": list(labels)}


def test_rows_that_lose_their_only_label_become_compliant_and_are_named(work):
    output, rows = migrate(work, retire("price_fraud"))
    file = "data/corpus/b01.jsonl"
    assert f"2 rows lose their last label and become compliant: {file}:1, {file}:5\n" in output
    assert {name: (row["labels"], row.get("kind")) for name, row in rows.items()} == {
        "only": ([], "hard"), "both": (["food_safety"], "violation"), "other": (["food_safety"], "violation"),
        "plain": ([], "plain"), "public": ([], None),
    }  # fmt: skip
    assert yaml.safe_load((work / "data/migrations/001.yaml").read_text())["rows_now_compliant"] == 2
    assert (
        check_corpus(read_rows(file), load_schema("configs/labels.yaml"), Splits(validation=[], test=[])).faults == []
    )


def test_many_such_rows_are_counted_and_the_first_named(work):
    row = {"labels": ["price_fraud"], "kind": "violation"}
    lines = [corpus_line({"id": str(i), "text": f"第{i}行", "batch": "b01"} | row) for i in range(1200)]
    (work / "data/corpus/b01.jsonl").write_bytes(b"".join(lines))
    output, _ = migrate(work, retire("price_fraud"))
    assert "1,200 rows lose their last label" in output and "b01.jsonl:5, ...\n" in output
    assert "b01.jsonl:6" not in output


def test_rows_that_wait_for_a_part_of_a_split_label_stay_violations(work):
    split = {"kind": "split", "labels": ["price_fraud"], "into": ["x_a", "x_b"], "define": added("x_a", "x_b")}
    output, rows = migrate(work, split, retire("food_safety"))
    assert "1 rows lose their last label and become compliant: data/corpus/b01.jsonl:3\n" in output
    kinds = {name: row.get("kind") for name, row in rows.items()}
    # A row without a kind counted as compliant: nothing told it from one that has none of what was looked for.
    assert kinds == {"only": "violation", "both": "violation", "other": "hard", "plain": "plain", "public": "violation"}
    rows_now, schema = read_rows("data/corpus/b01.jsonl"), load_schema("configs/labels.yaml")
    found = check_corpus(rows_now, schema, Splits(validation=[], test=[]))
    assert not found.faults and (found.counts["compliant"], found.counts["waiting"]) == (2, 3)


@pytest.mark.parametrize("kinds", [("violation", "hard"), (None, None)])
@pytest.mark.parametrize("change", ["split", "retire"])
def test_a_minimal_pair_may_wait_for_its_label_but_not_lose_it(work, change, kinds):
    sides = zip(("one", "two"), (["price_fraud"], []), kinds, strict=True)
    rows = [corpus_line({"id": name, "text": f"{name} 字", "batch": "b01", "pair": "p1", "labels": labels} | ({"kind": kind} if kind else {}))
            for name, labels, kind in sides]  # fmt: skip
    (work / "data/corpus/b01.jsonl").write_bytes(b"".join(rows))
    split = {"kind": "split", "labels": ["price_fraud"], "into": ["x_a", "x_b"], "define": added("x_a", "x_b")}
    migrate(work, split if change == "split" else retire("price_fraud"))
    schema, splits = load_schema("configs/labels.yaml"), Splits(validation=[], test=[])
    faults = check_corpus(read_rows("data/corpus/b01.jsonl"), schema, splits).faults
    assert len(faults) == (change == "retire") and all("take `pair` out of both rows" in fault for fault in faults)


def test_a_folder_that_holds_no_rows_stops_no_migration(work):
    (work / "data/labels/held_out").mkdir(parents=True)
    _, rows = migrate(work, retire("price_fraud"))
    assert rows["both"]["labels"] == ["food_safety"]


def test_check_names_violations_without_a_label():
    schema = load_schema()
    rows = [
        Row("一一", origin="f:1", meta={"batch": "a", "kind": "violation"}),
        Row("二二二", origin="f:2", annotated=tuple(schema.ids), meta={"batch": "a", "kind": "violation"}),
        Row("三三三三", origin="f:3", annotated=("food_safety",), meta={"batch": "a", "kind": "violation"}),
        Row("四四四四四", origin="f:4", meta={"batch": "a", "kind": "hard"}),
    ]
    words = "kind violation is of rows with a label, but the row carries none; add its label, or write kind hard"
    assert check_corpus(rows, schema, Splits(validation=[], test=[])).faults == [f"f:1: {words}", f"f:2: {words}"]


@pytest.mark.parametrize(
    "again",
    [
        [{"kind": "rename", "labels": ["consumer_rights"], "into": ["price_fraud"]}],
        [{"kind": "add", "labels": ["price_fraud"], "define": added("price_fraud")}],
    ],
)
def test_what_names_a_label_whose_name_is_used_again_is_a_persons_to_change(work, again):
    (work / "configs/own.yaml").write_text("price_fraud: [原价]\nfood_safety: [三高]\n", encoding="utf-8")
    output, _ = migrate(work, {"kind": "rename", "labels": ["price_fraud"], "into": ["sham_price"]}, *again)
    assert "change by hand: configs/own.yaml:1 names price_fraud" in output and "own.yaml:2" not in output


def test_a_name_that_is_given_back_in_one_file_needs_no_hand(work):
    there = {"kind": "rename", "labels": ["price_fraud"], "into": ["sham_price"]}
    output, _ = migrate(work, there, {"kind": "rename", "labels": ["sham_price"], "into": ["price_fraud"]})
    assert "change by hand" not in output
