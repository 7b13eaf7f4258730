"""Reviewers: names, roles, Argon2 password hashes. A removed reviewer keeps their name in the log."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error
from sqlalchemy.engine import Connection, Row
from zhenyan.inference.review import log
from zhenyan.inference.review.database import Database
from zhenyan.inference.review.errors import AccountError
from zhenyan.inference.review.intake import storable
from zhenyan.inference.review.schema import login, reviewer, throttle
from zhenyan.inference.review.settings import MAX_PASSWORD, MIN_PASSWORD, ROLE_NAMES, ROLES, Settings

MAX_NAME = 60  # characters
_HASHING = threading.BoundedSemaphore(2)  # one verification takes 64 MB: a flood of logins mustn't take all memory


def check_name(name: str) -> str:
    """The name without outer spaces; AccountError when it can't be one."""
    name = name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise AccountError(f"reviewer name {name!r:.80}: expected 1 to {MAX_NAME} printable characters",
                           f"用户名应为 1 至 {MAX_NAME} 个可见字符")  # fmt: skip
    return name


def name_key(name: str) -> str:
    """Under which key wrong passwords for a name are counted."""
    return f"name:{storable(name.strip().lower()[:80])}"


def check_password(password: str) -> str:
    """The password; AccountError when it is too short or too long, or was read in another encoding than it is written in."""
    if any("\ud800" <= character <= "\udfff" for character in password):  # each a byte that couldn't be read
        raise AccountError("password: holds bytes that aren't UTF-8; give it from a terminal or a file in UTF-8",
                           "密码含有非 UTF-8 字节，请以 UTF-8 输入")  # fmt: skip
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise AccountError(f"password: expected {MIN_PASSWORD} to {MAX_PASSWORD} characters, given {len(password)}",
                           f"密码应为 {MIN_PASSWORD} 至 {MAX_PASSWORD} 个字符，现为 {len(password)} 个")  # fmt: skip
    return password


def check_role(role: str) -> str:
    """The role; AccountError lists the roles there are."""
    if role not in ROLES:
        raise AccountError(f"role {role!r:.40} is unknown; there are {', '.join(ROLES)}",
                           f"没有角色 {role!r:.40}，可用角色为 {'、'.join(ROLE_NAMES[known][0] for known in ROLES)}")  # fmt: skip
    return role


@dataclass
class Accounts:
    """The reviewers of one database; every change goes to the log under the name of who made it."""

    database: Database
    settings: Settings = field(default_factory=Settings)
    hasher: PasswordHasher = field(default_factory=PasswordHasher)

    @cached_property
    def _nobody(self) -> str:
        """Compared where a name is unknown, so that the time taken doesn't tell which names there are."""
        return self.hasher.hash("nobody has this password")

    def add(self, name: str, role: str, password: str, by: str = log.COMMAND_LINE) -> None:
        """Add a reviewer, or bring a removed one back; AccountError when the name is in use."""
        name, values = check_name(name), {"role": check_role(role), "active": True}
        values["password"] = self.hasher.hash(check_password(password))
        with self.database.alone() as connection:
            known = _named(connection, name)
            if known is None:
                connection.execute(reviewer.insert().values(name=name, created=self.settings.clock(), **values))
            elif known.active and known.password:
                raise AccountError(f"there is a reviewer {name!r} already; change them, or choose another name",
                                   f"用户 {name} 已存在，请修改该用户或另选用户名")  # fmt: skip
            else:
                connection.execute(throttle.delete().where(throttle.c.key == name_key(name)))  # as for a new password
                connection.execute(reviewer.update().where(reviewer.c.id == known.id).values(values))
            self._note(connection, by, "add", {"name": name, "role": role})

    def set_password(self, name: str, password: str, by: str = log.COMMAND_LINE, keep: str | None = None) -> None:
        """A new password; ends the reviewer's logins but for the one whose stored token is `keep`, and a lock of the name."""
        hashed = self.hasher.hash(check_password(password))
        with self.database.write() as connection:
            connection.execute(throttle.delete().where(throttle.c.key == name_key(name)))
            self._change(connection, name, {"password": hashed}, keep)
            self._note(connection, by, "password", {"name": name})

    def set_role(self, name: str, role: str, by: str = log.COMMAND_LINE) -> None:
        """Another role, from the reviewer's next request on; AccountError when the only admin would be none."""
        with self.database.alone() as connection:
            row = self._known(connection, name)
            if check_role(role) != "admin":
                _keep_an_admin(connection, row)
            connection.execute(reviewer.update().where(reviewer.c.id == row.id).values(role=role))
            self._note(connection, by, "role", {"name": name, "role": role}, {"role": row.role})

    def remove(self, name: str, by: str = log.COMMAND_LINE) -> None:
        """No login any more; decisions and log entries stay. AccountError for the only admin."""
        with self.database.alone() as connection:
            _keep_an_admin(connection, self._known(connection, name))
            self._change(connection, name, {"active": False}, None)
            self._note(connection, by, "remove", {"name": name})

    def all(self) -> list[Row[Any]]:
        """Reviewers by name."""
        with self.database.read() as connection:
            return list(connection.execute(sa.select(reviewer).order_by(reviewer.c.name)))

    def verify(self, name: str, password: str) -> int | None:
        """The reviewer's id when the password is right and the reviewer active, else None, after the same time."""
        with self.database.read() as connection:
            row = _named(connection, name.strip())
        known = bool(row and row.active and row.password)
        try:
            with _HASHING:
                self.hasher.verify(row.password if row and known else self._nobody, password[:MAX_PASSWORD])
        except Argon2Error:
            return None
        return row.id if row and known else None

    def _known(self, connection: Connection, name: str) -> Row[Any]:
        row = _named(connection, name)
        if row is None:
            names = connection.scalars(sa.select(reviewer.c.name).order_by(reviewer.c.name)).all()
            raise AccountError(
                f"no reviewer {name!r:.80}; there are {', '.join(names) or 'none'}", f"没有用户 {name:.80}"
            )
        if not row.active:
            raise AccountError(f"reviewer {name!r} was removed; add them again (`zhenyan reviewers add`) to bring them back",
                               f"用户 {name} 已被移除，如需恢复请重新添加")  # fmt: skip
        return row

    def _change(self, connection: Connection, name: str, values: dict[str, Any], keep: str | None) -> None:
        row = self._known(connection, name)
        connection.execute(reviewer.update().where(reviewer.c.id == row.id).values(values))
        connection.execute(login.delete().where(login.c.reviewer_id == row.id, login.c.token != (keep or "")))

    def _note(
        self, connection: Connection, by: str, action: str, after: dict[str, Any], before: dict[str, Any] | None = None
    ) -> None:
        log.append(connection, self.settings.clock(), by, f"reviewer.{action}", before=before, after=after)


def _keep_an_admin(connection: Connection, row: Row[Any]) -> None:
    """AccountError when nobody but this reviewer can manage people."""
    able = sa.and_(reviewer.c.role == "admin", reviewer.c.active, reviewer.c.password.is_not(None))
    admins = connection.scalars(sa.select(reviewer.c.id).where(able)).all()
    if list(admins) == [row.id]:
        raise AccountError(f"{row.name!r} is the only admin; make another one first: `zhenyan reviewers add` or `role`",
                           f"{row.name} 是唯一的管理员，请先另设一名管理员")  # fmt: skip


def _named(connection: Connection, name: str) -> Row[Any] | None:
    return connection.execute(sa.select(reviewer).where(reviewer.c.name == storable(name))).first()
