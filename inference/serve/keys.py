"""API keys: random, shown once, kept only as hashes; compared in constant time; each can be revoked."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from pathlib import Path

from zhenyan.inference.errors import ConfigError
from zhenyan.inference.io.jsonlines import write_atomic


def _hash(key: str) -> str:
    """SHA-256 suffices: keys are 256 random bits, not passwords."""
    return hashlib.sha256(key.encode()).hexdigest()


class KeyFile:
    """Hashed keys by name in one JSON file; a change of the file is seen without a restart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int] | None = None
        self._hashes: dict[str, str] = {}

    def _load(self) -> dict[str, dict[str, str]]:
        if not self.path.exists():
            return {}
        try:
            return json.loads(self.path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ConfigError(f"{self.path}: not JSON ({error}); make keys with `zhenyan keys add`") from None

    def add(self, name: str) -> str:
        """Make a key and return it; only its hash is written. ConfigError when the name is taken."""
        keys = self._load()
        if name in keys:
            raise ConfigError(f"{self.path}: there is a key named {name!r}; revoke it first or choose another name")
        key = "zy-" + secrets.token_urlsafe(32)
        keys[name] = {"sha256": _hash(key), "created": time.strftime("%Y-%m-%d")}
        self._save(keys)
        return key

    def revoke(self, name: str) -> None:
        """Remove a key; ConfigError when there is none of that name."""
        keys = self._load()
        if name not in keys:
            raise ConfigError(f"{self.path}: no key named {name!r}; there are {', '.join(keys) or 'none'}")
        del keys[name]
        self._save(keys)

    def names(self) -> dict[str, str]:
        """Names and dates of the keys."""
        return {name: entry["created"] for name, entry in self._load().items()}

    def _save(self, keys: dict[str, dict[str, str]]) -> None:
        write_atomic(self.path, [json.dumps(keys, indent=1).encode()])
        self.path.chmod(0o600)

    def who(self, key: str) -> str | None:
        """Name of the key's owner, or None; every stored hash is compared, so that time tells nothing."""
        stat = self.path.stat() if self.path.exists() else None
        seen = (stat.st_mtime_ns, stat.st_size) if stat else None
        if seen != self._seen or self._seen is None:
            self._hashes = {name: entry["sha256"] for name, entry in self._load().items()}
            self._seen = seen
        given, found = _hash(key), None
        for name, known in self._hashes.items():
            if hmac.compare_digest(given, known):
                found = name
        return found
