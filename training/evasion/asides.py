"""Asides: what hosts say around a claim and what changes nothing about it: refusals to say more, disclaimers, winks.

A claim stands whatever is said beside it, and a lawful line stays lawful. In the rows that were labelled such phrases stand
almost only on one side (disclaimers beside lawful talk, winks beside code), so that a model takes them for the answer; lines of
both kinds are given them in training. What is measured are phrases by another author that are never added there; some
rows hold one of their own. asides.txt holds those for training: what is said, and behind an empty line nods to those who know.
"""

from __future__ import annotations

import random
import re
from functools import cache
from pathlib import Path

_DISCLAIMERS = (
    "我不能多说", "我不能保证", "别的我不敢说", "不是药啊", "不能代替药物", "介意的别拍", "你自己去查", "不让说", "看个人体质啊",
    "听医生的", "不信的别拍", "这个平台不让说",
)  # fmt: skip
_WINKS = ("姐妹懂的都懂", "懂的都懂", "我不能说太多你们懂的")
_NODS = 0.3  # share of nods
_PAUSE = re.compile("[，。！？；,!?;]")


def _beside(text: str, phrase: str, rng: random.Random) -> str:
    """The phrase after the text, before it, or at one of its pauses."""
    joint, draw = rng.choice(("", " ", "，")), rng.random()
    pauses = [match.end() for match in _PAUSE.finditer(text)]
    if draw < 0.15 and pauses:
        at = rng.choice(pauses)
        return text[:at] + phrase + (joint or "，") + text[at:]
    return phrase + joint + text if draw < 0.45 else text + joint + phrase


@cache
def _trained() -> tuple[list[str], list[str]]:
    """What is said, and nods."""
    said, nods = Path(__file__).with_name("asides.txt").read_text(encoding="utf-8").split("\n\n")
    return said.split(), nods.split()


def aside(text: str, rng: random.Random) -> str:
    """The text with one of the phrases for training beside it, now and then two; three in ten are nods."""
    said, nods = _trained()
    for _ in range(1 + (rng.random() < 0.2)):
        text = _beside(text, rng.choice(nods if rng.random() < _NODS else said), rng)
    return text


def disclaimer(text: str, rng: random.Random) -> str:
    """A refusal to say more, or a disclaimer, beside the text: …血压就正常了 -> …血压就正常了，我不能保证."""
    return _beside(text, rng.choice(_DISCLAIMERS), rng)


def wink(text: str, rng: random.Random) -> str:
    """A nod to those who know, beside the text: 懂的都懂 …."""
    return _beside(text, rng.choice(_WINKS), rng)
