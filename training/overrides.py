"""The option --set KEY=VALUE of commands that read a configuration."""

from __future__ import annotations

from typing import Any

from zhenyan.inference.cli.pairs import read_pairs
from zhenyan.inference.errors import ConfigError


def parse(items: list[str]) -> dict[str, Any]:
    """Dotted keys and their values, read as YAML; ConfigError for an item without name or "=", or whose value is no YAML."""
    return {key: _value(key, value) for key, value in read_pairs(items, "optim.epochs=2").items()}


def _value(key: str, text: str) -> Any:
    import yaml
    from zhenyan.training.schema import read_yaml

    try:
        return read_yaml(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"--set {key}: not YAML: {text!r:.200} ({getattr(error, 'problem', error)})") from None
