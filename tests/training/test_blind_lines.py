"""The lines of writers who knew only the guide: sound rows that nothing was or will be trained on."""

from __future__ import annotations

from collections import Counter

import pytest
from zhenyan.inference.normalise import letters
from zhenyan.training.corpus_check import check_corpus
from zhenyan.training.rows import read_rows
from zhenyan.training.schema import load_schema
from zhenyan.training.splits import Splits


@pytest.fixture(scope="module")
def blind(root):
    return read_rows(root / "data/labels/held_out/blind.jsonl")


@pytest.fixture(scope="module")
def cases(root):
    return read_rows(root / "data/labels/held_out/cases.jsonl")


@pytest.fixture(scope="module")
def disguised(root):
    return read_rows(root / "data/labels/held_out/disguised.jsonl")


def test_rows_are_labelled_by_the_schema_and_say_who_wrote_them(blind, root):
    schema = load_schema(root / "configs/labels.yaml")
    assert check_corpus(blind, schema, Splits(validation=[], test=["t01", "t02"])).faults == []
    for row in blind:
        assert bool(row.labels) == (row.meta["kind"] == "violation"), row.id
        assert {"domain", "voice", "date"} <= row.meta.keys(), row.id
    assert Counter(row.meta["batch"] for row in blind) == {"t01": 400, "t02": 400}
    assert {label for row in blind for label in row.labels} == set(schema.ids)


def test_so_are_the_disguised_ones(disguised, root):
    schema = load_schema(root / "configs/labels.yaml")
    assert check_corpus(disguised, schema, Splits(validation=[], test=["t03"])).faults == []
    assert all(bool(row.labels) == (row.meta["kind"] == "violation") for row in disguised)
    assert len({row.meta["disguise"] for row in disguised}) == 36 and all(row.meta["plain"] for row in disguised)


def test_so_are_those_of_other_trades_and_cases(cases, root):
    schema = load_schema(root / "configs/labels.yaml")
    assert check_corpus(cases, schema, Splits(validation=[], test=["t04"])).faults == []
    assert Counter(row.meta["form"] for row in cases) == {"speech": 120, "copy": 120, "case": 80, "pair": 100}
    assert {label for row in cases for label in row.labels} == set(schema.ids)


def test_pairs_have_a_violating_and_a_lawful_side(blind, cases):
    sides: dict[str, list[bool]] = {}
    for row in [*blind, *cases]:
        if pair := row.meta.get("pair"):
            sides.setdefault(pair, []).append(bool(row.labels))
    assert len(sides) == 110 and all(sorted(each) == [False, True] for each in sides.values())


def test_no_line_stands_among_the_rows_that_are_trained_on(blind, cases, disguised, root):
    written = read_rows([root / "data/corpus/*.jsonl", root / "data/rooms/*.jsonl"])
    held = {
        letters(text) for row in [*blind, *cases, *disguised] for text in (row.text, row.meta.get("plain", row.text))
    }
    assert len(written) > 80_000 and not held & {letters(row.text) for row in written}


def test_the_bundled_model_reads_disguises_that_nobody_told_it(classifier, disguised):
    """Of 200 it found 186 when they were written, and 200 of their plain forms."""
    violating = [row for row in disguised if row.labels]
    found = sum(bool(one.labels) for one in classifier.classify(row.text for row in violating))
    plain = sum(bool(one.labels) for one in classifier.classify(row.meta["plain"] for row in violating))
    assert len(disguised) == 260 and len(violating) == 200
    assert plain >= 190 and found >= 0.9 * plain
