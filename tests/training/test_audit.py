"""Label errors: folds, confidence, contradictions, agreement, planted errors, the fix file and applying it."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner
from zhenyan.inference.errors import ConfigError, InputError
from zhenyan.training import cli_data
from zhenyan.training.agreement import ANY, Contingency, agreement
from zhenyan.training.audit import bundle_opinion, contradictions, find_suspects, fix_records, nearest_disagreeing
from zhenyan.training.cli import data
from zhenyan.training.confidence import (
    Cells,
    blend,
    calibrate,
    class_thresholds,
    doubt,
    group_folds,
    out_of_fold,
)
from zhenyan.training.edits import corpus_line, edit_lines, replace_files
from zhenyan.training.fixes import apply_fixes
from zhenyan.training.planted import plant, search
from zhenyan.training.public import read_labelled
from zhenyan.training.rows import Row, read_rows, text_key
from zhenyan.training.schema import Change, load_schema


@pytest.fixture(scope="module")
def few():
    """Five authors' rows, enough to learn a little from."""
    return read_rows([f"data/corpus/b{number:02d}.jsonl" for number in range(1, 6)])


@pytest.fixture(scope="module")
def few_cells(few):
    return Cells.of(few, load_schema().ids)


@pytest.fixture(scope="module")
def believed(few_cells):
    return out_of_fold(few_cells, folds=3)


def cells(given, seen=None, groups=None):
    given = np.array(given, dtype=bool)
    seen = np.ones_like(given) if seen is None else np.array(seen, dtype=bool)
    count, labels = given.shape
    return Cells([f"l{i}" for i in range(labels)], ["字"] * count, *[groups or ["g"] * count] * 2, given, seen)


def test_folds_keep_groups_whole_and_even():
    groups = [f"g{i}" for i in range(9) for _ in range(10 + i)]
    folds = group_folds(groups, 4, seed=1)
    assert all(len({f for f, g in zip(folds, groups, strict=True) if g == name}) == 1 for name in set(groups))
    sizes = np.bincount(folds)
    assert len(sizes) == 4 and sizes.max() - sizes.min() <= 18
    assert np.array_equal(folds, group_folds(groups, 4, seed=1))
    assert group_folds(["a", "b"], 5, 0).max() == 1


@pytest.mark.parametrize("groups", [["b01"] * 3, []])
def test_one_group_can_not_be_audited(groups):
    with pytest.raises(InputError, match="of one group"):
        group_folds(groups, 5, 0)


def test_suspects_are_the_off_diagonal_of_the_confident_joint():
    """By hand: rows given the label average 0.6, so a row without it at 0.7 is suspect and one at 0.5 isn't."""
    given = [[True]] * 10 + [[False]] * 20
    p = np.array([0.9] * 6 + [0.2] * 2 + [0.1] * 2 + [0.7, 0.5] + [0.05] * 18)[:, None]
    one = cells(given)
    present, absent = class_thresholds(one, p)
    assert present[0] == pytest.approx(0.6) and absent[0] == pytest.approx(1 - (1.2 + 0.9) / 20)
    assert np.flatnonzero(doubt(one, p)[:, 0]).tolist() == [8, 9, 10]
    assert doubt(one, p)[[8, 10], 0] == pytest.approx([0.9, 0.7])


def test_nobody_doubts_what_was_never_looked_for_or_is_too_rare():
    given = [[True, True]] * 10 + [[True, False]] * 2 + [[False, False]] * 20
    seen = [[True, True]] * 31 + [[False, True]]
    p = np.where(given, 0.9, 0.1)
    p[-1] = 0.99
    assert np.argwhere(doubt(cells(given, seen), p)).tolist() == [[31, 1]]
    assert not doubt(cells([[True]] * 9 + [[False]] * 20), np.full((29, 1), 0.99)).any()


def test_probabilities_come_from_other_groups(few_cells, believed):
    """A label that only one author gives, by a word of its own, can't be learnt about that author's rows."""
    given = few_cells.given & (np.arange(len(few_cells.labels)) != 0)
    given[:40, 0] = True
    texts = [f"{text}鑫鑫鑫" if i < 40 else text for i, text in enumerate(few_cells.texts)]
    changed = dataclasses.replace(few_cells, given=given, texts=texts)
    assert out_of_fold(changed, folds=3)[:40, 0].max() < 0.2
    assert believed.shape == few_cells.given.shape and ((believed > 0) & (believed < 1)).all()


