"""Rows, splits, public lines, checks."""

import dataclasses
import json

import pytest
from zhenyan.inference.errors import ConfigError, InputError
from zhenyan.training import dataset, public
from zhenyan.training.config import DataConfig
from zhenyan.training.corpus_check import check_corpus
from zhenyan.training.dataset import targets, weights
from zhenyan.training.rows import Row, read_rows, text_key
from zhenyan.training.schema import load_schema
from zhenyan.training.splits import Splits, load_splits


def write(path, *records):
    path.write_text(
        "".join(r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) + "\n" for r in records), "utf-8"
    )
    return path


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"text": ""}\n', "field 'text' must be a non-empty string"),
        ('{"text": "a", "labels": "x"}\n', "field 'labels' must be a list"),
        ('{"text": "a", "channel": "tv"}\n', "live, copy, found 'tv'"),
        ("{\n", "not JSON"),
        ("[]\n", "expected a JSON object"),
    ],
)
def test_bad_rows_name_file_and_line(tmp_path, line, words):
    path = write(tmp_path / "a.jsonl", {"text": "好"}, line)
    with pytest.raises(InputError, match=words) as error:
        read_rows([path])
    assert "a.jsonl:2" in str(error.value)


def test_the_committed_corpus_is_sound(root):
    rows = read_rows([root / "data/corpus"])
    found = check_corpus(rows, load_schema(), load_splits(root / "data/splits.yaml"))
    assert found.faults == []
    counts = found.counts
    assert counts["rows"] >= 12_000 and counts["domains"] >= 30 and counts["hard"] >= 4_000
    assert counts["minimal_pairs"] >= 600 and counts["compliant"] >= 0.45 * counts["rows"]
    assert counts["multi_label"] >= counts["violating"] / 4
    assert abs(counts["channels"]["live"] - counts["channels"]["copy"]) < 0.05 * counts["rows"]
    schema = load_schema()
    for label in schema.ids:
        assert sum(counts["labels"][label].values()) >= (1_200 if label in schema.core else 400), label


def test_check_finds_what_is_wrong(tmp_path):
    schema, splits = load_schema(), Splits(validation=["v"], test=[])
    same = "这个茶喝完三高就降下来了你们放心喝"
    rows = [
        Row(same, ("food_safety",), id="1", origin="f:1", meta={"batch": "a"}),
        Row(same, (), id="1", origin="f:2", meta={"batch": "a"}),
        Row(same + "啊", ("food_safety",), id="3", origin="f:3", meta={"batch": "v"}),
        Row("别的", ("no_such_label",), id="4", origin="f:4", meta={"batch": "a"}),
        Row("一对", (), id="5", origin="f:5", meta={"batch": "a", "pair": "p"}),
    ]
    faults = "\n".join(check_corpus(rows, schema, splits).faults)
    assert "f:2 and f:1: the same text with other labels" in faults
    assert "near duplicates" in faults and "validation" in faults
    assert "f:4: unknown label no_such_label" in faults
    assert "f:2: id 1 already stands at f:1" in faults
    assert "minimal pair p" in faults


def test_labels_join_public_text_by_hash(tmp_path):
    text = "第一句话在这里。第二句说能降血压。"
    write(tmp_path / "streams.jsonl", {"text": text, "room": "x"})
    line = text[8:]
    record = {"id": "1", "sha256": text_key(line), "doc": text_key(text), "start": 8, "end": len(text), "labels": ["food_safety"],
              "source": "streams", "room": "r-1"}  # fmt: skip
    labels = write(tmp_path / "labels" / "l.jsonl", record) if (tmp_path / "labels").mkdir() is None else None
    rows, missing = public.join_labels([str(labels)], tmp_path)
    assert missing == 0 and rows[0].text == line and rows[0].group == "r-1"
    write(labels, {**record, "sha256": text_key("other")})
    with pytest.raises(InputError, match="don't hash"):
        public.join_labels([str(labels)], tmp_path)
    write(labels, {**record, "doc": text_key("absent")})
    assert public.join_labels([str(labels)], tmp_path) == ([], 1)


