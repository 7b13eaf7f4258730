"""Changes of the label schema, carried through the schema file and annotated rows."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import date

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner
from zhenyan.inference import normalise
from zhenyan.inference.bundle import FILES, bundle_id, load_bundle
from zhenyan.inference.errors import ConfigError, InputError
from zhenyan.training.agreement import agreement
from zhenyan.training.cli import data
from zhenyan.training.corpus_check import check_corpus
from zhenyan.training.dataset import targets
from zhenyan.training.edits import corpus_line
from zhenyan.training.migrate import apply_migration, plan_migration
from zhenyan.training.migrated_rows import Step, migrate_record, needs_relabelling
from zhenyan.training.public import join_labels
from zhenyan.training.rows import Row, read_rows, text_key
from zhenyan.training.schema import Label, Schema, load_schema
from zhenyan.training.splits import Splits

IDS = ["a_one", "b_two", "c_three"]
LINE = "喝这个茶三高就降下来了姐妹们"


def label(name, base):
    """An entry for a new label, as a migration file holds it."""
    return base.model_dump(mode="json") | {
        "id": name,
        "core": False,
        "section": "9",
        "definition": f"What {name} covers: 一二三.",
    }


@pytest.fixture(scope="module")
def base() -> Label:
    return load_schema().labels[0]


@pytest.fixture
def work(tmp_path, root, monkeypatch):
    """Schema, two authors' rows, and hashed rows of one public line, in a folder to work in."""
    shutil.copytree(root / "configs", tmp_path / "configs")
    (tmp_path / "data/corpus").mkdir(parents=True)
    (tmp_path / "data/labels").mkdir()
    for name in ("b01", "b02"):
        shutil.copy(root / f"data/corpus/{name}.jsonl", tmp_path / "data/corpus")
    record = {"id": "p1", "sha256": text_key(LINE), "doc": text_key(LINE), "start": 0, "end": len(LINE),
              "labels": ["food_safety"], "source": "streams", "room": "r-1", "contested": True,
              "readings": [["food_safety"], ["food_safety", "price_fraud"]]}  # fmt: skip
    (tmp_path / "data/labels/pool.jsonl").write_bytes(corpus_line(record))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/streams.jsonl").write_bytes(corpus_line({"text": LINE}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(folder, *changes):
    (folder / "m.yaml").write_text(yaml.safe_dump({"changes": list(changes)}, allow_unicode=True), encoding="utf-8")
    return plan_migration(
        folder / "m.yaml", folder / "configs/labels.yaml", [folder / "data/corpus", folder / "data/labels"],
        folder / "data/migrations", date(2026, 12, 1),
    )  # fmt: skip


def migrate(folder, *changes):
    return apply_migration(plan(folder, *changes), folder / "data/migrations")


def pooled(folder):
    return json.loads((folder / "data/labels/pool.jsonl").read_text(encoding="utf-8"))


STEPS = {
    "rename": Step(kind="rename", labels=["a_one"], into=["x_new"]),
    "merge into one of them": Step(kind="merge", labels=["a_one", "b_two"], into=["b_two"]),
    "merge into a new one": Step.model_construct(kind="merge", labels=["a_one", "b_two"], into=["x_new"]),
    "split": Step.model_construct(kind="split", labels=["a_one"], into=["x_new", "y_new"]),
    "split, one part stays": Step.model_construct(kind="split", labels=["a_one"], into=["a_one", "y_new"]),
    "retire": Step(kind="retire", labels=["a_one"]),
    "add": Step.model_construct(kind="add", labels=["x_new"], into=[]),
}


