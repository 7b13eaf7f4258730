"""A fix file that is decided in several sittings, and rows without an id."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from zhenyan.inference.errors import InputError
from zhenyan.training.edits import corpus_line, edit_lines, replace_files
from zhenyan.training.fixes import apply_fixes
from zhenyan.training.rows import text_key
from zhenyan.training.schema import load_schema

TEXT = "这个茶喝了能降血压三天就好 专家都推荐"


@pytest.fixture
def row(tmp_path):
    """Writes the one row that the fixes are of, and says which labels it has."""
    file = tmp_path / "rows.jsonl"

    def write(**fields):
        file.write_bytes(corpus_line({"id": "q1", "text": TEXT, "labels": ["food_safety"], **fields}))

    write()
    return write, lambda: json.loads(file.read_bytes())["labels"]


@pytest.fixture
def decide(tmp_path):
    """Writes a fix file for the row, or sets `apply` in the one that stands there; returns its path."""
    path = tmp_path / "fixes.jsonl"

    def write(**decided: bool):
        fixes = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else [
            {"file": str(tmp_path / "rows.jsonl"), "id": "q1", "sha256": text_key(TEXT), "label": label,
             "given": label == "food_safety", "suggested": label != "food_safety", "labels": ["food_safety"]}
            for label in ("illegal_endorsement", "false_propaganda", "food_safety")
        ]  # fmt: skip
        path.write_bytes(b"".join(corpus_line({**fix, "apply": decided.get(fix["label"], False)}) for fix in fixes))
        return path

    return write


def test_a_file_may_be_decided_in_several_sittings(row, decide):
    _, labels = row
    assert apply_fixes(decide(illegal_endorsement=True), load_schema()).labels == 1
    assert labels() == ["food_safety", "illegal_endorsement"]
    second = apply_fixes(decide(illegal_endorsement=True, false_propaganda=True, food_safety=True), load_schema())
    assert (second.labels, second.rows, second.left) == (2, 1, 0)
    assert labels() == ["illegal_endorsement", "false_propaganda"]
    again = apply_fixes(decide(illegal_endorsement=True, false_propaganda=True, food_safety=True), load_schema())
    assert (again.labels, again.already) == (0, 1)


def test_fixes_that_were_taken_back_with_the_file_are_applied_anew(row, decide):
    write, labels = row
    apply_fixes(decide(illegal_endorsement=True), load_schema())
    write()
    assert apply_fixes(decide(illegal_endorsement=True, false_propaganda=True), load_schema()).labels == 2
    assert labels() == ["food_safety", "illegal_endorsement", "false_propaganda"]


def test_a_fix_whose_apply_is_set_back_stays_and_later_ones_go_in(row, decide):
    _, labels = row
    apply_fixes(decide(illegal_endorsement=True), load_schema())
    assert apply_fixes(decide(), load_schema()).left == 3 and labels() == ["food_safety", "illegal_endorsement"]
    later = apply_fixes(decide(false_propaganda=True, food_safety=True), load_schema())
    assert (later.labels, later.rows, later.left) == (2, 1, 1)
    assert labels() == ["illegal_endorsement", "false_propaganda"]


def test_a_fix_that_is_set_back_and_taken_back_by_hand_stays_out(row, decide):
    write, labels = row
    apply_fixes(decide(illegal_endorsement=True, food_safety=True), load_schema())
    write(labels=["food_safety"])
    apply_fixes(decide(false_propaganda=True), load_schema())
    assert labels() == ["food_safety", "false_propaganda"]
    write(labels=["price_fraud"])
    with pytest.raises(InputError, match="are price_fraud now, the audit saw food_safety"):
        apply_fixes(decide(false_propaganda=True), load_schema())


def test_a_row_that_somebody_else_changed_between_sittings_is_named(row, decide):
    write, labels = row
    apply_fixes(decide(illegal_endorsement=True), load_schema())
    write(labels=["price_fraud"])
    words = r"are price_fraud now, the audit saw food_safety, and food_safety, illegal_endorsement stood there once its"
    with pytest.raises(InputError, match=words):
        apply_fixes(decide(illegal_endorsement=True, false_propaganda=True), load_schema())
    assert labels() == ["price_fraud"]


def test_a_row_whose_id_is_null_is_found_by_its_text(row, decide):
    write, labels = row
    write(id=None)
    fixes = decide(illegal_endorsement=True)
    fixes.write_text(fixes.read_text("utf-8").replace('"q1"', '""'), encoding="utf-8")
    apply_fixes(fixes, load_schema())
    assert labels() == ["food_safety", "illegal_endorsement"]


def test_a_file_beside_the_changed_one_keeps_what_it_holds(tmp_path):
    """NAME.new was written over and removed."""
    for name in ("rows.jsonl", "rows.jsonl.new"):
        (tmp_path / name).write_bytes(b"old\n")
    replace_files({tmp_path / "rows.jsonl": [b"new\n"]})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "rows.jsonl": b"new\n", "rows.jsonl.new": b"old\n"
    }  # fmt: skip


def test_a_link_stays_one_and_a_private_file_private(tmp_path):
    file, link = tmp_path / "rows.jsonl", tmp_path / "link.jsonl"
    file.write_bytes(b"old\n")
    file.chmod(0o600)
    link.symlink_to(file.name)
    replace_files({link: [b"new\n"], tmp_path / "other.jsonl": [b"more\n"]})
    assert link.is_symlink() and file.read_bytes() == b"new\n" and file.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "other.jsonl").read_bytes() == b"more\n"


def test_files_are_renamed_in_their_order_once_all_are_written(tmp_path, monkeypatch):
    """Killed in between, no fix is marked as applied whose row isn't changed yet."""
    rows, fixes, renamed = tmp_path / "rows.jsonl", tmp_path / "fixes.jsonl", []
    replace = Path.replace

    def noted(self, target):
        renamed.append((Path(target).name, len(list(tmp_path.glob(".*.tmp")))))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", noted)
    replace_files({rows: [b"new\n"], fixes: [b"marked\n"]})
    assert renamed == [("rows.jsonl", 2), ("fixes.jsonl", 1)]


