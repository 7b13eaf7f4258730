"""The model folder of a run, as `modelling.save_model` writes it: what it holds, found whole before anything is made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from zhenyan.inference.errors import ConfigError
from zhenyan.training.pairs import CharacterPairs
from zhenyan.training.whole import read_object, tensor_shapes

META, ENCODER, HEAD = "zhenyan.json", "encoder", "head.safetensors"
PAIRS = "pairs."
AGAIN = "take the run's model folder again"


def read_meta(folder: Path) -> dict[str, Any]:
    """What `save_model` wrote about the model; ConfigError when `folder` holds none, or a file of it is missing or damaged."""
    if not (folder / META).exists():
        raise ConfigError(f"{folder}: no trained model here ({META} is missing); give a run's model folder or a bundle")
    meta = read_object(folder / META, AGAIN)
    _check_meta(folder / META, meta)
    _check_head(folder / HEAD, len(meta["labels"]), _check_encoder(folder / ENCODER))
    return meta


def _check_meta(path: Path, meta: dict[str, Any]) -> None:
    labels, tokens = meta.get("labels"), meta.get("max_tokens")
    sound = {
        "labels": isinstance(labels, list) and labels and all(isinstance(label, str) for label in labels),
        "pooling": meta.get("pooling") in ("mean", "cls"),
        "max_tokens": isinstance(tokens, int) and tokens > 0,
    }
    if wrong := [f"{name} {meta[name]!r:.80}" if name in meta else f"no {name}" for name in sound if not sound[name]]:
        raise ConfigError(f"{path}: not what a run wrote ({', '.join(wrong)}); {AGAIN}")


def _check_encoder(folder: Path) -> int:
    """How wide the encoder is."""
    width = read_object(folder / "config.json", AGAIN).get("hidden_size")
    if not isinstance(width, int):
        raise ConfigError(f"{folder / 'config.json'}: not what a run wrote (hidden_size {width!r:.80}); {AGAIN}")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        read_object(folder / name, AGAIN)
    try:
        Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the library raises no other class
        raise ConfigError(f"{folder / 'tokenizer.json'}: not a tokenizer ({error}); {AGAIN}") from None
    tensor_shapes(folder / "model.safetensors", AGAIN)
    return width


def _check_head(path: Path, labels: int, width: int) -> None:
    shapes = tensor_shapes(path, AGAIN)
    wanted: dict[str, tuple[int, ...] | None] = {
        "weight": (labels, width), "bias": (labels,), "centre": (width,), "spread": (width,)
    }  # fmt: skip
    if any(name.startswith(PAIRS) for name in shapes):
        wanted |= {PAIRS + name: shapes.get(PAIRS + name) for name in CharacterPairs.TABLES}
    if wrong := [name for name, shape in wanted.items() if shape is None or shapes.get(name) != shape]:
        raise ConfigError(f"{path}: not the head of {labels} labels, {width} wide ({', '.join(wrong)}); {AGAIN}")
