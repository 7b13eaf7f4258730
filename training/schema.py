"""The label schema, configs/labels.yaml: the single place where labels are listed."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from zhenyan.inference.errors import ConfigError

if TYPE_CHECKING:  # which reads rows by a schema
    from zhenyan.training.rows import Row

DEFAULT_SCHEMA = Path("configs/labels.yaml")
LabelId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,40}$")]
Text = Annotated[str, Field(min_length=1)]
Verified = Literal["text", "case", "no"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Article(_Strict):
    """One article of law behind a label, how far its text was verified, and whether the law may have changed since."""

    law: Text
    article: Text
    says: Text
    says_zh: Text | None = None
    verified: Verified
    check: bool = False


class Penalty(_Strict):
    """What the articles of `basis` state: `states` in English, `states_zh` the same in Chinese."""

    basis: Text
    basis_en: Text | None = None
    verified: Verified = "text"
    check: bool = False
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
    definition_zh: Text | None = None
    articles: Annotated[list[Article], Field(min_length=1)]
    responsible: Annotated[list[Literal["operator", "host", "platform", "agency", "endorser"]], Field(min_length=1)]
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
    law_as_of_zh: Text | None = None
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

    def record(self, label: str) -> dict[str, Any]:
        """What a bundle tells of a label: all but the examples, and the date of the law."""
        known = next(one for one in self.labels if one.id == label)
        said = known.model_dump(exclude={"examples", "not_examples"}, exclude_none=True)
        return said | self.model_dump(include={"law_as_of", "law_as_of_zh"}, exclude_none=True)

    def check_row(self, row: Row) -> None:
        """ConfigError naming the row when one of its labels, or of those that were looked for in it, isn't in the schema."""
        self.check([*row.labels, *(row.annotated or ())], row.origin)

    def check(self, labels: list[str] | tuple[str, ...], origin: str) -> None:
        """ConfigError naming `origin` when a label isn't in the schema."""
        if unknown := [label for label in labels if label not in self.ids]:
            raise ConfigError(f"{origin}: unknown label {', '.join(unknown)}; the schema has {', '.join(self.ids)}")


def load_yaml(path: Path) -> Any:
    """Parsed YAML; ConfigError names the file, and the line where it is broken, when it can't be read."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; {_instead_of(path)}") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; give a YAML file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8; save it as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not YAML: {getattr(error, 'problem', error)}") from None
    except RecursionError:
        raise ConfigError(f"{path}: not YAML that can be read: lists or sections are nested too deeply") from None


def _instead_of(path: Path) -> str:
    """What to give instead of a YAML file that isn't there."""
    beside = sorted(file.name for file in path.parent.glob("*.yaml"))
    if not beside:
        return "give another YAML file, or run this from the repository's root"
    return f"{path.parent} has {', '.join(beside)}"


def explain(
    error: ValidationError,
    path: Path | str,
    model: type[BaseModel] | None = None,
    given: Mapping[str, Any] | None = None,
) -> str:
    """One line for each fault: file, key, the value found, what is allowed.

    `model`, which was validated, tells the keys of a section: they are named, the nearest first, where one is unknown or
    something else stands in the section's place. What `given` holds (dotted keys) was set by --set, not in the file.
    """
    lines = []
    for fault in error.errors():
        loc = fault["loc"]
        key = ".".join(map(str, loc))
        found = "" if fault["type"] in ("missing", "value_error") else f", found {fault['input']!r:.80}"
        said = fault["msg"].lower()
        if model and fault["type"] == "extra_forbidden" and (section := _section(model, loc[:-1])):
            said, found = f"no such key; there are {', '.join(_nearest(str(loc[-1]), section))}", ""
        elif model and fault["type"] == "model_type" and (section := _section(model, loc)):
            said = f"must be a section with the keys {', '.join(section.model_fields)}"
        at = loc[:-1] if fault["type"] == "missing" else loc  # what is missing stands nowhere: its section does
        lines.append(f"{_place(path, '.'.join(map(str, at)), given or {})}: {key or '(whole file)'}: {said}{found}")
    return "\n".join(lines)


def _place(path: Path | str, key: str, given: Mapping[str, Any]) -> str:
    """Where a value came from: --set if it or what holds it was set so, the file, or the file with what was set within."""
    options = {dotted: f"--set {dotted}={_written(value)}" for dotted, value in given.items()}
    if by := [option for dotted, option in options.items() if f"{key}.".startswith(f"{dotted}.")]:
        return by[-1]
    within = [option for dotted, option in options.items() if not key or dotted.startswith(f"{key}.")]
    return f"{path} with {' '.join(within)}" if within else str(path)


def _written(value: Any) -> str:
    """A YAML value as it may have been written on the command line."""
    return f"{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str):.80}"


def _nearest(key: str, section: type[BaseModel]) -> list[str]:
    """The section's keys, those that resemble `key` first."""
    keys = list(section.model_fields)
    return list(dict.fromkeys([*difflib.get_close_matches(key, keys), *keys]))


def _section(model: type[BaseModel], loc: Sequence[int | str]) -> type[BaseModel] | None:
    """The model at the place `loc` of another; None where there is none, or one of several."""
    kind: Any = model
    for key in loc:
        if isinstance(key, str):
            if key not in kind.model_fields:
                return None
            kind = _model_in(kind.model_fields[key].annotation)
        if kind is None:
            return None
    return kind  # type: ignore[no-any-return]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model of a field that holds one, none or a list of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (UnionType, Union, list, Annotated):
        found = [model for part in get_args(annotation) if (model := _model_in(part))]
        return found[0] if len(found) == 1 else None
    return None


def load_schema(path: Path | str = DEFAULT_SCHEMA) -> Schema:
    """The validated schema; ConfigError lists every fault with its key."""
    try:
        return Schema.model_validate(load_yaml(Path(path)))
    except ValidationError as error:
        raise ConfigError(explain(error, path, Schema)) from None


def former(label: str, known: Sequence[str], changes: Sequence[Change] = ()) -> str | None:
    """What a model with the labels `known` calls `label`, by name or by the schema's renames; None when it lacks it.

    A name that was given away and then to another label means what it first meant, where the model lacks its later name.
    """
    later = label
    for change in changes:
        if change.kind == "rename" and change.labels == [later]:
            (later,) = change.into
    if label in known and later != label and later not in known:
        return None
    for change in reversed(changes):
        if label in known:
            break
        if change.kind == "rename" and change.into == [label]:
            (label,) = change.labels
    return label if label in known else None