def test_calibration_makes_rates_right(few_cells, believed):
    again = calibrate(few_cells, believed**3)
    assert again.mean(0) == pytest.approx(few_cells.given.mean(0), abs=0.01)


def test_a_bundle_is_asked_only_about_rows_it_never_saw():
    stub = SimpleNamespace(
        bundle=SimpleNamespace(label_ids=("x", "l1")), score=lambda texts: np.tile([0.2, 0.9], (len(texts), 1))
    )
    opinion = bundle_opinion(stub, cells([[True, False]] * 3), np.array([False, True, True]))
    assert np.isnan(opinion[0]).all() and np.isnan(opinion[:, 0]).all() and opinion[1:, 1].tolist() == [0.9, 0.9]
    renamed = Change.model_construct(kind="rename", labels=["x"], into=["l0"])  # ids shorter than a schema has
    named = bundle_opinion(stub, cells([[True, False]] * 3), np.array([False, True, True]), [renamed])
    assert named[1:, 0].tolist() == [0.2, 0.2]
    mixed = blend(np.full((3, 2), 0.1), opinion)
    assert mixed[:, 0] == pytest.approx([0.1] * 3) and mixed[1, 1] == pytest.approx(0.5)


def near_rows(**second):
    text = "这个茶喝完三高就降下来了你们放心喝没有副作用"
    first = Row(text, ("food_safety",), id="1", origin="f:1", meta={"batch": "a"})
    return [first, dataclasses.replace(first, text=text + "啊", labels=(), id="2", origin="f:2", **second)]


def test_near_duplicates_that_differ_are_contradictions():
    rows = near_rows(meta={"batch": "b"})
    p = np.zeros((2, 14))
    p[:, 3] = 0.8
    (found,) = contradictions(rows, Cells.of(rows, load_schema().ids), p)
    assert (found.row, found.column, found.kind) == (1, 3, "contradiction")
    assert "not given here but at f:1" in found.reason and found.doubt == pytest.approx(0.8)
    assert find_suspects(rows, Cells.of(rows, load_schema().ids), p, 10) == [found]


def test_minimal_pairs_and_unannotated_labels_do_not_contradict():
    pair = [dataclasses.replace(row, meta={"pair": "p"}) for row in near_rows()]
    masked = near_rows(annotated=("price_fraud",), meta={"batch": "b"})
    for rows in (pair, masked):
        assert not list(contradictions(rows, Cells.of(rows, load_schema().ids), np.full((2, 14), 0.5)))


def test_suspects_carry_reason_and_opposed_rows_of_other_groups(few, few_cells, believed):
    found = find_suspects(few, few_cells, believed, 40)
    assert len(found) == 40 and [one.doubt for one in found if one.kind == "label"] == sorted(
        (one.doubt for one in found if one.kind == "label"), reverse=True
    )
    for one, nearest in zip(found, nearest_disagreeing(few_cells, found), strict=True):
        assert few_cells.labels[one.column] in one.reason and 1 <= len(nearest) <= 3
        for row, cosine in nearest:
            assert few[row].group != few[one.row].group and 0 < cosine <= 1 + 1e-9
            assert few_cells.given[row, one.column] != few_cells.given[one.row, one.column]
    record = next(fix_records(few, few_cells, found))
    assert record["apply"] is False and record["suggested"] is not record["given"]
    assert record["sha256"] == text_key(record["text"]) and record["file"].startswith("data/corpus/b0")


def test_planting_changes_one_thing_in_the_stated_share_of_rows(few_cells):
    planted = plant(few_cells, 0.1, seed=4)
    changed = (planted.cells.given != few_cells.given).sum(1)
    kinds = np.array(planted.kinds)
    assert planted.where.sum() == round(0.1 * len(kinds)) and np.array_equal(changed > 0, planted.where)
    assert set(changed[kinds == "swapped"]) == {2} and set(changed[(kinds == "added") | (kinds == "dropped")]) == {1}
    assert not few_cells.given[kinds == "added"].any()
    assert np.array_equal(plant(few_cells, 0.1, seed=4).cells.given, planted.cells.given)


@pytest.mark.slow
def test_of_five_percent_planted_errors_at_least_six_in_ten_suspects_are_real(root):
    """As many rows are flagged as were planted; what the authors themselves got wrong counts against the audit."""
    nineteen = read_rows(str(root / "data/corpus/b[01]*.jsonl"))  # all authors take minutes
    written = Cells.of(nineteen, load_schema().ids)
    found = search(plant(written, share=0.05, seed=0), folds=5, seed=0)
    print(f"precision {found.precision:.3f}")
    assert found.flagged.sum() == found.planted.where.sum() == round(0.05 * len(written.texts))
    assert found.precision >= 0.6


