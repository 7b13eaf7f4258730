"""Editing the text of configs/labels.yaml: only the lines a migration is about change, comments and layout stay."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from zhenyan.inference.errors import ConfigError
from zhenyan.training.schema import read_yaml

_WIDTH = 118


@dataclass(frozen=True)
class _Block:
    """One label's lines [start, end) and where its id stands, in characters [id_start, id_end) of the text."""

    start: int
    end: int
    id_start: int
    id_end: int


@dataclass(frozen=True)
class SchemaText:
    """The file's text; each method gives the edited text. `path` is for messages."""

    text: str
    path: Path

    def rename(self, old: str, new: str) -> SchemaText:
        """Give a label another id, in its place."""
        block = self._blocks()[old]
        return self._with(self.text[: block.id_start] + new + self.text[block.id_end :])

    def remove(self, label: str) -> SchemaText:
        """Take a label's lines out, with the comment lines directly above them."""
        block, lines = self._blocks()[label], self._lines()
        return self._with("".join(lines[: block.start] + lines[block.end :]))

    def append(self, label: dict[str, Any]) -> SchemaText:
        """Put a label after the last one, written as YAML and indented as the others are."""
        lines, indent = self._lines(), " " * self._nodes()["labels"][1].start_mark.column
        end = max(block.end for block in self._blocks().values())
        while end and not lines[end - 1].strip():
            end -= 1
        return self._with("".join([*lines[:end], "\n", textwrap.indent(_dump([label]), indent), *lines[end:]]))

    def record(self, changes: Sequence[dict[str, Any]]) -> SchemaText:
        """Append to `changes`; that part, written by machine, is written anew; what stands behind it stays."""
        nodes = self._nodes()
        old = read_yaml(self.text).get("changes") or []
        block = "changes:\n" + textwrap.indent(_dump([*old, *changes]), "  ")
        if "changes" not in nodes:
            return self._with(self.text.rstrip("\n") + "\n\n" + block)
        key, value = nodes["changes"]
        rest = self.text[_last(value).end_mark.index :].removeprefix("\n")
        return self._with(self.text[: key.start_mark.index] + block + rest)

    def count_up(self) -> SchemaText:
        """Raise `version` by one."""
        value = self._nodes()["version"][1]
        return self._with(
            self.text[: value.start_mark.index] + str(int(value.value) + 1) + self.text[value.end_mark.index :]
        )

    def prose(self) -> list[tuple[int, str]]:
        """Numbered lines, without those of `changes`, which tell of former names, and of the labels' ids."""
        told = {self.text.count("\n", 0, block.id_start) for block in self._blocks().values()}
        if node := self._nodes().get("changes"):
            told |= set(range(node[0].start_mark.line, _last(node[1]).end_mark.line + 1))
        return [(number + 1, line) for number, line in enumerate(self._lines()) if number not in told]

    def _with(self, text: str) -> SchemaText:
        return SchemaText(text, self.path)

    def _lines(self) -> list[str]:
        return self.text.splitlines(keepends=True)

    def _nodes(self) -> dict[str, tuple[Any, Any]]:
        """Key and value nodes of the top-level mapping; they know where they stand in the text."""
        return {key.value: (key, value) for key, value in yaml.compose(self.text).value}

    def _blocks(self) -> dict[str, _Block]:
        nodes = self._nodes()
        labels = nodes["labels"][1]
        if labels.flow_style or any(item.flow_style for item in labels.value):
            raise ConfigError(f"{self.path}: `labels` must be written one key a line (block style) to be migrated")
        lines = self._lines()
        starts = [self._above(lines, item.start_mark.line) for item in labels.value]
        after = [key.start_mark.line for key, _ in nodes.values() if key.start_mark.line > starts[-1]]
        ends = [*starts[1:], self._above(lines, min(after)) if after else len(lines)]
        ids = [next(value for key, value in item.value if key.value == "id") for item in labels.value]
        return {
            node.value: _Block(start, end, node.start_mark.index, node.end_mark.index)
            for node, start, end in zip(ids, starts, ends, strict=True)
        }

    @staticmethod
    def _above(lines: Sequence[str], line: int) -> int:
        """The first of the comment lines directly above `line`."""
        while line and lines[line - 1].lstrip().startswith("#"):
            line -= 1
        return line


def _last(node: yaml.Node) -> yaml.Node:
    """The part of a node that is written last: a block itself ends at whatever comes next, behind comments."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        node = node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1]
    return node


def _dump(value: Any) -> str:
    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=_WIDTH)