@pytest.mark.parametrize(
    ("name", "labels", "annotated", "labels_after", "annotated_after"),
    [
        ("rename", ["c_three", "a_one"], None, ["c_three", "x_new"], None),
        ("rename", ["a_one"], ["a_one"], ["x_new"], ["x_new"]),
        ("merge into one of them", ["a_one", "b_two"], None, ["b_two"], None),
        ("merge into one of them", ["a_one"], ["a_one"], ["b_two"], ["b_two"]),
        ("merge into one of them", [], ["a_one", "c_three"], [], ["c_three"]),
        ("merge into a new one", ["c_three", "b_two"], None, ["c_three", "x_new"], None),
        ("merge into a new one", [], ["a_one", "b_two"], [], ["x_new"]),
        ("split", ["a_one", "c_three"], None, ["c_three"], ["b_two", "c_three"]),
        ("split", ["c_three"], None, ["c_three"], None),
        ("split", [], ["b_two"], [], ["b_two"]),
        ("split, one part stays", ["a_one"], None, [], ["b_two", "c_three"]),
        ("split, one part stays", [], None, [], None),
        ("retire", ["a_one", "b_two"], None, ["b_two"], None),
        ("retire", ["a_one"], ["a_one", "b_two"], [], ["b_two"]),
        ("add", ["a_one"], None, ["a_one"], IDS),
        ("add", [], ["c_three"], [], ["c_three"]),
        ("add", [], [], [], []),
        ("rename", ["foreign"], ["foreign", "a_one"], ["foreign"], ["x_new", "foreign"]),
    ],
)
def test_a_row_follows_the_schema(name, labels, annotated, labels_after, annotated_after):
    record = {"text": "字", "labels": labels} | ({} if annotated is None else {"annotated": annotated})
    before = json.dumps(record)
    new = migrate_record(record, STEPS[name], IDS, STEPS[name].after(IDS))
    assert (new["labels"], new.get("annotated")) == (labels_after, annotated_after)
    assert json.dumps(record) == before and new["text"] == "字"


@pytest.mark.parametrize(
    ("name", "lines", "window", "annotated"),
    [
        ("rename", [["x_new"], [], ["c_three"]], ["x_new", "c_three"], None),
        ("split", [[], [], ["c_three"]], ["c_three"], ["b_two", "c_three"]),
        ("add", [["a_one"], [], ["c_three"]], ["a_one", "c_three"], IDS),
    ],
)
def test_a_window_follows_the_schema(name, lines, window, annotated):
    record = {"sha256": ["1", "2", "3"], "labels": [["a_one"], [], ["c_three"]], "window": ["a_one", "c_three"]}
    new = migrate_record(record, STEPS[name], IDS, STEPS[name].after(IDS))
    assert (new["labels"], new["window"], new.get("annotated")) == (lines, window, annotated)
    assert needs_relabelling(record, STEPS[name]) == (name == "split")


def test_held_out_rows_and_windows_are_migrated_too(work, root):
    for name in ("held_out", "windows"):
        shutil.copytree(root / "data/labels" / name, work / "data/labels" / name)
    (work / "m.yaml").write_text("changes:\n  - {kind: rename, labels: [food_safety], into: [food_law]}\n")
    CliRunner().invoke(data, ["migrate", "m.yaml", "--apply"], catch_exceptions=False)
    files = list((work / "data/labels").rglob("*.jsonl"))
    assert len(files) == 7 and not any(b'"food_safety"' in file.read_bytes() for file in files)
    assert all(b'"food_law"' in file.read_bytes() for file in files)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"annotated": 3}, "field 'annotated' must be a list of label ids, found 3"),
        ({"labels": None}, "field 'labels' must be a list of label ids, found None"),
        ({"sha256": [], "labels": ["x"], "window": []}, "field 'labels' must be a list of lists of label ids"),
    ],
)
def test_a_record_that_can_not_be_migrated_is_named(work, fields, words):
    (work / "data/labels/pool.jsonl").write_bytes(corpus_line(fields))
    with pytest.raises(InputError, match=rf"pool\.jsonl:1: {words}"):
        plan(work, {"kind": "retire", "labels": ["food_safety"]})


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("rename", ["x_new", "b_two", "c_three"]),
        ("merge into one of them", ["b_two", "c_three"]),
        ("merge into a new one", ["c_three", "x_new"]),
        ("split", ["b_two", "c_three", "x_new", "y_new"]),
        ("split, one part stays", ["a_one", "b_two", "c_three", "y_new"]),
        ("retire", ["b_two", "c_three"]),
        ("add", [*IDS, "x_new"]),
    ],
)
def test_what_stays_keeps_its_order_and_new_labels_come_last(name, after):
    assert STEPS[name].after(IDS) == after


