"""Labels as people write them in a table's cell or as a choice: ids or Chinese names."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from zhenyan.inference.errors import InputError
from zhenyan.training.schema import Schema

_COMPLIANT = ("合规", "compliant")
_BETWEEN = re.compile(r"""[\s;；,，、|/／\[\]"']+""")  # brackets and quotes: of a list as Python writes it
_TOLD = 20  # faults that a message names


def read_labels(cell: Any, schema: Schema, place: str, faults: list[str]) -> list[str]:
    """Ids of the labels that a cell (text, or a list of texts) names, in the schema's order; none where it is empty or says compliant.

    What is wrong with it goes into `faults`, with its `place`.
    """
    known = {name: label.id for label in schema.labels for name in (label.id, label.name_zh)}
    given = [str(one).strip() for one in _listed(cell) if one is not None]
    names = [name for one in given for name in ([one] if one in known else _BETWEEN.split(one)) if name]
    for name in dict.fromkeys(names):
        bearers = [label.id for label in schema.labels if label.name_zh == name]
        if len(bearers) > 1 and name not in schema.ids:
            faults.append(f"{place}: {name} is the name of {', '.join(bearers)}; write the id")
    labels = {known[name] for name in names if name in known}
    if unknown := [name for name in names if name not in known and name.lower() not in _COMPLIANT]:
        faults.append(f"{place}: unknown label {', '.join(unknown)}")
    elif labels and any(name.lower() in _COMPLIANT for name in names):
        faults.append(f"{place}: both compliant and {', '.join(sorted(labels))}; take one out")
    return [label for label in schema.ids if label in labels]


def _listed(cell: Any) -> list[Any]:
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):  # JSON, perhaps with escapes; other writings of a list are split
            cell = json.loads(cell)
    return cell if isinstance(cell, list) else [cell]


def refuse(faults: Sequence[str], schema: Schema) -> NoReturn:
    """InputError of the faults, the first of many, with the labels there are where one is unknown."""
    told = [*faults[:_TOLD], *([f"and {len(faults) - _TOLD:,} more"] if len(faults) > _TOLD else [])]
    if any("unknown label" in fault for fault in faults):
        names = ", ".join(f"{label.id} {label.name_zh}" for label in schema.labels)
        told.append(f"the schema has {names}; a line without any is 合规, compliant or empty")
    raise InputError("\n".join(told))
