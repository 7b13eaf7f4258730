"""The label schema, configs/labels.yaml: the single place where labels are listed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from zhenyan.inference.errors import ConfigError

DEFAULT_SCHEMA = Path("configs/labels.yaml")
LabelId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,40}$")]
Text = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Article(_Strict):
    """One article of law behind a label, and how far its text was verified."""

    law: Text
    article: Text
    says: Text
    verified: Literal["text", "case", "no"]


class Penalty(_Strict):
    """What the articles of `basis` state: `states` in English, `states_zh` the same in Chinese."""

    basis: Text
    states: Text
    states_zh: Text


class Label(_Strict):
    """One violation heading."""

    id: LabelId
    name_zh: Text
    name_en: Text
    core: bool = False
    section: Text
    definition: Text
    articles: Annotated[list[Article], Field(min_length=1)]
    responsible: Annotated[list[Literal["operator", "host", "platform", "agency"]], Field(min_length=1)]
    penalty: Penalty
    examples: Annotated[list[Text], Field(min_length=2)]
    not_examples: Annotated[list[Text], Field(min_length=1)]


class Change(_Strict):
    """A recorded migration of the schema: see `zhenyan data migrate`."""

    date: Text
    kind: Literal["add", "rename", "merge", "split", "retire"]
    labels: list[LabelId]
    into: list[LabelId] = []
    note: str = ""


class Schema(_Strict):
    """All labels, in the order of the model's outputs."""

    version: int = Field(ge=1)
    source: Text
    law_as_of: Text
    labels: Annotated[list[Label], Field(min_length=1)]
    changes: list[Change] = []

    @model_validator(mode="after")
    def _unique(self) -> Schema:
        ids = [label.id for label in self.labels]
        if repeated := sorted({i for i in ids if ids.count(i) > 1}):
            raise ValueError(f"label ids stand more than once: {', '.join(repeated)}")
        return self

    @property
    def ids(self) -> list[str]:
        """Label ids in order."""
        return [label.id for label in self.labels]

    @property
    def core(self) -> list[str]:
        """Ids of the core labels."""
        return [label.id for label in self.labels if label.core]

    def check(self, labels: list[str] | tuple[str, ...], origin: str) -> None:
        """ConfigError naming `origin` when a label isn't in the schema."""
        if unknown := [label for label in labels if label not in self.ids]:
            raise ConfigError(f"{origin}: unknown label {', '.join(unknown)}; the schema has {', '.join(self.ids)}")


def load_yaml(path: Path) -> Any:
    """Parsed YAML; ConfigError names file and line when it is missing or broken."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not YAML: {getattr(error, 'problem', error)}") from None


def explain(error: ValidationError, path: Path | str) -> str:
    """One line for each fault: file, key, the value found, what is allowed."""
    lines = []
    for fault in error.errors():
        key = ".".join(map(str, fault["loc"])) or "(whole file)"
        found = "" if fault["type"] in ("missing", "value_error") else f", found {fault['input']!r:.80}"
        lines.append(f"{path}: {key}: {fault['msg'].lower()}{found}")
    return "\n".join(lines)


def load_schema(path: Path | str = DEFAULT_SCHEMA) -> Schema:
    """The validated schema; ConfigError lists every fault with its key."""
    try:
        return Schema.model_validate(load_yaml(Path(path)))
    except ValidationError as error:
        raise ConfigError(explain(error, path)) from None
