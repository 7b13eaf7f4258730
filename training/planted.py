"""Measuring the audit: plant known label errors, search for them, count how many of the suspects they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rich.table import Table
from zhenyan.inference.errors import InputError
from zhenyan.training.audit import location
from zhenyan.training.confidence import Cells, doubt, out_of_fold
from zhenyan.training.rows import Row

SHARE = 0.05  # of the rows that get one error


@dataclass(frozen=True)
class Planted:
    """Cells with planted errors, and each row's kind of error: "added", "dropped", "swapped", or "" for none."""

    cells: Cells
    kinds: list[str]

    @property
    def where(self) -> np.ndarray:
        """Rows with an error, bool (rows,)."""
        return np.array([bool(kind) for kind in self.kinds])


@dataclass(frozen=True)
class Found:
    """Each row's rank among suspects (0 the most doubted), and whether it is flagged: as many rows as were planted."""

    planted: Planted
    rank: np.ndarray
    flagged: np.ndarray

    @property
    def precision(self) -> float:
        """Share of flagged rows that were planted; at this rate also the share of planted rows that were flagged."""
        return float(self.planted.where[self.flagged].mean())


def plant(cells: Cells, share: float = SHARE, seed: int = 0) -> Planted:
    """One error in a random `share` of the rows, as annotators make them rather than spread evenly over all cells.

    A compliant row is given a label. A row with labels loses one of them, and half of these rows get another one
    instead. Labels are drawn by how often they are given, so that frequent, and therefore likely, ones come most.
    InputError when the rows are too few for one error, or nobody read those that are drawn for any label.
    """
    rng = np.random.default_rng(seed)
    given, kinds = cells.given.copy(), [""] * len(cells.given)
    weight = (cells.given & cells.seen).sum(0) + 1e-9
    for row in rng.choice(len(given), round(share * len(given)), replace=False):
        own, free = (np.flatnonzero(cells.seen[row] & side) for side in (given[row], ~given[row]))
        if not len(free):
            continue
        other = rng.choice(free, p=weight[free] / weight[free].sum())
        kinds[row] = "added" if not len(own) else "swapped" if rng.random() < 0.5 else "dropped"
        if len(own):
            given[row, rng.choice(own)] = False
        if kinds[row] != "dropped":
            given[row, other] = True
    if not any(kinds):
        raise InputError(f"{share:.0%} of {len(given):,} rows is no row to plant an error in; give more that were read")
    return Planted(replace(cells, given=given), kinds)


def search(planted: Planted, folds: int, seed: int) -> Found:
    """Audit the planted cells from scratch: the model that doubts them is trained on the errors too."""
    doubts = doubt(planted.cells, out_of_fold(planted.cells, folds, seed)).max(1)
    order = np.argsort(-doubts, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return Found(planted, rank, rank < planted.where.sum())


def planted_records(rows: Sequence[Row], clean: Cells, found: Found) -> Iterator[dict[str, Any]]:
    """One record for each planted error: its kind, the labels before and after, its rank, whether it was flagged."""
    labels, dirty = np.array(clean.labels), found.planted.cells.given
    for number in np.flatnonzero(found.planted.where).tolist():
        yield {
            **location(rows[number]), "planted": found.planted.kinds[number],
            "labels": labels[clean.given[number]].tolist(), "planted_labels": labels[dirty[number]].tolist(),
            "rank": int(found.rank[number]), "flagged": bool(found.flagged[number]), "text": rows[number].text,
        }  # fmt: skip


def planted_table(found: Found) -> Table:
    """Planted and flagged rows by kind of error."""
    count = int(found.planted.where.sum())
    table = Table(
        "planted error", "rows", "flagged", title=f"{count:,} planted: precision at {count:,} {found.precision:.3f}"
    )
    kinds = np.array(found.planted.kinds)
    for kind in ("added", "dropped", "swapped"):
        where = kinds == kind
        table.add_row(kind, f"{where.sum():,}", f"{(where & found.flagged).sum():,}")
    return table
