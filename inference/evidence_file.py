"""The evidence file of a case: one finding with all that is needed to compute its score again, and the check that does.

It holds no code and no model; the bundle it names by digest gives the same score to 1e-5 wherever it is run.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zhenyan.inference import normalise
from zhenyan.inference.bundle import Bundle, sha256, text_digest
from zhenyan.inference.classifier import Classifier
from zhenyan.inference.doctor import installed
from zhenyan.inference.errors import BundleError, InputError, Unavailable
from zhenyan.inference.io.jsonlines import write_atomic
from zhenyan.inference.io.names import real_path
from zhenyan.inference.io.opening import is_remote
from zhenyan.inference.runs import inputs
from zhenyan.inference.runs.scoring import DIGITS
from zhenyan.inference.runs.store import FINDINGS, MANIFEST, RunFolder, object_bytes
from zhenyan.inference.session import RUNTIMES, package

FORMAT = 1
TOLERANCE = 1e-5
_SECTIONS = {"finding": dict, "law": dict, "versions": dict, "sha256": dict, "decisions": list, "digest": str}
_OPTIONS = ("min_score", "thresholds", "labels", "context")  # of the run: what changed its decisions
_ARCHIVES = ("zip://", "tar://", "libarchive://")
Decided = tuple[Iterable[Mapping[str, Any]], Sequence[str] | None]  # a finding's log, and the labels that stand
_FIELDS = {"text": str, "label": str, "score": float, "threshold": float, "evidence": list}


@dataclass(frozen=True)
class Check:
    """One thing that was compared. A `note` doesn't make the case differ."""

    name: str
    same: bool
    case: Any
    here: Any
    note: bool = False


def digest(case: Mapping[str, Any]) -> str:
    """SHA-256 over the whole case but its own digest, as JSON with sorted keys."""
    return text_digest(json.dumps({k: v for k, v in case.items() if k != "digest"}, sort_keys=True))


