"""What is held out isn't trained on in another form or from another file either, nor what the rooms for measuring said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from zhenyan.training.config import DataConfig
from zhenyan.training.dataset import load_corpus
from zhenyan.training.edits import corpus_line
from zhenyan.training.hashing import PublicText, hash_rows
from zhenyan.training.leaks import Spoken, apart_from, base_key, without_leaks
from zhenyan.training.public import room_name
from zhenyan.training.rows import Row, row_from_json
from zhenyan.training.schema import load_schema

HELD, PLAIN = "喝完这个茶血牙就降下来了", "喝完这个茶血压就降下来了"
OTHER = "今天两盒装的直接拍一下"
SAME = "ＶＣ这些 都有的大家放心下单"  # published elsewhere in other letters
ROWS = [
    {"id": "h", "text": HELD, "labels": ["food_safety"]},
    {"id": "twin", "text": PLAIN, "labels": ["food_safety"], "pair_of": "h"},
    {"id": "again", "text": HELD, "labels": ["food_safety"]},
    {"id": "far", "text": "喝完这茶血压降", "labels": [], "pair_of": "again"},
    {"id": "own", "text": OTHER, "labels": []},
    {"id": "moved", "text": "贴完这个膏血牙就降下来了", "labels": [], "base": HELD, "rewriter": "c01"},
    {"id": "kept", "text": "明天两盒装的直接拍一下", "labels": [], "base": OTHER, "rewriter": "c01"},
    {"id": "out", "text": "后天两盒装的直接拍一下", "labels": [], "base": OTHER, "rewriter": "c02"},
    {"id": "gold", "text": SAME, "labels": []},
    {"id": "made", "text": "ＶＣ这些 都有的大家放心穿", "labels": [], "base": SAME, "rewriter": "c01"},
]


@pytest.fixture
def config(tmp_path, root):
    """Rows of a held-out room, of another, of two files of lines without rooms, and of writers, in a small cache."""
    cache = tmp_path / "cache"
    cache.mkdir()
    rooms = [("甲", HELD, False), ("乙", OTHER, False), ("丙", "好的 vc这些都有的，大家放心下单。", True)]
    spoken = [{"text": text, "room": room, "gold_room": gold} for room, text, gold in rooms]
    (cache / "streams.jsonl").write_bytes(b"".join(map(corpus_line, spoken)))
    (cache / "morph.tsv").write_text(f"{PLAIN}\t{SAME}\n喝完这茶血压降\t好\n", encoding="utf-8")
    rows = [row_from_json(record, f"mine.jsonl:{i}") for i, record in enumerate(ROWS, 1)]
    records = list(hash_rows(rows, PublicText(cache)))
    records[2] |= {"room": room_name("丁")}  # the same words in a room that is trained on
    (tmp_path / "labels.jsonl").write_bytes(b"".join(map(corpus_line, records)))
    (tmp_path / "splits.yaml").write_text(json.dumps({"validation": [room_name("甲"), "c02"], "test": []}), "utf-8")
    return DataConfig(
        written=[], public_labels=[str(tmp_path / "labels.jsonl")], public_cache=cache,
        public_sources=root / "data/public.yaml", splits=tmp_path / "splits.yaml",
    )  # fmt: skip


def test_other_forms_of_what_is_held_out_are_not_trained_on(config):
    corpus = load_corpus(config, load_schema())
    assert [row.id for row in corpus.validation] == ["h", "out"]
    # Not the other form of the held-out text or of its double, nor what was made of it, nor what a room for measuring said;
    # but the line that a held-out one was made from, and its other children.
    assert [row.id for row in corpus.train] == ["own", "kept"]


def test_what_another_file_publishes_of_a_held_out_room_is_not_trained_on(config):
    """None of it is labelled in the room itself."""
    stream = {"text": "好的 vc这些都有的，大家放心下单。" + HELD, "room": "甲"}
    (config.public_cache / "streams.jsonl").write_bytes(corpus_line(stream))
    (config.public_cache / "morph.tsv").write_text(f"{PLAIN}\t{SAME}\n{OTHER}\t好\n", encoding="utf-8")
    rows = [row_from_json(record, "mine.jsonl:1") for record in ROWS if record["id"] not in ("twin", "far")]
    labels = "".join(json.dumps(one) + "\n" for one in hash_rows(rows, PublicText(config.public_cache)))
    Path(config.public_labels[0]).write_text(labels, encoding="utf-8")
    corpus = load_corpus(config, load_schema())
    assert [row.id for row in corpus.validation] == ["h", "again", "out"]
    assert [row.id for row in corpus.train] == ["own", "kept"]  # neither the room's words nor what was made of them


def test_a_held_out_text_with_other_punctuation_is_not_trained_on_nor_what_was_made_of_it():
    held = [Row("喝完这个茶，血压就降下来了。", id="h", meta={"batch": "b02"})]
    train = [
        Row("喝完这个茶 血压就降下来了！", id="same"),
        Row("ＶＣ喝完这个茶血压就降下来了", id="other"),
        Row("贴完这个膏血压就降下来了", id="made", base=base_key("喝完这个茶血压就降下来了")),
        Row("喝完这茶血压降", id="form", meta={"pair_of": "same"}),
    ]
    assert [row.id for row in without_leaks(train, held)] == ["other"]


def test_what_is_measured_is_apart_from_what_is_learnt():
    measured = [Row("九块九，包邮！", meta={"batch": "b01"}), Row("两盒装", meta={"room": "r-1"}), Row("三盒装")]
    train = [
        Row("九块九包邮", meta={"batch": "b02"}),
        Row("四盒装", meta={"batch": "b01"}),
        Row("五盒装", meta={"room": "r-1"}),
        Row("六盒装"),
    ]
    apart, standing = apart_from(train, measured)
    assert [row.text for row in apart] == ["六盒装"] and standing == 1


def test_an_id_used_twice_takes_no_row_away(tmp_path, root):
    (tmp_path / "a.jsonl").write_bytes(corpus_line({"id": "1", "text": "一", "labels": [], "batch": "b01"}))
    (tmp_path / "b.jsonl").write_bytes(corpus_line({"id": "1", "text": "二", "labels": [], "batch": "b02"}))
    (tmp_path / "splits.yaml").write_text("validation: [b02]\ntest: []\n", encoding="utf-8")
    config = DataConfig(
        written=[str(tmp_path / "*.jsonl")], public_labels=[], public_cache=tmp_path / "cache",
        public_sources=root / "data/public.yaml", splits=tmp_path / "splits.yaml",
    )  # fmt: skip
    assert [row.text for row in load_corpus(config, load_schema()).train] == ["一"]


def test_words_are_found_whatever_their_punctuation():
    gold = Spoken(["好的 vc这些都有的，大家放心下单。", "下一场再说"])
    assert SAME in gold and "ＶＣ，这些都有的。大家" in gold
    assert "这些都有" not in gold  # too short to be that room's own words
    assert "大家放心下单下一场再说" not in gold and "vc这些都没有的大家" not in gold and "" not in gold
