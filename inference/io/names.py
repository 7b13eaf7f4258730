"""Names of files as text that can be written anywhere, and where the files lie."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress

from zhenyan.inference.io import faults
from zhenyan.inference.io.faults import fault

_LINES = re.compile("[\u2500-\u259f]")  # cp437's lines and blocks: bytes that begin most characters of GBK
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")


def is_text(path: str) -> bool:
    """Whether a name is UTF-8; what Python puts for other bytes can't be written to JSON, reports or screens."""
    try:
        path.encode()
        return True
    except UnicodeEncodeError:
        return False


def shown(path: str) -> str:
    """The path with names that aren't UTF-8 (old programs unpack GBK) as GBK reads them, else with escapes: \\xba."""
    if is_text(path):
        return path
    parts = path.split("/")
    return "/".join(part if is_text(part) else _shown(part, "/".join(parts[:at])) for at, part in enumerate(parts))


def _shown(name: str, folder: str) -> str:
    raw = os.fsencode(name)
    try:
        read = raw.decode("gb18030")
    except UnicodeDecodeError:
        read = ""
    taken = os.path.lexists(os.path.join(folder, read))  # by a file whose name is UTF-8
    return read if read.isprintable() and _gbk(read) == name and not taken else raw.decode("utf-8", "backslashreplace")


def _gbk(name: str) -> str:
    return os.fsdecode(name.encode("gb18030", "replace"))


def member_name(name: str) -> str:
    """A zip member's name as it was written: one without the mark of UTF-8 (macOS, old programs) came as cp437."""
    with suppress(UnicodeError):
        return name.encode("cp437").decode()
    with suppress(UnicodeError):
        if _LINES.search(name):  # else it is a Western name such as séance, which GBK could read
            return name.encode("cp437").decode("gb18030")
    return name


def real_path(path: str) -> str:
    """Where the file lies that `shown` calls so; the path itself when there is none."""
    if os.path.lexists(path):
        return path
    found = ""
    for at, part in enumerate(path.split("/")):
        before = f"{found}/" if at else ""
        found = next((before + name for name in _names(part) if os.path.lexists(before + name)), before + part)
    return found if os.path.lexists(found) else path


def _names(shown: str) -> Iterator[str]:
    yield shown
    if not shown.isascii():
        yield _gbk(shown)
    if "\\x" in shown:
        yield os.fsdecode(_ESCAPED.sub(lambda byte: bytes.fromhex(byte[1].decode()), os.fsencode(shown)))


def local_file(path: str) -> str:
    """Where an input lies; InputError for a path too long, and for a folder: only one that can't be listed is an input."""
    real = real_path(path)
    try:
        folder = stat.S_ISDIR(os.stat(real).st_mode)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise fault(path, faults.NAME_TOO_LONG.of(error=error.strerror or "")) from None
        return real  # whoever opens it says what is wrong
    if folder:
        raise fault(path, faults.FOLDER.of(why=_why(real)))
    return real


def _why(folder: str) -> str:
    try:
        os.scandir(folder).close()
    except OSError as error:
        return f" ({error.strerror or error})"
    return ""  # now it can be
