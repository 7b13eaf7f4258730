"""Putting together what was broken up: characters written as two parts (氵台 for 治), words with a filler inside (代某谢).

What also stands in ordinary text, 女子 for 好, 小 in a word, is put together only where the outcome holds to its neighbours and what is
written doesn't, by the pairs of characters that pinyin is read with (`pinyin.sounds`).
"""

from __future__ import annotations

import math
import operator
import re
from functools import lru_cache
from pathlib import Path

from zhenyan.inference.pinyin import sounds

_HELD = 3.0  # pointwise mutual information, in nats, from which a character that two parts make holds to a neighbour
_AHEAD = 0.5  # and how far it must be ahead of the ties of what is written
# What sellers put into a word, each with the tie from which both sides are one word: 某 is hardly anything else, 什么, 小 and 和 nearly always are.
# How often that is right: docs/experiments.md, "The guide's rulings".
_FILLERS = {"某": 1.5, **dict.fromkeys("母抹莫牡谋毛", 3.0), "什么": 4.0, "小": 4.0, "和": 4.0}
# Under which a filler doesn't hold to its neighbours; 某 may to the one before, as 血某 stands for many words.
_LOOSE = 1.5
_HAN = "\u4e00-\u9fff"
_FILLED = re.compile(f"(?<=[{_HAN}])(?:{'|'.join(_FILLERS)})(?=[{_HAN}])")


@lru_cache(maxsize=1)
def _parts() -> tuple[dict[str, str], dict[str, str]]:
    """parts.tsv: two parts and the character that they make, derived from the dictionary chaizi (CC BY 3.0).

    First those of which one part is hardly ever a word of its own (氵, 疒, 夅), so that the pair stands in no ordinary text, and 米唐 and
    弓虽 besides; then those marked with ?, which may stand there.
    """
    lines = Path(__file__).with_name("parts.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines]
    return dict(row for row in rows if len(row) == 2), {row[0]: row[1] for row in rows if len(row) == 3}


def whole(text: str) -> str:
    """`text` with characters that were written as two parts, and words with a filler inside, put together again."""
    return _without_fillers(_tied(_joined(text)))


def _holds(characters: str) -> float:
    """How strongly the second of two characters holds to the first, in nats; minus infinity for what was never seen."""
    return sounds().ties.get(characters, -math.inf)


def _pairs(text: str) -> map[str]:
    return map(operator.add, text, text[1:])


def _joined(text: str) -> str:
    """Parts that stand in no ordinary text, from the left."""
    parts, out = _parts()[0], [""]
    if parts.keys().isdisjoint(_pairs(text)):  # nearly always so, and quicker to see
        return text
    for character in text:
        while made := parts.get(out[-1] + character):
            out.pop()
            character = made
        out.append(character)
    return "".join(out)


def _tied(text: str) -> str:
    """Parts that may stand in ordinary text, where the character that they make holds to a neighbour better than they do."""
    parts, at, out = _parts()[1], 0, [""]
    if parts.keys().isdisjoint(_pairs(text)):
        return text
    while at < len(text):
        written = text[at : at + 2]
        made = parts.get(written)
        fits = made is not None and _fits(made, written, out[-1], text[at + 2 : at + 4])
        out.append(made if made and fits else text[at])
        at += 2 if fits else 1
    return "".join(out)


def _fits(made: str, written: str, before: str, after: str) -> bool:
    """Whether `made` holds to the character before or behind it, which may be in parts, too, and better than `written`."""
    behind = _parts()[1].get(after, "")
    held = max(_holds(before + made), _holds(made + after[:1]), _holds(made + behind))
    return held >= max(_HELD, *(_holds(pair) + _AHEAD for pair in _pairs(before + written + after[:1])))


def _without_fillers(text: str) -> str:
    """Without fillers between two characters that are one word."""
    return _FILLED.sub(lambda found: "" if _is_filler(found) else found.group(), text)


def _is_filler(found: re.Match[str]) -> bool:
    """Whether the characters on both sides are one word, and neither holds to what stands between them."""
    left, filler, right = found.string[found.start() - 1], found.group(), found.string[found.end()]
    if left == right:  # 妹和妹, 刮毛刮
        return False
    loose = _holds(filler[-1] + right) < _LOOSE and (filler == "某" or _holds(left + filler[0]) < _LOOSE)
    return loose and _holds(left + right) >= _FILLERS[filler]
