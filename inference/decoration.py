"""What decorates a text and says nothing: marks on characters of another script, stickers, faces, rules and bullets at its ends."""

from __future__ import annotations

import re

from zhenyan.inference.lookalikes import HAN

# Marks that are written over, under or through a character: strokes, rings, tones, vowels of Thai and Tibetan. Not U+20E3, which makes a key.
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0f18\u0f19\u0f35\u0f37"
    "\u0f39\u0f71-\u0f84\u0f86\u0f87\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20e2\u20e4-\u20f0\ua9b3-\ua9c0\ufe20-\ufe2f"
)
# Scripts that write with marks keep them: Hebrew to Mongolian, kana, and what lies from Lisu to Hangul. Greek and Cyrillic letters are composed with theirs.
_WITH_MARKS = "\u0590-\u10ff\u1200-\u1cff\u3041-\u30ff\ua4d0-\ud7ff"
_MARKED = re.compile(f"(?<![{_WITH_MARKS}])[{_MARKS}]+")
# Codes that platforms show as a picture, or put in place of one
_STICKER = re.compile(
    r"[\[［](?:爱心|玫瑰花?|捂脸|呲牙|微笑|偷笑R?|赞R?|强|鼓掌|比心|送心|心|太阳|礼物|色|可爱|害羞R?|大哭|流泪|笑哭R?|哭惹R?|派对R?|庆祝R?|加油R?|抱拳|OK|胜利|握手|亲亲"
    r"|坏笑|憨笑|机智|吃瓜R?|doge|泣不成声|给力|炸弹|咖啡|蛋糕|爱你|感谢|撒花|飞吻R?|舔屏|萌萌哒R?|种草R|拔草R|火R|玫瑰R|爱心R|哇R|汗颜R|石化R|再见R|皱眉R|黄心R|紫薇别走R?|灵光一闪|小黄鸭|图片|视频|链接|语音|(?:动画)?表情)[\]］]"
    "|[®©™℠]"
)
# Faces of punctuation: (≧▽≦), ╮(╯▽╰)╭, ʕ•ᴥ•ʔ: two signs that faces are made of, one that little else is; with a number or a word inside it is none
_FEATURE = "≧≦▽ω∀◕‿◡◠╯╰￣ˊˋ´`^▔ᴗ๑Ŏ︶╥﹏ಠ｀✧益Дᴥ"
_FACE = f"{_FEATURE}･°□ﾟ｡・•><"
_KAOMOJI = re.compile(
    rf"[╮ヽ＼\\┐ヾ୧٩]?(?:[(（](?![^()（）]*(?:[0-9０-９]|[A-Za-z]{{2}}|[ァ-ヺｦ-ﾝ]{{2}}))(?=[^()（）]*[{_FEATURE}])"
    rf"(?=[^()（）]*[{_FACE}][^()（）]*[{_FACE}])[^()（）{HAN}]{{2,14}}[)）]|ʕ[^ʔ{HAN}]{{1,8}}ʔ)(?:[╭ノﾉ┌╯シوง✧]|ღ)*"
)
# Rules, bullets and waves in front of a text or behind it; no sign of a number, and no × or *, which stand for a name or point to a note
ORNAMENTS = "~—–━═─•※●༺༻꧁꧂ʚɞ˚⋆ "
# What copy is full of and what the corpus has hardly but beside violations, so that a model takes it for one: stress, brackets of headings, + between
# goods (not +微, which asks to be added), prices in signs of currency
_LOUD = [
    (re.compile(r"^!+|(?<=[?,。;:])!+|(?<!!)!+(?=\?)"), ""),
    (re.compile("!+"), ","),
    (re.compile("[「」『』]"), ""),
    (re.compile("[【】]"), " "),
    (re.compile(rf"(?<=[{HAN}]{{2}})\+(?![微薇威卫我扣群])(?=[{HAN}]{{2}})"), "、"),
    (re.compile(r"¥ ?(\d++(?:,\d{3})*+(?:\.\d++)?+)(?! ?[元块万百千亿折]|[\d.A-Za-z]|,\d)"), r"\1元"),
]


def without_stickers(text: str) -> str:
    """`text` without stickers, signs of trademarks and faces; to be asked before compatibility forms are replaced, which takes faces apart."""
    text = _STICKER.sub("", text)
    return _KAOMOJI.sub("", text) if "(" in text or "（" in text or "ʕ" in text else text


def without_marks(text: str) -> str:
    """Composed `text` without marks on what isn't written with any: 根҉治҉, 原价1̶9̶9̶."""
    return _MARKED.sub("", text)


def without_ornaments(text: str) -> str:
    """`text` without rules and bullets at its ends; one of nothing else stays."""
    bare = text.lstrip(ORNAMENTS)
    return (text if bare[:1].isdigit() else bare).rstrip(ORNAMENTS) or text


def quietly(text: str) -> str:
    """Composed `text` as it would be said: ! as a comma, no brackets around headings, ¥199 as 199元."""
    for loud, quiet in _LOUD:
        text = loud.sub(quiet, text)
    return text