@pytest.mark.parametrize(
    ("counts", "f1", "kappa"),
    [
        ((20, 5, 10, 15), 40 / 55, 0.4),  # the usual worked example of Cohen's kappa
        ((10, 0, 0, 90), 1.0, 1.0),
        ((0, 0, 0, 50), None, None),
        ((0, 3, 0, 47), 0.0, 0.0),
        ((0, 0, 0, 0), None, None),
    ],
)
def test_agreement_measures(counts, f1, kappa):
    assert Contingency(*counts).f1 == (None if f1 is None else pytest.approx(f1))
    assert Contingency(*counts).kappa == (None if kappa is None else pytest.approx(kappa))


def test_agreement_counts_rows_read_twice_and_skips_what_was_not_looked_for():
    rows = [
        Row("a", meta={"readings": [["x"], ["x", "y"]]}),
        Row("b", meta={"readings": [[], []]}),
        Row("c", annotated=("y",), meta={"readings": [["x"], []]}),
        Row("d", meta={"readings": [["x"]]}),
        Row("e"),
        *(Row("f", meta={"readings": wrong}) for wrong in ([["x"], ["z"]], ["x", "xy"], [["x"], ["x"], []])),
    ]
    found = agreement(rows, ["x", "y"])
    assert found["x"] == Contingency(1, 0, 0, 1) and found["y"] == Contingency(0, 0, 1, 2)
    assert found[ANY] == Contingency(1, 0, 0, 2)  # of c only y counts, which was looked for
    assert agreement(rows[3:], ["x"]) == {}


def test_readings_of_before_a_new_label_agree_as_they_did():
    readings = [[["x"], ["x"]], [["x"], []], [[], []]]
    before = [Row("字", meta={"readings": pair}) for pair in readings]
    after = [dataclasses.replace(row, annotated=("x",)) for row in before]
    assert agreement(after, ["x", "new"])[ANY] == agreement(before, ["x"])[ANY] == Contingency(1, 1, 0, 1)


def test_the_committed_readings_agree_well(root):
    records = [json.loads(line) for line in (root / "data/labels/pool_labelled.jsonl").open(encoding="utf-8")]
    rows = [Row("-", meta={"readings": record["readings"]}) for record in records if "readings" in record]
    found = agreement(rows, load_schema().ids)
    assert found[ANY].rows >= 800 and found[ANY].f1 > 0.8 and found[ANY].kappa > 0.8


@pytest.fixture
def copied(tmp_path, root, monkeypatch):
    """Three authors' files, a hashed label file and the schema, in a folder to work in."""
    shutil.copytree(root / "configs", tmp_path / "configs")
    (tmp_path / "corpus").mkdir()
    for name in ("b01", "b02", "b03"):
        shutil.copy(root / f"data/corpus/{name}.jsonl", tmp_path / "corpus")
    text = "喝这个茶三高就降下来了姐妹们"
    record = {"id": "d1", "sha256": text_key(text), "doc": text_key(text), "start": 0, "end": len(text), "labels": [],
              "source": "streams", "room": "r-1", "annotated": ["food_safety"], "readings": [[], ["food_safty"]]}  # fmt: skip
    (tmp_path / "hashed.jsonl").write_bytes(corpus_line(record))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/streams.jsonl").write_bytes(corpus_line({"text": text}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def entry(row, label, **changes):
    """A decided entry of a fix file."""
    file = row.origin.rpartition(":")[0]
    given = label in row.labels
    return {"apply": True, "file": file, "id": row.id, "sha256": text_key(row.text), "label": label, "given": given,
            "suggested": not given, "labels": list(row.labels)} | changes  # fmt: skip


def save(path, *entries):
    path.write_bytes(b"".join(map(corpus_line, entries)))
    return path


