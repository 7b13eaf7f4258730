"""Files to items: one for each row or cue, in order, in constant memory; what can't be read becomes a Reject."""

from __future__ import annotations

import glob
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from zhenyan.inference.errors import InputError
from zhenyan.inference.io import asr, documents, docx, parquet, tables, workbooks
from zhenyan.inference.io.bounds import LINE, too_long, within_memory
from zhenyan.inference.io.faults import LONG_TEXT, LOST_BYTES
from zhenyan.inference.io.folders import REMEDIES, in_folder, of_glob, of_listing
from zhenyan.inference.io.items import TEXT_COLUMNS, Damage, Item, Options, Reject
from zhenyan.inference.io.names import local_file, real_path, shown
from zhenyan.inference.io.note_kinds import DAMAGED, EMPTY, LONG_ROWS, MEMBERS_OF_ONE_NAME, UNREAD_ENDS, UNREAD_TIMES
from zhenyan.inference.io.notes import Note, Words, chinese_place
from zhenyan.inference.io.opening import (
    COMPRESSIONS,
    LOST,
    filesystem,
    inner_address,
    is_in_archive,
    is_remote,
    plain_suffix,
    repeated_members,
)
from zhenyan.inference.io.splitting import split_items
from zhenyan.inference.json_objects import RepeatedKey, distinct

Reader = Callable[[str, Options], Iterator[Item | Reject]]

READERS: dict[str, Reader] = {
    ".jsonl": tables.read_jsonl,
    ".csv": tables.read_csv,
    ".tsv": tables.read_csv,
    ".parquet": parquet.read_parquet,
    ".xlsx": workbooks.read_xlsx,
    ".txt": documents.read_txt,
    ".docx": docx.read_docx,
    ".srt": documents.read_subtitles,
    ".vtt": documents.read_subtitles,
    ".ass": documents.read_subtitles,
    ".json": asr.read_asr_json,
}

# git and github name a revision so; after an archive's scheme stand its member, :: and its name, which may have an @. A password with
# a / makes no whole address, but would be told with what is wrong; what follows a port is none. Of the web a user alone is a token.
_PASSWORD = re.compile(
    r"(?<!git)(?<!github)(?<!zip)(?<!tar)(?<!libarchive)://(?!\[)[^/]*:(?!\d*/).*@|(?:(?<=http)|(?<=https))://[^/?#]*@",
    re.IGNORECASE,
)
_QUERY = re.compile(r"(https?://[^?]*)\?.*", re.IGNORECASE | re.DOTALL)
_UNQUERIED = r"\1?…"
_MAGIC = re.compile(r"[*?[]")
_TIMES = {"start", "end"}
_LONG, _SILENCE = 300, 60  # seconds of a row; beside its words, of which the slowest host says one character a second
# Whether long rows are cut where nobody says. Long lines of text files are, also those with a time: of where they begin, or a
# paragraph's. A table is joined by its rows, so none of its is; a JSON row may be a recording, which `is_transcript` finds out.
_CUT = {".txt": True, ".docx": True, ".csv": False, ".tsv": False, ".xlsx": False, ".parquet": False}
_BY_PROGRAMS = ("~$", ".~lock.", "._")

__all__ = ["READERS", "Item", "Options", "Reject", "read_items", "resolve_inputs"]


def resolve_inputs(inputs: Sequence[str | PathLike[str]], notes: list[Note] | None = None) -> list[str]:
    """Files that the given files, folders (searched through), globs and addresses name, in a fixed order.

    A folder that can't be listed stands among them, so that whoever reads them says so. What a folder holds and no
    reader knows goes to `notes`. InputError when an input names nothing, or a file whose ending no reader knows.
    """
    if isinstance(inputs, str | PathLike):
        raise InputError(f"{inputs}: expected several inputs; put a single one into a list")
    files: list[str] = []
    for name in (fspath(one) for one in inputs):
        found, left_out = _resolve(name)
        if not found:
            raise InputError(
                f"{shown(name)}: no such file, folder or glob with readable files "
                f"({' '.join(READERS)}, also .gz .zst){''.join(f'; {note.text.english}' for note in left_out)}"
            )
        if notes is not None:
            notes += left_out
        files += map(shown, found)
    return list(dict.fromkeys(files))


