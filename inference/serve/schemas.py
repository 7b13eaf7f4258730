"""Requests and responses, as the OpenAPI document shows them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from zhenyan.inference.classifier import Prediction
from zhenyan.inference.context import LONGEST, ContextHit, Line, checked_lines
from zhenyan.inference.serve.refusals import given

WRONG_INPUT = 'input: expected a text, a list of texts, or a list of {"type": "text", "text": ...} parts, one at least'
_NO_PART = 'Input should be a {"type": "text", "text": ...} part'


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Given(_Model):
    """What a client gives. Only its first faults are found: each costs memory, and a body may hold a million."""

    @model_validator(mode="before")
    @classmethod
    def _one_unknown(cls, data: Any) -> Any:
        """Of several unknown keys only the first; the others needn't be told. Lone surrogates in it, which pydantic can't name, are escaped."""
        if not isinstance(data, dict):
            return data
        known = {key: data[key] for key in cls.model_fields if key in data}
        unknown = itertools.islice((key for key in data if key not in known), 1)
        return known | {key.encode("utf-8", "backslashreplace").decode(): data[key] for key in unknown}


class _Wanted(_Given):
    """How texts are decided and told."""

    evidence: Annotated[
        bool, Field(strict=True, description="also find the words that carried each decision (slower)")
    ] = True
    # Not `dict[str, float]`: of a million wrong numbers each would be gathered as a fault of its own.
    thresholds: Annotated[
        dict[Any, Any],
        Field(description="for this request, by label id: the probability from which a text is decided as it"),
    ] = {}


class ClassifyRequest(_Wanted):
    """Texts to classify."""

    texts: Annotated[list[str], Field(min_length=1, fail_fast=True, description="utterances or pieces of copy")]


class EvidenceSpan(_Model):
    """Characters [start, end) of the text that carried a label."""

    start: int
    end: int
    text: str
    label: str


class Result(_Model):
    """Decision on one text; no labels means compliant."""

    labels: list[str]
    scores: dict[str, float]
    evidence: list[EvidenceSpan]
    truncated: bool


class ClassifyResponse(_Model):
    """One result for each text, in order."""

    model: str
    results: list[Result]


class TextPart(_Given):
    """OpenAI's multi-modal input, of which text is understood."""

    type: Literal["text"]
    text: str


class ModerationRequest(BaseModel):
    """OpenAI's moderation request; `model` is accepted and ignored."""

    model_config = ConfigDict(extra="ignore")
    input: (
        str
        | Annotated[list[str], Field(min_length=1, fail_fast=True)]
        | Annotated[list[TextPart], Field(min_length=1, fail_fast=True)]
    )
    model: str | None = None

    def texts(self) -> list[str]:
        """The texts asked about."""
        if isinstance(self.input, str):
            return [self.input]
        return [item if isinstance(item, str) else item.text for item in self.input]

    def is_parts(self) -> bool:
        """Whether the texts are parts of one input."""
        return isinstance(self.input, list) and isinstance(self.input[0], TextPart)

    def place(self) -> str:
        """Where a text stands, with {} for its number, as faults of validation name it."""
        if isinstance(self.input, str):
            return "input"
        return "input.{}.text" if self.is_parts() else "input.{}"


def wrong_input(faults: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """What is wrong with a moderation's input, and where.

    Each kind of input tells its own fault; the kind that could be read furthest is the one that was meant.
    """
    fault = max(faults, key=lambda one: (one["loc"][3:4], len(one["loc"])))  # "body", "input", kind, item, field
    item = fault["loc"][3:]
    place = ".".join(map(str, ("input", *item)))[:100]
    if not item:
        return f"{WRONG_INPUT}; given {given(fault['input'])}", place
    if fault["type"] == "literal_error":
        kind = given(fault["input"]).strip('"')
        return f"input.{item[0]}: {kind} is not read; send text parts", f"input.{item[0]}"
    said = _NO_PART if fault["type"] == "model_attributes_type" else fault["msg"]
    return f"{place}: {said}, given {given(fault['input'])}", place


class ModerationResult(_Model):
    """OpenAI's moderation result over our labels, and whether all was read."""

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[str]]
    truncated: Annotated[bool, Field(description="beyond OpenAI's: a text was read in part only")]


class ModerationResponse(_Model):
    """OpenAI's moderation response."""

    id: str
    model: str
    results: list[ModerationResult]


_Seconds = Annotated[float, Field(strict=True, gt=-LONGEST, lt=LONGEST)]


class StreamLine(_Given):
    """One line of a stream; times in seconds, in the recording or since 1970."""

    text: str
    start: _Seconds | None = None
    end: _Seconds | None = None


class StreamRequest(_Wanted):
    """Lines of one stream, in order."""

    lines: Annotated[list[StreamLine], Field(min_length=1, fail_fast=True, description="what was said, in order")]

    def told(self) -> list[Line]:
        """The lines as the classifier reads them."""
        return list(checked_lines(Line(line.text, line.start, line.end) for line in self.lines))


class ContextResult(_Model):
    """Labels that two neighbouring lines carry together and neither alone; `text`: both, with a space between."""

    text: str
    labels: list[str]
    scores: dict[str, float]
    evidence: list[EvidenceSpan]


class StreamResult(Result):
    """Decision on one line; `context`: what the line before and it carry together."""

    context: ContextResult | None


class StreamResponse(_Model):
    """One result for each line, in order."""

    model: str
    results: list[StreamResult]


class ErrorBody(_Model):
    """OpenAI's error shape: message, type, the parameter at fault."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorResponse(_Model):
    """What every refusal looks like."""

    error: ErrorBody


class Health(_Model):
    """Liveness or readiness."""

    status: str
    model: str | None = None


def result(prediction: Prediction) -> Result:
    """One text's result."""
    return Result.model_validate(prediction, from_attributes=True)


def stream_result(prediction: Prediction, context: ContextHit | None) -> StreamResult:
    """One line's result; `context`: its hit with the line before."""
    found = None if context is None else ContextResult.model_validate(context, from_attributes=True)
    return StreamResult(**dict(result(prediction)), context=found)


def moderation(parts: Sequence[Prediction]) -> ModerationResult:
    """One input's result: over several parts the highest score decides, as over what is read of a text."""
    labels = {label for part in parts for label in part.labels}
    return ModerationResult(
        flagged=bool(labels),
        categories={label: label in labels for label in parts[0].scores},
        category_scores={label: max(part.scores[label] for part in parts) for label in parts[0].scores},
        category_applied_input_types={label: ["text"] for label in parts[0].scores},
        truncated=any(part.truncated for part in parts),
    )
