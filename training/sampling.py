"""`zhenyan data sample`: which lines to label next.

A line is worth a label when the models doubt it and nothing like it is labelled yet. Doubt is how near a label's
probability is to its threshold, and how far several models disagree. Alikeness is measured on TF-IDF vectors of
character n-grams reduced by TruncatedSVD (latent semantic analysis), not on a model's embeddings: no base model has to
be loaded, a bundle gives none, and wording is what near repeats in livestreams share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize
from zhenyan.inference.errors import ConfigError
from zhenyan.inference.normalise import normalise, plain_text
from zhenyan.training.candidates import Candidates
from zhenyan.training.confidence import logit
from zhenyan.training.duplicates import Shingles
from zhenyan.training.rows import Row

WIDTH = 128  # dimensions after the reduction
FITTED = 5_000  # labelled rows that the reduction is fitted on, beside the candidates
SHORTLIST = 5  # candidates looked at for each line wanted, the most doubted ones; 20 chose no better and took longer
_LEAST = 500  # candidates looked at, however few lines are wanted
_BLOCK = 1024


@dataclass(frozen=True)
class Doubts:
    """How far each label of each candidate is in doubt; arrays are float64 (rows, labels).

    `margin`: mean over models of logit(probability) - logit(threshold). `uncertainty`: exp(-|margin|), 1 on the
    threshold. `disagreement`: Jensen-Shannon divergence of the models' decisions in bits, 0 when they agree.
    """

    margin: np.ndarray
    uncertainty: np.ndarray
    disagreement: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """Uncertainty and disagreement together, 0 to 2."""
        return self.uncertainty + self.disagreement


@dataclass(frozen=True)
class Chosen:
    """One line to label: the candidate's number, the label it is chosen for, its distance to what was there already.

    `distance` is 1 - cosine to the nearest labelled or earlier chosen line; `by_quota` says that the label's quota
    asked for it.
    """

    row: int
    column: int
    distance: float
    by_quota: bool


@dataclass(frozen=True)
class Sample:
    """The chosen lines in the order of choice, and how many candidates were left out as near duplicates."""

    chosen: list[Chosen]
    doubts: Doubts
    duplicates: int


def measure(margins: np.ndarray) -> Doubts:
    """Doubts from margins in logits, float (models, rows, labels).

    Disagreement as in query by committee (Seung, Opper, Sompolinsky 1992), with the entropy measure of Houlsby et al.
    2011: entropy of the mean decision less the mean entropy, where one half means "on the threshold".
    """
    decisions = expit(margins)
    mean = margins.mean(0)
    apart = _entropy(decisions.mean(0)) - _entropy(decisions).mean(0)
    return Doubts(mean, np.exp(-np.abs(mean)), np.maximum(apart, 0))


def _entropy(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return -(p * np.log2(p) + (1 - p) * np.log2(1 - p))


def choose(candidates: Candidates, labelled: Sequence[Row], count: int, quota: int, seed: int) -> Sample:
    """`count` lines to label, at least `quota` for each label; fewer when the candidates don't give as many.

    The same candidates, labelled rows and seed give the same lines. ConfigError when the quotas need more than `count`.
    """
    labels = candidates.labels
    if quota * len(labels) > count:
        raise ConfigError(
            f"--labels-quota {quota} for {len(labels)} labels needs {quota * len(labels)} lines, --count is {count}"
        )
    opinions = [opinion.of(labels) for opinion in candidates.opinions]
    doubts = measure(np.stack([logit(one.probabilities) - logit(one.thresholds) for one in opinions]))
    texts = candidates.texts
    rows, duplicates = shortlist(texts, doubts.total, [row.text for row in labelled], count, quota)
    vectors, known = embed([texts[i] for i in rows], [row.text for row in labelled], seed)
    seldom = sorted(range(len(labels)), key=lambda column: sum(labels[column] in row.labels for row in labelled))
    turns = [column for column in seldom for _ in range(quota)]
    chosen = [
        Chosen(rows[place], column, distance, by_quota)
        for place, column, distance, by_quota in spread(vectors, known, doubts.total[rows], turns, count)
    ]
    return Sample(chosen, doubts, duplicates)


def shortlist(
    texts: Sequence[str], doubt: np.ndarray, labelled: Sequence[str], count: int, quota: int
) -> tuple[list[int], int]:
    """Numbers of the most doubted candidates, and how many were passed over as near duplicates.

    Each label's most doubted come first, so that quotas can be filled. Of near duplicates the more doubted one stays,
    unless one like it is labelled already.
    """
    index = Shingles()
    for text in labelled:
        index.add(plain_text(text))
    size, duplicates = max(SHORTLIST * count, _LEAST), 0
    rows: list[int] = []
    for row in _by_doubt(doubt, 5 * quota):
        plain = plain_text(texts[row])
        if index.like(plain):
            duplicates += 1
            continue
        index.add(plain)
        rows.append(row)
        if len(rows) == size:
            break
    return rows, duplicates


def _by_doubt(doubt: np.ndarray, each: int) -> Iterator[int]:
    """Row numbers without repeats: the `each` most doubted of every label, then all by their most doubted label."""
    first = np.argsort(-doubt, axis=0, kind="stable")[:each].ravel()
    rest = np.argsort(-doubt.max(1), kind="stable")
    return iter(dict.fromkeys([*first.tolist(), *rest.tolist()]))


def embed(texts: Sequence[str], labelled: Sequence[str], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of candidates and of labelled texts, float (texts, WIDTH) each; not reduced where texts are few."""
    plain, known = ([normalise(text) or " " for text in part] for part in (texts, labelled))
    picked = np.random.default_rng(seed).permutation(len(known))[:FITTED]
    fitted = [*plain, *(known[i] for i in sorted(picked))]
    vectorizer = TfidfVectorizer(
        analyzer="char", ngram_range=(1, 3), min_df=2 if len(fitted) > WIDTH else 1, sublinear_tf=True
    )
    matrix = vectorizer.fit_transform(fitted)
    others = vectorizer.transform(known) if known else matrix[:0]
    if min(matrix.shape) <= WIDTH:  # nothing to reduce
        return matrix[: len(plain)].toarray(), others.toarray()
    reduced = TruncatedSVD(WIDTH, random_state=seed).fit(matrix)
    return _unit(reduced, matrix[: len(plain)]), _unit(reduced, others)


