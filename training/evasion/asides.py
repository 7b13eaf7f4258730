"""Asides: what hosts say around a claim and what changes nothing about it: refusals to say more, disclaimers, winks.

A claim stands whatever is said beside it, and a lawful line stays lawful. In the rows that were labelled such phrases stand
almost only on one side (disclaimers beside lawful talk, winks beside code), so that a model takes them for the answer; lines of
both kinds are given them in training. What is measured are phrases by another author that are never added there; some
rows hold one of their own.
"""

from __future__ import annotations

import random
import re

_SAID = """平台管得严我就说到这 再说下去直播间要没了 这句话我收回 这个词不能讲 多的话我就不展开了 细的不方便讲 主播只能讲到这里 说多了要被封 有些话播不了
    我嘴巴闭上了 广告法在这摆着我不敢乱讲 规定不许讲的我不讲 我可没打包票 我没说一定行啊 不敢给您打包票 谁也不敢说百分百 承诺我给不了 我不做任何承诺 效果每个人不一样
    因人而异啊 结果仅供参考 个别体验不代表所有人 图片仅供参考以实物为准 本品不是药品 它又不是药 不能当药吃 不可替代药品 不能替代正规治疗 有病还是要去医院 身体不舒服先看医生
    该吃的药别停 请遵医嘱 具体请咨询医生 请按说明书使用 以说明书为准 别听我一个人说 自己上网搜一下 你们自己去打听 不信拉倒 信就拍不信就划走 不喜欢的不要买 接受不了的不要下单
    挑剔的就算了 想好了再拍 量力而行 理性下单不要冲动 不急用的可以不买 以上只是我个人看法 我就随口一说 聊聊天而已 别当真啊 当我没说 仅为个人感受 不构成任何建议 投资有风险
    过往不代表将来 有问题找客服 详情看页面 最终以页面为准 温馨提醒一下 很多人来问 刚才有个朋友问 有粉丝私信问 不要跟我抬杠 先声明一下 丑话说前头 实话实说 我不吹牛 咱不夸张
    咱不瞎说 我不忽悠人""".split()
_NODDED = """懂得自然懂 懂行的都知道 你懂我懂大家懂 懂的来不懂的问 懂货的来 懂我意思吧 姐妹们都明白的 老粉都知道 你们心里有数 不用我多讲吧 内行人一看就明白 会心一笑就行
    知道的扣个一 该明白的都明白 聪明人一听就晓得 都是明白人 点到为止 只跟自己人讲 悄悄告诉你们 别往外传 咱们私底下说 关起门来讲 你品你细品 意思到了就行 别让我说破""".split()
_DISCLAIMERS = (
    "我不能多说", "我不能保证", "别的我不敢说", "不是药啊", "不能代替药物", "介意的别拍", "你自己去查", "不让说", "看个人体质啊",
    "听医生的", "不信的别拍", "这个平台不让说",
)  # fmt: skip
_WINKS = ("姐妹懂的都懂", "懂的都懂", "我不能说太多你们懂的")
_PAUSE = re.compile("[，。！？；,!?;]")


def _beside(text: str, phrase: str, rng: random.Random) -> str:
    """The phrase after the text, before it, or at one of its pauses."""
    joint, draw = rng.choice(("", " ", "，")), rng.random()
    pauses = [match.end() for match in _PAUSE.finditer(text)]
    if draw < 0.15 and pauses:
        at = rng.choice(pauses)
        return text[:at] + phrase + (joint or "，") + text[at:]
    return phrase + joint + text if draw < 0.45 else text + joint + phrase


def aside(text: str, rng: random.Random) -> str:
    """The text with one of the phrases for training beside it, now and then two; two in five are nods."""
    for _ in range(1 + (rng.random() < 0.2)):
        text = _beside(text, rng.choice(_NODDED if rng.random() < 0.4 else _SAID), rng)
    return text


def disclaimer(text: str, rng: random.Random) -> str:
    """A refusal to say more, or a disclaimer, beside the text: …血压就正常了 -> …血压就正常了，我不能保证."""
    return _beside(text, rng.choice(_DISCLAIMERS), rng)


def wink(text: str, rng: random.Random) -> str:
    """A nod to those who know, beside the text: 懂的都懂 …."""
    return _beside(text, rng.choice(_WINKS), rng)
