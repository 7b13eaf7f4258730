"""The option --set NAME=VALUE."""

from __future__ import annotations

from zhenyan.inference.errors import ConfigError


def read_pairs(items: list[str], example: str) -> dict[str, str]:
    """Names and their values as text; ConfigError, which shows `example`, for an item without name or "="."""
    pairs = {}
    for item in items:
        name, sign, value = item.partition("=")
        if not sign or not name:
            raise ConfigError(f"--set {item}: expected NAME=VALUE, such as {example}")
        pairs[name] = value
    return pairs
