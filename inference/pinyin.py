"""Reading pinyin: 降xue压, zhiliao.

It is read as an input method does: the likeliest characters for the syllables, between those that stand beside them, by
pairs of characters (Chen and Lee 2000, "A new statistical approach to Chinese pinyin input"). What no tie to its neighbours
holds together stays as it is, so that brands, sizes and English words are left alone, also where they stand beside pinyin (zhiliao ganmao VIP).
"""

from __future__ import annotations

import itertools
import math
import operator
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

TIE = 1.5  # pointwise mutual information, in nats, from which two characters hold together
LONG = 4  # syllables from which letters can hardly be anything but pinyin: half of them tied are enough
_LONGEST = 60  # letters that are read at once; a longer run is no word, and hardly a sentence
_CHOICES = 16  # characters of a syllable, the commonest: of more the rare ones are never the likeliest
_UNSEEN = -math.log(0.02)  # what a pair that was never seen costs on top (stupid backoff, Brants et al. 2007)
_SHOUTED = 6  # letters from which capitals may be pinyin: AA, VIP, ZHILIAO
_TONES = str.maketrans("āáǎàēéěèīíǐìōóǒòūúǔùǖǘǚǜü", "aaaaeeeeiiiioooouuuuvvvvv")
_LETTER = "A-Za-zāáǎàēéěèīíǐìōóǒòūúǔùǖǘǚǜü"
_WORD = f"[{_LETTER}]++(?![0-9])"  # B12 is none, and ends a run
_LETTERS = re.compile(f"(?<![{_LETTER}0-9]){_WORD}(?:[ '’-]{_WORD})*+")
_WORDS = re.compile(f"[{_LETTER}]+")
# Syllables with their tones as digits: zhi4 liao2, gao1xue4ya1; of a single one both neighbours are Chinese
_TONED = re.compile(
    f"(?<![{_LETTER}0-9])(?:[A-Za-zü]{{1,6}}[1-5][ '’-]?){{2,}}(?![{_LETTER}0-9])|(?<=[\u4e00-\u9fff])[a-z]{{2,6}}[1-4](?=[\u4e00-\u9fff])"
)
_TONE = re.compile("[1-5]")
_NEAR = 4  # characters on either side that tell whether letters are pinyin
_MARKS = re.compile("[./@_]")  # of addresses and account names
_TOKENS = re.compile("[A-Za-z]{2,8}://[A-Za-z0-9./@_?=&%#~:+-]*+|[A-Za-z0-9./@_?=&%#~-]++")
_NOT_HAN = re.compile("[^\u4e00-\u9fff]")
# Words that pairs alone read as others (益生推荐, 电子盐水果味), longer ones first. Not those that ordinary words sound like: 不同, 包裹, 实力, 代运.
_WHOLE = (
    "一生平安 公立医院 100%包过 痛风患者 痛风人群 代孕妈妈 咽喉发炎 关节发炎 膝盖不痛 关节不痛 电子烟 皮肤科 康复科 包过班 痛风犯 益生菌 护士长 胰岛素 学信网 脂溢性 治痛风 妇科病 医生 妇科 "
    "骨痛 脚气 结节 象牙 毒死 电信"
).split()
_ALIKE = 2  # characters of a word up to which ordinary ones sound like it: 姐姐, 复刻
_IN_LETTERS = ("医生", "象牙", "骨痛")  # those of them that are read where all of it is spelled in letters


@dataclass(frozen=True)
class Sounds:
    """What is known of characters: how often each stands, alone and behind another, and how it sounds.

    `alone`: -log of a character's share; `behind`: of a pair, -log of the chance of its second character behind its first; `ties`: of a
    pair, its pointwise mutual information. All in nats. `syllables`: toneless pinyin to its characters. `foreign`: words of English and brands that
    could be cut into syllables.
    """

    alone: Mapping[str, float]
    behind: Mapping[str, float]
    ties: Mapping[str, float]
    syllables: Mapping[str, str]
    foreign: frozenset[str]

    def cost(self, before: str, character: str) -> float:
        """-log of the chance of `character` behind `before`, "" for nothing known."""
        seen = self.behind.get(before + character) if before else self.alone[character]
        return self.alone[character] + _UNSEEN if seen is None else seen


