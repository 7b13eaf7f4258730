"""Labels as they are named on the command line: by id or Chinese name."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Annotated

import typer
from zhenyan.inference.bundle import Bundle
from zhenyan.inference.errors import ConfigError
from zhenyan.inference.thresholds import EXPECTED, is_threshold

Thresholds = Annotated[
    list[str] | None,
    typer.Option(
        "--threshold", metavar="LABEL=NUMBER",
        help="Use this threshold for a label (id or Chinese name) instead of its own; may be repeated.",
    ),
]  # fmt: skip


def chosen_labels(names: str, bundle: Bundle) -> tuple[str, ...]:
    """Ids of labels named by id or Chinese name, with commas between them; ConfigError for none, or one that there isn't."""
    ids = _ids(bundle)
    chosen = [name.strip() for name in re.split("[,，、]", names) if name.strip()]
    if not chosen or not ids.keys() >= set(chosen):
        wrong = ", ".join(name for name in chosen if name not in ids)
        said = f"--labels: unknown label {wrong}" if wrong else f"--labels {names!r} names no label"
        raise ConfigError(f"{said}; {_known(bundle)}")
    return tuple(dict.fromkeys(ids[name] for name in chosen))


def chosen_thresholds(given: Sequence[str] | None, bundle: Bundle) -> dict[str, float] | None:
    """Thresholds by label id, each given as LABEL=NUMBER, None where none is; ConfigError for what can't be read as that."""
    ids, chosen = _ids(bundle), dict[str, float]()
    for asked in given or ():
        name, _, number = (part.strip() for part in asked.rpartition("="))
        if not name:
            raise ConfigError(f"--threshold {asked!r}: expected LABEL=NUMBER, such as {bundle.labels[0].id}=0.3")
        if name not in ids:
            raise ConfigError(f"--threshold {asked!r}: unknown label {name}; {_known(bundle)}")
        if ids[name] in chosen:
            raise ConfigError(f"--threshold {asked!r}: {ids[name]} is given twice; give it once")
        if not is_threshold(value := _number(number)):
            raise ConfigError(f"--threshold {asked!r}: {EXPECTED}, given {number!r}")
        chosen[ids[name]] = value
    return chosen or None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _ids(bundle: Bundle) -> dict[str, str]:
    return {name: label.id for label in bundle.labels for name in (label.id, label.name_zh)}


def _known(bundle: Bundle) -> str:
    return f"this bundle has {', '.join(f'{label.id} {label.name_zh}' for label in bundle.labels)}"
