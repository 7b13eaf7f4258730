"""`zhenyan data hash`: labelled public lines as records that may be committed: hashes, places and edits, never the text."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from zhenyan.inference.errors import ConfigError, InputError
from zhenyan.training.candidates import first_few, is_judgement
from zhenyan.training.public import documents, names_place, public_files
from zhenyan.training.rows import Row, iter_records, row_id, text_key

_NEIGHBOURS = {"before", "after", "context"}  # lines around the row's
_RUN = 6  # characters in a row that are the line's, not a name of a trade or a date
_WORD = 3  # characters that the name of a trade may share with a line
_BETWEEN = "\x00"  # stands in no transcript, so that no line is found across two documents


@dataclass(frozen=True)
class Place:
    """Where a line stands in public text: its document by SHA-256, the characters [start, end), the file and the room.

    `measuring`: in no other room than those kept for measuring.
    """

    doc: str
    start: int
    end: int
    source: str
    room: str | None
    measuring: bool


class PublicText:
    """All public documents of a cache as one string, in which a line is found by one search."""

    def __init__(self, cache: Path) -> None:
        """Read every file of `cache`; ConfigError when it has none."""
        read = [(path.stem, each) for path in public_files(cache) for each in documents(path) if each.text]
        if not read:
            raise ConfigError(f"{cache}: no public lines here; `zhenyan data fetch` brings them")
        # Rooms for measuring last: they are found only for what no other room said. Of the others those that name their room
        # first: a transcript that another file publishes without it would hide that the room is held out.
        self._documents = sorted(read, key=lambda item: (item[1].measuring, item[1].room is None))
        self._all = _BETWEEN.join(document.text for _, document in self._documents)
        self._starts = [0]
        for _, document in self._documents[:-1]:
            self._starts.append(self._starts[-1] + len(document.text) + len(_BETWEEN))

    def find(self, line: str) -> Place | None:
        """The first place of `line`, of a document that names its room if there is one; None when no document holds it."""
        at = self._all.find(line)
        if at < 0:
            return None
        number = bisect.bisect_right(self._starts, at) - 1
        source, (text, room, measuring) = self._documents[number]
        start = at - self._starts[number]
        return Place(text_key(text), start, start + len(line), source, room, measuring)


def line_edits(line: str, text: str) -> list[tuple[int, int, str]]:
    """The edits [start, end) -> new that make `text` of `line`, in order (`apply_edits` undoes them)."""
    matched = SequenceMatcher(None, line, text, autojunk=False)
    return [(a, b, text[c:d]) for tag, a, b, c, d in matched.get_opcodes() if tag != "equal"]


def hash_rows(rows: Iterable[Row], public: PublicText, taken: Iterable[str] = ()) -> Iterator[dict[str, Any]]:
    """The committable record of each row. A rewritten line names the public line as `base` and its author as `rewriter`.

    `taken` are ids that stand already. At the end InputError counts the rows whose text or base is no public line or stands
    only in a room kept for measuring, or whose id is wanting or taken, and names the first of them.
    """
    ids, faults = set(taken), []
    for row in rows:
        if not row.id or row.id in ids:
            faults.append(f"{row.origin}: field 'id' must name this row alone, found {row.id!r}; number the rows anew")
            continue
        ids.add(row.id)
        try:
            yield _record(row, public)
        except InputError as fault:
            faults.append(str(fault))
    if faults:
        raise InputError("\n".join(first_few(faults, len(faults))))


def _record(row: Row, public: PublicText) -> dict[str, Any]:
    base = row.meta.get("base")
    line = row.text if base is None else base
    place = public.find(line) if isinstance(line, str) and line else None
    if place is None:
        raise InputError(
            f"{row.origin}: field '{'text' if base is None else 'base'}' is no public line: {str(line)[:40]!r}; give the line as it is "
            "published, for a rewritten one as 'base'; what you wrote yourself belongs in data/corpus as it is"
        )
    if place.measuring:
        raise InputError(
            f"{row.origin}: {str(line)[:40]!r} stands only in {place.room}, a room kept for measuring (gold_room), whose lines are "
            "never trained on; leave the row out"
        )
    if base is not None and not row.meta.get("rewriter"):
        raise InputError(
            f"{row.origin}: a rewritten line needs a field 'rewriter', its author's batch, which splits hold out whole"
        )
    record = {"id": row.id, "sha256": text_key(row.text), "doc": place.doc, "start": place.start, "end": place.end}
    record |= {"edits": line_edits(line, row.text)} if base is not None else {}
    record |= {"labels": list(row.labels), "source": place.source}
    record |= {"channel": row.channel} if row.channel != "live" else {}
    record |= {"annotated": list(row.annotated)} if row.annotated is not None else {}
    record |= {"contested": True} if row.contested else {}
    record |= {"room": place.room} if place.room and base is None else {}
    left_out = {*record, "base", "room", "batch", *_NEIGHBOURS}  # a batch is of what was written
    kept = {key: value for key, value in row.meta.items() if key not in left_out and not is_judgement(key)}
    return record | {key: value for key, value in kept.items() if not _quotes(value, (line, row.text), public)}


def _quotes(value: Any, lines: Iterable[str], public: PublicText) -> bool:
    """Whether a field holds a piece of the row's lines or is itself public text, at any depth."""
    if isinstance(value, dict):
        return any(_quotes(one, lines, public) for one in (*value, *value.values()))
    if isinstance(value, list):
        return any(_quotes(one, lines, public) for one in value)
    if not isinstance(value, str) or value.isascii():  # such as ids and dates, which aren't worth a search
        return False
    return any(_shared(value, line) for line in lines) or (len(value) >= _RUN and public.find(value) is not None)


def _shared(value: str, line: str) -> bool:
    """Whether `value` holds _RUN characters of the line in a row, or all of a shorter one that is more than a word."""
    run = min(_RUN, max(_WORD, len(line)))
    return any(line[start : start + run] in value for start in range(len(line) - run + 1))


def existing(path: Path) -> tuple[bytes, list[str]]:
    """What a label file holds already, and the ids of its records; nothing when there is none.

    InputError when it holds anything but labels by hash.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give --output a file, such as one in data/labels")
    ids = []
    for record, origin in iter_records(path) if path.exists() else ():
        if not names_place(record):
            raise InputError(
                f"{origin}: holds something other than labels by hash; give --output a new file, or one in data/labels"
            )
        ids.append(row_id(record))
    held = path.read_bytes() if path.exists() else b""
    return held if held.endswith(b"\n") or not held else held + b"\n", ids