@lru_cache(maxsize=1)
def sounds() -> Sounds:
    """pinyin.tsv: kind, key and characters in each line.

    Kinds: 1 and 2, characters and pairs whose count is near two to the power of the key; s, characters of a syllable, the commonest
    first; x, words that are no pinyin. Counted in this project's corpus and public lines (none of rooms for measuring) and in the dictionary of
    jieba (MIT), which knows what hosts don't say aloud; pairs seen eight times or more that stand together more often than by chance.
    """
    read: dict[str, dict[str, str]] = defaultdict(dict)
    for line in Path(__file__).with_name("pinyin.tsv").read_text(encoding="utf-8").splitlines():
        kind, key, rest = line.split("\t")
        read[kind][key] = rest
    counts = {character: 2 ** int(key) for key, rest in read["1"].items() for character in rest}
    total = math.log(sum(counts.values()))
    alone = {character: total - math.log(count) for character, count in counts.items()}
    pairs = {rest[i : i + 2]: int(key) for key, rest in read["2"].items() for i in range(0, len(rest), 2)}
    behind = {pair: math.log(counts[pair[0]]) - power * math.log(2) for pair, power in pairs.items()}
    ties = {pair: alone[pair[1]] - cost for pair, cost in behind.items()}
    return Sounds(alone, behind, ties, read["s"], frozenset(read["x"][""].split()))


def without_pinyin(text: str) -> str:
    """`text` with what is written in pinyin as characters, 降xue压 as 降血压; other letters stay."""
    at, out = 0, []
    for start, end, characters in pinyin_in(text):
        out += [text[at:start], characters]
        at = end
    return "".join([*out, text[at:]]) if out else text


def without_tones(text: str) -> str:
    """`text` without the digits of tones where what is left is read as pinyin: zhi4 liao2; B12 and A4 stay."""
    return _TONED.sub(_toneless, text) if _TONE.search(text) else text


def _toneless(toned: re.Match[str]) -> str:
    written, text, known = toned.group(), toned.string, sounds().syllables
    if not all(_plain(word) in known for word in _WORDS.finditer(written)):
        return written
    bare = _TONE.sub("", written)
    before = text[max(0, toned.start() - _NEAR) : toned.start()]
    read = pinyin_in(before + bare + text[toned.end() : toned.end() + _NEAR])
    return bare if any(start < len(before + bare) and end > len(before) for start, end, _ in read) else written


def pinyin_in(text: str) -> Iterator[tuple[int, int, str]]:
    """From where to where there is pinyin that is read as one, in order, and its characters."""
    if not _WORDS.search(text):  # nearly always so, and quicker to see
        return
    for start, end in _outside_addresses(text):
        for run in _LETTERS.finditer(text, start, end):
            yield from _read(list(_WORDS.finditer(text, *run.span())), run.group().isupper())


def _outside_addresses(text: str) -> Iterator[tuple[int, int]]:
    """From where to where `text` holds no address and no account name."""
    at = 0
    if _MARKS.search(text):
        for token in _TOKENS.finditer(text):
            if _is_address(token.group()):
                yield at, token.start()
                at = token.end()
    yield at, len(text)


