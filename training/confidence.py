"""How much each given label is believed by a model that never saw its row, its author or its room.

Confident learning: Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import special
from zhenyan.inference.errors import InputError
from zhenyan.inference.normalise import normalise
from zhenyan.training.baselines import TfidfBaseline
from zhenyan.training.calibration import fit_scaling
from zhenyan.training.dataset import targets
from zhenyan.training.rows import Row

MIN_POSITIVES = 10  # of a label with fewer rows nothing can be said
_EDGE = 1e-6  # probabilities are kept this far from 0 and 1


@dataclass(frozen=True)
class Cells:
    """What was annotated, bool (rows, labels): `given` the labels, `seen` where somebody looked for the label.

    `authors` names what is held out together (`Row.author`).
    """

    labels: list[str]
    texts: list[str]
    groups: list[str]
    authors: list[str]
    given: np.ndarray
    seen: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[Row], labels: list[str]) -> Cells:
        """Texts, groups, authors and annotations of rows."""
        truth, mask = targets(rows, labels)
        texts, groups, authors = ([getattr(row, name) for row in rows] for name in ("text", "group", "author"))
        return cls(labels, texts, groups, authors, truth > 0.5, mask > 0.5)

    def judged(self) -> np.ndarray:
        """Labels with enough rows on both sides to be judged, bool (labels,)."""
        positives, seen = (self.given & self.seen).sum(0), self.seen.sum(0)
        return (positives >= MIN_POSITIVES) & (seen - positives >= MIN_POSITIVES)


def logit(probabilities: np.ndarray) -> np.ndarray:
    """Log odds, finite for 0 and 1 too."""
    p = np.clip(np.asarray(probabilities, dtype=np.float64), _EDGE, 1 - _EDGE)
    return special.logit(p)


def group_folds(groups: Sequence[str], count: int, seed: int) -> np.ndarray:
    """Number of each row's fold, int (rows,): groups stay whole, the largest are dealt first so that folds are even.

    InputError when all rows are of one group, for then nothing can be held out.
    """
    names, place, sizes = np.unique(np.asarray(groups, dtype=str), return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise InputError(
            f"all {len(groups):,} rows are of one group ({', '.join(names) or 'no row'}), so none can be held "
            "out; give files with several authors, or rooms that nobody wrote (fields batch, rewriter, room or source)"
        )
    order = np.random.default_rng(seed).permutation(len(names))
    load = np.zeros(min(count, len(names)), dtype=np.int64)
    fold_of = np.zeros(len(names), dtype=np.int64)
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        fold_of[group] = load.argmin()
        load[fold_of[group]] += sizes[group]
    return fold_of[place]


def out_of_fold(cells: Cells, folds: int = 5, seed: int = 0) -> np.ndarray:
    """Calibrated probability of each label from a model trained on other authors' rows, float64 (rows, labels).

    InputError when the other authors' rows are too few to learn any wording from.
    """
    fold = group_folds(cells.authors, folds, seed)
    plain = cache(normalise)  # every fold's model reads nearly all texts
    raw = np.zeros(cells.given.shape)
    for number in range(fold.max() + 1):
        train, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        texts = [cells.texts[i] for i in train]
        _check_wording([plain(text) for text in texts])
        model = TfidfBaseline(cells.labels, plain).fit(texts, cells.given[train], cells.seen[train])
        raw[held] = model.score([cells.texts[i] for i in held])
    return calibrate(cells, raw)


def _check_wording(texts: Sequence[str]) -> None:
    """InputError unless two of the texts share a character: the baseline learns only what stands in two."""
    known: set[str] = set()
    for text in texts:
        characters = set(text.lower())
        if not known.isdisjoint(characters):
            return
        known |= characters
    raise InputError(
        f"only {len(texts):,} rows of other groups to judge some rows by, and no character stands in two of them: "
        "nothing can be learnt; give more labelled rows"
    )


def calibrate(cells: Cells, raw: np.ndarray) -> np.ndarray:
    """Platt scaling against the given labels, label by label, so that labels and directions can be compared."""
    logits = logit(raw)
    for column in np.flatnonzero(cells.judged()):
        seen = cells.seen[:, column]
        scaling = fit_scaling(cells.given[seen, column][:, None], logits[seen, column][:, None], 1)
        logits[:, column] = logits[:, column] * scaling.slope[0] + scaling.offset[0]
    return special.expit(logits)


def blend(probabilities: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean of two opinions in log odds; where `other` is NaN the first stands alone."""
    return np.where(np.isnan(other), probabilities, special.expit((logit(probabilities) + logit(other)) / 2))


def class_thresholds(cells: Cells, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean self-confidence of rows given the label and of rows not given it, (labels,) each (equation 2 of the paper)."""
    with_label, without = cells.given & cells.seen, ~cells.given & cells.seen
    means = [
        (p * where).sum(0) / np.maximum(where.sum(0), 1)
        for p, where in ((probabilities, with_label), (1 - probabilities, without))
    ]
    return means[0], means[1]


def doubt(cells: Cells, probabilities: np.ndarray) -> np.ndarray:
    """1 - self-confidence of each suspect cell, float64 (rows, labels); 0 where there is nothing to suspect.

    A cell is suspect when the other answer is believed at least as much as it is on average where it was given: the
    off-diagonal of the paper's confident joint. Suspects are then ranked by self-confidence.
    """
    present, absent = class_thresholds(cells, probabilities)
    wrongness = np.where(cells.given, 1 - probabilities, probabilities)
    suspect = wrongness >= np.where(cells.given, absent, present)
    return wrongness * (suspect & cells.seen & cells.judged())
