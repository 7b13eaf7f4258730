"""Cohen's kappa: how far two readers agree beyond chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping


def kappa(pairs: Mapping[tuple[Hashable, Hashable], int]) -> float | None:
    """Cohen's kappa (Cohen 1960) of pairs of answers, each with how often it was given.

    None for no pairs, or where both always give the same one answer. Here and not from scikit-learn, which the extra
    `review` would need for this alone.
    """
    total = sum(pairs.values())
    if not total:
        return None
    first: Counter[Hashable] = Counter()
    second: Counter[Hashable] = Counter()
    for (a, b), many in pairs.items():
        first[a] += many
        second[b] += many
    observed = sum(many for (a, b), many in pairs.items() if a == b) / total
    chance = sum(first[answer] * second[answer] for answer in first) / total**2
    return None if chance == 1 else (observed - chance) / (1 - chance)
