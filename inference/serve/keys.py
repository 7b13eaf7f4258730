"""API keys: random, shown once, kept only as hashes; compared in constant time; each can be revoked."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zhenyan.inference.errors import ConfigError, InputError

log = logging.getLogger("zhenyan.serve")
_Keys = dict[str, dict[str, str]]
_SHA256 = re.compile("[0-9a-f]{64}")
_OPEN_TO_ALL = {"/health", "/ready", "/metrics", "/openapi.json"}


def _hash(key: str) -> str:
    """SHA-256 suffices: keys are 256 random bits, not passwords."""
    return hashlib.sha256(key.encode()).hexdigest()


class KeyFile:
    """Hashed keys by name in one JSON file; a change of the file is seen without a restart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, ...] | None = None
        self._hashes: dict[str, str] = {}

    def _load(self, new: bool = False) -> _Keys:
        """ConfigError when the file can't be read, is missing, holds anything else or, unless it may be `new`, nothing."""
        try:
            written = self.path.read_text(encoding="utf-8")
            if new and not written:
                return {}
            keys = json.loads(written)
            if not all(
                _SHA256.fullmatch(entry["sha256"]) and isinstance(entry["created"], str) for entry in keys.values()
            ):
                raise TypeError
        except FileNotFoundError:
            raise ConfigError(
                f"{self.path}: no such file; make a key with `zhenyan keys add NAME --file {self.path}`"
            ) from None
        except PermissionError as error:
            reader = f"let user {os.geteuid()}, as which this runs, read it"
            raise ConfigError(f"{self.path}: cannot be read: {error.strerror}; {reader}") from None
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be read: {error.strerror}; name a file of keys") from None
        except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
            raise ConfigError(f"{self.path}: not a key file; make one with `zhenyan keys add`") from None
        return keys

    def add(self, name: str) -> str:
        """Make a key and return it; only its hash is written. ConfigError when the name is taken or can't be shown."""
        if not name.strip() or not name.isprintable():
            raise ConfigError(f"the key's name {name!r} must be printable and not blank, such as shop-team")
        key = "zy-" + secrets.token_urlsafe(32)
        with self._alone():
            keys = self._load(new=True)
            if name in keys:
                raise ConfigError(f"{self.path}: there is a key named {name!r}; revoke it first or choose another name")
            keys[name] = {"sha256": _hash(key), "created": time.strftime("%Y-%m-%d")}
            self._save(keys)
        return key

    def revoke(self, name: str) -> None:
        """Remove a key; ConfigError when there is none of that name."""
        self._load()  # where there is no file, none is made to be locked
        with self._alone():
            keys = self._load()
            if name not in keys:
                raise ConfigError(f"{self.path}: no key named {name!r}; there are {', '.join(keys) or 'none'}")
            del keys[name]
            self._save(keys)

    def names(self) -> dict[str, str]:
        """Names and dates of the keys; ConfigError when there is no sound file."""
        return {name: entry["created"] for name, entry in self._load().items()}

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Until the block ends no other process changes the file, which is locked, and made where there is none.

        ConfigError when the path is a folder or there can be no lock.
        """
        real = Path(os.path.realpath(self.path))  # the file behind links, which `replacing` replaces
        if real.is_dir():
            raise ConfigError(f"{self.path}: is a folder; name a file")
        with contextlib.ExitStack() as stack:
            try:
                _lock(real, stack)
            except PermissionError as error:
                raise ConfigError(
                    f"{self.path}: cannot be written and locked: {error.strerror}; change the keys as the file's owner or "
                    "with sudo, in a folder that can be written"
                ) from None
            except OSError as error:
                raise ConfigError(
                    f"{self.path}: cannot be written and locked: {error.strerror}; "
                    "name a file in a folder that exists and can be written"
                ) from None
            yield

    def _save(self, keys: _Keys) -> None:
        """Write whole or not at all, in place of the file that is locked; readable as it was."""
        # Imported here: the service, which only reads keys, does without what reads and writes rows.
        from zhenyan.inference.io.jsonlines import replacing

        try:
            with replacing(self.path) as part, part.open("w", encoding="utf-8") as out:
                _give_away(out.fileno(), self.path)
                json.dump(keys, out, indent=1)
        except InputError as error:
            raise ConfigError(f"{error}") from None

    def who(self, key: str) -> str | None:
        """Name of the key's owner, or None; every stored hash is compared, so that time tells nothing.

        ConfigError when the file is gone or broken: then nobody is let in.
        """
        self._refresh()
        given, found = _hash(key), None
        for name, known in self._hashes.items():
            if hmac.compare_digest(given, known):
                found = name
        return found

    def _refresh(self) -> None:
        try:
            found = self.path.stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        except OSError:
            seen = None  # reading it tells why
        if seen is None or seen != self._seen:
            self._hashes = {}  # a file that can't be read lets nobody in
            self._seen = None
            self._hashes = {name: entry["sha256"] for name, entry in self._load().items()}
            self._seen = seen


def _lock(path: Path, stack: contextlib.ExitStack) -> None:
    """Lock the file until the stack ends; OSError when it can't be opened.

    The file itself: whoever may change it may lock it, and nobody else, whoever made it first.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        stack.callback(os.close, handle)
        fcntl.flock(handle, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):  # else it was replaced while this one waited
                return


