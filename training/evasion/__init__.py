"""Disguises that sellers and speech recognition put on words: one named, seeded transform each.

Used twice: on training rows (augmentation) and on a fixed test set (how much F1 each disguise costs).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from zhenyan.inference.errors import ConfigError
from zhenyan.training.evasion import asides, punctuation, sound, written

Transform = Callable[[str, random.Random], str]

TRANSFORMS: dict[str, Transform] = {
    "homophone": sound.homophone,
    "asr_mishearing": sound.mishear,
    "pinyin": sound.pinyin,
    "initials": sound.initials,
    "code_word": written.code_word,
    "placeholder": written.placeholder,
    "reduplicate": written.reduplicate,
    "split_character": written.split_character,
    "look_alike": written.look_alike,
    "symbols": written.symbols,
    "emoji": written.emoji,
    "spaces": written.spaces,
    "traditional": written.traditional,
    "full_width": written.full_width,
    "drop_words": written.drop,
    "repeat_words": written.repeat,
    "fillers": written.fillers,
    "disclaimer": asides.disclaimer,
    "wink": asides.wink,
    "punctuation": punctuation.punctuation,
}
NO_DISGUISES = ("punctuation",)  # measured beside them: it hides nothing
# Training has its own phrases and signs, by `asides.aside` and `punctuation.repunctuate`.
_MEASURED_ONLY = ("disclaimer", "wink", "punctuation")
_SPEECH = (sound.mishear, written.repeat, written.fillers, written.cut)


def check_names(names: Sequence[str] | None) -> list[str]:
    """The named transforms for training rows, all of them for None; ConfigError for an unknown name."""
    allowed = [name for name in TRANSFORMS if name not in _MEASURED_ONLY]
    if unknown := sorted(set(names or ()) - set(allowed)):
        raise ConfigError(f"evasion: unknown transform {', '.join(unknown)}; allowed: {', '.join(allowed)}")
    return allowed if names is None else list(names)


def disguise(text: str, name: str, seed: int) -> str:
    """`text` under one named transform; the same seed gives the same result."""
    return TRANSFORMS[name](text, random.Random(f"{name}:{seed}:{text}"))


def roughen(text: str, rng: random.Random) -> str:
    """A written line as a recogniser might have heard it: two or three of mishearing, stammer, fillers, cut ends."""
    for transform in rng.sample(_SPEECH, k=rng.randint(2, 3)):
        text = transform(text, rng)
    return text


def augment(text: str, rng: random.Random, names: Sequence[str]) -> str:
    """The text under one or two transforms drawn at random."""
    for name in rng.sample(list(names), k=min(len(names), 1 + (rng.random() < 0.3))):
        text = TRANSFORMS[name](text, rng)
    return text
