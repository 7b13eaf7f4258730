"""The gate before a bundle becomes champion: bounds in configs/gates.yaml, each failure named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field
from zhenyan.inference.classifier import Classifier
from zhenyan.inference.errors import ConfigError
from zhenyan.training.compare import Comparison, facts
from zhenyan.training.config import Share, Strict
from zhenyan.training.evaluate import Labelled, label_columns
from zhenyan.training.export import Check
from zhenyan.training.metrics import label_errors
from zhenyan.training.schema import Schema, load_as

GATES = Path("configs/gates.yaml")
ANY, CORE = "any violation", "core labels, micro"  # as a comparison names them
# Bounds that hold a candidate against the champion; the others are of the candidate alone.
RELATIVE = (
    "any_violation_drop",
    "core_micro_drop",
    "core_label_drop",
    "other_label_drop",
    "latency_ratio",
    "flip_rate",
)


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

    @property
    def evasion(self) -> bool:
        """Whether disguises have to be measured."""
        return (self.evasion_mean_fall, self.evasion_worst_fall) != (None, None)

    @property
    def relative(self) -> list[str]:
        """Names of the bounds that need a champion to compare with."""
        return [name for name in RELATIVE if getattr(self, name) is not None]


def load_gates(path: Path = GATES) -> Gates:
    """The bounds; ConfigError names the fault."""
    return load_as(Gates, path)


def checks(found: Comparison, gates: Gates, schema: Schema) -> list[Check]:
    """Every bound with what was measured; A is the champion, B the candidate. ConfigError when the rows can't tell anything."""
    _enough({name: found.scores[name].positives for name in _pooled(schema)}, gates)
    falls = [("fall of any-violation F1", _fall(found, ANY), gates.any_violation_drop)]
    if schema.core:
        falls.append(("fall of core micro F1", _fall(found, CORE), gates.core_micro_drop))
    for label in schema.ids:
        if label in found.scores and found.scores[label].positives >= gates.min_positives:
            bound = gates.core_label_drop if label in schema.core else gates.other_label_drop
            falls.append((f"fall of F1, {label}", _fall(found, label), bound))
    before, after = found.facts[found.a], found.facts[found.b]
    others = [
        ("latency against the champion's", after["latency_ms"] / before["latency_ms"], gates.latency_ratio),
        ("rows decided differently", len(found.flips) / found.rows, gates.flip_rate),
    ]
    return [*_bounded(falls), *_absolute(after, _errors(found, gates), gates), *_bounded(others)]


def checks_alone(candidate: Path, data: Labelled, gates: Gates, schema: Schema) -> list[Check]:
    """The bounds that need no champion, with what was measured of the bundle `candidate`. ConfigError as `checks`."""
    core = [schema.ids.index(label) for label in schema.core]
    positives = {ANY: data.truth.any(1).sum(), CORE: data.truth[:, core].sum()}
    _enough({name: int(positives[name]) for name in _pooled(schema)}, gates)
    classifier = Classifier.load(candidate, explain=False)
    scores = label_columns(classifier, schema.ids, classifier.score(data.texts), schema.changes)
    errors = label_errors(data.truth, scores, data.rated(scores), gates.min_positives)
    return _absolute(facts(classifier, data, scores, schema, gates.evasion), list(errors.values()), gates)


def _pooled(schema: Schema) -> list[str]:
    """What enough rows must tell of: core labels only where the schema has any."""
    return [ANY, CORE] if schema.core else [ANY]


def _enough(positives: Mapping[str, int], gates: Gates) -> None:
    for name, count in positives.items():
        if count < gates.min_positives:
            raise ConfigError(
                f"{name}: {count} positives among the rows measured, fewer than min_positives ({gates.min_positives}): nothing "
                "can be told by them; name labelled rows with --rows"
            )


def _absolute(measured: Mapping[str, float], errors: list[float], gates: Gates) -> list[Check]:
    """The bounds on the candidate alone; `errors` are its calibration errors of labels that enough rows have."""
    any_error = measured["calibration_error_any_violation"]
    found = [("calibration error of any violation", any_error, gates.any_violation_calibration_error)]
    if errors:
        found.append(("calibration error of labels, mean", sum(errors) / len(errors), gates.label_calibration_error))
    if "evasion_mean_fall" in measured:
        found.append(("mean fall under evasion", measured["evasion_mean_fall"], gates.evasion_mean_fall))
        found.append(("worst fall under evasion", measured["evasion_worst_fall"], gates.evasion_worst_fall))
    return _bounded(found)


def _bounded(measured: Iterable[tuple[str, float, float | None]]) -> list[Check]:
    return [Check(name, value, bound) for name, value, bound in measured if bound is not None]


def _errors(found: Comparison, gates: Gates) -> list[float]:
    """The candidate's calibration error of each label that enough rows have."""
    each = found.label_errors.get(found.b, {})
    return [error for label, error in each.items() if found.scores[label].positives >= gates.min_positives]


def _fall(found: Comparison, name: str) -> float:
    return found.scores[name].a - found.scores[name].b