def _give_away(handle: int, before: Path) -> None:
    """Give an open file owner and group of the one it is to replace, whose mode it gets, too: the service reads it.

    ConfigError when that isn't permitted, unless it is a group that may do nothing with the file.
    """
    old = before.stat()
    try:
        os.fchown(handle, old.st_uid, old.st_gid)
    except PermissionError:
        if old.st_uid != os.fstat(handle).st_uid or old.st_mode & stat.S_IRWXG:
            raise ConfigError(
                f"{before}: belongs to user {old.st_uid} and group {old.st_gid}, and would not if you wrote it; "
                "change the keys as that user or with sudo"
            ) from None


class KeyGate:
    """ASGI middleware: 401 without a valid key, before the body is read; what says nothing of texts is open to all.

    503 while the key file is gone or broken.
    """

    def __init__(self, app: Any, keys: KeyFile, seconds: float) -> None:
        self.app, self.keys, self.seconds = app, keys, seconds  # in which the rest of a refused body may come

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Let the request pass, or refuse it."""
        if scope["type"] == "http" and scope["path"] not in _OPEN_TO_ALL:
            # Imported here: the command line manages keys without `zhenyan[serve]`.
            from zhenyan.inference.serve.limits import drain
            from zhenyan.inference.serve.refusals import refusal

            given = [value for name, value in scope["headers"] if name == b"authorization"]
            try:
                owner = self._owner(given)
            except ConfigError as error:
                log.error(str(error))
                text = "the service can't read its keys: its log says why, whoever runs it can mend it"
                await drain(scope, receive, self.seconds)
                await refusal(503, text, "server_error")(scope, receive, send)
                return
            if owner is None:
                several = f"one authorization header is read, given {len(given)}; send one"
                text = f"{several if len(given) > 1 else 'a valid key is needed'}: Authorization: Bearer KEY"
                await drain(scope, receive, self.seconds)
                await refusal(401, text, "authentication_error", **{"www-authenticate": "Bearer"})(scope, receive, send)
                return
            scope["state"]["fields"]["key"] = owner
        await self.app(scope, receive, send)

    def _owner(self, given: list[bytes]) -> str | None:
        """Whose key the one Authorization header holds; of several none counts, for a proxy may have read another."""
        if len(given) != 1:
            return None
        scheme, _, key = given[0].decode("latin-1").partition(" ")
        return self.keys.who(key.strip()) if scheme.lower() == "bearer" else None
