"""How far two readers agree on each label: F1 of one against the other, and Cohen's kappa (Cohen 1960)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table
from zhenyan.inference.review.kappa import kappa
from zhenyan.training.dataset import targets
from zhenyan.training.metrics import f1_from_counts
from zhenyan.training.rows import Row, reading_fault

ANY = "any violation"


@dataclass(frozen=True)
class Contingency:
    """Counts of rows by what the two readers said of one label."""

    both: int
    first_only: int
    second_only: int
    neither: int

    @property
    def rows(self) -> int:
        """Rows that both read for this label."""
        return self.both + self.first_only + self.second_only + self.neither

    @property
    def f1(self) -> float | None:
        """F1 of one reader against the other (the same either way); None where neither gave the label."""
        first, second = self.both + self.first_only, self.both + self.second_only
        return float(f1_from_counts(self.both, first, second)) if first + second else None

    @property
    def kappa(self) -> float | None:
        """Agreement beyond chance; None where chance alone would agree always."""
        return kappa({
            (True, True): self.both, (True, False): self.first_only,
            (False, True): self.second_only, (False, False): self.neither,
        })  # fmt: skip


def count(first: np.ndarray, second: np.ndarray) -> Contingency:
    """Agreement of two boolean arrays of shape (rows,)."""
    return Contingency(
        *(int(where.sum()) for where in (first & second, first & ~second, ~first & second, ~first & ~second))
    )


def agreement(rows: Sequence[Row], labels: list[str]) -> dict[str, Contingency]:
    """Agreement on any violation and on each label, over rows whose field `readings` holds two readings, nothing wrong in them.

    A row counts for a label only where it is annotated for it, and for any violation by those labels alone. Empty when no
    row was read twice.
    """
    twice = [row for row in rows if row.meta.get("readings") is not None and not reading_fault(row, labels)]
    if not twice:
        return {}
    readings = [row.meta["readings"] for row in twice]
    first, second = (np.array([[label in pair[n] for label in labels] for pair in readings]) for n in (0, 1))
    seen = targets(twice, labels)[1] > 0.5
    told = seen.any(1)  # asked for all labels, rows of before a new one would count only where they agree to violate
    any_first, any_second = (np.asarray((reading & seen)[told].any(1)) for reading in (first, second))
    found = {ANY: count(any_first, any_second)}
    for column, label in enumerate(labels):
        where = seen[:, column]
        found[label] = count(first[where, column], second[where, column])
    return found


def agreement_table(found: dict[str, Contingency]) -> Table:
    """The counts and both measures, a label a line."""
    title = f"two readings of {found[ANY].rows:,} rows"
    table = Table("label", "both", "first only", "second only", "neither", "F1", "kappa", title=title)
    for label, one in found.items():
        rates = ("-" if rate is None else f"{rate:.2f}" for rate in (one.f1, one.kappa))
        table.add_row(label, *map(str, (one.both, one.first_only, one.second_only, one.neither)), *rates)
    return table
