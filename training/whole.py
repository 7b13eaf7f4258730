"""Files that a kill, a full disk or a broken copy may have left damaged: read, or refused by name with what to do about it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from zhenyan.inference.errors import ConfigError


def read_object(path: Path, remedy: str) -> dict[str, Any]:
    """The JSON object that a file holds; ConfigError names the file, and the remedy, when it holds none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unread(path, error, remedy) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON ({error}); {remedy}") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: not an object, found {value!r:.80}; {remedy}")
    return value


def tensor_shapes(path: Path, remedy: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a safetensors file; ConfigError, without reading the weights, unless it is as long as its head says."""
    try:
        with safe_open(path, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise _unread(path, error, remedy) from None
    except (SafetensorError, ValueError) as error:  # ValueError: an empty file can't be mapped
        raise ConfigError(f"{path}: cut off or damaged ({error}); {remedy}") from None


def check_pickled(path: Path, remedy: str) -> None:
    """ConfigError unless what torch has saved has its end, where the directory of its parts stands."""
    try:
        zipfile.ZipFile(path).close()
    except OSError as error:
        raise _unread(path, error, remedy) from None
    except (zipfile.BadZipFile, ValueError) as error:
        raise ConfigError(f"{path}: cut off or damaged ({error}); {remedy}") from None


def _unread(path: Path, error: OSError, remedy: str) -> ConfigError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return ConfigError(f"{path}: missing; {remedy}")
    return ConfigError(f"{path}: can't be read ({error.strerror or error}); {remedy}")
