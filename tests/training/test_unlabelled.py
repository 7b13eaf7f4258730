"""Unlabelled lines, which masked-language training and students read, tell nothing of what is held out or for measuring."""

from __future__ import annotations

import json

import pytest
import yaml
from zhenyan.training.config import DataConfig
from zhenyan.training.dataset import load_corpus
from zhenyan.training.edits import corpus_line
from zhenyan.training.hashing import PublicText, hash_rows
from zhenyan.training.public import room_name
from zhenyan.training.rows import row_from_json
from zhenyan.training.schema import load_schema

HELD, LEARNED, FREE = "喝完这个茶，血压就降下来了。", "今天两盒装的直接拍一下。", "明天晚上八点我们继续开播。"
SHORT, SAID, GOLD = "上链接。", "这个膏药贴上去腰就不疼了。", "ＶＣ这些都有的大家放心下单。"


@pytest.fixture
def config(tmp_path):
    """A file with rooms, one held out and one for measuring, a file of other transcripts, and one that is for labels only."""
    cache = tmp_path / "cache"
    cache.mkdir()
    rooms = [("甲", text, False) for text in (HELD, SHORT, SAID)] + [("乙", text, False) for text in (LEARNED, FREE)]
    rooms += [("丙", text, True) for text in ("好的。", GOLD)]
    spoken = [{"text": text, "room": room, "gold_room": gold} for room, text, gold in rooms]
    (cache / "streams.jsonl").write_bytes(b"".join(map(corpus_line, spoken)))
    (cache / "plain.tsv").write_text("一开始先看颜色。\t我们再看尺码。\n", encoding="utf-8")
    (cache / "labels.tsv").write_text("只供标注的一句话。\t还有一句也只供标注。\n", encoding="utf-8")
    files = [
        {"name": name, "local": name, "url": "", "sha256": None, "split": split}
        for name, split in (("streams.jsonl", True), ("plain.tsv", True), ("labels.tsv", False))
    ]
    (tmp_path / "public.yaml").write_text(yaml.safe_dump({"files": files}), encoding="utf-8")
    records = [{"id": "h", "text": HELD, "labels": ["food_safety"]}, {"id": "l", "text": LEARNED, "labels": []}]
    rows = [row_from_json(record, f"mine.jsonl:{i}") for i, record in enumerate(records, 1)]
    (tmp_path / "labels.jsonl").write_bytes(b"".join(map(corpus_line, hash_rows(rows, PublicText(cache)))))
    (tmp_path / "splits.yaml").write_text(json.dumps({"validation": [room_name("甲")], "test": []}), encoding="utf-8")
    return DataConfig(
        written=[], public_labels=[str(tmp_path / "labels.jsonl")], public_cache=cache,
        public_sources=tmp_path / "public.yaml", splits=tmp_path / "splits.yaml",
    )  # fmt: skip


def unlabelled(config) -> list[str]:
    return load_corpus(config, load_schema()).unlabelled


def publish(config, *lines: str) -> None:
    (config.public_cache / "plain.tsv").write_text("\t".join(lines) + "\n", encoding="utf-8")


def test_only_files_to_learn_from_and_no_held_out_room_nor_one_for_measuring(config):
    assert unlabelled(config) == [FREE, "一开始先看颜色。", "我们再看尺码。"]


@pytest.mark.parametrize(
    "line",
    ["喝完这个茶 血压就降下来了！", "这个膏药，贴上去腰就不疼了", "vc这些都有的，大家放心下单！"],
    ids=["a held-out row", "its room", "a room for measuring"],
)
def test_nor_what_another_file_publishes_of_them(config, line):
    publish(config, line, "我们再看尺码。")
    assert unlabelled(config) == [FREE, "我们再看尺码。"]


def test_nor_a_held_out_line_whose_room_is_not_in_the_cache(config, tmp_path):
    held = {"id": "w", "text": "写的一句降压话。", "labels": ["food_safety"], "batch": "b02"}
    (tmp_path / "written.jsonl").write_bytes(corpus_line(held))
    (tmp_path / "splits.yaml").write_text(json.dumps({"validation": ["b02"], "test": []}), encoding="utf-8")
    publish(config, "写的一句，降压话！", "我们再看尺码。")
    found = unlabelled(config.model_copy(update={"written": [str(tmp_path / "written.jsonl")]}))
    assert "我们再看尺码。" in found and not any("降压话" in line for line in found)
