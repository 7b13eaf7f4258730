"""The bundle: model.onnx, tokenizer.json, labels.json, thresholds.json and probes.json under a manifest of hashes.

A model card (MODEL_CARD.md) may lie beside them; its hash stands in the manifest but not in the bundle's id.

Nothing in it is code and nothing is unpickled; a file whose SHA-256 differs from the manifest's refuses to load.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import math
import mmap
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zhenyan.inference import normalise
from zhenyan.inference.errors import BundleError, OtherRelease
from zhenyan.inference.law import citation, foremost

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FORMAT = 1
MANIFEST = "manifest.json"
_OUTSIDE = b"\x0a\x08location"  # the key that names a tensor's file in ONNX (StringStringEntryProto.key)
FILES = ("model.onnx", "tokenizer.json", "labels.json", "thresholds.json", "probes.json")
CARD = "MODEL_CARD.md"
DEFAULT_BUNDLE = Path(__file__).with_name("model")
_SHAPE = {
    "name": str, "bundle_id": str, "sha256": dict, "labels": list, "activation": str, "max_tokens": int, "pad_id": int
}  # fmt: skip
_FIRST_NUMBERED = 10  # text normaliser of the first release that is numbered by it: 0.10.0
_MIN_TOKENS = 16  # as few as training allows


@dataclass(frozen=True)
class Label:
    """What a reviewer reads of a label: names, section of the Guiding Opinions, articles, penalty."""

    id: str
    name_zh: str
    name_en: str
    section: str
    definition: str
    core: bool
    articles: tuple[Mapping[str, Any], ...] = field(hash=False)
    responsible: tuple[str, ...]
    penalty: Mapping[str, Any] = field(hash=False)
    definition_zh: str = ""
    law_as_of: str = ""
    law_as_of_zh: str = ""

    @property
    def citation(self) -> str:
        """The first articles of the first laws, with their marks: short. All there are, `law.citation` names.

        Where there are more it says so, and that which of them applies depends on the facts.
        """
        shown = foremost(self.articles)
        return citation(shown)[0] + ("等，视事实适用其一" if len(shown) < len(self.articles) else "")

    @property
    def record(self) -> dict[str, Any]:
        """The label as a case file and the service give it: names, section, all articles in both languages, penalty."""
        chinese, english = citation(self.articles)
        return {
            "id": self.id, "name_zh": self.name_zh, "name_en": self.name_en, "section": self.section,
            "citation_zh": chinese, "citation": english, "articles": list(self.articles), "penalty": dict(self.penalty),
        }  # fmt: skip

    @property
    def defined(self) -> tuple[str, str]:
        """The definition in Chinese and English; old bundles have it in English only."""
        return self.definition_zh or self.definition, self.definition

    @property
    def as_of(self) -> tuple[str, str]:
        """The state of the law that is cited, in Chinese and English; empty in old bundles."""
        return self.law_as_of_zh or self.law_as_of, self.law_as_of


@dataclass(frozen=True)
class Bundle:
    """A verified bundle; paths are absolute, thresholds are in the order of `labels`."""

    folder: Path
    manifest: Mapping[str, Any] = field(repr=False, hash=False)
    labels: tuple[Label, ...] = field(repr=False)
    thresholds: tuple[float, ...] = field(repr=False)

    @property
    def id(self) -> str:
        """The bundle id: name and the first 12 digits of the hash over the files it decides by."""
        return str(self.manifest["bundle_id"])

    @property
    def label_ids(self) -> tuple[str, ...]:
        """Label ids in the order of the model's outputs."""
        return tuple(label.id for label in self.labels)

    @property
    def max_tokens(self) -> int:
        """Longest sequence of one window, specials included."""
        return int(self.manifest["max_tokens"])


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_digest(text: str) -> str:
    """Hexadecimal SHA-256 of a text's UTF-8 bytes; a lone surrogate has such bytes, too."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_json(path: Path) -> Any:
    """Parsed JSON file of a bundle; BundleError when missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(f"{path}: no such file; is {path.parent} a bundle folder?") from None
    except OSError as error:
        raise _unreadable(path, error) from None
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: not JSON ({error}); copy the bundle again") from None


def _digest(path: Path) -> str:
    """`sha256` of a bundle's file; BundleError when it can't be read."""
    try:
        return sha256(path)
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> BundleError:
    return BundleError(
        f"{path}: can't be read ({error.strerror}); give the bundle's files to this user, or copy the bundle again"
    )


