"""Which thresholds decide: the bundle's, for some labels one that was asked for instead, and a least one for all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from zhenyan.inference.bundle import Bundle
from zhenyan.inference.errors import ConfigError

EXPECTED = "expected a number over 0 and up to 1"
# The least that float32, as scores are, tells from 0: at 0 every text would be decided, also one with no content.
_LEAST = float(np.finfo(np.float32).tiny)


def is_threshold(value: Any) -> bool:
    """Whether a label's threshold may be set to it: a number over 0 and up to 1."""
    return isinstance(value, Real) and not isinstance(value, bool) and bool(0 < value <= 1)  # type: ignore[operator]


def check_labels(named: Iterable[Any], known: Sequence[str]) -> None:
    """ConfigError names those that aren't among the bundle's label ids."""
    if unknown := sorted({str(label) for label in named if not isinstance(label, str) or label not in known}):
        raise ConfigError(f"unknown label {', '.join(unknown)}; this bundle has {', '.join(known)}")


def thresholds_in_force(
    bundle: Bundle, min_score: float | None = None, thresholds: Mapping[str, float] | None = None
) -> dict[str, float]:
    """The probability from which each label is decided, in the order of the model's outputs.

    `thresholds`, by label id, stand in place of the bundle's, be they higher or lower; then `min_score` raises all that
    are lower. ConfigError when a number is out of range or the bundle lacks a label.
    """
    least = 0.0
    if min_score is not None:
        if isinstance(min_score, bool) or not isinstance(min_score, Real) or not 0 <= float(min_score) <= 1:
            raise ConfigError(f"min_score: expected a number from 0 to 1, given {min_score!r}")
        least = float(min_score)
    own = dict(zip(bundle.label_ids, bundle.thresholds, strict=True)) | _checked(thresholds, bundle.label_ids)
    return {label: max(threshold, least) for label, threshold in own.items()}


def _checked(thresholds: Mapping[str, float] | None, known: Sequence[str]) -> dict[str, float]:
    if thresholds is None:
        return {}
    if not isinstance(thresholds, Mapping):
        raise ConfigError(
            f"thresholds: expected numbers by label, such as {{{known[0]!r}: 0.3}}, given {thresholds!r:.80}"
        )
    check_labels(thresholds, known)
    for label, value in thresholds.items():
        if not is_threshold(value):
            raise ConfigError(f"thresholds: {label}: {EXPECTED}, given {value!r:.80}")
    return {label: max(float(value), _LEAST) for label, value in thresholds.items()}
