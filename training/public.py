"""Public livestream lines: fetched by the user, never committed; our labels join them by SHA-256.

The texts belong to their publishers (data/README.md names them). A committed label record names the document it was
read in (`doc`, SHA-256 of the document's text), the characters [start, end) of the line in it, and the line's own
SHA-256, so a wrong or altered download can't be joined unnoticed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import urllib.request
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict
from zhenyan.inference.bundle import sha256
from zhenyan.inference.errors import InputError
from zhenyan.inference.io.jsonlines import dump_line
from zhenyan.training.leaks import Spoken, base_key
from zhenyan.training.outputs import make_folders
from zhenyan.training.rows import (
    Row,
    expand,
    files_once,
    iter_records,
    read_rows,
    row_from_json,
    sound_records,
    text_key,
)
from zhenyan.training.schema import load_as

SOURCES = Path("data/public.yaml")


class Source(BaseModel):
    """One public file. `sha256` null: a superset may be served, its lines are verified one by one when joined."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    local: str  # path inside a local copy
    url: str
    sha256: str | None
    split: bool = True  # false: only read for labels, never as unlabelled text
    records: dict[str, str] = {}  # published as a JSON list: our name of a field -> theirs; kept as one record a line
    measuring: frozenset[str] = frozenset()  # hashed names of the rooms that are for measuring only

    def places(self) -> list[str]:
        """Where a copy may hold it: in ours, in a clone of the publishers' repository, in a folder of such clones."""
        owner_on = self.url.split("://")[-1].split("/")[1:]  # owner, repository, commit, path
        inside = "/".join(owner_on[3:])
        return [self.local, *([inside, f"{owner_on[1]}/{inside}"] if inside else [])]


class _Sources(BaseModel):
    """What a list of public files holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    files: list[Source]


class Document(NamedTuple):
    """One text of a public file, under which hashed name label records know its room, and whether that room is for measuring only."""

    text: str
    room: str | None = None
    measuring: bool = False

    def is_apart(self, rooms: Collection[str]) -> bool:
        """Whether nothing may learn from it: its room is for measuring only, or one of the held-out `rooms`."""
        return self.measuring or self.room in rooms


@dataclass(frozen=True)
class FetchReport:
    """Which files are in the cache now, and which could not be had (name -> reason)."""

    fetched: list[str]
    missing: dict[str, str]


def load_sources(path: Path = SOURCES) -> list[Source]:
    """The committed list of public files."""
    return load_as(_Sources, path, InputError).files


def fetch(
    cache: Path, local: Path | None, sources: Iterable[Source], say: Callable[[str], None] = print
) -> FetchReport:
    """Bring every source into `cache`, from the folder `local` or from its address; digests are checked.

    ConfigError when `cache` can't be a folder.
    """
    make_folders(f"--cache {cache}", cache)
    fetched, missing = [], {}
    for source in sources:
        target = cache / source.name
        try:
            _bring(source, local, target)
        except InputError as error:
            missing[source.name] = str(error)
            say(f"  {source.name}: {error}")
        else:
            fetched.append(source.name)
            say(f"  {source.name}: {target.stat().st_size:,} bytes, sha256 {'checked' if source.sha256 else 'by line'}")
    return FetchReport(fetched, missing)


def _bring(source: Source, local: Path | None, target: Path) -> None:
    """Put one checked source at `target`; InputError, and nothing left of it, when it can't be had or isn't what is expected."""
    part = target.with_suffix(target.suffix + ".part")
    try:
        if local is not None:
            shutil.copyfile(_copy_in(local, source), part)
        else:
            _download(source.url, part)
        if source.sha256 and (found := sha256(part)) != source.sha256:
            raise InputError(
                f"{source.name}: SHA-256 is {found}, expected {source.sha256}; the published file has changed"
            )
        if source.records:
            _one_a_line(source, part)
        part.replace(target)
    except OSError as error:
        place, reason = error.filename or part, error.strerror or error
        raise InputError(f"{source.name}: {place}: {reason}; give room or rights, then fetch again") from None
    finally:
        with contextlib.suppress(OSError):  # such as a folder of that name, which the error above has told
            part.unlink(missing_ok=True)


def _copy_in(folder: Path, source: Source) -> Path:
    """The file in a local copy; InputError names the places where it may stand."""
    copies = [folder / place for place in source.places() if (folder / place).is_file()]
    if not copies:
        raise InputError(
            f"{folder / source.local}: no such file; --from wants a folder that holds {' or '.join(source.places())}"
        )
    return copies[0]


def _one_a_line(source: Source, part: Path) -> None:
    """A published JSON list of records becomes one record a line, named as ours, the rooms for measuring marked.

    A copy that stands in lines already is left as it is. InputError when the records lack a field.
    """
    text = _content(part)
    if not text.lstrip().startswith("["):
        return
    try:
        rows = [{ours: record[theirs] for ours, theirs in source.records.items()} for record in json.loads(text)]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{source.name}: expected a JSON list of records with {', '.join(source.records.values())} ({error!r}); "
            "the published file has changed"
        ) from None
    marked = ({**row, "gold_room": room_name(row.get("room")) in source.measuring} for row in rows)
    part.write_bytes(b"".join(map(dump_line, marked)))


def room_name(room: Any) -> str | None:
    """The hashed name under which label records and splits know a room; None for no room."""
    return f"r-{text_key(str(room))[:8]}" if room else None


def _download(url: str, part: Path) -> None:
    """Write what `url` serves to `part`; InputError when it isn't served whole."""
    try:
        with urllib.request.urlopen(url, timeout=60) as reply, part.open("wb") as out:
            shutil.copyfileobj(reply, out)
            told, size = reply.headers.get("Content-Length", ""), out.tell()
        if told.isdigit() and size < int(told):  # the connection's end is the file's end for `reply`
            raise OSError(f"cut off after {size:,} of {int(told):,} bytes")
    except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: no address
        raise InputError(f"{url}: {error}; fetch again, or by other means and use --from FOLDER") from None


