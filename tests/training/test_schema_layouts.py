"""Migrations of schema files that are valid YAML in another layout than the committed one, and of folders with other files."""

from __future__ import annotations

import re

import pytest
import yaml
from zhenyan.inference.errors import ConfigError
from zhenyan.training.edits import corpus_line
from zhenyan.training.migrate import apply_migration, plan_migration
from zhenyan.training.schema import load_schema
from zhenyan.training.schema_text import SchemaText


@pytest.fixture
def migrate(tmp_path, root):
    """Makes and applies a migration of a schema file with the given text; returns the schema after it."""
    schema = tmp_path / "configs/labels.yaml"
    (tmp_path / "data").mkdir()
    schema.parent.mkdir()
    (tmp_path / "data/rows.jsonl").write_bytes(corpus_line({"text": "好", "labels": ["price_fraud"]}))

    def run(text: str, *changes):
        schema.write_text(text, encoding="utf-8")
        (tmp_path / "m.yaml").write_text(yaml.safe_dump({"changes": list(changes)}, allow_unicode=True), "utf-8")
        plan = plan_migration(tmp_path / "m.yaml", schema, [tmp_path / "data"], tmp_path / "records")
        apply_migration(plan, tmp_path / "records")
        return load_schema(schema), plan

    return run


def indented(root, extra: int) -> str:
    """The committed schema with the items of `labels` so many more characters to the right."""
    text = (root / "configs/labels.yaml").read_text(encoding="utf-8")
    head, labels, rest = re.split(r"(?m)^(?=labels:\n)|^(?=changes:)", text)
    lines = labels.splitlines(keepends=True)
    moved = [" " * extra + line if extra > 0 and line.strip() else line[-extra:] if extra < 0 else line for line in lines[1:]]  # fmt: skip
    return head + lines[0] + "".join(moved) + rest


def added():
    entry = load_schema().labels[0].model_dump(mode="json", exclude_none=True)
    return {"kind": "add", "labels": ["x_new"], "define": [entry | {"id": "x_new", "core": False}]}


@pytest.mark.parametrize("layout", ["committed", "four spaces", "not indented", "as safe_dump writes it"])
def test_labels_are_added_and_removed_in_every_block_layout(migrate, root, layout):
    text = {
        "committed": lambda: indented(root, 0),
        "four spaces": lambda: indented(root, 2),
        "not indented": lambda: indented(root, -2),
        "as safe_dump writes it": lambda: yaml.safe_dump(yaml.safe_load(indented(root, 0)), allow_unicode=True),
    }[layout]()
    before = load_schema()
    assert yaml.safe_load(text) == yaml.safe_load(indented(root, 0))
    after, _ = migrate(text, added(), {"kind": "retire", "labels": ["price_fraud"]},
                       {"kind": "rename", "labels": ["food_safety"], "into": ["food_law"]})  # fmt: skip
    renamed = ["food_law" if name == "food_safety" else name for name in before.ids if name != "price_fraud"]
    assert after.ids == [*renamed, "x_new"] and [one.kind for one in after.changes] == ["add", "retire", "rename"]
    kept = [one.model_copy(update={"id": "x"}) for one in before.labels if one.id != "price_fraud"]
    assert [one.model_copy(update={"id": "x"}) for one in after.labels[:-1]] == kept


@pytest.mark.parametrize("broken", ["labels:\n- id: a\n x: [", "labels:\n- id: a\n- text: b\n", "labels:\n"])
def test_a_file_that_can_not_be_edited_by_lines_says_so(migrate, root, monkeypatch, broken):
    monkeypatch.setattr(SchemaText, "append", lambda self, label: SchemaText(broken, self.path))
    monkeypatch.setattr(SchemaText, "record", lambda self, changes: self)
    monkeypatch.setattr(SchemaText, "count_up", lambda self: self)
    with pytest.raises(ConfigError, match=r"labels\.yaml: could not be edited line by line; give it the layout"):
        migrate(indented(root, 0), added())


def test_other_files_beside_the_schema_may_be_in_another_encoding(migrate, root, tmp_path):
    (tmp_path / "configs/own.yaml").write_bytes("# 词表\nprice_fraud: [原价]\n".encode("gbk"))
    _, plan = migrate(indented(root, 0), {"kind": "retire", "labels": ["price_fraud"]})
    assert [line.rpartition("/")[2] for line in plan.mentions] == ["own.yaml:2 names price_fraud"]


def test_lines_of_the_schema_that_name_a_label_which_is_gone_are_listed_as_they_will_stand(migrate, root):
    text = indented(root, 0)
    step = {"kind": "rename", "labels": ["food_safety"], "into": ["food_law"]}
    _, plan = migrate(text, step, {"kind": "retire", "labels": ["false_propaganda"]})
    lines = plan.schema_text.splitlines()
    named = [int(mention.split(":")[1].split()[0]) for mention in plan.mentions if "labels.yaml:" in mention]
    changes = next(number for number, line in enumerate(lines, 1) if line.startswith("changes:"))
    words = re.compile(r"\b(food_safety|false_propaganda)\b")
    assert named == [number for number, line in enumerate(lines[:changes], 1) if words.search(line)] and named
    _, again = migrate(text, step, {"kind": "rename", "labels": ["price_fraud"], "into": ["food_safety"]})
    bears = next(number for number, line in enumerate(again.schema_text.splitlines(), 1) if "id: food_safety" in line)
    assert not any(f"labels.yaml:{bears} " in mention for mention in again.mentions), "it bears the name now"


@pytest.mark.parametrize(
    ("item", "behind"),
    [
        (
            "- {date: '2026-11-01', kind: add, labels: [price_fraud]}\n",
            "\n# to be renamed next\n# by the bureau's list\n",
        ),
        ("- date: '2026-11-01'\n  kind: add\n  labels:\n  - price_fraud\n", "# to be renamed next\n"),
        (
            "  - date: '2026-11-01'\n    kind: add\n    labels: [price_fraud]\n    note: long\n      words\n",
            "\n# next\n",
        ),
        ("- date: '2026-11-01'\n  kind: add\n  labels: [price_fraud]\n  note: |\n    long\n", "# next\n"),
    ],
)
@pytest.mark.parametrize("moved", [False, True])
def test_comments_behind_the_changes_survive(migrate, root, item, behind, moved):
    text = indented(root, 0)
    assert text.endswith("\nchanges: []\n")
    text = text.removesuffix("changes: []\n")
    changes = f"changes:\n{item}{behind}"
    head, labels = text[: text.index("labels:\n")], text[text.index("labels:\n") :]
    after, plan = migrate(head + changes + labels if moved else text + changes,
                          {"kind": "rename", "labels": ["food_safety"], "into": ["food_law"]})  # fmt: skip
    assert [one.kind for one in after.changes] == ["add", "rename"] and "food_law" in after.ids
    kept = labels.replace("- id: food_safety\n", "- id: food_law\n") if moved else ""
    assert plan.schema_text.endswith(f"into:\n    - food_law\n{behind}{kept}")
