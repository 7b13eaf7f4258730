"""An audit doesn't write over a fix file that was decided on, nor over anything else that isn't an audit's."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner
from zhenyan.inference.errors import ConfigError, InputError, ZhenyanError
from zhenyan.training import audit as auditing
from zhenyan.training import cli_data, confidence
from zhenyan.training.cli import data
from zhenyan.training.confidence import Cells
from zhenyan.training.edits import corpus_line
from zhenyan.training.planted import plant
from zhenyan.training.rows import Row

UNDECIDED = {"apply": False, "file": "corpus/b01.jsonl", "line": 1, "id": "b01-1", "label": "food_safety"}
PLANTED = {"file": "corpus/b01.jsonl", "line": 1, "id": "b01-1", "planted": "added", "labels": []}


class Reached(Exception):
    """The rows would be read now: nothing was refused."""


def reach(*_):
    raise Reached


@pytest.fixture
def audit(tmp_path, monkeypatch):
    """The command, as far as its outputs are looked at; gives what it raised."""
    monkeypatch.setattr(cli_data, "_read", reach)
    arguments = ["audit", "data/corpus/b01.jsonl", "-o", str(tmp_path / "f.jsonl")]
    return lambda *more: CliRunner().invoke(data, [*arguments, *more]).exception


@pytest.mark.parametrize("decision", [{"apply": True}, {"applied": "2026-11-25"}, {"apply": "yes"}])
def test_a_fix_file_that_was_decided_on_is_kept(audit, tmp_path, decision):
    held = corpus_line(UNDECIDED) + corpus_line(UNDECIDED | decision)
    (tmp_path / "f.jsonl").write_bytes(held)
    refused = audit()
    assert isinstance(refused, ConfigError) and "f.jsonl:2); give another name" in str(refused)
    assert (tmp_path / "f.jsonl").read_bytes() == held


@pytest.mark.parametrize("name", ["fixes.csv", "fixes"])
def test_fixes_are_written_where_they_can_be_put_in_from(audit, tmp_path, name):
    refused = audit("-o", str(tmp_path / name))
    assert isinstance(refused, ConfigError) and "; fixes are written as .jsonl" in str(refused)


def test_what_nobody_decided_on_is_written_anew(audit, tmp_path):
    (tmp_path / "f.jsonl").write_bytes(corpus_line(UNDECIDED))
    (tmp_path / "planted.jsonl").write_bytes(corpus_line(PLANTED))
    assert isinstance(audit("--precision-report", str(tmp_path / "planted.jsonl")), Reached)


@pytest.mark.parametrize("held", [corpus_line(UNDECIDED), corpus_line({"text": "两盒装", "labels": []}), b"notes\n"])
def test_a_report_is_not_written_over_something_else(audit, tmp_path, held):
    (tmp_path / "mine.jsonl").write_bytes(held)
    refused = audit("--precision-report", str(tmp_path / "mine.jsonl"))
    assert isinstance(refused, ConfigError) and "--precision-report" in str(refused)
    assert "give another name" in str(refused) and (tmp_path / "mine.jsonl").read_bytes() == held


@pytest.mark.parametrize(("count", "annotated"), [(8, None), (40, ())])
def test_rows_too_few_for_a_planted_error_or_read_by_nobody_are_told(count, annotated):
    rows = [Row(f"第{number}句话", annotated=annotated) for number in range(count)]
    with pytest.raises(InputError, match=rf"^5% of {count} rows is no row to plant an error in"):
        plant(Cells.of(rows, ["food_safety"]))


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--precision-report", "planted.jsonl", "--precision-report {}: 5% of 8 rows"), ("--features", "nowhere", "is {} a bundle folder?")],
)  # fmt: skip
def test_what_is_wrong_is_told_before_the_audit(tmp_path, monkeypatch, option, value, said):
    monkeypatch.setattr(confidence, "out_of_fold", lambda *_: pytest.fail("told only after minutes of work"))
    rows = [{"text": f"第{n}句话", "labels": [], "batch": f"b{n % 2}"} for n in range(8)]
    (tmp_path / "rows.jsonl").write_bytes(b"".join(map(corpus_line, rows)))
    arguments = ["audit", tmp_path / "rows.jsonl", "-o", tmp_path / "f.jsonl", option, tmp_path / value]
    refused = CliRunner().invoke(data, list(map(str, arguments))).exception
    assert isinstance(refused, ZhenyanError) and said.format(tmp_path / value) in str(refused)
    assert not (tmp_path / "f.jsonl").exists()


@pytest.mark.parametrize("name", ["b1", "r1"])
def test_a_batch_whose_rows_name_rooms_may_be_unseen(tmp_path, monkeypatch, name):
    monkeypatch.setattr(auditing, "bundle_opinion", lambda classifier, cells, fresh, changes: seen.append(fresh))
    monkeypatch.setattr(confidence, "out_of_fold", reach)
    seen: list = []
    rows = [{"text": f"第{n}句话", "labels": [], "batch": f"b{n % 2}", "room": f"r{n % 2}"} for n in range(4)]
    (tmp_path / "rows.jsonl").write_bytes(b"".join(map(corpus_line, rows)))
    words = ["--features", "inference/model", "--unseen", name]
    CliRunner().invoke(data, ["audit", str(tmp_path / "rows.jsonl"), "-o", str(tmp_path / "f.jsonl"), *words])
    assert [fresh.tolist() for fresh in seen] == [[False, True, False, True]]
