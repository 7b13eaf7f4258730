"""Cutting a running transcript into utterances: at sentence ends, short ones joined to the next."""

from __future__ import annotations

import re

MIN_CHARS = 14  # shorter pieces say too little alone
MAX_CHARS = 160  # a longer one has no sentence ends that the recogniser heard
_SENTENCE = re.compile(r"[^。？！?!]+[。？！?!]*")
_SENTENCE_WITH_DOTS = re.compile(r"[^。？！?!.]+[。？！?!.]*")
_ASCII_STOPS = re.compile(r"[\u4e00-\u9fff]\.[\u4e00-\u9fff]")
_PAUSE = re.compile(r"[，、；：,;:\s]")

Span = tuple[int, int]


def sentences(text: str) -> list[Span]:
    """Characters [start, end) of each sentence of at least MIN_CHARS letters, the next ones joined until it has them."""
    pattern = _SENTENCE_WITH_DOTS if _ASCII_STOPS.search(text) else _SENTENCE
    spans: list[Span] = []
    start = None
    end = letters = 0
    for piece in pattern.finditer(text):
        start, end = piece.start() if start is None else start, piece.end()
        letters += len(re.sub(r"\W", "", piece[0]))
        if letters >= MIN_CHARS:
            spans.append(_stripped(text, start, end))
            start, letters = None, 0
    if start is not None and text[start:end].strip():
        if spans:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append(_stripped(text, start, end))
    return spans


def split_utterances(text: str) -> list[Span]:
    """Sentences, those over MAX_CHARS cut at pauses, or where there is none wherever they reach it: no word is left out."""
    return [part for start, end in sentences(text) for part in _cut(text, *_stripped(text, start, end))]


def _cut(text: str, start: int, end: int) -> list[Span]:
    spans = []
    while end - start > MAX_CHARS:
        pauses = [found.end() for found in _PAUSE.finditer(text, start + MAX_CHARS // 2, start + MAX_CHARS)]
        at = pauses[-1] if pauses else start + MAX_CHARS
        spans.append(_stripped(text, start, at))
        start = next((i for i in range(at, end) if not text[i].isspace()), end)
    return [*spans, (start, end)]


def _stripped(text: str, start: int, end: int) -> Span:
    """The span without spaces at its ends."""
    inner = text[start:end]
    return end - len(inner.lstrip()), start + len(inner.rstrip())
