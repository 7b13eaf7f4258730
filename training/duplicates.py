"""Near duplicates by overlap of character shingles."""

from __future__ import annotations

from collections import Counter, defaultdict

from zhenyan.inference.normalise import plain_text

NEAR = 0.6  # Jaccard overlap of shingles from which two texts are near duplicates
SIZE = 5
_COMMON = 400  # a shingle in more texts than this tells nothing and would cost most


def shingles(text: str) -> frozenset[str]:
    """Character 5-grams of the plain text; the whole text when it is shorter."""
    plain = plain_text(text)
    return frozenset(plain[i : i + SIZE] for i in range(max(1, len(plain) - SIZE + 1)))


class Shingles:
    """An index that finds, for each added text, the earlier ones it is like."""

    def __init__(self, near: float = NEAR) -> None:
        self.near = near
        self._sizes: list[int] = []
        self._holders: dict[str, list[int]] = defaultdict(list)

    def like(self, text: str) -> list[tuple[int, float]]:
        """(number, overlap) of earlier texts at or over the bound, most alike first."""
        return self._like(shingles(text))

    def add(self, text: str) -> list[tuple[int, float]]:
        """`like`, then remember the text under the next number."""
        grams = shingles(text)
        found = self._like(grams)
        for gram in grams:
            self._holders[gram].append(len(self._sizes))
        self._sizes.append(len(grams))
        return found

    def _like(self, grams: frozenset[str]) -> list[tuple[int, float]]:
        shared: Counter[int] = Counter()
        for gram in grams:
            holders = self._holders.get(gram, ())
            if len(holders) <= _COMMON:
                shared.update(holders)
        found = [(n, s / (len(grams) + self._sizes[n] - s)) for n, s in shared.items()]
        return sorted([(n, o) for n, o in found if o >= self.near], key=lambda pair: (-pair[1], pair[0]))