def _is_address(token: str) -> bool:
    """Whether a run of letters, digits and marks is an address or an account: m.taobao.com/shangpin, weibo@, lingling_88.

    Not where all that stands between the marks may be pinyin (zhi.liao, xueya/xuezhi), nor in a list (A.zhiliao, 1.zhiliao, VIP/zhiliao).
    """
    if "://" in token or "@" in token.strip("@") or (token.startswith("@") != token.endswith("@")):
        return True
    names = [name for name in re.split("[._]", token.split("/")[0]) if name]
    foreign = [name for name in names if not (_could_be_cut(name) or (name.isdigit() and "_" not in token))]
    return len(names) > 1 and any(len(name) > 1 or len(names) > 2 for name in foreign)


def _could_be_cut(name: str) -> bool:
    return len(name) <= _LONGEST and _is_cut(name.lower())


def _read(words: list[re.Match[str]], shouted: bool) -> Iterator[tuple[int, int, str]]:
    """From where to where there is pinyin in a run of words, and its characters.

    All of it may be (zh i liao too), or else what stands between words that are written otherwise (VIP, iPhone) or can't be pinyin (mask).
    `shouted`: all in capitals.
    """
    stretches = [list(alike) for _, alike in itertools.groupby(words, _case)]
    if (shouted or len(stretches) == 1) and (found := _stretch(words)):
        yield found
        return
    for stretch in stretches:
        for pinyin, some in itertools.groupby(stretch, _may_be_pinyin):
            part = list(some)
            if pinyin and len(part) < len(words) and (found := _stretch(part, among_foreign=len(part) < len(stretch))):
                yield found


def _plain(word: re.Match[str]) -> str:
    return word.group().lower().translate(_TONES)


def _case(word: re.Match[str]) -> str | None:
    """Small letters, with a capital in front or without, or capitals; None for what is neither (iPhone)."""
    written = word.group()
    if written.islower() or written.istitle():
        return "small"
    return "capitals" if written.isupper() else None


def _may_be_pinyin(word: re.Match[str]) -> bool:
    plain = _plain(word)
    return plain not in sounds().foreign and _could_be_cut(plain)


def _stretch(words: list[re.Match[str]], among_foreign: bool = False) -> tuple[int, int, str] | None:
    """From where to where these words stand, written alike, and their characters; None where they are no pinyin."""
    text, start, end = words[0].string, words[0].start(), words[-1].end()
    plain = [_plain(word) for word in words]
    if _case(words[0]) is None or not sounds().foreign.isdisjoint(plain):
        return None
    if end - start < _SHOUTED and text[start:end].isupper():
        return None
    letters = "".join(plain)
    characters = spelled(letters, *_beside(text, start, end), among_foreign)
    return (start, end, _in_word(letters, characters, text, start, end) or characters) if characters else None


@lru_cache(maxsize=1)
def _ways() -> dict[str, list[tuple[str, str, str]]]:
    """Letters that may stand for a part of a word of `_WHOLE`: what stands before that part, behind it, and its characters."""
    sounding: dict[str, list[str]] = defaultdict(list)
    for syllable, characters in sounds().syllables.items():
        for character in characters:
            sounding[character].append(syllable)
    ways: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for word in _WHOLE:
        for start, end in itertools.combinations(range(len(word) + 1), 2):
            for syllables in itertools.product(*(sounding[character] for character in word[start:end])):
                if end - start < len(word) or len(word) > _ALIKE or word in _IN_LETTERS:
                    ways["".join(syllables)].append((word[:start], word[end:], word[start:end]))
    return ways


def _in_word(letters: str, read: str, text: str, start: int, end: int) -> str | None:
    """The characters of letters at [start, end) that make one of `_WHOLE` with what touches them; None where there is none.

    `read`: what pairs say. A short word yields to it where that holds to the same neighbour too, and more to what stands outside.
    """
    for before, behind, characters in _ways().get(letters, ()):
        if text.endswith(before, 0, start) and text.startswith(behind, end):
            alike = len(before + characters + behind) <= _ALIKE and sounds().ties.get(before + read + behind, 0) > 0
            left, right = "" if before else text[start - 1 : start], "" if behind else text[end : end + 1]
            return None if alike and _holds_more(read, characters, left, right) else characters
    return None


