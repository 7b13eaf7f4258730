"""The gate before a bundle becomes champion: bounds in configs/gates.yaml, each failure named."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field
from zhenyan.inference.errors import ConfigError
from zhenyan.training.compare import Comparison
from zhenyan.training.config import Share, Strict
from zhenyan.training.export import Check
from zhenyan.training.schema import Schema, load_as

GATES = Path("configs/gates.yaml")


class Gates(Strict):
    """Bounds on the candidate, against the champion and absolute. null switches a bound off; none may be left out."""

    any_violation_drop: Share | None
    core_micro_drop: Share | None
    core_label_drop: Share | None
    other_label_drop: Share | None
    min_positives: Annotated[int, Field(ge=1)]
    any_violation_calibration_error: Share | None
    label_calibration_error: Share | None
    evasion_mean_fall: Share | None
    evasion_worst_fall: Share | None
    latency_ratio: Annotated[float, Field(gt=0)] | None
    flip_rate: Share | None


def load_gates(path: Path = GATES) -> Gates:
    """The bounds; ConfigError names the fault."""
    return load_as(Gates, path)


def checks(found: Comparison, gates: Gates, schema: Schema) -> list[Check]:
    """Every bound with what was measured; A is the champion, B the candidate. ConfigError when the rows can't tell anything."""
    for name in ("any violation", "core labels, micro"):
        if (positives := found.scores[name].positives) < gates.min_positives:
            raise ConfigError(
                f"{name}: {positives} positives among the rows measured, fewer than min_positives ({gates.min_positives}): nothing "
                "can be told by them; name labelled rows with --rows"
            )
    result: list[Check] = []

    def add(name: str, measured: float, bound: float | None) -> None:
        if bound is not None:
            result.append(Check(name, measured, bound))

    add("fall of any-violation F1", _fall(found, "any violation"), gates.any_violation_drop)
    add("fall of core micro F1", _fall(found, "core labels, micro"), gates.core_micro_drop)
    for label in schema.ids:
        if label in found.scores and found.scores[label].positives >= gates.min_positives:
            bound = gates.core_label_drop if label in schema.core else gates.other_label_drop
            add(f"fall of F1, {label}", _fall(found, label), bound)
    before, after = found.facts[found.a], found.facts[found.b]
    add(
        "calibration error of any violation",
        after["calibration_error_any_violation"],
        gates.any_violation_calibration_error,
    )
    if errors := _errors(found, gates):
        add("calibration error of labels, mean", sum(errors) / len(errors), gates.label_calibration_error)
    if "evasion_mean_fall" in after:
        add("mean fall under evasion", after["evasion_mean_fall"], gates.evasion_mean_fall)
        add("worst fall under evasion", after["evasion_worst_fall"], gates.evasion_worst_fall)
    add("latency against the champion's", after["latency_ms"] / before["latency_ms"], gates.latency_ratio)
    add("rows decided differently", len(found.flips) / found.rows, gates.flip_rate)
    return result


def _errors(found: Comparison, gates: Gates) -> list[float]:
    """The candidate's calibration error of each label that enough rows have."""
    each = found.label_errors.get(found.b, {})
    return [error for label, error in each.items() if found.scores[label].positives >= gates.min_positives]


def _fall(found: Comparison, name: str) -> float:
    return found.scores[name].a - found.scores[name].b