def _unit(reduced: TruncatedSVD, matrix: Any) -> np.ndarray:
    return normalize(reduced.transform(matrix)) if matrix.shape[0] else np.zeros((0, WIDTH))


def spread(
    vectors: np.ndarray, known: np.ndarray, doubt: np.ndarray, turns: Sequence[int], count: int
) -> Iterator[tuple[int, int, float, bool]]:
    """Greedy k-center weighted by doubt: (place, label column, distance, by quota) of up to `count` rows, one by one.

    Each pick has the largest product of doubt and distance to everything labelled or picked (Gonzalez 1985; Sener and
    Savarese 2018, who start from the labelled set too). The first picks serve the labels in `turns`; the rest any label.
    """
    distance = 1 - _closest(vectors, known)
    free = np.ones(len(vectors), dtype=bool)
    for turn in range(min(count, len(vectors))):
        column = turns[turn] if turn < len(turns) else None
        weight = doubt.max(1) if column is None else doubt[:, column]
        pick = int(np.where(free, weight * distance, -1).argmax())
        free[pick] = False
        yield pick, int(doubt[pick].argmax()) if column is None else column, float(distance[pick]), column is not None
        distance = np.minimum(distance, np.maximum(1 - vectors @ vectors[pick], 0))


def _closest(vectors: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Highest cosine of each vector to any known one, (rows,); 0 where nothing is known or alike."""
    best = np.zeros(len(vectors))
    for start in range(0, len(known), _BLOCK):
        best = np.maximum(best, (vectors @ known[start : start + _BLOCK].T).max(1))
    return best