def test_a_planted_error_is_found_decided_and_fixed(copied):
    """The whole loop: the file is again, byte for byte, what it was before the error."""
    file = copied / "corpus/b02.jsonl"
    clean = file.read_bytes()
    victim = next(row for row in read_rows(file) if row.meta["kind"] == "plain")
    lines, changed = edit_lines(
        file, lambda r, _: r | {"labels": ["counterfeit_origin"]} if r["id"] == victim.id else r
    )
    replace_files({file: lines})
    assert changed == 1 and file.read_bytes() != clean
    arguments = ["audit", "corpus", "hashed.jsonl", "-o", "fixes.jsonl", "--cache", "cache", "--folds", "3"]
    result = CliRunner().invoke(data, [*arguments, "--precision-report", "planted.jsonl"], catch_exceptions=False)
    assert result.exit_code == 0 and "suspects" in result.output and "precision at" in result.output
    assert "1 rows are left out of what two readers agree on: `zhenyan data check` says what" in result.output
    planted = [json.loads(line) for line in (copied / "planted.jsonl").read_text("utf-8").splitlines()]
    count, flagged = len(planted), sum(one["flagged"] for one in planted)
    assert f"{count} planted: precision at {count} {flagged / count:.3f}" in " ".join(result.output.split())
    assert all(set(one["labels"]) != set(one["planted_labels"]) for one in planted)
    entries = [json.loads(line) for line in (copied / "fixes.jsonl").read_text("utf-8").splitlines()]
    (wrong,) = [e for e in entries if e["id"] == victim.id]
    assert wrong["label"] == "counterfeit_origin" and wrong["suggested"] is False and wrong["nearest"]
    wrong["apply"] = True
    save(copied / "fixes.jsonl", *entries)
    result = CliRunner().invoke(data, ["fix", "fixes.jsonl"], catch_exceptions=False)
    assert "changed 1 labels of 1 rows in 1 files; 0 rows were so already" in result.output
    fixed = json.loads(clean.splitlines()[int(victim.origin.rpartition(":")[2]) - 1])
    assert fixed["labels"] == [] and file.read_bytes() == clean
    assert json.loads((copied / "fixes.jsonl").read_bytes().splitlines()[entries.index(wrong)])["applied"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-o", "corpus/../corpus/b01.jsonl"], "--output corpus/../corpus/b01.jsonl: the command reads this file"),
        (["-o", "f.jsonl", "--precision-report", "corpus/b01.jsonl"], "--precision-report corpus/b01.jsonl"),
        (["-o", "f.jsonl", "--precision-report", "f.jsonl"], "--precision-report f.jsonl"),
        (["-o", "f.jsonl", "--unseen", "b99"], "--unseen b99: .*name it with --features"),
        (["-o", "cache"], "--output cache: is a folder; give a file to write"),
        (["-o", "hashed.jsonl/f.jsonl"], "--output hashed.jsonl/f.jsonl: hashed.jsonl: .*; give a folder that may"),
        (["-o", "f.jsonl", "--precision-report", "hashed.jsonl/p"], "--precision-report hashed.jsonl/p: hashed"),
    ],
)
def test_an_audit_that_would_mislead_or_overwrite_is_refused(copied, monkeypatch, options, words):
    monkeypatch.setattr(cli_data, "_read", lambda *_: pytest.fail("refused only after rows were read"))
    before = (copied / "corpus/b01.jsonl").read_bytes()
    result = CliRunner().invoke(data, ["audit", "corpus", *options])
    assert isinstance(result.exception, ConfigError) and re.search(words, str(result.exception))
    assert (copied / "corpus/b01.jsonl").read_bytes() == before and not (copied / "f.jsonl").exists()


def test_rows_too_few_to_learn_from_are_named(tmp_path):
    rows = [{"text": text, "labels": [], "batch": text} for text in ("降压茶", "两盒", "拍一下")]
    file = save(tmp_path / "rows.jsonl", *rows)
    result = CliRunner().invoke(data, ["audit", str(file), "-o", str(tmp_path / "f.jsonl"), "--folds", "3"])
    assert isinstance(result.exception, InputError)
    assert "only 2 rows of other groups" in str(result.exception) and "more labelled rows" in str(result.exception)