def test_a_rewritten_line_is_joined_by_its_edits(tmp_path):
    text = "前面的话。这个茶喝完血压就降了。"
    write(tmp_path / "streams.jsonl", {"text": text})
    rewritten = "这个膏药贴完腰就不疼了。"
    record = {"id": "c1", "sha256": text_key(rewritten), "doc": text_key(text), "start": 5, "end": len(text),
              "edits": [[2, 4, "膏药贴"], [4, 7, "完腰"], [7, 9, "就不疼"]], "labels": ["unreviewed_ad"],
              "source": "streams", "rewriter": "c01"}  # fmt: skip
    (tmp_path / "labels").mkdir()
    labels = write(tmp_path / "labels" / "l.jsonl", record)
    (row,), _ = public.join_labels([str(labels)], tmp_path)
    assert (row.text, row.group, dataset.origin(row)) == (rewritten, "c01", "moved")
    write(labels, {**record, "edits": record["edits"][1:]})
    with pytest.raises(InputError, match="don't hash"):
        public.join_labels([str(labels)], tmp_path)
    for wrong in ([[2, 4]], [["2", 4, "x"]], [[4, 7, "x"], [2, 4, "y"]], [[0, 99, "x"]], {"2": "x"}, 5):
        write(labels, {**record, "edits": wrong})
        with pytest.raises(InputError, match=r"l\.jsonl:1: field 'edits' must be a list of"):
            public.join_labels([str(labels)], tmp_path)


def test_fetch_from_a_copy_checks_digests(tmp_path):
    (tmp_path / "copy").mkdir()
    write(tmp_path / "copy" / "a.tsv", "好\t0\n")
    good = public.Source(name="a.tsv", local="a.tsv", url="http://127.0.0.1:9/a", sha256=None)
    bad = good.model_copy(update={"name": "b.tsv", "sha256": "0" * 64})
    absent = good.model_copy(update={"name": "c.tsv", "local": "c.tsv"})
    report = public.fetch(tmp_path / "cache", tmp_path / "copy", [good, bad, absent], lambda _: None)
    assert report.fetched == ["a.tsv"] and list((tmp_path / "cache").iterdir()) == [tmp_path / "cache" / "a.tsv"]
    assert "expected 0000" in report.missing["b.tsv"] and "--from" in report.missing["c.tsv"]
    offline = public.fetch(tmp_path / "cache", None, [good.model_copy(update={"name": "d.tsv"})], lambda _: None)
    assert "--from FOLDER" in offline.missing["d.tsv"]


def test_committed_labels_are_keys_not_text(root):
    for path in (root / "data/labels").glob("*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            assert "text" not in record and len(record["sha256"]) == 64


def test_unannotated_labels_are_masked():
    rows = [Row("a", ("x",), annotated=("x",)), Row("b", ())]
    truth, mask = targets(rows, ["x", "y"])
    assert truth.tolist() == [[1, 0], [0, 0]] and mask.tolist() == [[1, 0], [1, 1]]


def test_rows_weigh_what_the_configuration_says():
    written = {"batch": "b01"}
    rows = [
        Row("real", meta={"room": "r1"}), Row("plain", meta=written | {"kind": "plain"}),
        Row("hard", meta=written | {"kind": "hard"}), Row("violation", ("x",), meta=written | {"pair": "p1"}),
        Row("its lawful half", contested=True, meta=written | {"pair": "p1"}),
    ]  # fmt: skip
    config = DataConfig(contested_weight=0.5, written_weight=2.0, hard_weight=3.0)
    assert weights(rows, config) == [1.0, 2.0, 6.0, 2.0, 3.0]


def test_splits_must_not_overlap(tmp_path):
    with pytest.raises(ConfigError, match="both validation and test: a"):
        load_splits(write(tmp_path / "s.yaml", "validation: [a]\ntest: [a]\n"))
    assert Splits(validation=["a"], test=["b"]).of(dataclasses.replace(Row("t"), meta={"room": "b"})) == "test"
