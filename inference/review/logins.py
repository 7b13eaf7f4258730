"""Logging in and staying logged in: tokens kept as hashes, expiry, and a lock after too many wrong passwords."""

from __future__ import annotations

import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from zhenyan.inference.review.accounts import Accounts, name_key
from zhenyan.inference.review.database import insert_new
from zhenyan.inference.review.errors import CannotWrite, LoginLocked, LoginRefused
from zhenyan.inference.review.schema import login, reviewer, throttle

_SEEN_EVERY = timedelta(minutes=1)  # how exactly idleness is known; spares a write for each request


@dataclass(frozen=True)
class User:
    """Who makes a request; `token` is the login's key in the database."""

    id: int
    name: str
    role: str
    token: str


def stored(cookie: str) -> str:
    """What of a login cookie is kept: its SHA-256 (the cookie is 256 random bits, so nothing slower is needed)."""
    return hashlib.sha256(cookie.encode()).hexdigest()


@dataclass
class Logins:
    """Logins of one database."""

    accounts: Accounts

    def enter(self, name: str, password: str, address: str) -> str:
        """Check a password and return the cookie of a new login; LoginRefused or LoginLocked."""
        # The address first: one that is locked doesn't go on to lock others' names.
        keys = [(f"address:{address[:80]}", self.accounts.settings.address_failures),
                (name_key(name), self.accounts.settings.failures)]  # fmt: skip
        self._count(keys)
        who = self.accounts.verify(name, password)
        if who is None:
            raise LoginRefused
        cookie, now = secrets.token_urlsafe(32), self.accounts.settings.clock()
        with self.accounts.database.write() as connection:
            connection.execute(throttle.delete().where(throttle.c.key == keys[1][0]))
            # One success doesn't wipe the address's record: an attacker may hold one good account.
            connection.execute(
                throttle.update().where(throttle.c.key == keys[0][0]).values(failures=throttle.c.failures - 1)
            )
            connection.execute(login.insert().values(token=stored(cookie), reviewer_id=who, created=now, seen=now))
        return cookie

    def confirm(self, user: User, password: str) -> bool:
        """Whether it is the user's password; who has taken a login over can't guess it. LoginLocked."""
        key = name_key(user.name)
        self._count([(key, self.accounts.settings.failures)])
        if self.accounts.verify(user.name, password) is None:
            return False
        with self.accounts.database.write() as connection:
            connection.execute(throttle.delete().where(throttle.c.key == key))
        return True

    def who(self, cookie: str) -> User | None:
        """The user behind a cookie; None when it is unknown, expired or the reviewer was removed."""
        settings, token = self.accounts.settings, stored(cookie)
        now = settings.clock()
        query = sa.select(login, reviewer.c.name, reviewer.c.role).join(reviewer)
        query = query.where(login.c.token == token, reviewer.c.active)
        with self.accounts.database.read() as connection:
            row = connection.execute(query).first()
        if row is None or now - row.seen > settings.idle or now - row.created > settings.lifetime:
            return None
        if now - row.seen > _SEEN_EVERY:
            # With a full disk pages can still be read; the login then ends an hour after it was last noted.
            with suppress(CannotWrite), self.accounts.database.write() as connection:
                connection.execute(login.update().where(login.c.token == token).values(seen=now))
        return User(row.reviewer_id, row.name, row.role, token)

    def leave(self, user: User) -> None:
        """End a login, and clear away those long expired."""
        oldest = self.accounts.settings.clock() - self.accounts.settings.lifetime
        with self.accounts.database.write() as connection:
            connection.execute(login.delete().where(sa.or_(login.c.token == user.token, login.c.created < oldest)))

    def _count(self, keys: list[tuple[str, int]]) -> None:
        """Count a try before its password is looked at, so that tries made at once can't outrun the limit.

        LoginLocked by the first key that is locked; those after it aren't counted.
        """
        now = self.accounts.settings.clock()
        with self.accounts.database.write() as connection:
            connection.execute(throttle.delete().where(throttle.c.since < now - timedelta(days=1)))
            until = next(filter(None, (self._count_one(connection, key, limit, now) for key, limit in keys)), None)
        if until:
            raise LoginLocked(until)

    def _count_one(self, connection: Connection, key: str, limit: int, now: datetime) -> datetime | None:
        insert_new(connection, throttle, key=key, failures=0, since=now)
        row = connection.execute(sa.select(throttle).where(throttle.c.key == key).with_for_update()).one()
        if row.locked_until is not None and row.locked_until > now:
            return row.locked_until
        fresh = row.locked_until is not None or now - row.since > self.accounts.settings.lockout
        failures = 1 if fresh else row.failures + 1
        until = now + self.accounts.settings.lockout if failures > limit else None
        values = {"failures": failures, "since": now if fresh else row.since, "locked_until": until}
        connection.execute(throttle.update().where(throttle.c.key == key).values(values))
        return until
