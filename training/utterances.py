"""Utterances to learn from: those of the batch runner, less what has no sentence end for too long."""

from __future__ import annotations

from zhenyan.inference.io.utterances import MAX_CHARS, sentences


def split_utterances(text: str) -> list[str]:
    """Utterances of one transcript, in order; pieces over MAX_CHARS (no sentence ends heard) are left out."""
    return [text[start:end] for start, end in sentences(text) if end - start <= MAX_CHARS]
