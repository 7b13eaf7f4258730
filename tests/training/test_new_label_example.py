"""The rows of docs/new-label.md beside the corpus they are copied into: names of their own, no fault."""

from __future__ import annotations

import json

import pytest
import yaml
from zhenyan.inference.normalise import plain_text
from zhenyan.training.corpus_check import check_corpus
from zhenyan.training.migrate import plan_migration
from zhenyan.training.rows import read_rows
from zhenyan.training.schema import Schema
from zhenyan.training.splits import load_splits

GRAM = 8  # characters, as the check counts them


@pytest.fixture(scope="module")
def example(root):
    return read_rows(root / "data/examples/private_diversion.jsonl")


@pytest.fixture(scope="module")
def corpus(root):
    return read_rows([root / "data/corpus", root / "data/rooms"])


def test_its_batches_and_ids_are_its_own(example, corpus):
    """Corpus batches are a letter and two digits, and more of them come."""
    batches = {row.group for row in example}
    assert batches == {"xp1", "xp2", "xp3"}
    assert not batches & {str(row.meta.get(name)) for row in corpus for name in ("room", "batch")}
    assert not {row.id for row in example} & {row.id for row in corpus}
    assert all(row.id.startswith(f"{row.group}-") for row in example)


def test_the_page_and_its_notebook_hold_out_its_batches(root):
    notebook = json.loads((root / "notebooks/01_new_label.ipynb").read_text(encoding="utf-8"))
    cells = "".join("".join(cell["source"]) for cell in notebook["cells"])
    for told in (cells, (root / "docs/new-label.md").read_text(encoding="utf-8")):
        assert r"s/^validation:/&\n  - xp2/' -e 's/^test: \[/&xp3, /'" in told


def test_it_adds_no_fault_to_the_corpus(example, corpus, root, tmp_path):
    """Only lines that share an 8-gram with it can bring one: the whole corpus is checked in test_committed_corpus.py."""
    planned = plan_migration(
        root / "data/examples/private_diversion.yaml",
        root / "configs/labels.yaml",
        [root / "data/corpus/b01.jsonl"],
        tmp_path,
    )
    schema, splits = Schema.model_validate(yaml.safe_load(planned.schema_text)), load_splits(root / "data/splits.yaml")
    held_out = {"validation": [*splits.validation, "xp2"], "test": [*splits.test, "xp3"]}
    own = set().union(*map(_grams, (row.text for row in example)))
    beside = [row for row in corpus if not own.isdisjoint(_grams(row.text))]
    assert beside
    found = check_corpus([*beside, *example], schema, splits.model_copy(update=held_out))
    # Whether the chosen lines have their pairs and fill their batches says nothing.
    assert not [fault for fault in found.faults if "8-gram" in fault or "private_diversion.jsonl" in fault]


def _grams(text: str) -> set[str]:
    plain = plain_text(text)
    return {plain[at : at + GRAM] for at in range(len(plain) - GRAM + 1)}
