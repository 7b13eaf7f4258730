"""The texts closest in wording, by the cosine of their TF-IDF vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

NEAREST = 3  # texts shown beside one that is in doubt or was decided wrongly
_BLOCK = 128  # texts compared with all known ones at once; bounds memory


def nearest(
    queries: Any, known: Any, count: int = NEAREST, barred: Callable[[int], np.ndarray] | None = None
) -> Iterator[list[tuple[int, float]]]:
    """For each query its `count` closest known ones: (number in `known`, cosine), closest first; fewer where no more share an n-gram.

    `queries` and `known`: rows of one `baselines.ngram_vectorizer`, sparse (queries, n-grams) and (known, n-grams), each of
    length 1. `barred` tells of a query's number which known ones don't count, bool (known,).
    """
    for start in range(0, queries.shape[0], _BLOCK):
        for number, cosines in enumerate((queries[start : start + _BLOCK] @ known.T).toarray(), start):
            if barred is not None:
                cosines[barred(number)] = 0
            best = np.argsort(-cosines, kind="stable")[:count]
            yield [(int(i), float(cosines[i])) for i in best if cosines[i] > 0]