def test_rename_touches_ids_and_nothing_else(work):
    old = (work / "configs/labels.yaml").read_text(encoding="utf-8").splitlines()
    rows = read_rows("data/corpus")
    record = migrate(work, {"kind": "rename", "labels": ["price_fraud"], "into": ["price_law"], "note": "wider"})
    new = (work / "configs/labels.yaml").read_text(encoding="utf-8").splitlines()
    changed = [(a, b) for a, b in zip(old, new, strict=False) if a != b]
    assert changed[:2] == [("version: 1", "version: 2"), ("  - id: price_fraud", "  - id: price_law")]
    assert changed[2:] == [("changes: []", "changes:")]
    schema = load_schema("configs/labels.yaml")
    assert schema.changes[0].model_dump() == {
        "date": "2026-12-01", "kind": "rename", "labels": ["price_fraud"], "into": ["price_law"], "note": "wider"
    }  # fmt: skip
    for before, after in zip(rows, read_rows("data/corpus"), strict=True):
        assert after.labels == tuple("price_law" if name == "price_fraud" else name for name in before.labels)
        assert (after.text, after.meta, after.annotated) == (before.text, before.meta, None)
    assert pooled(work)["readings"] == [["food_safety"], ["food_safety", "price_law"]]
    assert record.name == "001.yaml" and yaml.safe_load(record.read_text())["rows_to_relabel"] == 0


def test_rows_without_the_label_keep_their_bytes(work):
    path = work / "data/corpus/b01.jsonl"
    before = path.read_bytes().splitlines()
    migrate(work, {"kind": "retire", "labels": ["fake_engagement"]})
    after = path.read_bytes().splitlines()
    touched = [a for a, b in zip(before, after, strict=True) if a != b]
    assert touched and all(b'"fake_engagement"' in line for line in touched)
    assert not any(b"fake_engagement" in line for line in after)


def test_comments_and_layout_survive(work):
    path = work / "configs/labels.yaml"
    text = path.read_text(encoding="utf-8")
    text = text.replace("  - id: food_safety", "  # about food\n  # and drink\n  - id: food_safety")
    text = text.replace("  - id: price_fraud", "  # about prices\n  - id: price_fraud")
    text = text.replace("changes: []", "# what has changed\nchanges: []  # nothing yet\ntrailer: 1\n").replace(
        "trailer: 1\n", ""
    )
    path.write_text(text, encoding="utf-8")
    migrate(work, {"kind": "retire", "labels": ["food_safety", "public_order"]})
    new = path.read_text(encoding="utf-8")
    assert "# about prices\n  - id: price_fraud" in new and "# about food" not in new and "# and drink" not in new
    assert new.startswith(text[: text.index("version:")]) and "# what has changed\nchanges:\n  - date:" in new
    kept = [line for line in new.splitlines() if line in text.splitlines()]
    assert len(kept) >= len(new.splitlines()) - 8


def test_merge_unites_rows_and_readings(work):
    rows = {row.id: row for row in read_rows("data/corpus")}
    migrate(work, {"kind": "merge", "labels": ["food_safety", "price_fraud"], "into": ["food_safety"]})
    assert "price_fraud" not in load_schema("configs/labels.yaml").ids
    for row in read_rows("data/corpus"):
        was = set(rows[row.id].labels)
        assert ("food_safety" in row.labels) == bool(was & {"food_safety", "price_fraud"})
        assert len(set(row.labels)) == len(row.labels) and row.annotated is None
    assert pooled(work)["readings"] == [["food_safety"], ["food_safety"]]


def test_split_lists_rows_and_forgets_what_it_can_not_know(work, base):
    positive = {row.id for row in read_rows("data/corpus") if "food_safety" in row.labels}
    parts = ["disease_claim", "unfit_food"]
    record = migrate(
        work,
        {"kind": "split", "labels": ["food_safety"], "into": parts, "define": [label(part, base) for part in parts]},
    )
    schema = load_schema("configs/labels.yaml")
    assert schema.ids[-2:] == parts and "food_safety" not in schema.ids
    rows = read_rows("data/corpus")
    truth, mask = targets(rows, schema.ids)
    unknown = np.array([row.id in positive for row in rows])
    assert not mask[unknown][:, -2:].any() and mask[unknown][:, :-2].all() and mask[~unknown].all()
    assert not truth[:, -2:].any()
    listed = [json.loads(line) for line in record.with_name("001.relabel.jsonl").read_text("utf-8").splitlines()]
    assert {one["id"] for one in listed} == positive | {"p1"}
    assert all(one["was"] == "food_safety" and one["choose_from"] == parts for one in listed)
    assert all(("text" in one) != ("sha256" in one) for one in listed)
    assert yaml.safe_load(record.read_text())["rows_to_relabel"] == len(listed)
    joined, _ = join_labels(["data/labels/pool.jsonl"], work / "cache")
    found = agreement([Row("-", annotated=joined[0].annotated, meta=joined[0].meta)], schema.ids)
    assert found["disease_claim"].rows == 0 and found["price_fraud"].rows == 1


