"""Fixed splits: whole author batches and whole rooms, never single lines. Written down in data/splits.yaml."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, model_validator
from zhenyan.training.rows import Row
from zhenyan.training.schema import load_as

NAMES = ("train", "validation", "test")


class Splits(BaseModel):
    """Groups (author batches, rooms) held out; every other group is trained on."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    validation: list[str]
    test: list[str]

    @model_validator(mode="after")
    def _disjoint(self) -> Splits:
        if both := sorted(set(self.validation) & set(self.test)):
            raise ValueError(f"groups in both validation and test: {', '.join(both)}")
        return self

    def of(self, row: Row) -> str:
        """Name of the split the row belongs to: by its group, else by who wrote it, whose rows may name rooms."""
        for name in (row.group, row.writer):
            if name in self.test:
                return "test"
            if name in self.validation:
                return "validation"
        return "train"

    def lacking(self, name: str) -> str:
        """What to say where no row is of the split `name`, validation or test."""
        groups = self.validation if name == "validation" else self.test
        return f"no {name} rows: no row is of group {', '.join(groups) or '(none is named)'}"


def load_splits(path: Path) -> Splits:
    """The committed splits; ConfigError names the fault."""
    return load_as(Splits, path)


def split_rows(rows: Iterable[Row], splits: Splits) -> dict[str, list[Row]]:
    """Rows by split name."""
    parts: dict[str, list[Row]] = {name: [] for name in NAMES}
    for row in rows:
        parts[splits.of(row)].append(row)
    return parts
