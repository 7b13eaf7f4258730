"""The label schema, configs/labels.yaml: the single place where labels are listed."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from zhenyan.inference.errors import ConfigError, ZhenyanError

if TYPE_CHECKING:  # which reads rows by a schema
    from zhenyan.training.rows import Row

DEFAULT_SCHEMA = Path("configs/labels.yaml")
LabelId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,40}$")]
Text = Annotated[str, Field(min_length=1)]
Verified = Literal["text", "case", "no"]
# A label whatever it is called: the number of the change that it came with (-1: it was there before all), and its name then.
Origin = tuple[int, str]
Model = TypeVar("Model", bound=BaseModel)


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


class LabelChange(_Strict):
    """One change of the schema's labels, as a migration file asks for it and as the schema remembers it.

    rename: one label into one new id. merge: several labels into one of them or a new one. split: one label into several
    new ones, it may itself stay as one of them. retire: labels that go. add: labels that come.
    """

    kind: Literal["add", "rename", "merge", "split", "retire"]
    labels: list[LabelId]
    into: list[LabelId] = []
    note: str = ""

    @model_validator(mode="after")
    def _counts(self) -> Self:
        sizes = {"add": (1, 99, 0, 0), "retire": (1, 99, 0, 0), "rename": (1, 1, 1, 1), "merge": (2, 99, 1, 1),
                 "split": (1, 1, 2, 99)}  # fmt: skip
        least, most, least_into, most_into = sizes[self.kind]
        for name, given, low, high in (
            ("labels", self.labels, least, most),
            ("into", self.into, least_into, most_into),
        ):
            if not low <= len(given) <= high or len(set(given)) < len(given):
                wanted = f"{low}" if low == high else f"at least {low}"
                raise ValueError(f"{self.kind} needs {wanted} different ids in `{name}`, found {given}")
        return self

    @property
    def gone(self) -> set[str]:
        """Ids that aren't in the schema afterwards."""
        return set() if self.kind == "add" else set(self.labels) - set(self.into)

    @property
    def new(self) -> list[str]:
        """Ids that weren't in the schema before, in order, the renamed one left aside."""
        come = self.labels if self.kind == "add" else [] if self.kind == "rename" else self.into
        return [label for label in come if self.kind == "add" or label not in self.labels]


class Change(LabelChange):
    """A recorded migration of the schema: see `zhenyan data migrate`."""

    date: Text


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


class _Loader(yaml.SafeLoader):
    """Of a repeated key's values PyYAML keeps the last and says nothing; here it is a fault, as YAML itself has it."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        """The mapping as it is written, before `<<` puts another's keys, which may be the same, beside its own."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if line := seen.get((key.tag, key.value)):
                    said = f"the key {key.value!r:.80} stands in line {line} already; keep one of them"
                    raise yaml.MarkedYAMLError(problem=said, problem_mark=key.start_mark)
                seen[key.tag, key.value] = key.start_mark.line + 1
        return node


def read_yaml(text: str) -> Any:
    """Parsed YAML; YAMLError where it is broken or a key stands twice in one mapping."""
    return yaml.load(text, Loader=_Loader)


def load_yaml(path: Path) -> Any:
    """Parsed YAML; ConfigError names the file, and the line where it is broken or repeats a key, when it can't be read."""
    try:
        return read_yaml(path.read_text(encoding="utf-8"))
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


def load_as(model: type[Model], path: Path, fault: type[ZhenyanError] = ConfigError) -> Model:
    """What a YAML file holds, as `model`; `load_yaml`'s ConfigError, or a `fault` of `validated`."""
    return validated(model, load_yaml(path), path, fault=fault)


def validated(
    model: type[Model],
    data: Any,
    path: Path | str,
    given: Mapping[str, Any] | None = None,
    fault: type[ZhenyanError] = ConfigError,
) -> Model:
    """`data`, which stands at `path`, as `model`; the `fault` says what doesn't fit, and `given` as in `explain`."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise fault(explain(error, path, model, given)) from None


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
        said = fault["msg"][:1].lower() + fault["msg"][1:]  # the rest may quote what was written
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
    return load_as(Schema, Path(path))


def versions(changes: Sequence[LabelChange]) -> list[dict[str, Origin]]:
    """The labels that `changes` name, by their ids of the time: before the first change and after each.

    A label that none of them names isn't there: it has had its name from the start.
    """
    start: dict[str, Origin] = {}
    came = set[str]()
    for change in changes:
        before = set(change.labels) - came if change.kind != "add" else set[str]()
        start |= {label: (-1, label) for label in before}
        came |= {*change.new, *change.into}
    found = [start]
    for number, change in enumerate(changes):
        renamed = dict(zip(change.labels, change.into, strict=True)) if change.kind == "rename" else {}
        stay = {renamed.get(i, i): label for i, label in found[-1].items() if i not in change.gone or i in renamed}
        found.append(stay | {i: (number, i) for i in change.new})
    return found


def former(label: str, known: Sequence[str], changes: Sequence[LabelChange] = ()) -> str | None:
    """What a model with the labels `known`, in its order, calls `label`; None when it lacks it.

    Names may be used again, so all of `known` tells of which version of the schema the model is; where none has them all,
    the last of the label's names that is known.
    """
    past = versions(changes)[::-1]
    named = set[str]().union(*past)
    if label not in named:
        return label if label in known else None
    one = next(version[label] for version in past if label in version)
    if fitting := [version for version in past if version.keys() >= named.intersection(known)]:
        # Of the best ones the newest: `past` begins with it.
        past = [min(fitting, key=lambda version: (len(version), _out_of_order(version, known)))]
    names = (name for version in past for name, other in version.items() if other == one)
    return next((name for name in names if name in known), None)


def _out_of_order(version: Mapping[str, Origin], known: Sequence[str]) -> bool:
    """Whether `known` doesn't have the labels that changes added behind those that were there, as a model of that version has."""
    came = [version[label][0] if label in version else -1 for label in known]
    return came[:1] != [-1] or came != sorted(came)