def test_an_added_label_is_masked_not_negative(work, base):
    migrate(work, {"kind": "add", "labels": ["minor_host"], "define": [label("minor_host", base)]})
    schema = load_schema("configs/labels.yaml")
    joined, _ = join_labels(["data/labels/pool.jsonl"], work / "cache")
    _, mask = targets([*read_rows("data/corpus"), *joined], schema.ids)
    assert schema.ids[-1] == "minor_host" and not mask[:, -1].any() and mask[:, :-1].all()
    assert schema.labels[-1].definition == "What minor_host covers: 一二三."
    migrate(work, {"kind": "retire", "labels": ["minor_host"]})
    assert all(row.annotated is None for row in read_rows("data/corpus"))


def test_changes_add_up(work, base):
    """Several changes in one file, then another file: order, versions, numbers and records."""
    first = {"kind": "rename", "labels": ["price_fraud"], "into": ["price_law"]}
    second = {"kind": "merge", "labels": ["price_law", "consumer_rights"], "into": ["buyer"],
              "define": [label("buyer", base)]}  # fmt: skip
    migrate(work, first, second)
    record = migrate(work, {"kind": "rename", "labels": ["buyer"], "into": ["buyer_law"]})
    schema = load_schema("configs/labels.yaml")
    assert [c.kind for c in schema.changes] == ["rename", "merge", "rename"] and schema.version == 3
    assert schema.ids[-1] == "buyer_law" and record.name == "002.yaml"
    assert {name for row in read_rows("data/corpus") for name in row.labels} <= set(schema.ids)


def test_a_migration_back_gives_the_same_rows(work):
    before = {path: path.read_bytes() for path in (work / "data").rglob("*.jsonl")}
    migrate(work, {"kind": "rename", "labels": ["food_safety"], "into": ["food_law"]})
    assert all(path.read_bytes() != old for path, old in before.items())
    migrate(work, {"kind": "rename", "labels": ["food_law"], "into": ["food_safety"]})
    assert all(path.read_bytes() == old for path, old in before.items())


def test_dry_run_says_what_and_writes_nothing(work):
    (work / "m.yaml").write_text("changes:\n  - {kind: retire, labels: [fake_engagement]}\n")
    before = {path: path.read_bytes() for path in work.rglob("*") if path.is_file()}
    result = CliRunner().invoke(data, ["migrate", "m.yaml"], catch_exceptions=False)
    assert result.exit_code == 0 and "dry run" in result.output and "retire fake_engagement" in result.output
    assert "wordlist.yaml:" in result.output and "names fake_engagement" in result.output
    assert {path: path.read_bytes() for path in work.rglob("*") if path.is_file()} == before
    applied = CliRunner().invoke(data, ["migrate", "m.yaml", "--apply"], catch_exceptions=False)
    assert "recorded in data/migrations/001.yaml" in applied.output and (work / "data/migrations/001.yaml").exists()
    with pytest.raises(ConfigError, match=r"no label fake_engagement; .*; by `changes` in .* made on 20"):
        CliRunner().invoke(data, ["migrate", "m.yaml", "--apply"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "rename", "labels": ["none_such"], "into": ["x_y"]}, r"changes.0 \(rename\): no label none_such; the schema has"),
        ({"kind": "rename", "labels": ["price_fraud"], "into": ["food_safety"]}, "food_safety stands in the schema already"),
        ({"kind": "rename", "labels": ["price_fraud"], "into": []}, "rename needs 1 different ids in `into`"),
        ({"kind": "rename", "labels": ["price_fraud"], "into": ["Bad Id"]}, r"changes.0.into.0: .*found 'Bad Id'"),
        ({"kind": "merge", "labels": ["price_fraud"], "into": ["food_safety"]}, "merge needs at least 2"),
        ({"kind": "merge", "labels": ["price_fraud", "public_order"], "into": ["food_safety"]}, "or name it under `labels` too"),
        ({"kind": "split", "labels": ["price_fraud"], "into": ["x_a", "x_b"]}, "must hold the entries of x_a, x_b, found none"),
        ({"kind": "add", "labels": ["x_a"]}, "must hold the entries of x_a"),
        ({"kind": "retire", "labels": ["price_fraud"], "into": ["x_a"]}, "retire needs 0 different ids in `into`"),
        ({"kind": "drop", "labels": ["price_fraud"]}, "changes.0.kind"),
    ],
)  # fmt: skip
def test_a_change_that_does_not_fit_is_named(work, change, words):
    with pytest.raises(ConfigError, match=words) as error:
        plan(work, change)
    assert "m.yaml" in str(error.value)


