"""Putting together what was broken up: characters written as two parts (氵台 for 治), words with a filler inside (代某谢)."""

from __future__ import annotations

import math
import operator
import re
from functools import lru_cache
from pathlib import Path

from zhenyan.inference.pinyin import sounds

# What sellers put into a word, each with the tie from which both sides are one word: 某 is hardly anything else, 什么, 小 and 和 nearly always are.
# How often that is right: docs/experiments/disguises.md, "Words with a filler inside".
_FILLERS = {"某": 1.5, **dict.fromkeys("母抹莫牡谋", 3.0), "什么": 4.0, "小": 4.0, "和": 4.0, "毛": 5.0}
# Under which a filler doesn't hold to its neighbours; 某 may to the one before, as 血某 stands for many words.
_LOOSE = 1.5
# What is waved aside or asked for rather than disguised, unless an effect or goods follow: 减什么肥, 抽什么奖. Nobody says 保什么护 or 治什么疗.
_OBJECTS = {
    "减": "肥脂", "降": "压脂噪", "祛": "斑痘湿", "抽": "奖烟", "戒": "烟", "刷": "牙屏", "加": "盟", "发": "货", "保": "健湿养险",
    "止": "咳痒", "消": "毒炎肿费", "防": "晒癌脱伪", "抗": "癌糖皱衰", "补": "钙肾贴", "壮": "阳", "包": "邮", "免": "费税", "护": "肤腰",
    "养": "胃", "丰": "胸", "除": "螨醛", "溶": "脂", "燃": "脂", "赔": "偿", "领": "券", "促": "销", "秒": "杀",
}  # fmt: skip
_OF_EFFECT = re.compile("的(?:功效|效果|作用|功能)|的?[药茶针膏霜贴丸]")  # not 的都是骗人
_ASKED = frozenset(f"{verb}什么{noun}" for verb, nouns in _OBJECTS.items() for noun in nouns)
_ORDINARY = ("和", "小")  # with a word behind them hardly ever fillers: 孕妇和哺乳期, 一波小福利
_WORD_BEGUN = "尿不"  # 湿, which the pairs don't know
_HAN = "\u4e00-\u9fff"  # pinyin.tsv has no characters beyond
_BEGUN_BY = {filler[0]: filler for filler in _FILLERS}
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
    return _without_fillers(_joined(text))


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


def _begins_word(character: str, behind: str, tie: float) -> bool:
    """Whether a character holds to the one behind it at least as strongly as `tie`."""
    return character + behind == _WORD_BEGUN or _holds(character + behind) >= tie


def _is_filler(left: str, filler: str, right: str, behind: str = "") -> bool:
    """Whether the characters on both sides are one word, and neither holds to what stands between them.

    `behind`: the characters behind `right`, three or as many as there are.
    """
    if left == right or (left + filler + right in _ASKED and not _OF_EFFECT.match(behind)):  # 妹和妹, 刮毛刮
        return False
    if filler in _ORDINARY and _begins_word(right, behind[:1], _holds(left + right)):
        return False
    loose = _holds(filler[-1] + right) < _LOOSE and (filler == "某" or _holds(left + filler[0]) < _LOOSE)
    return loose and _holds(left + right) >= _FILLERS[filler]


def _without_fillers(text: str) -> str:
    """`text` without fillers, also those that become one only when others are gone (什什么么).

    Each round judges all before it takes any out. After the first it looks only at the places beside gaps: thousands of fillers inside one
    another would else be thousands of readings of the text.
    """
    row, places = _Row(text), [found.start() for found in _FILLED.finditer(text)]
    while taken := [(place, end) for place in places if (end := row.end_of_filler(place))]:
        gaps = {row.take_out(place, end) for place, end in taken}
        places = sorted({place for gap in gaps for place in (row.before(gap), gap, row.behind(gap))})
    return row.remaining()


class _Row:
    """The characters of a text, by their places in it, of which some are taken out."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._gone: set[int] = set()
        self._before: dict[int, int] = {}  # of each place right behind a gap, the one before the gap
        self._behind: dict[int, int] = {}  # and the reverse

    def before(self, place: int) -> int:
        """The place before one."""
        return self._before.get(place, place - 1)

    def behind(self, place: int) -> int:
        """The place behind one."""
        return self._behind.get(place, place + 1)

    def remaining(self) -> str:
        """The characters that were not taken out."""
        return "".join(c for at, c in enumerate(self._text) if at not in self._gone) if self._gone else self._text

    def end_of_filler(self, start: int) -> int | None:
        """The place behind the filler at `start`, None where there is none."""
        filler, end = _BEGUN_BY.get(self._at(start), ""), start
        for character in filler:
            if self._at(end) != character:
                return None
            end = self.behind(end)
        if not filler:
            return None
        places = [end]
        for _ in range(3):
            places.append(self.behind(places[-1]))
        right, *behind = map(self._at, places)
        return end if _is_filler(self._at(self.before(start)), filler, right, "".join(behind)) else None

    def take_out(self, start: int, end: int) -> int:
        """Take out what stands in [start, end); the place before it. To be called from the left to the right."""
        before, at = self.before(start), start
        while at != end:
            self._gone.add(at)
            at = self.behind(at)
        self._behind[before], self._before[end] = end, before
        return before

    def _at(self, place: int) -> str:
        return self._text[place] if 0 <= place < len(self._text) else ""
