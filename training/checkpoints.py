"""Checkpoints of the Hugging Face Trainer in a folder that may have been cut off at any moment."""

from __future__ import annotations

import json
from pathlib import Path


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint below `folder`; None when there is none."""
    whole = [path for path in folder.glob("checkpoint-*") if _is_whole(path)]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _is_whole(checkpoint: Path) -> bool:
    """The Trainer writes its state last; a kill may leave a checkpoint without it, or with half of it."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True