def test_labels_just_split_wait_for_their_rows(work, base):
    parts = ["x_a", "x_b"]
    split = {"kind": "split", "labels": ["price_fraud"], "into": parts, "define": [label(part, base) for part in parts]}
    with pytest.raises(ConfigError, match="migrate in two files"):
        plan(work, split, {"kind": "rename", "labels": ["x_a"], "into": ["x_c"]})


def test_a_schema_in_another_layout_is_refused(work):
    path = work / "configs/labels.yaml"
    path.write_text(json.dumps(yaml.safe_load(path.read_text(encoding="utf-8"))), encoding="utf-8")
    with pytest.raises(ConfigError, match="block style"):
        plan(work, {"kind": "retire", "labels": ["price_fraud"]})


def test_the_last_label_can_not_retire(work):
    with pytest.raises(ConfigError, match="labels"):
        plan(work, {"kind": "retire", "labels": load_schema().ids})


def test_when_one_file_can_not_be_written_none_changes(work):
    found = plan(work, {"kind": "retire", "labels": ["food_safety"]})
    before = {path: path.read_bytes() for path in work.rglob("*") if path.is_file()}
    (work / "data/migrations").write_text("a file where the folder should be")
    with pytest.raises(InputError, match="migrations"):
        apply_migration(found, work / "data/migrations")
    assert all(path.read_bytes() == old for path, old in before.items()) and not list(work.rglob("*.tmp"))


def test_old_bundles_still_load(work):
    """A bundle carries its own labels: the schema of today is nothing to it."""
    folder = work / "bundle"
    folder.mkdir()
    schema = load_schema("configs/labels.yaml")
    contents = dict.fromkeys(FILES, "{}") | {
        "labels.json": json.dumps([entry.model_dump(mode="json") for entry in schema.labels]),
        "thresholds.json": json.dumps({name: {"threshold": 0.5} for name in schema.ids}),
    }
    for name, text in contents.items():
        (folder / name).write_text(text)
    hashes = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in contents.items()}
    manifest = {
        "format": 1,
        "normaliser": normalise.VERSION,
        "name": "old",
        "bundle_id": bundle_id("old", hashes),
        "activation": "sigmoid",
        "max_tokens": 128,
        "pad_id": 0,
        "labels": schema.ids,
        "sha256": hashes,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    migrate(
        work,
        {"kind": "retire", "labels": ["food_safety"]},
        {"kind": "rename", "labels": ["price_fraud"], "into": ["p_new"]},
    )
    assert list(load_bundle(folder).label_ids) == schema.ids


def test_the_example_of_a_new_label_fits_the_schema(tmp_path, root):
    """What docs/new-label.md walks through: half the rows of each author carry the label, half are lawful look-alikes."""
    folder = root / "data/examples"
    planned = plan_migration(
        folder / "private_diversion.yaml", root / "configs/labels.yaml", [root / "data/corpus/b01.jsonl"], tmp_path
    )
    new = Schema.model_validate(yaml.safe_load(planned.schema_text))
    rows = read_rows(folder / "private_diversion.jsonl")
    found = check_corpus(rows, new, Splits(validation=["xp2"], test=["xp3"]))
    assert not found.faults and not found.notes
    for batch, least in (("xp1", 30), ("xp2", 15), ("xp3", 15)):
        own = [row for row in rows if row.group == batch]
        carried = sum("private_diversion" in row.labels for row in own)
        assert carried >= least and abs(carried - len(own) / 2) <= 1
