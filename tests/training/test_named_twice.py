"""A file that is named twice, in two spellings, is one file."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml
from zhenyan.training.config import DataConfig
from zhenyan.training.dataset import load_corpus
from zhenyan.training.edits import corpus_line
from zhenyan.training.evaluation_run import read_sets
from zhenyan.training.fixes import apply_fixes
from zhenyan.training.migrate import apply_migration, plan_migration
from zhenyan.training.public import by_kind
from zhenyan.training.rows import Row, once, read_rows, text_key
from zhenyan.training.schema import load_schema


@pytest.fixture
def corpus(tmp_path, root, monkeypatch):
    """The schema and two rows in c.jsonl, with link.jsonl beside it, in a folder to work in."""
    shutil.copytree(root / "configs", tmp_path / "configs")
    rows = [{"id": str(i), "text": text, "labels": ["food_safety"]} for i, text in enumerate(("降压茶", "两盒装"))]
    (tmp_path / "c.jsonl").write_bytes(b"".join(map(corpus_line, rows)))
    (tmp_path / "link.jsonl").symlink_to("c.jsonl")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spellings(folder):
    return {"plain": "c.jsonl", "dotted": "./c.jsonl", "whole": str(folder / "c.jsonl"), "link": "link.jsonl"}


@pytest.mark.parametrize(
    ("first", "second"),
    [("plain", "dotted"), ("plain", "whole"), ("dotted", "plain"), ("plain", "link"), ("link", "plain")],
)
def test_fixes_of_one_file_are_all_made(corpus, first, second):
    entries = [
        {"apply": True, "file": spellings(corpus)[name], "id": row.id, "sha256": text_key(row.text), "label": "food_safety",
         "given": True, "suggested": False, "labels": ["food_safety"]}
        for name, row in zip((first, second), read_rows("c.jsonl"), strict=True)
    ]  # fmt: skip
    (corpus / "f.jsonl").write_bytes(b"".join(map(corpus_line, entries)))
    done = apply_fixes(corpus / "f.jsonl", load_schema())
    assert (done.labels, done.rows, done.files) == (2, 2, 1)
    assert [row.labels for row in read_rows("c.jsonl")] == [(), ()]
    assert (corpus / "link.jsonl").is_symlink()
    again = apply_fixes(corpus / "f.jsonl", load_schema())
    assert (again.rows, again.files, again.already) == (0, 0, 2)


@pytest.mark.parametrize("other", ["plain", "dotted", "whole", "link"])
def test_rows_of_one_file_are_listed_once(corpus, other):
    schema = load_schema()
    parts = [schema.labels[0].model_dump(mode="json") | {"id": name, "core": False} for name in ("disease", "unfit")]
    change = {"kind": "split", "labels": ["food_safety"], "into": ["disease", "unfit"], "define": parts}
    (corpus / "m.yaml").write_text(yaml.safe_dump({"changes": [change]}, allow_unicode=True), encoding="utf-8")
    given = [corpus / "c.jsonl", corpus / spellings(corpus)[other]]
    plan = plan_migration(corpus / "m.yaml", corpus / "configs/labels.yaml", given, corpus / "migrations")
    assert [one["id"] for one in plan.relabel] == ["0", "1"] and list(plan.changed.values()) == [2]
    apply_migration(plan, corpus / "migrations")
    assert [json.loads(line)["labels"] for line in (corpus / "c.jsonl").read_text("utf-8").splitlines()] == [[], []]
    assert (corpus / "link.jsonl").is_symlink()


def test_held_out_rows_of_one_file_are_measured_once(corpus, root):
    rows = [
        {"text": text, "labels": [], "batch": batch}
        for batch, text in (("b01", "两盒装"), ("b02", "九块九"), ("b03", "包邮"))
    ]
    (corpus / "c.jsonl").write_bytes(b"".join(map(corpus_line, rows)))
    (corpus / "splits.yaml").write_text("validation: [b02]\ntest: [b03]\n", encoding="utf-8")
    config = DataConfig(written=["c.jsonl", "c*.jsonl"], public_labels=[], public_sources=root / "data/public.yaml",
                        public_cache=corpus / "cache", splits=corpus / "splits.yaml")  # fmt: skip
    found = load_corpus(config, load_schema())
    assert [row.text for row in found.train] == ["两盒装"] * 2, "learned as often as its file is named"
    assert [row.text for row in (*found.validation, *found.test)] == ["九块九", "包邮"]
    assert [row.text for row in once(found.train)] == ["两盒装"], "what cross-validation measures"


@pytest.mark.parametrize("other", ["plain", "dotted", "whole", "link"])
def test_a_set_named_twice_is_measured_and_checked_once(corpus, other):
    named = ["c.jsonl", spellings(corpus)[other]]
    assert [row.text for row in read_sets(named, corpus, load_schema())] == ["降压茶", "两盒装"]
    assert by_kind(named)[0] in (["c.jsonl"], named[1:])
    assert [row.text for row in once(read_rows(named))] == ["降压茶", "两盒装"]


def test_rows_that_no_file_has_are_all_kept():
    rows = [Row("一"), Row("二"), Row("三", origin="a.jsonl:1"), Row("三", origin="a.jsonl:1")]
    assert [row.text for row in once(rows)] == ["一", "二", "三"]