def documents(path: Path) -> Iterator[Document]:
    """Every text of one public file: cells of a .tsv, `text` fields of a .jsonl (with its room, where named), strings of a .json.

    InputError names the file, of a .jsonl the line too, when it is damaged.
    """
    if path.suffix == ".tsv":
        for line in _content(path).split("\n"):
            yield from map(Document, line.split("\t")[:2])
    elif path.suffix == ".jsonl":
        for record, origin in iter_records(path):
            if not isinstance(record, dict):
                raise InputError(f"{origin}: expected a JSON object, found {type(record).__name__}; fetch it again")
            yield Document(str(record.get("text", "")), room_name(record.get("room")), bool(record.get("gold_room")))
    else:
        yield from map(Document, _strings(path))


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8; save it as UTF-8, or fetch it again") from None


def _strings(path: Path) -> list[str]:
    """All strings of a JSON file; InputError when it is damaged."""
    try:
        return list(_texts(json.loads(_content(path))))
    except (ValueError, RecursionError) as error:  # such as a number of more digits than Python reads
        raise InputError(f"{path}: not JSON that can be read ({error}); fetch it again") from None


def _texts(value: Any) -> Iterator[str]:
    """All strings under a JSON value, depth first."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def public_files(cache: Path) -> list[Path]:
    """The files in the cache that hold texts."""
    return [path for path in sorted(cache.glob("*")) if path.suffix in (".tsv", ".jsonl", ".json")]


def spoken_apart(known: Iterable[Document], rooms: Collection[str]) -> Spoken:
    """What rooms for measuring and held-out ones said: another file may publish the same transcript without its room."""
    return Spoken(one.text for one in known if one.is_apart(rooms))


def join_labels(
    patterns: list[str], cache: Path, held_out: Collection[str] = (), faults: list[str] | None = None
) -> tuple[list[Row], int]:
    """Rows for every committed label whose text is in the cache, and how many labels found no text.

    InputError for a record that is none, or what is wrong with each goes into `faults`.

    Those with words of a room for measuring, or of one named in `held_out`, are marked `kept_apart`.
    """
    known = [one for path in public_files(cache) for one in documents(path) if one.text]
    texts = {text_key(one.text): one.text for one in known}
    apart = spoken_apart(known, held_out)
    rows, missing = [], 0
    for path in expand(patterns):
        for record, origin in iter_records(path) if faults is None else sound_records(path, faults):
            try:
                row = _join(record, texts, apart, origin)
            except InputError as error:
                if faults is None:
                    raise
                faults += str(error).splitlines()
                continue
            missing += row is None
            rows += [row] if row else []
    return rows, missing


def read_labelled(patterns: list[str], cache: Path) -> tuple[list[Row], int]:
    """Rows of files that hold texts and of files that hold hashes, these joined with the public lines in `cache`.

    Also how many hashed labels found no text there.
    """
    written, hashed = by_kind(patterns)
    joined, missing = join_labels(hashed, cache) if hashed else ([], 0)
    return [*read_rows(written), *joined], missing


def by_kind(patterns: list[str]) -> tuple[list[str], list[str]]:
    """The files that are named, each once: those of rows with their texts, and those of labels by hash."""
    files = files_once(expand(patterns))
    hashed = {path for path in files if is_hashed(path)}
    return [str(path) for path in files if path not in hashed], [str(path) for path in files if path in hashed]


def left_out(missing: int, cache: Path) -> str:
    """What to say of labels by hash whose text isn't in the cache."""
    return f"{missing:,} public lines are not in {cache} and are left out; `zhenyan data fetch` brings them"


