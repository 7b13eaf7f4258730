"""What is kept with registered versions, as MLflow tags, and the list of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_USER
from rich.markup import escape
from rich.table import Table
from zhenyan.training.export import Check
from zhenyan.training.registry import PROMOTED, Registry

GATES, HELD_TO, ROLLED_BACK = "gates", "held_to", "rolled_back"


def promotion_tags(checks: Sequence[Check], held_to: str) -> dict[str, str]:
    """Tags of a version that becomes champion: when and by whom, what its gates measured with each bound, and what they held it to."""
    measured = {check.name: [check.measured, check.bound] for check in checks}
    return {PROMOTED: _now(), GATES: json.dumps(measured), HELD_TO: held_to}


def rollback_tags() -> dict[str, str]:
    """Tags of a version that is put back: when and by whom."""
    return {ROLLED_BACK: _now()}


def _now() -> str:
    """Such as `2026-12-02 03:12 UTC by alice`: the user that MLflow would note with a run."""
    return f"{_minute(datetime.now(UTC))} by {resolve_tags().get(MLFLOW_USER, 'unknown')}"


def _minute(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def listing(shelf: Registry) -> Table:
    """All versions, newest first; ConfigError when there is none."""
    table = Table("version", "aliases", "bundle", "registered", "champion", "held to", title=shelf.name)
    found, aliases = shelf.versions()
    for one in found:
        called = sorted(alias for alias, number in aliases.items() if number == str(one.version))
        registered = _minute(datetime.fromtimestamp(one.creation_timestamp / 1000, UTC))
        cells = [
            ", ".join(called),
            one.tags.get("bundle_id", ""),
            registered,
            _champion(one),
            one.tags.get(HELD_TO, ""),
        ]
        table.add_row(str(one.version), *map(escape, cells))
    return table


def _champion(one: ModelVersion) -> str:
    told = {"promoted": one.tags.get(PROMOTED), "put back": one.tags.get(ROLLED_BACK)}
    return "\n".join(f"{how} {when}" for how, when in told.items() if when)
