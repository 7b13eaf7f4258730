"""Putting together what was broken up: characters written as two parts (氵台 for 治), words with a filler inside (代某谢)."""

from __future__ import annotations

import math
import operator
import re
from functools import lru_cache
from pathlib import Path

from zhenyan.inference.pinyin import sounds

# What sellers put into a word, each with the tie from which both sides are one word: 某 is hardly anything else, 什么, 小 and 和 nearly always are.
# How often that is right: docs/experiments.md, "The guide's rulings".
_FILLERS = {"某": 1.5, **dict.fromkeys("母抹莫牡谋", 3.0), "什么": 4.0, "小": 4.0, "和": 4.0, "毛": 5.0}
# Under which a filler doesn't hold to its neighbours; 某 may to the one before, as 血某 stands for many words.
_LOOSE = 1.5
_HAN = "\u4e00-\u9fff"
_FILLED = re.compile(f"(?<=[{_HAN}])(?:{'|'.join(_FILLERS)})(?=[{_HAN}])")


@lru_cache(maxsize=1)
def _parts() -> dict[str, str]:
    """parts.tsv: two parts and the character that they make, derived from the dictionary chaizi (CC BY 3.0).

    One of the two is hardly ever a word of its own (氵, 疒, 夅), so that the pair stands in no ordinary text; 米唐 and 弓虽 besides.
    """
    lines = Path(__file__).with_name("parts.tsv").read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t") for line in lines)


def whole(text: str) -> str:
    """`text` with characters that were written as two parts, and words with a filler inside, put together again."""
    return _FILLED.sub(lambda found: "" if _is_filler(found) else found.group(), _joined(text))


def _joined(text: str) -> str:
    """Parts put together, from the left."""
    parts, out = _parts(), [""]
    if parts.keys().isdisjoint(map(operator.add, text, text[1:])):  # nearly always so, and quicker to see
        return text
    for character in text:
        while made := parts.get(out[-1] + character):
            out.pop()
            character = made
        out.append(character)
    return "".join(out)


def _holds(characters: str) -> float:
    """How strongly the second of two characters holds to the first: pointwise mutual information in nats (`Sounds.ties`)."""
    return sounds().ties.get(characters, -math.inf)


def _is_filler(found: re.Match[str]) -> bool:
    """Whether the characters on both sides are one word, and neither holds to what stands between them."""
    left, filler, right = found.string[found.start() - 1], found.group(), found.string[found.end()]
    if left == right:  # 妹和妹, 刮毛刮
        return False
    loose = _holds(filler[-1] + right) < _LOOSE and (filler == "某" or _holds(left + filler[0]) < _LOOSE)
    return loose and _holds(left + right) >= _FILLERS[filler]