def make_case(
    folder: RunFolder, bundle: Bundle, finding: str, decisions: Iterable[Mapping[str, Any]] = (),
    standing: Sequence[str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The case of one finding; InputError when the run lacks it, BundleError when the bundle isn't the run's.

    `standing`: the labels that were decided on, none for a compliant line; None while nothing is decided.
    """
    case = next(make_cases(folder, bundle, {finding: (decisions, standing)}), None)
    if case is None:
        raise InputError(f"{folder.path}: no finding {finding!r:.40}; their ids are in {FINDINGS}, f000001 and so on")
    return case


def make_cases(folder: RunFolder, bundle: Bundle, decided: Mapping[str, Decided]) -> Iterator[dict[str, Any]]:
    """The cases of those of the run's findings that `decided` has, by id, in one pass over all.

    BundleError at once when the bundle isn't the run's, so that nothing is made for cases that can't be.
    """
    manifest = folder.manifest
    if manifest["bundle"] != bundle.id:
        raise BundleError(
            f"{folder.path}: scored with bundle {manifest['bundle']}, this is {bundle.id}; name the run's with --model"
        )
    digests = {name: sha256(folder.path / name) for name in (FINDINGS, MANIFEST)}
    return (
        _case(record, bundle, manifest, digests, *decided[record["id"]])
        for record in folder.findings()
        if record["id"] in decided
    )


def _case(
    record: dict[str, Any], bundle: Bundle, manifest: Mapping[str, Any], digests: Mapping[str, str],
    decisions: Iterable[Mapping[str, Any]], standing: Sequence[str] | None,
) -> dict[str, Any]:  # fmt: skip
    files = _files(record)
    options = {name: manifest["options"].get(name) for name in _OPTIONS}
    # Older runs have the bundle's there.
    threshold = round(max(record["threshold"], options["min_score"] or 0.0), DIGITS)
    case = {
        "format": FORMAT, "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "finding": record | {"threshold": threshold}, "options": options,
        "law": _law(bundle, record["label"], [record["label"]] if standing is None else standing),
        "versions": _versions(manifest["options"].get("runtime", RUNTIMES[0]), bundle),
        "sha256": {
            "text": text_digest(record["text"]), **digests, "bundle": dict(bundle.manifest["sha256"]),
            "inputs": {item["path"]: item.get("sha256") for item in manifest["inputs"] if item["path"] in files},
        },
        "decisions": list(decisions),
    }  # fmt: skip
    return case | {"digest": digest(case)}


def _files(finding: Mapping[str, Any]) -> set[str]:
    """The input files that a finding is of: a case is no list of the run's other files, which may name other rooms."""
    times = finding.get("times")
    told = [finding.get("place"), *(times if isinstance(times, list) else [])]
    return {time["file"] for time in told if isinstance(time, dict) and isinstance(time.get("file"), str)}


def _law(bundle: Bundle, given: str, standing: Sequence[str]) -> dict[str, Any]:
    """The law of the labels that stand, and beside it which label the model gave."""
    labels = {label.id: label for label in bundle.labels}
    zh, en = labels[given].as_of
    return {
        "as_of": en, "as_of_zh": zh,
        "model": {"id": given, "name_zh": labels[given].name_zh, "name_en": labels[given].name_en},
        "labels": [labels[label].record for label in standing],
    }  # fmt: skip


def _versions(runtime: str, bundle: Bundle) -> dict[str, Any]:
    return {
        "zhenyan": importlib.metadata.version("zhenyan"), "bundle": bundle.id, "normaliser": normalise.VERSION,
        "runtime": runtime, package(runtime): installed(package(runtime)),
        "tokenizers": importlib.metadata.version("tokenizers"),
    }  # fmt: skip


def write_case(case: Mapping[str, Any], path: Path) -> None:
    """Write a case as JSON, whole or not at all; lone surrogates stay escaped."""
    write_atomic(path, [object_bytes(case)])


def check_case(path: Path) -> None:
    """InputError when a file is there that is no case, which may be written anew."""
    if path.is_file() and path.stat().st_size:
        try:
            read_case(path)
        except InputError:
            raise InputError(f"{path}: is there already, and is no case file; name another file") from None


def read_case(path: Path) -> dict[str, Any]:
    """A case file; InputError when it is none, or of a format this version can't read."""
    try:
        case = json.loads(path.read_text(encoding="utf-8-sig"))  # as some editors save it
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; `zhenyan evidence RUN FINDING -o {path.name}` makes one") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a JSON file ({error})") from None
    if not isinstance(case, dict) or case.get("format") != FORMAT:
        found = case.get("format") if isinstance(case, dict) else type(case).__name__
        raise InputError(f"{path}: no case file of format {FORMAT}, found {found!r}; make it with this version")
    _check_fields(case, _SECTIONS, f"{path}")
    _check_fields(case["finding"], _FIELDS, f"{path}: finding")
    return case


def _check_fields(section: Mapping[str, Any], fields: Mapping[str, type], place: str) -> None:
    for name, kind in fields.items():
        if not _is(section.get(name), kind):
            raise InputError(f"{place}: field {name!r} is missing or no {kind.__name__}; the file is cut or altered")


def _is(value: Any, kind: type) -> bool:
    """Whether a value is of this kind; a float may be written as an integer, if not as one beyond all floats."""
    if kind is float:
        return isinstance(value, int | float) and abs(value) <= sys.float_info.max
    return isinstance(value, kind)


def verify(case: Mapping[str, Any], classifier: Classifier) -> list[Check]:
    """Compare a case with what this bundle and this installation give; the score is computed again."""
    return [*_unaltered(case), *_same_model(case, classifier.bundle), *_same_score(case, classifier), *_notes(case)]


def _unaltered(case: Mapping[str, Any]) -> list[Check]:
    finding, text = case["finding"], case["finding"]["text"]
    checks = [
        _equal("digest of the case", case["digest"], digest(case)),
        _equal("sha256 of the text", case["sha256"].get("text"), text_digest(text)),
    ]
    spans = [span for span in finding["evidence"] if _is_span(span)]
    said = [span["text"] for span in spans]
    return [*checks, _equal("evidence", said, [text[span["start"] : span["end"]] for span in spans])]


def _is_span(span: Any) -> bool:
    kinds = {"start": int, "end": int, "text": str}
    return isinstance(span, dict) and all(isinstance(span.get(name), kind) for name, kind in kinds.items())


def _mapping(section: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A section's mapping; empty where an altered file has something else."""
    value = section.get(name)
    return value if isinstance(value, dict) else {}


def _same_model(case: Mapping[str, Any], bundle: Bundle) -> list[Check]:
    versions, files = case["versions"], _mapping(case["sha256"], "bundle")
    here = bundle.manifest["sha256"]
    return [
        _equal("bundle", versions.get("bundle"), bundle.id),
        *(_equal(f"sha256 of {name}", files.get(name), here.get(name)) for name in sorted({*files, *here})),
        _equal("normaliser", versions.get("normaliser"), normalise.VERSION),
    ]


def _same_score(case: Mapping[str, Any], classifier: Classifier) -> list[Check]:
    finding, labels = case["finding"], classifier.bundle.label_ids
    if finding["label"] not in labels:
        return [Check("label", False, finding["label"], f"not among {', '.join(labels)}")]
    column = labels.index(finding["label"])
    classifier.clear_cache()
    score = round(float(classifier.score([finding["text"]])[0, column]), DIGITS)
    threshold = _threshold(_mapping(case, "options"), finding["label"], classifier.bundle.thresholds[column])
    near = abs(score - finding["score"]) <= TOLERANCE * 1.001  # both are rounded to this grid
    return [
        Check("score", near, finding["score"], score),
        _equal("threshold", finding["threshold"], threshold),
        _equal("at or above the threshold", finding["score"] >= finding["threshold"], score >= threshold),
    ]


def _threshold(options: Mapping[str, Any], label: str, own: float) -> float:
    """What decides a label whose `own` threshold this is under a run's options; cases made before these were written down lack them."""
    asked: Any = _mapping(options, "thresholds").get(label)
    least: Any = options.get("min_score")
    return round(max(asked if _is(asked, float) else own, least if _is(least, float) else 0.0), DIGITS)


def _notes(case: Mapping[str, Any]) -> list[Check]:
    """Versions and the finding's files: worth knowing, but the score is the proof.

    Cases of before name every input of the run; only those of the finding are looked at.
    """
    checks = []
    for name in ("zhenyan", "onnxruntime", "openvino", "tokenizers"):
        if name in case["versions"]:
            checks.append(_equal(name, case["versions"][name], installed(name) or "not installed", note=True))
    files = _files(case["finding"])
    for path, known in _mapping(case["sha256"], "inputs").items():
        if path in files:
            checks.append(_equal(f"input {path}", known, _input_digest(path), note=True))
    return checks


def _input_digest(path: str) -> str:
    """SHA-256 of an input that lies on this machine, be it in an archive; else why there is none.

    Nothing is fetched: a case file comes from others, and its addresses could be anybody's.
    """
    *members, file = path.split("::") if is_remote(path) else [path]
    if is_remote(file) or not all(member.startswith(_ARCHIVES) for member in members):
        return "elsewhere, not fetched"
    try:
        return inputs.sha256(path) if Path(real_path(file)).is_file() else "not here"
    except Unavailable as error:
        return "not here" if isinstance(error.__cause__, FileNotFoundError) else f"not readable here: {error}"
    except OSError as error:  # such as a file of somebody else, or a name too long for this disk
        return f"not readable here: {error.strerror or error}"
    except Exception as error:  # every archive has errors of its own
        return f"not readable here: {error}"


def _equal(name: str, case: Any, here: Any, note: bool = False) -> Check:
    return Check(name, case == here, case, here, note)
