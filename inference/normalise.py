"""Undoing the disguises that need no learning: width, script, look-alike letters, invisible and interposed characters, decoration,
symbols that are read as words or numbers, characters in parts, words with a filler inside, pinyin, characters said several times over.

Training and inference both call `normalise`, so a model never sees a form that it wasn't trained on.
Homophones, initials and code words are left to the model.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from pathlib import Path

from zhenyan.inference.broken import whole
from zhenyan.inference.decoration import quietly, without_marks, without_ornaments, without_stickers
from zhenyan.inference.lookalikes import HAN, latin
from zhenyan.inference.pinyin import sounds, without_pinyin, without_tones

VERSION = 10  # written into every bundle; raise it whenever what is read of a text changes: by normalise(), or by windows.readings_of

# Invisible or formatting code points, lone surrogates, controls: carry no meaning, split words.
INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff\ud800-\udfff]"
)
# A symbol between two Han characters is a divider that was put there, not punctuation; a pictograph, an arrow or a shape is one anywhere, but
# for what masks a character (糖○, □) and signs of products (⌀, ⌘).
_PASSES = 16  # three at most over the corpus; each takes time, and nested stickers would want one a layer
_DIVIDER = "*#_~^|\\\\•·・‧∙⋅●○□※§¤°`"
_BETWEEN_HAN = re.compile(f"(?<=[{HAN}])[{_DIVIDER}]{{1,3}}(?=[{HAN}])")
_PICTOGRAPHS = (
    "\u2190-\u21ff\u2301-\u2317\u2319-\u23ff\u25a0\u25a2-\u25ca\u25cc-\u25ce\u25d0-\u25ee\u25f0-\u27bf\u2934\u2935"
    "\u2b00-\u2bff\u3030\U0001f000-\U0001faff"
)
_PICTOGRAPH = re.compile(f"[{_PICTOGRAPHS}]+")
_SYMBOL = re.compile(f"[{_PICTOGRAPHS}\u20e3\u24eb-\u24ff]")
_IN_NUMBER = re.compile(f"(?<=[0-9A-Za-z])[{_PICTOGRAPHS}]+(?=[0-9A-Za-z])")
# Digits and letters in circles and squares that NFKC leaves: 原价❶❾❾, 🅰货, 🔟天
_ENCLOSED = {
    **{code: str(int(unicodedata.numeric(chr(code)))) for code in (*range(0x24EB, 0x2500), *range(0x2776, 0x2794),
                                                                   0x1F10B, 0x1F10C)},
    **{first + n: chr(ord("A") + n) for first in (0x1F150, 0x1F170) for n in range(26)},
    0x1F51F: "10",
}  # fmt: skip
# Keys: 1️⃣9️⃣9️⃣ is a number, but with a plain digit beside it one of a list: 1️⃣99元
_KEYS = [
    (re.compile("(?<=[0-9])(?=[0-9]\u20e3)|(?<=[0-9]\u20e3)(?=[0-9](?!\u20e3))"), " "),
    (re.compile("\u20e3"), ""),
]
# A sign of prohibition before what isn't done: ❌退换. Not within a word: 使❌用, 都❌是, 专❌卖
_CROSS = "(?:[❌❎✖✘🚫⛔]|(?<![✗✕0-9])[✗✕])"
_PERSON = "🙅[🏻-🏿]?[♀♂]?"
_SIGN = f"(?:{_CROSS}|{_PERSON})"
_NOT_DONE = (
    "(?<![使服食饮适功效机性可血尿气添增更包])"
    f"(?:(?={_SIGN}(?:退|换|支持|开发票|负责|刷))|(?<![售专])(?={_SIGN}卖)|(?={_CROSS}(?:加|含))|(?<!专)(?={_CROSS}[管用])"
    f"|(?<!定)(?={_CROSS}做)|(?<!都)(?<!一定)(?={_CROSS}[是能]))"
)
# Before these only where a clause begins: 根❌治 is a word, and ❌专柜价 is a price that no longer holds.
_NOT_SO = "代替|替代|治[疗病愈]|发票|七天|高仿|假货|刷单|返现|踩雷|智商税"
_BEGINS = r"(?:(?<![^\s,.!?;:~、。'\"()\[\]【】《》“”‘’|/])|(?<=本品))"
# In a list each sign is one: ❌勾兑 ❌香精. Not before what says so itself, nor beside a price that no longer holds.
_BANS = "❌❎✖🚫⛔"
_LISTED = re.compile(f"[{_BANS}](?=[{HAN}])(?![^{_BANS}]{{0,3}}[不没無无勿别別拒禁非价價])")
_LIST = re.compile(f"{_BEGINS}[{_BANS}]")
_LACKED = (*"证證标標票", "检疫", "批号", "授权", "售后", "发票", "添加", "色素", "香精", "防腐", "激素", "酒精")
# Symbols read as words, each where it can hardly be decoration, and not beside the word itself: 五⭐好评, 全网🥇, 💯有效, ➕V, 打针💉
_READ = [
    (re.compile("➕"), "加"),
    (re.compile("(?<=[0-9元])➖(?=[0-9])"), "减"),
    (re.compile("(?<!心)[❤♥](?=[脏髒梗绞絞])"), "心"),
    (re.compile("(?<=白大)[🥼🧥]"), "褂"),
    (re.compile("(?<![⭐🌟五5])[⭐🌟]{5}(?=返(?![场厂修校程])|好评|晒图|截图|截tu|评(?![测委书]))"), "五星"),
    (re.compile("(?<!糖)[🍬🍭](?=尿病)"), "糖"),
    (re.compile("(?<!骨)🦴(?=[质質]疏)"), "骨"),
    (re.compile("(?<![癌蟹])🦀(?=[细細]胞)"), "癌"),
    (re.compile("(?<!好)👍[🏻-🏿]?(?=评(?![测委书论价分]))"), "好"),
    (re.compile("(?:(?<=[一二两三四五颗])|(?<=[1-5])(?<![0-9][1-5]))[★⭐🌟]"), "星"),
    (re.compile("(?:(?<=[业界网国球省市量榜类目])|(?<=排名))🥇"), "第一"),
    (re.compile("(?<=百分)💯"), "百"),
    (re.compile("💯(?=[有正纯治见包能真])"), "百分百"),
    (re.compile("(?<![0-9百])💯(?=%)"), "100"),
    (re.compile("(?<!顶)🔝(?=级)"), "顶"),
    (re.compile(r"(?<!\w)🚬(?=批发)"), "香烟"),
    (re.compile("(?:(?<=[香吸抽])|(?<=电子)|(?<!烟)(?=🚬批发))🚬(?!烟)"), "烟"),
    (re.compile("(?<![生师家夫士授任])[👨👩🧑][🏻-🏿]?⚕(?=都|推荐|说|建议)"), "医生"),
    (re.compile("(?<![医院])🏥(?=同款|都|专用)"), "医院"),
    (re.compile(r"(?:(?<=停)|(?<=(?<![好小])吃)|(?<=[不停服]用))💊(?![💊药0-9一二两三四半几]|\s*$)"), "药"),
    (re.compile(f"{_NOT_DONE}{_SIGN}|{_BEGINS}{_SIGN}{{1,3}}(?={_NOT_SO})"), "不"),
]
# Pictographs of things, read where they make a word with a neighbour: 高🩸压, 🐯骨酒, 闪⚡发货. Not those that mostly decorate (💧, 💰, 🎁).
_THINGS = {
    "🇨🇳": "国", "🦀": "癌蟹", "🦠": "菌毒",
    **{sign: word[0] for word in (
        "血🩸 脑🧠 眼👁 牙🦷 骨🦴 肺🫁 心🫀 腿🦵 孕🤰 针💉 电⚡ 烟🚬 山⛰🏔 糖🍬🍭 奶🥛🍼 蛋🥚 鱼🐟🐠 鸡🐔 虎🐯🐅 象🐘 熊🐻 蛇🐍 狗🐶🐕 "
        "猫🐱🐈 牛🐮🐂 羊🐑 马🐴 猪🐷 鹿🦌 龟🐢 枪🔫 盐🧂 便💩 风🌬 蚊🦟 眠🛌😴💤 票🎫 刻🔪 肿🀄 耳👂 鼻👃 脚🦶 蜂🐝"
    ).split() for sign in word[1:]},
}  # fmt: skip
_THING = re.compile("|".join(_THINGS))
# Though 充电, 癌细 and 安眠 hold together: 快充⚡手机壳, 🦀细嫩, 晚安😴
_NOT_READ = re.compile("[快闪秒超]充⚡|🦀细|安[🛌😴💤]")
_WORD = 3.0  # pointwise mutual information, in nats, from which a thing's character and its neighbour are a word
# Numbers that would run into the next: of a list (①99元 ②199元, ⒈5斤装), a fraction behind a whole (1½勺), a range in words (七~十天)
_APART = [
    (re.compile(r"(?:^|(?<=[\s,.!?;:，。！？；：、元块斤件盒瓶包袋]))([①-⑳❶-❿⓫-⓴➀-➓⓵-⓾⒈-⒛])(?=[0-9０-９])"), r"\1 "),
    (re.compile("(?<=[0-9０-９])(?=[½⅓⅔¼¾⅕-⅞])"), " "),
]
_NUMERALS = "零一二两三四五六七八九十百千万半几"
_RANGE = re.compile(f"(?<=[{_NUMERALS}])(?<!~.)~(?=[{_NUMERALS}](?!~))")
# Raised digits behind a digit: of a price what is behind its point (29⁹), else an exponent (10⁸CFU).
_RAISED = re.compile("[⁰¹²³⁴-⁹](?<=[0-9０-９].)[⁰¹²³⁴-⁹]*")
_PRICED = re.compile("(?:[¥￥$＄€£]|[价卖售付]|仅需|只需|只要|到手|今天|补贴后)[是才就只仅约 :：]{0,2}[0-9０-９]{1,6}$")
_MONEY = ("元", "块", "包邮", "到手", "拿下")
_EACH = ("一件", "一盒", "一瓶", "一包", "一单", "起")  # behind a price, but for a power of ten: 活菌10⁹起
_TEN = re.compile("(?<![0-9０-９])(?:10|１０)$")
_MEASURED = tuple("¹²³")  # alone they are a square, a cube or a note rather than a price: 地板80²起
_POINT = re.compile("[.．][0-9０-９]+$")
# Characters set one by one with a divider or a space between each: 糖 尿 病, 治-疗-高.血.压; the last may begin what goes on where all are
# dots or dashes: 国.家.级品质, but 好 来 看看
SPACERS = " .-‐‒–—―−'\"&/+="
_ON = f"[.‐‒–—―−-][{HAN}]"
SPACED = re.compile(
    f"(?<![{HAN}])[{HAN}](?:(?:{_ON}(?![{HAN}]))+{_ON}(?=[{HAN}])"
    f"|(?:[{re.escape(SPACERS)}]{{1,2}}[{HAN}](?![{HAN}])){{2,}})"
)
_SPACES = re.compile(r"\s+")
# What repeats a character: said or heard several times over (益益菌菌, 增增增加), or at a word's border (中国国家). Not numerals, nor where
# one alone is something else (奶奶, 太太, 某某, 拼多多).
REPEATED = re.compile(
    f"(?<=([{HAN}]))(?<![〇零幺一二三四五六七八九十百千万亿两廿卅壹贰叁肆伍陆柒捌玖拾佰仟奶太某])(?<!拼多)\\1+"
)
_EMPEROR = re.compile("乾(?=隆|坤|清[宫宮]|卦)")  # else dry, 干


@lru_cache(maxsize=1)
def _to_simplified() -> dict[int, str]:
    """t2s.tsv: traditional to simplified characters, derived from OpenCC (Apache-2.0); radicals (⻝) and other forms (薬, 囯) besides."""
    lines = Path(__file__).with_name("t2s.tsv").read_text(encoding="utf-8").splitlines()
    return str.maketrans(dict(line.split("\t") for line in lines))


def simplified(text: str) -> str:
    """`text` in simplified characters, one for each."""
    if "乾" not in text:  # nearly always so, and quicker to see
        return text.translate(_to_simplified())
    return "乾".join(part.translate(_to_simplified()) for part in _EMPEROR.split(text))


def _close_up(match: re.Match[str]) -> str:
    return re.sub(f"[^{HAN}]", "", match.group())


def _lowered(raised: re.Match[str]) -> str:
    """Raised digits with what they mean in front, a point or ^."""
    text, start, end = raised.string, *raised.span()
    before = text[max(0, start - 12) : start]
    each = text.startswith(_EACH, end) and raised.group() not in _MEASURED and not _TEN.search(before)
    asked = each or text.startswith(_MONEY, end) or _PRICED.search(before)
    price = asked and len(raised.group()) < 3 and not _POINT.search(before)  # not 2.5²
    return ("." if price else "^") + raised.group()


def _with_things(text: str) -> str:
    """`text` with pictographs as the characters that make a word with the one before or behind them; others stay."""
    out, before, at = [], "", 0
    for found in _THING.finditer(text):
        before = simplified((before + text[at : found.start()])[-2:])
        read = _thing(found.group(), before, simplified(text[found.end() : found.end() + 2]))
        out += [text[at : found.start()], read]
        before, at = before + read, found.end()
    return "".join([*out, text[at:]])


def _thing(sign: str, before: str, behind: str) -> str:
    """The character of a pictograph between two characters on either side, or the pictograph.

    It's the one that a neighbour holds to most, and no less than to its other neighbour (⚡ in 闪⚡发货, not in ⚡源头工厂); none that stands
    there already (牙刷🦷).
    """
    if _NOT_READ.search(before + sign + behind):
        return sign
    around, ties = before + behind, sounds().ties
    enough = max(_WORD, ties.get(before, 0)), max(_WORD, ties.get(behind, 0))
    held = []
    for character in "" if before.endswith(sign) or behind.startswith(sign) else _THINGS[sign]:
        left, right = ties.get(before[-1:] + character, 0), ties.get(character + behind[:1], 0)
        if (left >= enough[0] or right >= enough[1]) and character not in around:
            held.append((max(left, right), character))
    return max(held)[1] if held else sign


def _with_list(text: str) -> str:
    """`text` with each sign of prohibition in a list of what isn't done or isn't there as a word."""
    found = list(_LISTED.finditer(text))
    if len(found) < 2 or not _LIST.match(text, found[0].start()):
        return text
    return _LISTED.sub(lambda sign: "无" if text.startswith(_LACKED, sign.end()) else "不", text)


def _without_symbols(text: str) -> str:
    """Pictographs, digits and letters in circles as what is read, without those that are decoration."""
    if not _SYMBOL.search(text):  # nearly always so
        return text
    text = _with_things(_with_list(text.translate(_ENCLOSED)))
    for symbol, word in (*_KEYS, *_READ):
        text = symbol.sub(word, text)
    return _PICTOGRAPH.sub("", _IN_NUMBER.sub(" ", text))


def normalise(text: str) -> str:
    """Plain form of `text` as the model reads it.

    A second time changes nothing, but of odd mixtures, such as where NFKC would compose what a dropped symbol kept apart (か🔥\u3099),
    or stickers nested more deeply than anybody writes them.
    """
    for _ in range(_PASSES):  # what is put together may be part of something else
        text = _RAISED.sub(_lowered, without_stickers(INVISIBLE.sub("", text)))
        for number, parted in _APART:
            text = number.sub(parted, text)
        text = without_marks(INVISIBLE.sub("", unicodedata.normalize("NFKC", text)))
        text = latin(quietly(_without_symbols(text)))
        text = without_ornaments(simplified(_SPACES.sub(" ", text).strip()))
        text = _BETWEEN_HAN.sub("", _RANGE.sub("到", text))
        text = SPACED.sub(_close_up, text)
        plain = without_pinyin(without_tones(whole(text)))
        if plain == text:
            plain = REPEATED.sub("", text)
        if plain == text:
            break
        text = plain
    return text


def letters(text: str) -> str:
    """What of a text is said: without punctuation and spaces, in lower case; empty for 💊 and ！."""
    return re.sub(r"[\W_]", "", text).lower()


def plain_text(text: str) -> str:
    """The letters of a normalised text, by which texts are the same to a corpus; one without any stands for itself."""
    return letters(normalise(text)) or text