def is_hashed(path: Path) -> bool:
    """Whether a file holds labels by hash (its first record does), not rows with their texts."""
    first: Any = None
    with contextlib.suppress(InputError):  # whoever reads the rows names the line that can't be read
        first, _ = next(iter_records(path), (None, ""))
    return names_place(first)


def names_place(record: Any) -> bool:
    """Whether a JSON value is a label by hash: it says where its text stands, and doesn't hold it."""
    return isinstance(record, dict) and "doc" in record and "text" not in record


def apply_edits(line: str, edits: Iterable[tuple[int, int, str]]) -> str:
    """`line` with the characters [start, end) of each edit replaced; edits are in order and don't overlap."""
    parts, done = [], 0
    for start, end, new in edits:
        parts += [line[done:start], new]
        done = end
    return "".join([*parts, line[done:]])


def _checked_edits(edits: Any, length: int, origin: str) -> list[tuple[int, int, str]]:
    """The edits of one record; InputError names `origin` and the first that isn't [start, end, text] in order within the line."""
    done = 0
    for edit in edits if isinstance(edits, list) else [edits]:
        match edit:
            case [int(start), int(end), str()] if done <= start <= end <= length:
                done = end
            case _:
                raise InputError(
                    f"{origin}: field 'edits' must be a list of [start, end, text] in order, without overlap and within the "
                    f"{length} characters of the line, found {edit!r}"
                )
    return edits


_HASHED = {"id": str, "sha256": str, "doc": str, "start": int, "end": int, "labels": list}
_KINDS = {str: "text", int: "a number of characters", list: "a list of label ids"}


def _join(record: Any, texts: dict[str, str], apart: Spoken, origin: str) -> Row | None:
    if not isinstance(record, dict) or "doc" not in record:
        raise InputError(f"{origin}: not labels by hash; written rows belong in data.written")
    for name, kind in _HASHED.items():
        if not isinstance(record.get(name), kind):
            raise InputError(f"{origin}: field {name!r} must be {_KINDS[kind]}, found {record.get(name)!r:.80}")
    document = texts.get(record["doc"])
    if document is None:
        return None
    line = document[record["start"] : record["end"]]
    text = apply_edits(line, _checked_edits(record.get("edits", []), len(line), origin))
    if text_key(text) != record["sha256"]:
        raise InputError(f"{origin}: characters {record['start']}-{record['end']} don't hash to the labelled line")
    places = {"sha256", "doc", "start", "end", "edits"}
    row = row_from_json({key: value for key, value in record.items() if key not in places} | {"text": text}, origin)
    return replace(row, base=base_key(line) if "edits" in record else "", kept_apart=line in apart)
