"""Punctuation that changes nothing about a line: quotation marks, stops, list numbers, hashtags, names called.

Shops and recognisers set such signs anyhow. Whoever writes rows sets them where a seller shouts, so that a model takes them
for the answer; lines of both kinds are given others in training. Hashtags and names that are measured are never added there.
"""

from __future__ import annotations

import random
import re

_TAGS = """好物推荐 好物分享 日常分享 日常 生活记录 开箱 家居好物 母婴好物 新品 上新 今日推荐 清单 我的爱用物 测评 种草 穿搭 美食 周末去哪儿 干货 vlog 选购攻略 过日子
    直播间 宝妈日常 办公室 换季 囤货 双11 618 年货 同城""".split()
_NAMES = "小助理 客服小美 官方客服 闺蜜 所有人 店小二 阿强 运营".split()
_OTHER_TAGS = "值得买 随手拍 我的一天 购物车 养生 收纳 家有萌宠 开学季".split()
_OTHER_NAMES = "小助手 官方旗舰店 楼主 房管".split()
_LEADS = ("1、", "2.", "3）", "（1）", "①", "②", "·", "•", "—", "- ", "※", "* ", "★", "▶", "→", "☞", "666 ", "111，", "[图片]", "（图）", "Q：",
          "答：")  # fmt: skip
_TAILS = ("666", "（图）", "[链接]", "↓", "→", "hhh", "哈哈", "~", "yyds", "👍", "——")
_QUOTES = (("“", "”"),) * 3 + (('"', '"'), ("‘", "’"), ("『", "』"), ("《", "》"), ("「", "」"), ("【", "】"))
_STOPS = re.compile(r"(?<!\d)[，,。；;]+(?!$)|[，,。；;]+(?!\d|$)")  # 1,299 is a number
_END = re.compile(r"[。！!~～.…，,]+$")
_HAN = re.compile("[\u4e00-\u9fff]{3,}")


def _quoted(text: str, rng: random.Random) -> str:
    """Two to six characters, a fifth of the time a whole clause, in quotation marks."""
    runs = [match.span() for match in _HAN.finditer(text)]
    if not runs:
        return text
    start, end = rng.choice(runs)
    if rng.random() < 0.8:
        size = min(rng.randint(2, 6), end - start)
        start = rng.randint(start, end - size)
        end = start + size
    left, right = rng.choice(_QUOTES)
    return text[:start] + left + text[start:end] + right + text[end:]


def _stopped(text: str, rng: random.Random) -> str:
    """Another sign, or none, where clauses part; all of them the same."""
    sign = rng.choice(("，", "，", " ", " ", "", "。", "；", "、", " | ", "/", "！", "…"))
    return _STOPS.sub(sign, text)


def _ended(text: str, rng: random.Random) -> str:
    """Another end, or none."""
    return _END.sub("", text) + rng.choice(("", "", "", "。", "。", "！", "！！！", "…", "～", "；", "。。。"))


def _beside(text: str, rng: random.Random, tags: list[str], names: list[str]) -> str:
    """One or two hashtags, or a name called, at an end."""
    if rng.random() < 0.3:
        name = "@" + rng.choice(names) + " "
        return name + text if rng.random() < 0.5 else f"{text} {name}".rstrip()
    said = " ".join("#" + tag + rng.choice(("", "#")) for tag in rng.sample(tags, k=rng.randint(1, 2)))
    return f"{said} {text}" if rng.random() < 0.4 else f"{text} {said}"


def _marked(text: str, rng: random.Random) -> str:
    """A list number, a sign or a word typed by viewers at an end."""
    ahead = rng.random() < 0.6
    first, second = (rng.choice(_LEADS), text) if ahead else (text, rng.choice(_TAILS))
    apart = " " if second[:1].isdigit() and first[-1:] in "0123456789.、，" else ""  # 2. before 5折 would be 2.5折
    return first + apart + second


def _redone(text: str, rng: random.Random, tags: list[str], names: list[str]) -> str:
    for change in rng.sample(("quotes", "quotes", "stops", "end", "tags", "marks"), k=rng.choice((1, 1, 2))):
        if change == "quotes":
            text = _quoted(text, rng)
        elif change == "stops":
            text = _stopped(text, rng)
        elif change == "end":
            text = _ended(text, rng)
        else:
            text = _beside(text, rng, tags, names) if change == "tags" else _marked(text, rng)
    return text


def repunctuate(text: str, rng: random.Random) -> str:
    """The text with one or two kinds of signs set otherwise, for training; what it says stays."""
    return _redone(text, rng, _TAGS, _NAMES)


def punctuation(text: str, rng: random.Random) -> str:
    """Quotation marks, stops, ends, hashtags or list numbers set otherwise: 补水保湿。 -> “补水”保湿 #值得买."""
    return _redone(text, rng, _OTHER_TAGS, _OTHER_NAMES)
