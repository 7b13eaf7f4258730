"""Undoing the disguises that need no learning: width, script, invisible and interposed characters, symbols that are read as
words, characters in parts, words with a filler inside, pinyin.

Training and inference share this function, so a model never sees a form that it wasn't trained on.
Homophones, initials and code words are left to the model.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from pathlib import Path

from zhenyan.inference.broken import whole
from zhenyan.inference.pinyin import without_pinyin

VERSION = 6  # written into every bundle; raise it whenever normalise() changes a result

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
# Invisible or formatting code points, lone surrogates, controls: carry no meaning, split words.
INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U000e0000-\U000e0fff\ud800-\udfff]"
)
# A symbol between two Han characters is a divider that was put there, not punctuation; a pictograph is one anywhere.
_DIVIDER = "*#_~^|\\\\•·・‧∙⋅◦●○◆◇■□→←↑↓※§¤°`"
_BETWEEN_HAN = re.compile(f"(?<=[{_HAN}])[{_DIVIDER}]{{1,3}}(?=[{_HAN}])")
_PICTOGRAPHS = "\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"
_PICTOGRAPH = re.compile(f"[{_PICTOGRAPHS}]+")
_SYMBOL = re.compile(f"[{_PICTOGRAPHS}\u24eb-\u24ff]")
_IN_NUMBER = re.compile(f"(?<=[0-9A-Za-z])[{_PICTOGRAPHS}]+(?=[0-9A-Za-z])")
# Digits and letters in circles and squares that NFKC leaves: 原价❶❾❾, 🅰货
_ENCLOSED = {
    **{code: str(int(unicodedata.numeric(chr(code)))) for code in (*range(0x24EB, 0x2500), *range(0x2776, 0x2794),
                                                                   0x1F10B, 0x1F10C)},
    **{first + n: chr(ord("A") + n) for first in (0x1F150, 0x1F170) for n in range(26)},
}  # fmt: skip
# Symbols read as words, each where it can hardly be decoration: 五⭐好评, 全网🥇, 💯有效, ➕V; a sign of prohibition before what isn't
# done (❌退换), but not within a word (使❌用).
_READ = [
    (re.compile("➕"), "加"),
    (re.compile("(?:(?<=[一二两三四五颗])|(?<=[1-5])(?<![0-9][1-5]))[★⭐🌟]"), "星"),
    (re.compile("(?<=[业界网国球省市量榜类目])🥇"), "第一"),
    (re.compile("💯(?=[有正纯治见包能真])"), "百分百"),
    (
        re.compile(
            "(?<![使服食饮适功效机性可血尿气添增更包专售定都])[❌❎✖✘🚫⛔](?=退|换|卖|支持|开发票|负责|管|加|是|做|用|刷|能|含)"
        ),
        "不",
    ),
]
# Characters set one by one with a divider or a space between each: 糖 尿 病, 治-疗-高.血.压
SPACERS = " .-‐‒–—―−'\"&/+="
SPACED = re.compile(f"(?<![{_HAN}])[{_HAN}](?:[{re.escape(SPACERS)}]{{1,2}}[{_HAN}](?![{_HAN}])){{2,}}")
_SPACES = re.compile(r"\s+")


@lru_cache(maxsize=1)
def _to_simplified() -> dict[int, str]:
    """t2s.tsv: traditional to simplified characters, derived from OpenCC (Apache-2.0)."""
    lines = Path(__file__).with_name("t2s.tsv").read_text(encoding="utf-8").splitlines()
    return str.maketrans(dict(line.split("\t") for line in lines))


def simplified(text: str) -> str:
    """`text` in simplified characters, one for each."""
    return text.translate(_to_simplified())


def _close_up(match: re.Match[str]) -> str:
    return re.sub(f"[^{_HAN}]", "", match.group())


def _without_symbols(text: str) -> str:
    """Pictographs, digits and letters in circles as what is read, without those that are decoration."""
    if not _SYMBOL.search(text):  # nearly always so
        return text
    text = text.translate(_ENCLOSED)
    for symbol, word in _READ:
        text = symbol.sub(word, text)
    return _PICTOGRAPH.sub("", _IN_NUMBER.sub(" ", text))


def normalise(text: str) -> str:
    """Plain form of `text` as the model reads it; idempotent."""
    while True:  # what is put together may be part of something else
        text = _without_symbols(INVISIBLE.sub("", unicodedata.normalize("NFKC", INVISIBLE.sub("", text))))
        text = simplified(_SPACES.sub(" ", text).strip())
        text = _BETWEEN_HAN.sub("", text)
        text = SPACED.sub(_close_up, text)
        plain = without_pinyin(whole(text))
        if plain == text:
            return text
        text = plain


def letters(text: str) -> str:
    """What of a text is said: without punctuation and spaces, in lower case; empty for 💊 and ！."""
    return re.sub(r"[\W_]", "", text).lower()


def plain_text(text: str) -> str:
    """The letters of a normalised text, by which texts are the same to a corpus; one without any stands for itself."""
    return letters(normalise(text)) or text
