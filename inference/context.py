"""What two neighbouring lines of a stream carry together and neither alone (LABELS: symptom here, goods there).

Runs, `Classifier.classify_stream` and the service find it by these functions, so that all of them decide alike.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

from zhenyan.inference.batching import CHARS, groups
from zhenyan.inference.errors import InputError
from zhenyan.inference.evidence import Evidence

if TYPE_CHECKING:
    from zhenyan.inference.classifier import Classifier, Prediction

MAX_GAP = 20.0  # seconds between two lines that are still one train of thought
MAX_PAIR = 240  # characters of two neighbours read together
SUSPICION = 0.2  # a pair is read when one of its lines reaches this share of a threshold
LONGEST = 1e15  # a larger number of seconds is no time
EXPLAINED = 64  # hits whose evidence is sought together


@dataclass(frozen=True)
class Line:
    """One line of a stream; `start` and `end` in seconds, in the recording or since 1970, None where they aren't known."""

    text: str
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class ContextHit:
    """Labels that two neighbouring lines carry together and neither alone; scores and evidence are theirs, in `text`."""

    text: str  # both lines, with a space between
    labels: tuple[str, ...]
    scores: dict[str, float] = field(hash=False)
    evidence: tuple[Evidence, ...] = ()


def checked_lines(lines: Iterable[Line]) -> Iterator[Line]:
    """`lines` one by one; an end before its start is none, as in files.

    InputError names the place of what is no Line and of a time that is no number of seconds.
    """
    if not isinstance(lines, Iterable):
        raise InputError(f"lines: expected the lines of a stream, given {type(lines).__name__}; give a list of Line")
    for place, line in enumerate(lines):
        if not isinstance(line, Line):
            raise InputError(f"lines[{place}]: expected Line, given {type(line).__name__}; give Line(text, start, end)")
        for name, time in (("start", line.start), ("end", line.end)):
            if time is not None and not _is_seconds(time):
                raise InputError(
                    f"lines[{place}].{name}: expected seconds, given {time!r:.80}; None where it isn't known"
                )
        backwards = line.start is not None and line.end is not None and line.end < line.start
        yield replace(line, end=None) if backwards else line


def _is_seconds(time: Any) -> bool:
    is_number = isinstance(time, Real) and not isinstance(time, bool)
    return bool(is_number and abs(time) < LONGEST)


def close(first: Line, second: Line) -> bool | None:
    """Whether two lines follow each other closely enough to be read together; None where their times don't tell."""
    ended = first.start if first.end is None else first.end
    if ended is None or second.start is None:
        return None
    # Lines may overlap, as those of two speakers; an earlier start is another recording's.
    begun = ended if first.start is None else first.start
    return begun <= second.start + 1 and second.start - ended <= MAX_GAP


def pairs(
    predictions: Sequence[Prediction], thresholds: Iterable[float], together: Callable[[int], bool]
) -> dict[int, str]:
    """Pairs of lines to read, joined, by the place of the first.

    `together`: whether the line at a place and the next one may be read together.
    """
    bounds = [SUSPICION * float(threshold) for threshold in thresholds]
    suspicious = [any(map(operator.ge, prediction.scores.values(), bounds)) for prediction in predictions]
    return {
        i: f"{predictions[i].text} {predictions[i + 1].text}"
        for i in range(len(predictions) - 1)
        if (suspicious[i] or suspicious[i + 1])
        and len(predictions[i].text) + len(predictions[i + 1].text) <= MAX_PAIR
        and together(i)
    }


def new_labels(
    predictions: Sequence[Prediction], joined: Mapping[int, str], found: Mapping[str, Prediction]
) -> dict[int, tuple[str, ...]]:
    """By the place of the first line: labels that `found` gives the joined text and neither line carries alone."""
    carried = {i: {*predictions[i].labels, *predictions[i + 1].labels} for i in joined}
    labels = {i: tuple(one for one in found[text].labels if one not in carried[i]) for i, text in joined.items()}
    return {i: new for i, new in labels.items() if new}


def hit_of(together: Prediction, labels: tuple[str, ...]) -> ContextHit:
    """What the joined text says of these labels."""
    return ContextHit(
        together.text,
        labels,
        {label: together.scores[label] for label in labels},
        tuple(span for span in together.evidence if span.label in labels),
    )


def pair_hits(
    classifier: Classifier, predictions: Sequence[Prediction], together: Callable[[int], bool]
) -> dict[int, ContextHit]:
    """Hits of each line with the next one, by the place of the first; arguments as for `pairs`."""
    joined = pairs(predictions, classifier.thresholds, together)
    found = unexplained(classifier, joined.values())
    new = new_labels(predictions, joined, found)
    found |= explained(classifier, [joined[i] for i in new])  # beside most hits there is nothing new to explain
    return {i: hit_of(found[joined[i]], labels) for i, labels in new.items()}


def unexplained(classifier: Classifier, texts: Iterable[str]) -> dict[str, Prediction]:
    """Predictions without evidence, by text."""
    return {p.text: p for p in classifier.predict(list(dict.fromkeys(texts)), explain=False)}


def explained(classifier: Classifier, texts: Iterable[str]) -> dict[str, Prediction]:
    """Predictions with evidence, by text; none where none is wanted.

    They may be nothing but hits whose evidence costs many probes each: they are taken a few at a time, so that memory
    stays bounded.
    """
    taken = groups(dict.fromkeys(texts), CHARS, EXPLAINED) if classifier.explain else ()
    return {p.text: p for group in taken for p in classifier.predict(group)}