@pytest.mark.parametrize(("fields", "said"), [({"text": 5}, "field 'text' must be text, found 5"),
                                              ({"labels": None}, "field 'labels' must be a list of ids, found None")])  # fmt: skip
def test_a_row_that_is_none_is_named(tmp_path, row, decide, fields, said):
    fixes = decide(food_safety=True)
    with (tmp_path / "rows.jsonl").open("ab") as file:
        file.write(corpus_line({"id": "q2", "text": "好", "labels": [], **fields}))
    with pytest.raises(InputError, match=rf"rows\.jsonl:2: {said}; mend the row first"):
        apply_fixes(fixes, load_schema())
    assert json.loads((tmp_path / "rows.jsonl").read_bytes().splitlines()[0])["labels"] == ["food_safety"]


@pytest.mark.parametrize("name", ["decided.csv", "decided.XLSX"])
def test_a_table_of_fixes_is_refused_by_what_it_is(tmp_path, name):
    """It was to be imported as labelled rows."""
    (tmp_path / name).write_bytes(b"apply,file\n")
    with pytest.raises(InputError, match=rf"{name}: is a table; .* \.jsonl that `zhenyan data audit` wrote") as refused:
        apply_fixes(tmp_path / name, load_schema())
    assert "import" not in str(refused.value)


def test_what_can_not_be_read_is_named(tmp_path):
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(InputError, match=r"folder\.jsonl: Is a directory"):
        edit_lines(tmp_path / "folder.jsonl", lambda record, _: record)


def test_a_changed_line_ends_as_it_did(tmp_path):
    (path := tmp_path / "a.jsonl").write_bytes(b'{"a":1}\r\n{"a":2}\r\n')
    lines, _ = edit_lines(path, lambda record, _: record | {"a": 5} if record["a"] == 2 else record)
    assert b"".join(lines) == b'{"a":1}\r\n{"a": 5}\r\n'
