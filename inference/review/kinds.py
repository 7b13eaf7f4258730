"""The kinds of files that decisions are written out as."""

from __future__ import annotations

from pathlib import Path

from zhenyan.inference.errors import ConfigError

ENDINGS = {"rows": ".jsonl", "labelstudio": ".json", "csv": ".csv", "xlsx": ".xlsx"}


def check_kind(kind: str, path: Path) -> None:
    """ConfigError: unknown kind, or the path ends otherwise than that kind does."""
    if kind not in ENDINGS:
        raise ConfigError(f"--to {kind}: unknown; there are {', '.join(ENDINGS)}")
    if path.suffix.lower() != ENDINGS[kind]:
        raise ConfigError(f"{path}: --to {kind} writes {ENDINGS[kind]}, not {path.suffix or 'a name without ending'}; "
                          "change the output's ending or --to")  # fmt: skip