def test_fixes_add_remove_and_exchange_and_again_change_nothing(copied):
    rows = read_rows("corpus/b01.jsonl")
    one = next(row for row in rows if row.labels == ("food_safety",))
    two = next(row for row in rows if not row.labels and row.meta["kind"] == "hard")
    fixes = save(
        copied / "fixes.jsonl", entry(one, "food_safety"), entry(one, "price_fraud"), entry(two, "public_order"),
        entry(two, "price_fraud", apply=False), entry(rows[5], "price_fraud", suggested="price_fraud" in rows[5].labels),
    )  # fmt: skip
    before = (copied / "corpus/b01.jsonl").read_bytes()
    dry = apply_fixes(fixes, load_schema(), dry_run=True)
    assert (dry.labels, dry.rows, dry.files, dry.left) == (3, 2, 1, 2)
    assert (copied / "corpus/b01.jsonl").read_bytes() == before
    assert apply_fixes(fixes, load_schema()) == dry
    after = {row.id: row for row in read_rows("corpus/b01.jsonl")}
    assert after[one.id].labels == ("price_fraud",) and after[one.id].meta["kind"] == "violation"
    assert after[two.id].labels == ("public_order",) and after[two.id].meta["kind"] == "violation"
    changed = [
        a != b
        for a, b in zip(before.splitlines(), (copied / "corpus/b01.jsonl").read_bytes().splitlines(), strict=True)
    ]
    assert sum(changed) == 2
    again = apply_fixes(fixes, load_schema())
    assert (again.labels, again.rows, again.already) == (0, 0, 2)


def test_a_public_line_is_fixed_by_its_hash(copied):
    rows, missing = read_labelled(["hashed.jsonl", "corpus/b01.jsonl"], copied / "cache")
    (row,) = [row for row in rows if row.id == "d1"]
    assert missing == 0 and row.annotated == ("food_safety",) and len(rows) > 400
    apply_fixes(save(copied / "f.jsonl", entry(row, "food_safety")), load_schema())
    record = json.loads((copied / "hashed.jsonl").read_text())
    assert record["labels"] == ["food_safety"] and "text" not in record


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": "b01-9999"}, r"f.jsonl:1: corpus/b01.jsonl holds no row b01-9999 with this text"),
        ({"sha256": "0" * 64}, "with this text any more; run `zhenyan data audit` again"),
        ({"labels": ["public_order"]}, "the audit saw public_order"),
        ({"file": "corpus/none.jsonl"}, "no such file"),
        ({"label": "no_such"}, "unknown label no_such"),
        ({"apply": "yes"}, r"f.jsonl:1: apply: .*found 'yes'"),
        ({"given": None}, "given"),
    ],
)
def test_a_fix_that_does_not_fit_stops_before_anything_is_written(copied, change, words):
    first, second = read_rows("corpus/b01.jsonl")[:2]
    before = (copied / "corpus/b01.jsonl").read_bytes()
    fixes = save(copied / "f.jsonl", entry(second, "public_order") | change, entry(first, "public_order"))
    with pytest.raises((InputError, ConfigError), match=words):
        apply_fixes(fixes, load_schema())
    assert (copied / "corpus/b01.jsonl").read_bytes() == before and not list(copied.rglob("*.tmp"))


def test_two_entries_for_one_cell_are_refused(copied):
    row = read_rows("corpus/b01.jsonl")[0]
    fixes = save(copied / "f.jsonl", entry(row, "public_order"), entry(row, "public_order"))
    with pytest.raises(InputError, match=r"f.jsonl:2: contradicts .*f.jsonl:1"):
        apply_fixes(fixes, load_schema())


def test_files_change_together_or_not_at_all(tmp_path):
    (tmp_path / "a").write_bytes(b"old\n")
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match=r"a: .*; give room or rights"):
        replace_files({tmp_path / "a": [b"new\n"], tmp_path / "a/c": [b"new\n"]})
    assert (tmp_path / "a").read_bytes() == b"old\n" and sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_other_lines_keep_their_bytes(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a":1}\r\n\n{"a" : 2}\n{"a":3}')
    lines, changed = edit_lines(path, lambda record, _: record | {"a": 5} if record["a"] == 2 else record)
    assert changed == 1 and b"".join(lines) == b'\xef\xbb\xbf{"a":1}\r\n\n{"a": 5}\n{"a":3}'
    path.write_text("[]\n")
    with pytest.raises(InputError, match=r"a.jsonl:1: expected a JSON object, found list"):
        edit_lines(path, lambda record, _: record)
    assert corpus_line({"text": "\ud800"}) == b'{"text": "\\ud800"}\n'


def test_the_command_says_what_it_left_out(copied):
    shutil.rmtree(copied / "cache")
    (copied / "cache").mkdir()
    result = CliRunner().invoke(data, ["audit", "hashed.jsonl", "-o", "f.jsonl", "--cache", "cache"])
    assert "1 public lines are not in cache" in result.output
    assert isinstance(result.exception, ConfigError) and "no labelled row with a text" in str(result.exception)
