"""What readings add up to: pure rules, without a database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ACCEPTED, REJECTED, RELABELLED = "accepted", "rejected", "relabelled"
OPEN, DISPUTED = "open", "disputed"
CLOSED = (ACCEPTED, REJECTED, RELABELLED)
STATES = (OPEN, DISPUTED, *CLOSED)
WITHDRAWN = "withdrawn"  # of a finding that a reviewer marked and took back
MODEL, REVIEWER = "model", "reviewer"  # whose a finding is
STATE_NAMES = {  # in Chinese, in English
    OPEN: ("待审查", "open"), DISPUTED: ("有分歧", "disputed"), ACCEPTED: ("已接受", "accepted"),
    REJECTED: ("已驳回", "rejected"), RELABELLED: ("已改类", "relabelled"), WITHDRAWN: ("已撤回", "withdrawn"),
}  # fmt: skip
ACTION_NAMES = {  # of the log's entries, in Chinese, in English
    "accept": ("接受", "accept"), "reject": ("驳回", "reject"), "relabel": ("改类", "relabel"), "settle": ("裁定", "settle"),
    "skip": ("跳过", "skip"), "mark": ("标记漏判", "mark"), "undo": ("撤销", "undo"), "question": ("异议", "question"),
    "import": ("导入", "import"), "import.skip": ("导入跳过", "import skip"), "reviewer.add": ("添加人员", "add reviewer"),
    "reviewer.remove": ("移除人员", "remove reviewer"), "reviewer.role": ("更改角色", "set role"),
    "reviewer.password": ("重设密码", "set password"),
}  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """One reviewer's look at a finding; `labels` is None until it is done. `settles`: a lead's word on a dispute."""

    settles: bool
    labels: tuple[str, ...] | None = None


def verdict(label: str, labels: Sequence[str]) -> str:
    """What deciding on `labels` says of a finding that was made under `label`; no labels: compliant."""
    if not labels:
        return REJECTED
    return ACCEPTED if set(labels) == {label} else RELABELLED


def outcome(label: str, readings: Iterable[Reading]) -> tuple[str, list[str] | None]:
    """State and labels of a finding: a lead's word ends it, else all readings must be done and agree."""
    readings = list(readings)
    settling = [r for r in readings if r.settles]
    if settling:
        last = settling[-1].labels
        return (DISPUTED, None) if last is None else (verdict(label, last), sorted(last))
    given = [r.labels for r in readings]
    if any(labels is None for labels in given):
        return OPEN, None
    if len({frozenset(labels or ()) for labels in given}) > 1:
        return DISPUTED, None
    return verdict(label, given[0] or ()), sorted(given[0] or ())


def second_read(digest: str, key: str, share: float) -> bool:
    """Whether a finding is among the `share` that is read twice; the same at every start."""
    drawn = int.from_bytes(hashlib.sha256(f"{digest}:{key}".encode()).digest()[:8])
    return drawn < share * 2**64
