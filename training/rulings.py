"""Rulings of the label guide that a rule can recognise; a row that seems to break one deserves another look."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from zhenyan.training.rows import Row


@dataclass(frozen=True)
class Ruling:
    """`pattern` found and `breaks` true of the row's labels: the ruling may be broken."""

    pattern: re.Pattern[str]
    breaks: Callable[[frozenset[str]], bool]
    reason: str


def _ruling(pattern: str, breaks: Callable[[frozenset[str]], bool], reason: str) -> Ruling:
    return Ruling(re.compile(pattern), breaks, reason)


_LACKS = lambda *names: lambda labels: bool(labels) and not labels & set(names)  # noqa: E731
RULINGS = [
    _ruling(r"申请了专利|专利申请中", lambda labels: "false_propaganda" in labels and "ip_infringement" not in labels,
            "a patent applied for and sold as one is ip_infringement"),
    _ruling(r"(我妈|我爸|我奶奶|我婆婆|老公|邻居|顾客).{0,14}(糖尿病|高血压|血栓|癌|失眠).{0,10}(吃好|喝好|治好|好了)",
            _LACKS("illegal_endorsement", "unreviewed_ad"), "a person's recovery is illegal_endorsement (with food_safety for an edible)"),
    _ruling(r"(三甲|医院|主任|医生|院士|教授).{0,8}(推荐|同款|都在用|都在吃|力荐)", _LACKS("illegal_endorsement"),
            "doctors, hospitals and experts vouching are illegal_endorsement"),
    _ruling(r"(高仿|一比一复刻|A货)", _LACKS("ip_infringement"), "openly sold as a replica is ip_infringement"),
    _ruling(r"(刷单|好评返现|补单|删差评)", _LACKS("fake_engagement"), "fake orders and bought reviews are fake_engagement"),
    _ruling(r"^[^不没无非勿别]*(概不退换|最终解释权归)", _LACKS("consumer_rights"), "refusing statutory returns is consumer_rights"),
    _ruling(r"(原价|专柜价?).{0,6}[0-9一二三四五六七八九十百千两]+.{0,12}(亏本|白送|成本价)", _LACKS("price_fraud"),
            "an unfounded original price with a loss claim is price_fraud"),
]  # fmt: skip


def broken_rulings(row: Row) -> list[str]:
    """Reasons why a violating row deserves another look, empty for most."""
    labels = frozenset(row.labels)
    return [ruling.reason for ruling in RULINGS if ruling.pattern.search(row.text) and ruling.breaks(labels)]
