"""What a run decided on validation rows, as it stands in the run's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zhenyan.inference.errors import ConfigError
from zhenyan.training.saved_model import read_meta
from zhenyan.training.train import METRICS, MODEL, THRESHOLDS
from zhenyan.training.whole import read_object

# Both files follow from the model and the validation rows, so they can be made again.
_ANEW = "take the run's folder again, or have them chosen anew: --set thresholds.policy=f1, or as the run's config.yaml has it"
_MEASURED = ("rows", "labels", "any_violation", "micro", "macro_f1", "calibration_error")


@dataclass(frozen=True)
class Decisions:
    """Every label's threshold with how it was chosen, and what decisions by them are worth on validation rows."""

    thresholds: dict[str, dict[str, Any]]
    metrics: dict[str, Any]


def decisions_of(run: Path) -> Decisions:
    """What the run itself chose; ConfigError names the file when it is damaged, or lacks a label of the run's model."""
    thresholds, metrics = (read_object(run / name, _ANEW) for name in (THRESHOLDS, METRICS))
    labels = read_meta(run / MODEL)["labels"]
    if wrong := [label for label in labels if not _is_choice(thresholds.get(label))]:
        raise ConfigError(f"{run / THRESHOLDS}: no threshold from 0 to 1 for {', '.join(wrong)}; {_ANEW}")
    if missing := [name for name in _MEASURED if name not in metrics]:
        raise ConfigError(f"{run / METRICS}: lacks {', '.join(missing)}; {_ANEW}")
    return Decisions(thresholds, metrics)


def _is_choice(one: Any) -> bool:
    value = one.get("threshold") if isinstance(one, dict) else None
    return isinstance(value, int | float) and 0 <= value <= 1 and isinstance(one.get("chosen_by"), str)
