"""Near duplicates by overlap of character shingles."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain

NEAR = 0.6  # Jaccard overlap of shingles from which two texts are near duplicates
SIZE = 5
_COMMON = 400  # a shingle in more texts than this tells nothing and would cost most


def shingles(plain: str) -> frozenset[str]:
    """Character 5-grams of a plain text (`plain_text`, which callers make once a text: it takes longest); all of a shorter one."""
    return frozenset(plain[i : i + SIZE] for i in range(max(1, len(plain) - SIZE + 1)))


class Shingles:
    """An index that finds, for each added plain text, the earlier ones it is like."""

    def __init__(self) -> None:
        self._sizes: list[int] = []
        # The first text that holds a shingle, and the others: most stand in one text, and a list for each of them takes longest.
        self._first: dict[str, int] = {}
        self._others: dict[str, list[int]] = defaultdict(list)

    def like(self, plain: str) -> list[tuple[int, float]]:
        """(number, overlap) of earlier texts at or over the bound, most alike first."""
        grams = shingles(plain)
        return self._like(grams & self._first.keys(), len(grams))

    def add(self, plain: str) -> list[tuple[int, float]]:
        """`like`, then remember the text under the next number."""
        grams, number = shingles(plain), len(self._sizes)
        known = grams & self._first.keys()
        found = self._like(known, len(grams))
        for gram in known:
            self._others[gram].append(number)
        self._first.update(dict.fromkeys(grams - known, number))
        self._sizes.append(len(grams))
        return found

    def _like(self, known: Iterable[str], size: int) -> list[tuple[int, float]]:
        """The texts like one of `size` shingles, of which earlier texts hold those that are `known`."""
        shared = Counter(chain.from_iterable(map(self._holders, known)))
        found = [(n, s / (size + self._sizes[n] - s)) for n, s in shared.items()]
        return sorted([(n, o) for n, o in found if o >= NEAR], key=lambda pair: (-pair[1], pair[0]))

    def _holders(self, gram: str) -> Sequence[int]:
        """The texts that hold a known shingle; none where they are too many."""
        others = self._others.get(gram, ())
        return (self._first[gram], *others) if len(others) < _COMMON else ()
