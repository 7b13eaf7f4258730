"""Which training rows would tell a model of what is held out, or of the rooms that are kept for measuring only."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from zhenyan.inference.normalise import letters, normalise
from zhenyan.training.rows import Row, text_key

_LEAST = 8  # characters of a line that stands elsewhere by no accident


class Spoken:
    """The words of some texts, in which a line is found whatever its punctuation, case and width of letters.

    Files that publish the same transcript differ in these.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._all = "\x00".join(map(_letters, texts))
        # A search of the whole text for each of many lines takes long; nearly all begin with other words.
        self._beginnings = {self._all[at : at + _LEAST] for at in range(len(self._all) - _LEAST + 1)}

    def __contains__(self, line: str) -> bool:
        said = _letters(line)
        return said[:_LEAST] in self._beginnings and said in self._all


def _letters(text: str) -> str:
    return letters(unicodedata.normalize("NFKC", text))


def base_key(line: str, plain: Callable[[str], str] = normalise) -> str:
    """Under which a rewritten row knows the line it was made from, and a held-out line is known to it: its words alone.

    `plain` gives what `normalise` does.
    """
    text = plain(line)
    return text_key(letters(text) or text)


def without_leaks(train: Sequence[Row], held_out: Sequence[Row], plain: Callable[[str], str] = normalise) -> list[Row]:
    """The training rows less those that a held-out row stands behind, and those with words of a room kept apart.

    Such are the text of a held-out row, whatever its punctuation, its other form (disguised or plain, `pair_of`) and what was
    rewritten from it. The line that a held-out row was rewritten from stays: a rewritten row measures whether what is changed
    is heard. `plain` gives what `normalise` does.
    """
    held = {base_key(row.text, plain) for row in held_out}
    same = [base_key(row.text, plain) in held for row in train]
    # Of two rows with a held-out text the other form of either is one of the held-out row.
    known = [*held_out, *(row for row, is_same in zip(train, same, strict=True) if is_same)]
    ids, pairs = {row.id for row in known} - {""}, {_pair_of(row) for row in held_out} - {""}

    def behind(row: Row) -> bool:
        return row.kept_apart or row.base in held or _pair_of(row) in ids or row.id in pairs

    return [row for row, is_same in zip(train, same, strict=True) if not (is_same or behind(row))]


def apart_from(train: Sequence[Row], measured: Sequence[Row]) -> tuple[list[Row], int]:
    """The training rows less what stands behind a measured one and less the measured authors and rooms; how many measured ones stand there."""
    plain = cache(normalise)  # all texts take seconds
    known = {base_key(row.text, plain) for row in train}
    names = {name for row in measured for name in (row.group, row.author)} - {""}
    apart = [row for row in without_leaks(train, measured, plain) if names.isdisjoint((row.group, row.author))]
    return apart, sum(base_key(row.text, plain) in known for row in measured)


def _pair_of(row: Row) -> str:
    """The id of the row whose other form this one is; empty for none."""
    return str(row.meta.get("pair_of") or "")
