"""What can be set for a review site; one place for defaults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

ROLES = ("reviewer", "lead", "admin")  # each may do what those before it may
ROLE_NAMES = {
    "reviewer": ("审查员", "reviewer"),
    "lead": ("组长", "lead"),
    "admin": ("管理员", "admin"),
}  # in Chinese, in English
MAX_NOTE = 500  # characters of a reason for a decision
MIN_PASSWORD, MAX_PASSWORD = 10, 256  # characters; the upper bound keeps hashing cheap


def now() -> datetime:
    """The present in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Settings:
    """Times, shares and limits of one site. `clock` is replaced in tests."""

    lease: timedelta = timedelta(minutes=15)
    second_share: float = 0.0  # share of findings that two reviewers read, each without seeing the other's decision
    idle: timedelta = timedelta(minutes=60)  # a login ends after so long without a request
    lifetime: timedelta = timedelta(hours=12)  # and after so long in any case
    failures: int = 5  # wrong passwords for one name before it is locked
    address_failures: int = 30  # the same for one address, behind which an office may sit
    lockout: timedelta = timedelta(minutes=15)
    https: bool = False  # the site is reached by https even where the request doesn't say so (proxy)
    pause: timedelta = timedelta(minutes=5)  # longer on one finding counts as so long: the reviewer was away
    clock: Callable[[], datetime] = now


def may(role: str, needed: str) -> bool:
    """Whether `role` includes `needed`."""
    return ROLES.index(role) >= ROLES.index(needed)
