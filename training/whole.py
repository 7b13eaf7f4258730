"""Files that a kill, a full disk or a broken copy may have left damaged: read, or refused by name with what to do about it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from zhenyan.inference.errors import ConfigError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TORCH_WRITER = ("inline_container.cc", "PytorchStreamWriter")  # what torch.save's errors name; they don't tell why


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


@contextlib.contextmanager
def telling_full_disk(place: Path, remedy: str) -> Iterator[None]:
    """ConfigError that names the place, and the remedy, when what is done inside ends because a disk is full."""
    try:
        yield
    except Exception as error:
        if why := full_disk(error):
            raise ConfigError(f"{place}: {why}; {remedy}") from error
        raise


def full_disk(error: Exception) -> str:
    """Why a file couldn't be written, of an error by the system, safetensors or torch; empty of any other error."""
    said = str(error)
    if isinstance(error, RuntimeError) and any(name in said for name in _TORCH_WRITER):
        return "a file can't be written whole"
    if not isinstance(error, OSError | SafetensorError):
        return ""
    # Of a folder's copy shutil tells each file's error in words, as safetensors does its own.
    number = getattr(error, "errno", None) or next(map(int, re.findall(r"(?:\[Errno |os error )(\d+)", said)), 0)
    return os.strerror(number) if number in _FULL else ""
