"""The option --set KEY=VALUE of commands that read a configuration."""

from __future__ import annotations

from typing import Any

from zhenyan.inference.cli.pairs import read_pairs


def parse(items: list[str]) -> dict[str, Any]:
    """Dotted keys and their values, read as YAML; ConfigError for an item without "="."""
    import yaml

    return {key: yaml.safe_load(value) for key, value in read_pairs(items, "optim.epochs=2").items()}
