"""Cutting a running transcript into utterances: at sentence ends, short ones joined to the next."""

from __future__ import annotations

import re

MIN_CHARS = 14  # shorter pieces say too little alone
MAX_CHARS = 160
_SENTENCE = re.compile(r"[^。？！?!]+[。？！?!]*")
_SENTENCE_WITH_DOTS = re.compile(r"[^。？！?!.]+[。？！?!.]*")
_ASCII_STOPS = re.compile(r"[\u4e00-\u9fff]\.[\u4e00-\u9fff]")


def split_utterances(text: str) -> list[str]:
    """Utterances of one transcript, in order; pieces over MAX_CHARS (no sentence ends heard) are left out."""
    pattern = _SENTENCE_WITH_DOTS if _ASCII_STOPS.search(text) else _SENTENCE
    utterances: list[str] = []
    current = ""
    for piece in pattern.findall(text):
        current += piece
        if len(re.sub(r"\W", "", current)) >= MIN_CHARS:
            utterances.append(current.strip())
            current = ""
    if current.strip() and utterances:
        utterances[-1] += current
    elif current.strip():
        utterances.append(current.strip())
    return [utterance for utterance in utterances if len(utterance) <= MAX_CHARS]
