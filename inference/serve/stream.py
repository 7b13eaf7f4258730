"""Two neighbouring lines together, as `context.pair_hits` finds them, through the queue that all requests share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from zhenyan.inference.classifier import Prediction
from zhenyan.inference.context import ContextHit, Line, close, hit_of, new_labels, pairs

Ask = Callable[[list[str], bool], Awaitable[list[Prediction]]]  # texts, and whether evidence is sought


async def queued_pair_hits(
    ask: Ask, lines: Sequence[Line], predictions: Sequence[Prediction], thresholds: Iterable[float], evidence: bool
) -> dict[int, ContextHit]:
    """Hits of each line with the next one, by the place of the first; Overloaded as `ask` raises it."""
    joined = pairs(predictions, thresholds, lambda i: close(lines[i], lines[i + 1]) is not False)
    found = await _asked(ask, joined.values(), False)
    new = new_labels(predictions, joined, found)
    if evidence:
        found |= await _asked(ask, [joined[i] for i in new], True)
    return {i: hit_of(found[joined[i]], labels) for i, labels in new.items()}


async def _asked(ask: Ask, texts: Iterable[str], evidence: bool) -> dict[str, Prediction]:
    """Predictions by text; the queue takes no request for nothing."""
    wanted = list(dict.fromkeys(texts))
    return {p.text: p for p in await ask(wanted, evidence)} if wanted else {}
