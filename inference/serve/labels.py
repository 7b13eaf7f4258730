"""The labels over HTTP: what each means, the law behind it, its threshold, and thresholds that a request asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field
from zhenyan.inference.bundle import Bundle, Label
from zhenyan.inference.serve.refusals import Refused, given
from zhenyan.inference.thresholds import EXPECTED, is_threshold


class Article(BaseModel):
    """An article of law that may apply."""

    law: str
    article: str
    says: str
    says_zh: str | None = None
    verified: Annotated[str, Field(description="text: the article was read; case: seen applied only; no: from memory")]
    check: Annotated[bool, Field(description="the law may have changed: check before citing")] = False


class Penalty(BaseModel):
    """What the law states for a violation."""

    basis: str
    basis_en: str | None = None
    verified: str = "text"
    check: bool = False
    states: str
    states_zh: str | None = None


class LabelInfo(BaseModel):
    """One label: names, what it covers, the law behind it, and the probability from which a text is decided as it."""

    id: str
    name_zh: str
    name_en: str
    section: Annotated[str, Field(description="of the Guiding Opinions 国市监广〔2020〕175号")]
    definition_zh: str
    definition: str
    citation_zh: Annotated[str, Field(description="all articles in one line; which applies, the facts decide")]
    citation: str
    articles: list[Article]
    penalty: Penalty
    law_as_of_zh: str
    law_as_of: str
    threshold: float


class LabelsResponse(BaseModel):
    """The labels of the model, in the order of its outputs."""

    model: str
    labels: list[LabelInfo]


def labels_response(bundle: Bundle) -> LabelsResponse:
    """All labels of a bundle with their thresholds."""
    told = zip(bundle.labels, bundle.thresholds, strict=True)
    return LabelsResponse(model=bundle.id, labels=[_info(label, threshold) for label, threshold in told])


def _info(label: Label, threshold: float) -> LabelInfo:
    names = ("definition_zh", "definition", "law_as_of_zh", "law_as_of")
    more = dict(zip(names, (*label.defined, *label.as_of), strict=True))
    return LabelInfo.model_validate({**label.record, **more, "threshold": threshold})


def check_thresholds(asked: Mapping[Any, Any], known: Sequence[str]) -> None:
    """422 that names the label and what was given; `known`: the bundle's label ids."""
    for label, value in asked.items():
        place = f"thresholds.{label}"[:100]
        if label not in known:
            raise Refused(422, f"{place}: unknown label; this model has {', '.join(known)}", place)
        if not is_threshold(value):
            raise Refused(422, f"{place}: {EXPECTED}, given {given(value)}", place)


def thresholds_schema(known: Sequence[str]) -> dict[str, Any]:
    """JSON Schema of what `check_thresholds` lets pass."""
    number = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
    return {"properties": dict.fromkeys(known, number), "additionalProperties": False}