def _resolve(name: str) -> tuple[list[str], list[Note]]:
    """What an input names, and notes of what it holds that isn't read."""
    if not name.strip():
        raise InputError("an input's name is empty; name a file, a folder, a glob or an address")
    if name.startswith("file://"):
        name = filesystem(name)[1]
    if is_remote(name):
        return _resolve_remote(name)
    path = Path(real_path(name))
    try:
        if path.is_dir():
            found = in_folder(str(path), _is_readable)
            return found.inputs(), found.left_out(shown(name))
        if path.exists():
            _check_file(path, name)
            _check_ending(name)
            return [name], []
    except OSError as error:
        raise InputError(f"{shown(name)}: {error.strerror or error}") from None
    return of_glob(name, _is_readable).inputs(), []


def _resolve_remote(name: str) -> tuple[list[str], list[Note]]:
    """As `_resolve`; of a glob nothing is left out, as on this machine."""
    if _PASSWORD.search(name):  # addresses stand in manifests, findings and evidence files
        raise InputError(
            f"{_PASSWORD.sub('://***@', name)}: an address with a password isn't read; give it by the environment or by "
            "the cloud's own configuration"
        )
    if _QUERY.search(name):  # such as a signature, which mustn't stand in what is written
        raise InputError(
            f"{_QUERY.sub(_UNQUERIED, name)}: an address of the web with a query isn't read; fetch the file first, e.g. with curl, and name that"
        )
    system, path = filesystem(name)
    is_glob = glob.has_magic(path)
    try:
        paths = system.glob(path) if is_glob else system.find(path)
        if path and not paths and not is_glob:
            system.info(path)  # says what is wrong where there is nothing, not even an empty folder
    except Exception as error:  # every filesystem has errors of its own
        raise InputError(f"{name}: {_cause(error)}; check the address and what it names") from None
    found = of_listing(paths, path, _is_readable)
    notes = [] if is_glob else found.left_out(shown(name), is_in_archive(name))
    notes += [MEMBERS_OF_ONE_NAME.of(shown(name), members=said) for said in repeated_members(system, found.files)]
    return sorted(_address(name, path, p) for p in found.files), notes


def _cause(error: Exception) -> str:
    """What went wrong, without signatures that a redirect led to; fsspec's error about a missing file is only its name."""
    said = _QUERY.sub(_UNQUERIED, str(error.__cause__ or error)) or type(error).__name__
    return "no such file or folder" if isinstance(error, FileNotFoundError) and not re.search(r"\s", said) else said


def _address(name: str, path: str, found: str) -> str:
    """The address of a file that was found under `name`, whose path is `path`: with its scheme, host and archive."""
    given = inner_address(name)
    scheme, _, rest = given.partition("://")
    path, rest = _folder(path).strip("/"), _folder(rest).rstrip("/")
    below = found.strip("/").removeprefix(path).lstrip("/")
    address = f"{scheme}://{rest}/{below}" if rest and below else f"{scheme}://{rest or found}"
    return name.replace(given, address, 1)


def _folder(path: str) -> str:
    """The part of a path before the first folder or name with a wildcard."""
    magic = _MAGIC.search(path)
    return path[: path.rfind("/", 0, magic.start()) + 1] if magic else path


def _is_readable(path: str) -> bool:
    """Whether a file that was found, not named, is for a reader: spreadsheets' lock files and macOS's forks aren't."""
    return plain_suffix(path) in READERS and not path.rsplit("/", 1)[-1].startswith(_BY_PROGRAMS)


def _check_file(path: Path, name: str) -> None:
    if not path.is_file():
        raise InputError(
            f"{shown(name)}: is a pipe or a device, and a run reads its inputs more than once; write it to a file first"
        )


def _check_ending(name: str) -> None:
    if plain_suffix(name) not in READERS:
        ending = plain_suffix(name)
        other = f"; {REMEDIES[ending].english}" if ending in REMEDIES else ""
        raise InputError(
            f"{name}: ending {ending or '(none)'!r} is not known; "
            f"readable are {' '.join(READERS)}, each also with {' or '.join(COMPRESSIONS)}{other}"
        )


