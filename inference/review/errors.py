"""Errors that a reviewer meets on a page, said in English and Chinese."""

from __future__ import annotations

from datetime import datetime

from zhenyan.inference.errors import ConfigError, ZhenyanError
from zhenyan.inference.io.times import beijing_time


class Said(ZhenyanError):
    """An error with its Chinese wording in `zh`; the command line prints the English one."""

    def __init__(self, english: str, chinese: str) -> None:
        super().__init__(english)
        self.zh = chinese


class Conflict(Said):
    """Someone else was first, or the page is out of date; nothing was changed."""


class NotFound(Said):
    """What an address names isn't there."""


class AccountError(Said, ConfigError):
    """A name, role or password that can't be taken."""


class LoginRefused(Said):
    """Wrong name or password; which of them is not said."""

    def __init__(self) -> None:
        super().__init__("wrong name or password", "用户名或密码不正确")


class LoginLocked(Said):
    """Too many wrong passwords; no try is listened to before `until`."""

    def __init__(self, until: datetime) -> None:
        at = beijing_time(until)[11:16]
        super().__init__(
            f"too many wrong passwords; try again after {at} UTC+8", f"密码错误次数过多，请在北京时间 {at} 之后再试"
        )


class CannotWrite(Said):
    """The database takes nothing more; `english` and `chinese` say why."""

    def __init__(self, english: str, chinese: str) -> None:
        super().__init__(f"the review database can't be written: {english}; nothing was recorded, repeat it once that is mended",
                         f"审查数据库无法写入：{chinese}；本次操作未记录，请排除问题后重试")  # fmt: skip


class NotLoggedIn(Said):
    """The request needs a login."""

    def __init__(self) -> None:
        super().__init__("log in first", "请先登录")


class Forbidden(Said):
    """The request's role or CSRF token doesn't allow it."""