def bundle_id(name: str, hashes: Mapping[str, str]) -> str:
    """Id of the contents: equal FILES give an equal id, whatever their card tells of the training."""
    text = "".join(f"{file}:{hashes[file]}\n" for file in sorted(FILES))
    return f"{name}-{text_digest(text)[:12]}"


def files_of(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """The files that belong to a bundle besides its manifest: FILES, and the card where it has one."""
    return (*FILES, CARD) if CARD in manifest.get("sha256", {}) else FILES


def _check_shape(folder: Path, manifest: Any) -> None:
    """BundleError when the manifest lacks what every reader of it relies on."""
    if not isinstance(manifest, dict):
        raise BundleError(
            f"{folder / MANIFEST}: must be an object, found {type(manifest).__name__}; copy the bundle again"
        )
    for name, kind in _SHAPE.items():
        if not isinstance(value := manifest.get(name), kind) or isinstance(value, bool):
            raise _wrong(folder, name, kind.__name__, value)
    for name in ("architecture", "specials"):  # bundles need not have them
        if not isinstance(value := manifest.get(name, {}), dict):
            raise _wrong(folder, name, "dict", value)
    if manifest["activation"] != "sigmoid":
        raise _wrong(folder, "activation", "'sigmoid'", manifest["activation"])
    most = manifest.get("architecture", {}).get("max_position_embeddings", math.inf)
    if not isinstance(most, int | float):
        raise _wrong(folder, "architecture.max_position_embeddings", "int", most)
    if not _MIN_TOKENS <= manifest["max_tokens"] <= most:
        raise _wrong(folder, "max_tokens", f"from {_MIN_TOKENS} to {most}", manifest["max_tokens"])


def _wrong(folder: Path, name: str, expected: str, value: Any) -> BundleError:
    """What to raise when the manifest has another `value` than expected."""
    found = "nothing" if value is None else repr(value)[:40]
    return BundleError(f"{folder / MANIFEST}: {name} must be {expected}, found {found}; copy the bundle again")


def _verify(folder: Path, manifest: Any) -> None:
    if isinstance(manifest, dict) and manifest.get("format") != FORMAT:
        raise OtherRelease(f"{folder}: bundle format {manifest.get('format')!r}; this version reads format {FORMAT}")
    _check_shape(folder, manifest)
    if manifest.get("normaliser") != normalise.VERSION:
        raise OtherRelease(
            f"{folder}: made for text normaliser {manifest.get('normaliser')!r}, this version has "
            f"{normalise.VERSION}; {_reader(manifest)}, or export it again"
        )
    for name in files_of(manifest):
        want = manifest["sha256"].get(name)
        if not (folder / name).is_file():
            raise BundleError(f"{folder / name}: missing; copy the bundle again")
        if (found := _digest(folder / name)) != want:
            raise BundleError(f"{folder / name}: SHA-256 is {found}, the manifest says {want}; copy the bundle again")
    _check_whole(folder / "model.onnx")
    if (found := bundle_id(manifest["name"], manifest["sha256"])) != manifest["bundle_id"]:
        raise BundleError(
            f"{folder / MANIFEST}: bundle_id is {manifest['bundle_id']!r}, its files make {found}; copy the bundle again"
        )


def _reader(manifest: Mapping[str, Any]) -> str:
    """Which zhenyan reads a bundle: a release's minor number is its text normaliser's, but all before 0.10.0 were called 0.1.0."""
    made, commit = manifest.get("normaliser"), manifest.get("commit")
    numbered = type(made) is int and made >= _FIRST_NUMBERED
    line = f"use zhenyan 0.{made}.x, which reads it" if numbered else "use the zhenyan version that made it"
    return f"{line} (commit {commit[:12]})" if isinstance(commit, str) and commit != "unknown" else line


def _check_whole(model: Path) -> None:
    """BundleError for a model that keeps weights in a file of their own, as ONNX's writers do with large ones: no hash covers that."""
    if not model.stat().st_size:  # which ONNX Runtime refuses
        return
    with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        outside = whole.find(_OUTSIDE) >= 0
    if outside:
        raise BundleError(f"{model}: has weights in another file, which no hash covers; save the model as one file")


def _labels(path: Path) -> tuple[Label, ...]:
    """The labels of labels.json; BundleError for one that lacks what a reviewer reads of it."""
    try:
        return tuple(map(_label, read_json(path)))
    except (KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{path}: not the labels of a bundle ({error!r}); export the bundle again") from None


def _label(record: Mapping[str, Any]) -> Label:
    return Label(
        id=record["id"], name_zh=record["name_zh"], name_en=record["name_en"], section=record["section"],
        definition=record["definition"], core=record["core"], articles=tuple(record["articles"]),
        responsible=tuple(record["responsible"]), penalty=record["penalty"],
        **{name: record.get(name) or "" for name in ("definition_zh", "law_as_of", "law_as_of_zh")},
    )  # fmt: skip


def _thresholds(path: Path, labels: Sequence[str]) -> tuple[float, ...]:
    """The threshold of each label; BundleError when one is missing."""
    entries = read_json(path)
    if missing := [label for label in labels if not isinstance(entries, dict) or label not in entries]:
        raise BundleError(f"{path}: lacks {', '.join(missing)}; export the bundle again")
    return tuple(_threshold(path, label, entries[label]) for label in labels)


def _threshold(path: Path, label: str, entry: Any) -> float:
    """BundleError when it is no number from 0 to 1: such a one decides nothing, or everything."""
    value = entry.get("threshold") if isinstance(entry, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise BundleError(
            f"{path}: the threshold of {label} must be a number from 0 to 1, found {value!r}; export the bundle again"
        )
    return float(value)


def load_bundle(folder: Path | str | None = None) -> Bundle:
    """Read and verify a bundle folder (the bundled model by default); BundleError says what is wrong with it."""
    if not isinstance(folder, str | Path | None):
        raise BundleError(f"bundle folder: expected a path, given {type(folder).__name__} {folder!r:.80}")
    if folder == "":
        raise BundleError("bundle folder: given ''; name a folder, or leave it out for the bundled model")
    try:
        path = (DEFAULT_BUNDLE if folder is None else Path(folder)).resolve()
        if path.is_symlink():  # what Python 3.13 makes of links in a circle
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    except (ValueError, RuntimeError, OSError) as error:  # a NUL or a lone surrogate, links in a circle
        raise BundleError(f"bundle folder: {str(folder)!r} is no path ({error}); name the folder of a bundle") from None
    manifest = read_json(path / MANIFEST)
    _verify(path, manifest)
    labels = _labels(path / "labels.json")
    names = [label.id for label in labels]
    _check_labels(path, manifest["labels"], names)
    return Bundle(path, manifest, labels, _thresholds(path / "thresholds.json", names))


def _check_labels(folder: Path, named: list[Any], expected: list[str]) -> None:
    """BundleError when the manifest names other labels than labels.json, or in another order: that of the outputs."""
    for place, (found, want) in enumerate(itertools.zip_longest(named, expected)):
        if found != want:
            raise _wrong(folder, f"labels[{place}]", f"{want or 'left out'}, as in labels.json", found)


def open_tokenizer(bundle: Bundle) -> Tokenizer:
    """The bundle's tokenizer.

    BundleError when it can't be read, such as one that a newer version wrote, or the manifest says otherwise than it does.
    """
    import tokenizers  # not needed to read a bundle's labels and hashes

    path = bundle.folder / "tokenizer.json"
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing narrower
        raise BundleError(
            f"{path}: tokenizers {tokenizers.__version__} can't read it ({error}); "
            "install newer tokenizers or use another bundle"
        ) from None
    _check_tokenizer(bundle, tokenizer)
    return tokenizer


def _check_tokenizer(bundle: Bundle, tokenizer: Tokenizer) -> None:
    """BundleError when the manifest says otherwise than the bundle's tokenizer.json, whose hash is part of the id."""
    specials = bundle.manifest.get("specials", {})
    known = [token.content for _, token in sorted(tokenizer.get_added_tokens_decoder().items())]
    for name, token in specials.items():
        if isinstance(token, str) and token not in known:
            allowed = f"a special token of tokenizer.json ({' '.join(known)})"
            raise _wrong(bundle.folder, f"specials.{name}", allowed, token)
    pad = specials.get("pad_token")
    stated = {"pad_id": tokenizer.token_to_id(pad) if pad else None,
              "max_tokens": (tokenizer.truncation or {}).get("max_length")}  # fmt: skip
    for name, value in stated.items():
        if value is not None and bundle.manifest[name] != value:
            raise _wrong(bundle.folder, name, f"{value}, as in tokenizer.json", bundle.manifest[name])
