"""Disguises by sound: homophones, mishearing, pinyin, initials."""

from __future__ import annotations

import random
from collections import defaultdict
from functools import lru_cache

from pypinyin import Style, lazy_pinyin
from pypinyin.constants import PINYIN_DICT
from zhenyan.training.evasion.words import rewrite, target_spans

# What recognisers and accents confuse (initials, then finals), after the usual lists of fuzzy pinyin.
_FUZZY_INITIALS = {"zh": "z", "ch": "c", "sh": "s", "z": "zh", "c": "ch", "s": "sh", "n": "l", "l": "n", "h": "f",
                   "f": "h", "r": "l", "b": "p", "p": "b", "d": "t", "t": "d", "g": "k", "k": "g"}  # fmt: skip
_FUZZY_FINALS = {"ang": "an", "an": "ang", "eng": "en", "en": "eng", "ing": "in", "in": "ing", "ian": "iang",
                 "uan": "uang", "o": "uo", "ie": "ei", "ui": "ei"}  # fmt: skip


def _common() -> list[str]:
    """Characters in daily use: the simplified side of GB 2312's first plane (3,755 characters by frequency of use)."""
    return [bytes([high, low]).decode("gb2312") for high in range(0xB0, 0xD8) for low in range(0xA1, 0xFF)
            if not (high == 0xD7 and low > 0xF9)]  # fmt: skip


@lru_cache(maxsize=1)
def _by_sound() -> dict[str, list[str]]:
    table: dict[str, list[str]] = defaultdict(list)
    for character in _common():
        if ord(character) in PINYIN_DICT:
            table[lazy_pinyin(character)[0]].append(character)
    return table


def _like(character: str, syllable: str, rng: random.Random) -> str:
    options = [c for c in _by_sound().get(syllable, ()) if c != character]
    return rng.choice(options) if options else character


def homophone(text: str, rng: random.Random) -> str:
    """One character of each target word as another of the same syllable: 血糖 -> 雪糖."""
    spans = target_spans(text, rng)
    changed = []
    for start, end in spans:
        word = text[start:end]
        at = rng.randrange(len(word))
        changed.append(word[:at] + _like(word[at], lazy_pinyin(word)[min(at, len(lazy_pinyin(word)) - 1)], rng)
                       + word[at + 1 :])  # fmt: skip
    return rewrite(text, spans, changed)


def _fuzzy(syllable: str, rng: random.Random) -> str:
    initial = next((i for i in ("zh", "ch", "sh") if syllable.startswith(i)), syllable[:1])
    final = syllable[len(initial) :]
    options = [syllable]
    if initial in _FUZZY_INITIALS:
        options.append(_FUZZY_INITIALS[initial] + final)
    if final in _FUZZY_FINALS:
        options.append(initial + _FUZZY_FINALS[final])
    return rng.choice(options)


def mishear(text: str, rng: random.Random) -> str:
    """About one Han character in twelve as another of the same or a confusable syllable, anywhere in the line."""
    out = []
    for character in text:
        if "\u4e00" <= character <= "\u9fff" and rng.random() < 1 / 12:
            syllable = lazy_pinyin(character)[0]
            out.append(_like(character, _fuzzy(syllable, rng), rng))
        else:
            out.append(character)
    return "".join(out)


def pinyin(text: str, rng: random.Random) -> str:
    """Target words in pinyin: 治疗 -> zhiliao; a long word only in its last character."""
    spans = target_spans(text, rng)
    words = [text[start:end] for start, end in spans]
    return rewrite(
        text, spans, ["".join(lazy_pinyin(w)) if len(w) <= 2 else w[:-1] + lazy_pinyin(w[-1])[0] for w in words]
    )


def initials(text: str, rng: random.Random) -> str:
    """Target words by the first letters of their syllables: 减肥 -> jf."""
    spans = target_spans(text, rng, limit=1)
    return rewrite(text, spans, ["".join(lazy_pinyin(text[a:b], style=Style.FIRST_LETTER)) for a, b in spans])
