"""`zhenyan data audit`: labels that are likely wrong, each with its reason, as a file that a person decides on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table
from zhenyan.inference.classifier import Classifier
from zhenyan.inference.normalise import plain_text
from zhenyan.training.baselines import TfidfBaseline
from zhenyan.training.confidence import Cells, class_thresholds, doubt
from zhenyan.training.duplicates import Shingles
from zhenyan.training.nearest import nearest
from zhenyan.training.rows import Row, text_key
from zhenyan.training.schema import Change, former


@dataclass(frozen=True)
class Suspect:
    """One cell that may be wrong: a row, a label's column, how strongly it is doubted in [0, 1], and why."""

    row: int
    column: int
    doubt: float
    kind: str  # "label" or "contradiction"
    reason: str


def bundle_opinion(
    classifier: Classifier, cells: Cells, fresh: np.ndarray, changes: Sequence[Change] = ()
) -> np.ndarray:
    """The bundle's probabilities, float64 (rows, labels), for rows it was not trained on (`fresh`, bool (rows,)).

    NaN elsewhere and for labels that the bundle lacks, by the schema's `changes` under a former name, too: of a row that it has learnt by heart it repeats the error.
    """
    opinion = np.full(cells.given.shape, np.nan)
    where = np.flatnonzero(fresh)
    scores = classifier.score([cells.texts[i] for i in where])
    known = classifier.bundle.label_ids
    for column, label in enumerate(cells.labels):
        if (name := former(label, known, changes)) is not None:
            opinion[where, column] = scores[:, known.index(name)]
    return opinion


def find_suspects(rows: Sequence[Row], cells: Cells, probabilities: np.ndarray, limit: int) -> list[Suspect]:
    """Contradictions among near duplicates, then suspects by falling doubt; at most `limit`."""
    found = {(one.row, one.column): one for one in suspects(cells, probabilities)}
    found |= {(one.row, one.column): one for one in contradictions(rows, cells, probabilities)}
    ranked = sorted(found.values(), key=lambda one: (one.kind != "contradiction", -one.doubt, one.row, one.column))
    return ranked[:limit]


def suspects(cells: Cells, probabilities: np.ndarray) -> Iterator[Suspect]:
    """Cells that a model of the other groups' rows doubts; `probabilities` is (rows, labels)."""
    doubts = doubt(cells, probabilities)
    present, _ = class_thresholds(cells, probabilities)
    for row, column in np.argwhere(doubts > 0).tolist():
        given = cells.given[row, column]
        reason = (
            f"{cells.labels[column]} is {'given' if given else 'not given'}, but judged by the rows of other authors and "
            f"rooms its probability is {probabilities[row, column]:.1%} (rows given it: {present[column]:.0%} on average)"
        )
        yield Suspect(row, column, float(doubts[row, column]), "label", reason)


def contradictions(rows: Sequence[Row], cells: Cells, probabilities: np.ndarray) -> Iterator[Suspect]:
    """Of two near duplicates with different labels, the cell that is believed less; minimal pairs differ on purpose."""
    index = Shingles()
    wrongness = np.where(cells.given, 1 - probabilities, probabilities)
    for number, row in enumerate(rows):
        for other, overlap in index.add(plain_text(row.text)):
            if row.meta.get("pair") and row.meta.get("pair") == rows[other].meta.get("pair"):
                continue
            both = cells.seen[number] & cells.seen[other]
            for column in np.flatnonzero(both & (cells.given[number] != cells.given[other])).tolist():
                here, there = sorted((number, other), key=lambda i: -wrongness[i, column])
                stands = ("given here and not", "not given here but")[not cells.given[here, column]]
                yield Suspect(
                    here, column, float(wrongness[here, column]), "contradiction",
                    f"{cells.labels[column]} is {stands} at {rows[there].origin}, which says nearly the same "
                    f"(overlap {overlap:.2f})",
                )  # fmt: skip


def nearest_disagreeing(cells: Cells, found: Sequence[Suspect]) -> Iterator[list[tuple[int, float]]]:
    """For each suspect the rows of other authors and rooms that are closest in wording and have the other answer (`nearest`)."""
    vectors = TfidfBaseline(cells.labels).learn_ngrams(cells.texts)
    authors = np.asarray(cells.authors)

    def barred(number: int) -> np.ndarray:
        one = found[number]
        opposed = cells.seen[:, one.column] & (cells.given[:, one.column] != cells.given[one.row, one.column])
        return ~opposed | (authors == authors[one.row])

    yield from nearest(vectors[[one.row for one in found]], vectors, barred=barred)


def fix_records(rows: Sequence[Row], cells: Cells, found: Sequence[Suspect]) -> Iterator[dict[str, Any]]:
    """What the fix file holds: one record a suspect, with `apply` false until a person says otherwise."""
    for one, others in zip(found, nearest_disagreeing(cells, found), strict=True):
        row, given = rows[one.row], bool(cells.given[one.row, one.column])
        yield {
            "apply": False, **location(row), "label": cells.labels[one.column], "given": given, "suggested": not given,
            "doubt": round(one.doubt, 4), "kind": one.kind, "reason": one.reason, "text": row.text,
            "labels": list(row.labels),
            "nearest": [
                {**location(rows[i]), "cosine": round(cosine, 3), "labels": list(rows[i].labels), "text": rows[i].text}
                for i, cosine in others
            ],
        }  # fmt: skip


def location(row: Row) -> dict[str, Any]:
    """Where a row stands: file, line, id, and the hash of its text, which finds it again when lines have moved."""
    file, _, line = row.origin.rpartition(":")
    return {"file": file, "line": int(line), "id": row.id, "sha256": text_key(row.text)}


def suspects_table(cells: Cells, found: Iterable[Suspect]) -> Table:
    """How many suspects each label has, by direction."""
    counts = Counter((one.column, bool(cells.given[one.row, one.column])) for one in found)
    judged, positives = cells.judged(), (cells.given & cells.seen).sum(0)
    table = Table("label", "rows given it", "perhaps wrongly given", "perhaps missing")
    for column, label in enumerate(cells.labels):
        note = "" if judged[column] else " (too few to judge)"
        table.add_row(label, f"{positives[column]:,}{note}", str(counts[column, True]), str(counts[column, False]))
    return table
