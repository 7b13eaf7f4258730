"""The committed corpus: what the check says of it, how much there is of everything, and that public texts aren't in it."""

import functools
import json

from zhenyan.training import corpus_check
from zhenyan.training.corpus_check import check_corpus
from zhenyan.training.rows import read_rows
from zhenyan.training.schema import load_schema
from zhenyan.training.splits import load_splits


def test_the_committed_corpus_is_sound(root, monkeypatch):
    # Both checks read the corpus.
    monkeypatch.setattr(corpus_check, "plain_text", functools.cache(corpus_check.plain_text))
    rows, splits, schema = read_rows([root / "data/corpus"]), load_splits(root / "data/splits.yaml"), load_schema()
    found = check_corpus(rows, schema, splits)
    assert found.faults == []
    everything = [*rows, *read_rows([root / "data/rooms"])]
    assert check_corpus(everything, schema, splits).faults == []
    counts = found.counts
    assert counts["rows"] >= 12_000 and counts["domains"] >= 30 and counts["hard"] >= 4_000
    assert counts["minimal_pairs"] >= 600 and counts["compliant"] >= 0.45 * counts["rows"]
    assert counts["multi_label"] >= counts["violating"] / 4
    spoken = [row.channel == "live" for row in everything]
    assert abs(2 * sum(spoken) - len(spoken)) < 0.05 * len(spoken)
    for label in schema.ids:
        assert sum(counts["labels"][label].values()) >= (1_200 if label in schema.core else 400), label


def test_committed_labels_are_keys_not_text(root):
    for path in (root / "data/labels").glob("*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            assert "text" not in record and len(record["sha256"]) == 64
