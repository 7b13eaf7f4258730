"""Several processes under torchrun or accelerate: who is who, and what the first one tells the others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

import torch
from accelerate import PartialState
from torch import distributed
from zhenyan.inference.errors import ConfigError

T = TypeVar("T")


def processes() -> int:
    """How many processes train together; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process is the one that writes files, tracks and prints."""
    return int(os.environ.get("RANK", "0")) == 0


def backend() -> str | None:
    """What the processes talk through: gloo on CPUs, accelerate's choice on GPUs, None for a single process."""
    return "gloo" if processes() > 1 and not torch.cuda.is_available() else None


@contextmanager
def group() -> Iterator[None]:
    """Join the launcher's process group and leave it afterwards."""
    if processes() == 1:
        yield
        return
    PartialState(cpu=not torch.cuda.is_available(), backend=backend())
    try:
        yield
    finally:
        distributed.destroy_process_group()


def first_says(value: T | None) -> T:
    """The first process's value, in every process (others may give None); also a meeting point: nobody goes on before it is told."""
    if processes() == 1:
        return cast(T, value)
    said = [value]
    distributed.broadcast_object_list(said, src=0)
    return cast(T, said[0])


def share(batch_size: int, key: str) -> int:
    """Rows of a batch for this process; ConfigError naming `key` when they can't be dealt out evenly."""
    if batch_size % processes():
        raise ConfigError(
            f"{key}: {batch_size} rows can't be shared by {processes()} processes; use a multiple of them"
        )
    return batch_size // processes()
