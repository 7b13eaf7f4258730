"""The option --set KEY=VALUE of commands that read a configuration."""

from __future__ import annotations

from typing import Any

from zhenyan.inference.errors import ConfigError


def parse(items: list[str]) -> dict[str, Any]:
    """Dotted keys and their values, read as YAML; ConfigError for an item without "="."""
    import yaml

    pairs = {}
    for item in items:
        key, sign, value = item.partition("=")
        if not sign:
            raise ConfigError(f"--set {item}: expected KEY=VALUE, such as optim.epochs=2")
        pairs[key] = yaml.safe_load(value)
    return pairs