def _holds_more(read: str, other: str, left: str, right: str) -> bool:
    """Whether one of two readings holds more than the other to the character on its left or on its right, "" for none."""
    ties = sounds().ties
    more_left = ties.get(left + read[0], 0) > ties.get(left + other[0], 0)
    return more_left or ties.get(read[-1] + right, 0) > ties.get(other[-1] + right, 0)


def _beside(text: str, start: int, end: int) -> tuple[str, str]:
    """The characters before and behind the letters [start, end), "" where there is none.

    A divider or a space may stand between where there is one on both sides: 降*xue*压. With one side alone each run would wait for the one
    before it to be read, and a text of thousands be read thousands of times.
    """
    before, after = (_NOT_HAN.sub("", near) for near in (text[max(0, start - 2) : start], text[end : end + 2]))
    if not (before and after):
        before, after = (_NOT_HAN.sub("", near) for near in (text[max(0, start - 1) : start], text[end : end + 1]))
    return before[-1:], after[:1]


@lru_cache(maxsize=4096)
def spelled(letters: str, before: str = "", after: str = "", among_foreign: bool = False) -> str | None:
    """Characters for a run of pinyin, between the characters beside it; None where it is none, or nothing ties them.

    Whether what stands beside belongs to the same word isn't known: it is read with and without, and the reading whose weakest
    character is tied most wins. `among_foreign`: whether words that can't be pinyin stand beside them. Then they may be of that language ("women",
    "make time"): two syllables aren't enough, nor more of which over a third is tied to nothing.
    """
    known = sounds()
    if not 1 < len(letters) <= _LONGEST:
        return None
    around = {character for character in (before, after) if character in known.alone}
    before, after = (character if character in around else "" for character in (before, after))
    readings = {_likeliest(letters, left, right) for left in {before, ""} for right in {after, ""}} - {""}
    held, best = max(((_held(one, before, after), one) for one in sorted(readings)), default=([], ""))
    enough = held and (held[0] >= TIE or (len(best) >= LONG and held[len(held) // 2] >= TIE))
    if enough and among_foreign:
        enough = len(best) > 2 and held[len(held) // 3] >= 0
    return best if enough else None


@lru_cache(maxsize=4096)
def _is_cut(letters: str) -> bool:
    """Whether the letters can be cut into syllables."""
    known, ends = sounds().syllables, {0}
    for end in range(1, len(letters) + 1):
        if any(start in ends and letters[start:end] in known for start in range(max(0, end - 6), end)):
            ends.add(end)
    return len(letters) in ends


def _held(read: str, before: str, after: str) -> list[float]:
    """How strongly each character that was read is tied to one beside it, the weakest first."""
    whole, known = before + read + after, sounds()
    ties = [-math.inf, *(known.ties.get(pair, -math.inf) for pair in map(operator.add, whole, whole[1:])), -math.inf]
    first = len(before)
    return sorted(max(ties[at], ties[at + 1]) for at in range(first, first + len(read)))


def _likeliest(letters: str, before: str, after: str) -> str:
    """The likeliest characters for all of the letters (Viterbi); "" where they can't be cut into syllables."""
    known = sounds()
    ways: list[dict[str, tuple[float, str]]] = [{before: (0.0, "")}, *({} for _ in letters)]
    for start, paths in enumerate(ways):
        for end in range(start + 1, min(start + 6, len(letters)) + 1) if paths else ():
            for character in known.syllables.get(letters[start:end], "")[:_CHOICES]:
                cost, read = min((cost + known.cost(last, character), read) for last, (cost, read) in paths.items())
                if character not in ways[end] or cost < ways[end][character][0]:
                    ways[end][character] = (cost, read + character)
    ends = [(cost + (known.cost(last, after) if after else 0), read) for last, (cost, read) in ways[-1].items()]
    return min(ends)[1] if ends else ""