def read_items(path: str | PathLike[str], options: Options) -> Iterator[Item | Reject]:
    """Items and rejects of one file, in order. InputError when the file as a whole can't be read."""
    path = fspath(path)
    suffix, damage = plain_suffix(path), Damage()
    if suffix not in READERS:
        local_file(path)  # a folder that can't be listed
        _check_ending(path)
    items = READERS[suffix](path, replace(options, damage=damage, unread=set()))
    items = _noted(_undamaged(items, path, options, damage), path, options)
    items = _unpacked(_in_seconds(items, path, options))
    cut = _CUT.get(suffix) if options.split is None else options.split
    return within_memory(split_items(items, path, replace(options, split=cut), asr=suffix == ".json"), path)


@dataclass
class _Times:
    """How many values each column of times gave, how many of them can't be read, and the first of these."""

    given: Counter[str] = field(default_factory=Counter)
    unread: Counter[tuple[str, str]] = field(default_factory=Counter)
    first: dict[tuple[str, str], Words] = field(default_factory=dict)

    def add(self, item: Item) -> None:
        self.given.update(_TIMES & item.record.keys())
        for one in item.untimed:
            self.given[one.name] += 1
            self.unread[one[:2]] += 1
            told = Words(f"{item.place} {one.value!r}", f"{chinese_place(item.place)}“{one.value}”")
            self.first.setdefault(one[:2], told)

    def notes(self, path: str) -> Iterator[Note]:
        for (name, column), count in self.unread.items():
            kind = UNREAD_ENDS if name == "end" else UNREAD_TIMES
            first = self.first[name, column]
            yield kind.of(path, column=column, count=count, given=self.given[name], first=first)


def _noted(items: Iterable[Item | Reject], path: str, options: Options) -> Iterator[Item | Reject]:
    """The items; notes say when there are none, and which times can't be read."""
    empty, times = True, _Times()
    for item in items:
        empty = False
        if isinstance(item, Item):
            times.add(item)
        yield item
    options.notes.extend([EMPTY.of(path)] if empty else times.notes(path))


def _unpacked(items: Iterable[Item | Reject]) -> Iterator[Item | Reject]:
    """The items; a text that is a JSON object, as 剪映 keeps a subtitle, is the one text in it where it holds just one.

    A text over the bound, such as one of JSON, is a reject: what comes after would make several of it.
    """
    for item in items:
        if isinstance(item, Item) and len(item.text) > LINE:
            item = Reject.of(item.place, too_long(LONG_TEXT), item.text[:80])
        elif isinstance(item, Item) and (packed := _object(item.text)):
            texts = {text.strip() for name in TEXT_COLUMNS if isinstance(text := packed.get(name), str)} - {""}
            item = replace(item, record=item.record | {"text": texts.pop()}) if len(texts) == 1 else item
        yield item


def _object(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is; None where a key of it stands twice: one of two texts would be lost."""
    try:
        found = json.loads(text, object_pairs_hook=distinct) if text.lstrip().startswith("{") else None
    except (ValueError, RecursionError, RepeatedKey):
        return None
    return found if isinstance(found, dict) else None


def _in_seconds(items: Iterator[Item | Reject], path: str, options: Options) -> Iterator[Item | Reject]:
    """The items; where most with times last far longer than their words could, a note says so: nobody can be sure."""
    timed = long = 0
    for item in items:
        if isinstance(item, Item) and item.record.keys() >= _TIMES:
            timed += 1
            long += item.record["end"] - item.record["start"] > max(_LONG, _SILENCE + len(item.text))
        yield item
    if 2 * long > timed:
        options.notes.append(LONG_ROWS.of(path, minutes=str(_LONG // 60)))


def _undamaged(items: Iterator[Item | Reject], path: str, options: Options, damage: Damage) -> Iterator[Item | Reject]:
    """The items, with rejects for texts that lost bytes; where the first bytes are lost is noted in the options."""
    noted = False
    for item in items:
        if damage.encoding and LOST in str(vars(item)):
            if not noted:
                where = Words(item.place, chinese_place(item.place))
                options.notes.append(DAMAGED.of(path, encoding=damage.encoding, where=where))
                noted = True
            if isinstance(item, Item) and LOST in item.text:
                item = Reject.of(item.place, LOST_BYTES.of(encoding=damage.encoding), item.text[:80])
        yield item
    if damage.encoding and not noted:
        options.notes.append(DAMAGED.of(path, encoding=damage.encoding, where=Words("a part", "一部分")))
