"""Rulings of the label guide that a rule can recognise; a row that seems to break one deserves another look."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from zhenyan.training.rows import Row
from zhenyan.training.schema import Schema, former


@dataclass(frozen=True)
class Ruling:
    """`pattern` found in a violating row that has one of `given`, if there are any, and none of `asked`: the ruling may be broken.

    Labels bear the names they had when the rulings were written; in `reason` they stand in braces.
    """

    pattern: re.Pattern[str]
    asked: tuple[str, ...]
    reason: str
    given: tuple[str, ...] = ()

    @property
    def labels(self) -> set[str]:
        """All labels it speaks of."""
        return {*self.asked, *self.given, *re.findall(r"{(\w+)}", self.reason)}

    def in_words_of(self, names: Mapping[str, str]) -> Ruling:
        """The same ruling about the labels that bear other names now."""
        asked, given = (tuple(names[label] for label in labels) for labels in (self.asked, self.given))
        return replace(self, asked=asked, given=given, reason=self.reason.format_map(names))

    def is_broken_by(self, row: Row) -> bool:
        """Whether it may be."""
        labels = set(row.labels)
        fits = bool(labels.intersection(self.given) if self.given else labels)
        return fits and not labels.intersection(self.asked) and bool(self.pattern.search(row.text))


def _ruling(pattern: str, asked: Sequence[str], reason: str, given: Sequence[str] = ()) -> Ruling:
    return Ruling(re.compile(pattern), tuple(asked), reason, tuple(given))


_RULINGS = [
    _ruling(r"申请了专利|专利申请中", ["ip_infringement"], "a patent applied for and sold as one is {ip_infringement}",
            given=["false_propaganda"]),
    _ruling(r"(我妈|我爸|我奶奶|我婆婆|老公|邻居|顾客).{0,14}(糖尿病|高血压|血栓|癌|失眠).{0,10}(吃好|喝好|治好|好了)",
            ["illegal_endorsement", "unreviewed_ad"], "a person's recovery is {illegal_endorsement} (with {food_safety} for an edible)"),
    _ruling(r"(三甲|医院|主任|医生|院士|教授).{0,8}(推荐|同款|都在用|都在吃|力荐)", ["illegal_endorsement"],
            "doctors, hospitals and experts vouching are {illegal_endorsement}"),
    _ruling(r"(高仿|一比一复刻|A货)", ["ip_infringement"], "openly sold as a replica is {ip_infringement}"),
    _ruling(r"(刷单|好评返现|补单|删差评)", ["fake_engagement"], "fake orders and bought reviews are {fake_engagement}"),
    _ruling(r"^[^不没无非勿别]*(概不退换|最终解释权归)", ["consumer_rights"], "refusing statutory returns is {consumer_rights}"),
    _ruling(r"(原价|专柜价?).{0,6}[0-9一二三四五六七八九十百千两]+.{0,12}(亏本|白送|成本价)", ["price_fraud"],
            "an unfounded original price with a loss claim is {price_fraud}"),
]  # fmt: skip


def rulings_for(schema: Schema) -> list[Ruling]:
    """The rulings in the names of the schema, its renames followed; those that speak of a label that is gone are left out."""
    spoken_of = sorted(set[str]().union(*(ruling.labels for ruling in _RULINGS)))
    once = {former(label, spoken_of, schema.changes): label for label in schema.ids}
    names = {then: now for then, now in once.items() if then is not None}
    return [ruling.in_words_of(names) for ruling in _RULINGS if names.keys() >= ruling.labels]


def broken_rulings(row: Row, rulings: Sequence[Ruling]) -> list[str]:
    """Reasons why a violating row deserves another look, empty for most."""
    return [ruling.reason for ruling in rulings if ruling.is_broken_by(row)]
