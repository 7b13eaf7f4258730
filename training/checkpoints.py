"""Checkpoints of the Hugging Face Trainer, and the start of a blend, in a folder that may have been cut off at any moment."""

from __future__ import annotations

import logging
from pathlib import Path

from safetensors.torch import save_file
from torch import nn
from zhenyan.inference.errors import ConfigError
from zhenyan.training import distributed
from zhenyan.training.whole import check_pickled, read_object, tensor_shapes

START = "start.safetensors"
_WEIGHTS = "model.safetensors"
_BACK = "put it back"

log = logging.getLogger("zhenyan.checkpoints")


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint below `folder`; None when there is none. What is wrong with newer ones is noted."""
    for checkpoint in _newest_first(folder):
        if (fault := _fault(checkpoint)) is None:
            return checkpoint
        if distributed.is_first():
            log.warning("%s; going on without this checkpoint", fault)
    return None


def faults(folder: Path) -> list[str]:
    """What is wrong with each checkpoint below `folder` that isn't whole, the newest first."""
    return [fault for checkpoint in _newest_first(folder) if (fault := _fault(checkpoint))]


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoint-*"), key=_step, reverse=True)


def _step(checkpoint: Path) -> int:
    step = checkpoint.name.rpartition("-")[2]
    return int(step) if step.isdecimal() else -1


def _fault(checkpoint: Path) -> str | None:
    """Which file the Trainer would miss, or go on without to another result; None when all are there and whole."""
    try:
        # The Trainer writes its state last; a kill may leave a checkpoint without it, or with half of it.
        state = read_object(checkpoint / "trainer_state.json", _BACK)
        random = sorted(checkpoint.glob("rng_state*.pth")) or [checkpoint / "rng_state.pth"]  # one of each process
        scaler = sorted(checkpoint.glob("scaler.pt"))  # of fp16 only
        for path in (checkpoint / "optimizer.pt", checkpoint / "scheduler.pt", *random, *scaler):
            check_pickled(path, _BACK)
        tensor_shapes(checkpoint / _WEIGHTS, _BACK)
        if best := state.get("best_global_step"):  # in the end the Trainer takes that one's weights
            tensor_shapes(checkpoint.with_name(f"checkpoint-{best}") / _WEIGHTS, _BACK)
    except ConfigError as error:
        return str(error)
    return None


def keep_start(model: nn.Module, folder: Path) -> None:
    """Write the weights that training starts from; a resumed run blends with them too."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.detach().cpu().clone() for name, value in model.state_dict().items()}, folder / START)


def check_start(folder: Path) -> None:
    """ConfigError when the weights that a run which was cut off is to be blended with are missing or damaged."""
    tensor_shapes(
        folder / START,
        "the run is to be blended with these weights at its end (optim.blend): put them back, or train anew without --resume",
    )
