"""Rows that were labelled by the schema before a migration and come after it."""

from __future__ import annotations

import json
import shutil

from typer.testing import CliRunner
from zhenyan.training.cli import data
from zhenyan.training.edits import corpus_line

EXAMPLE = "data/examples/private_diversion.yaml"


def test_rows_that_come_late_go_through_the_migration_by_the_schema_of_their_time(tmp_path, root, monkeypatch):
    shutil.copytree(root / "configs", tmp_path / "configs")
    (tmp_path / "data/examples").mkdir(parents=True)
    shutil.copy(root / EXAMPLE, tmp_path / EXAMPLE)
    monkeypatch.chdir(tmp_path)
    shutil.copy("configs/labels.yaml", "before.yaml")
    assert CliRunner().invoke(data, ["migrate", EXAMPLE, "--apply"], catch_exceptions=False).exit_code == 0
    held = {path: path.read_bytes() for folder in ("configs", "data") for path in (tmp_path / folder).rglob("*.yaml")}
    late = tmp_path / "[/a]" / "late.jsonl"  # brackets, which rich reads as markup
    late.parent.mkdir(parents=True)
    late.write_bytes(
        corpus_line({"id": "l1", "text": "这个茶喝完血压就降下来了", "labels": ["food_safety"], "batch": "l"})
    )
    words = ["--schema", "before.yaml", "--data", "[/a]/late.jsonl", "--records", "late", "--apply"]
    done = CliRunner().invoke(data, ["migrate", EXAMPLE, *words], catch_exceptions=False)
    assert done.exit_code == 0 and "[/a]/late.jsonl" in done.output
    row = json.loads(late.read_bytes())
    assert row["labels"] == ["food_safety"] and "private_diversion" not in row["annotated"]
    assert {path: path.read_bytes() for path in held} == held, "what the first migration wrote stays"
