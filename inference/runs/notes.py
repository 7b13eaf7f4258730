"""What readers noted of a run's files, told by kind: a thousand files of one encoding must not hide the one that is damaged."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

_NAMED = 3  # files, folders or cells of a kind that are named
# What differs from file to file in notes of one kind.
_VARYING = re.compile(
    r"(?<=of which ).+(?= has damaged bytes)|(?<=read sheet ).+?(?=; not read: )|(?<=not read: ).+"
    r"|(?<=the same file as ).+(?=, scored once)|(?<=the text is read from ).+(?=; name another)"
    r"|(?<=^left out ).+?(?=; |$)|(?<=read in part, left out ).+(?=; cut it)"
    r"|(?<=^before the first time: ).+(?=; not scored)"
    r"|(?<=^column ).+(?=; such rows)|(?<=the header is read from ).+(?=, for)"
)
_NO_FILES = {
    "left out ": "folders",
    "text cut ": "cells",
    "read in part": "texts",
    "time codes in": "streams",
}  # what notes that begin so are of


def by_kind(notes: Iterable[str], files: Collection[str]) -> list[str]:
    """One line for each kind of note, in the order of the first: how many files (or folders, or cells), what,
    and the first few of them.

    A note that has no other of its kind stays as it is.
    """
    kinds: dict[str, list[tuple[str, str]]] = {}
    for note in notes:
        place, said = _place(note, files)
        kinds.setdefault(_VARYING.sub("…", said), []).append((place, said))
    return [_line(kind, noted) for kind, noted in kinds.items()]


def _place(note: str, files: Collection[str]) -> tuple[str, str]:
    """The file a note is of, and what it says; a name may hold a colon, so the files that are known come first."""
    cuts = [match.start() for match in re.finditer(": ", note)]
    cut = next((at for at in cuts if note[:at] in files), cuts[0] if cuts else None)
    return ("", note) if cut is None else (note[:cut], note[cut + 2 :])


def _line(kind: str, noted: list[tuple[str, str]]) -> str:
    places, said = [place for place, _ in noted], {said for _, said in noted}
    if len(noted) == 1:
        return ": ".join(filter(None, (*places, *said)))
    what = next(iter(said)) if len(said) == 1 else kind
    unit = next((unit for begin, unit in _NO_FILES.items() if kind.startswith(begin)), "files")
    more = " …" if len(places) > _NAMED else ""
    return f"{len(noted):,} {unit}: {what}: {', '.join(places[:_NAMED])}{more}"


def note_lines(notes: Iterable[str]) -> Iterator[bytes]:
    """Every note on a line of its own, whatever characters a name has."""
    for note in notes:
        yield " ".join(note.splitlines()).encode("utf-8", "backslashreplace") + b"\n"
