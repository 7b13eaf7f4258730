"""What should be said of a file's reading: notes in English and Chinese, of kinds, so that like ones can be told together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

_NAMED = 3  # files, folders or cells of a kind that are named
_ANY = "…"  # in place of values that differ from file to file
_OPTION = re.compile(r"--[a-z-]+")
_PLACES = (
    (r"footnote (\d+)", r"脚注\1"), (r"endnote (\d+)", r"尾注\1"), (r"header (\d+)", r"页眉\1"), (r"footer (\d+)", r"页脚\1"),
    (r" utterance (\d+)", r"第\1句"), (r"(?:line|row) (\d+)", r"第\1行"), (r"table (\d+)", r"表\1"),
    (r"(?:cue|segment|paragraph) (\d+)", r"第\1段"),
)  # fmt: skip
# Behind a file's name, which itself stays as it is
_INSIDE = re.compile(r"(?: (?:table|line|row|cue|segment|paragraph|utterance) \d+)+$")
_PARTS = (
    (re.compile(r"(\.xlsx(?:\.gz|\.zst)?) sheet (.+)$", re.IGNORECASE), r"\1 工作表“\2”"),
    (re.compile(r" \(read as ([\w.-]+)\)$"), r"（按 \1 编码读取）"),
)


class Words(NamedTuple):
    """The same in both languages."""

    english: str
    chinese: str

    def of(self, **values: Value) -> Words:
        """These words as templates, with what they speak of."""
        return _formed(self, values)


Value: TypeAlias = int | str | Words | Sequence[str]  # a number, a name, words, or names that are listed


NOTHING, _FILES = Words("", ""), Words("files", "个文件")


def chained(*parts: Words) -> Words:
    """Words one behind another."""
    return Words("".join(part.english for part in parts), "".join(part.chinese for part in parts))


def chinese_place(place: str) -> str:
    """A place inside a file, such as "line 3 utterance 2", in Chinese."""
    for pattern, words in _PLACES:
        place = re.sub(pattern, words, place)
    return place


def chinese_path(path: str) -> str:
    """A file's name, or that of a part of it, in Chinese."""
    for pattern, words in _PARTS:
        path = pattern.sub(words, path)
    return _INSIDE.sub(lambda found: f" {chinese_place(found[0][1:])}", path)


@dataclass(frozen=True)
class Kind:
    """A kind of note: what is said, and what to do about it ("" where nothing can be), as templates for `str.format`."""

    said: Words
    remedy: Words = NOTHING
    unit: Words = _FILES  # what several notes are of
    apart: tuple[str, ...] = ()  # values by which notes of this kind are told apart all the same

    def of(self, place: str | Words, **values: Value) -> Note:
        """A note of this kind on a file, or what else `place` names."""
        return Note(self, place if isinstance(place, Words) else Words(place, chinese_path(place)), values)


@dataclass(frozen=True)
class Note:
    """What is noted of one file (folder, cell, text, stream); as a string it is in English."""

    kind: Kind
    place: Words
    values: Mapping[str, Value] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.words.english

    @property
    def words(self) -> Words:
        """The note with its place."""
        return _sentence([self])

    @property
    def text(self) -> Words:
        """The note without its place."""
        return _text(self.kind, self.values)

    def within(self, options: Iterable[str]) -> Note:
        """The note without its remedy where that names an option that isn't among these."""
        known = set(_OPTION.findall(self.kind.remedy.english)) <= set(options)
        return self if known else replace(self, kind=replace(self.kind, remedy=NOTHING))


def by_kind(notes: Iterable[Note]) -> list[Words]:
    """One line for each kind of note, in the order of the first: how many files (or folders, or cells), what,
    and the first few of them: a thousand files of one encoding must not hide the one that is damaged.
    """
    kinds: dict[tuple[object, ...], list[Note]] = {}
    for note in notes:
        kinds.setdefault((note.kind, *(note.values[name] for name in note.kind.apart)), []).append(note)
    return [_sentence(alike) for alike in kinds.values()]


def _sentence(notes: Sequence[Note]) -> Words:
    """What notes of one kind say, with the first places."""
    kind = notes[0].kind
    english, chinese = _text(kind, {name: _common([note.values[name] for note in notes]) for name in notes[0].values})
    if len(notes) == 1:
        return Words(f"{notes[0].place.english}: {english}", f"{notes[0].place.chinese}：{chinese}")
    places = [note.place for note in notes[:_NAMED]]
    more = f" {_ANY}" if len(notes) > _NAMED else ""
    return Words(
        f"{len(notes):,} {kind.unit.english}: {english}: {', '.join(place.english for place in places)}{more}",
        f"{len(notes):,} {kind.unit.chinese}：{chinese}：{'、'.join(place.chinese for place in places)}{more}",
    )


def _common(values: Sequence[Value]) -> Value:
    """What several notes have for a value: numbers are added up, what differs isn't told."""
    numbers = [value for value in values if isinstance(value, int)]
    if len(numbers) == len(values):
        return sum(numbers)
    return values[0] if all(value == values[0] for value in values) else _ANY


def _text(kind: Kind, values: Mapping[str, Value]) -> Words:
    """What is said and what to do about it."""
    said, remedy = _formed(kind.said, values), _formed(kind.remedy, values)
    english, chinese = f"{said.english}; {remedy.english}", f"{said.chinese}；{remedy.chinese}"
    return Words(english.removesuffix("; "), chinese.removesuffix("；"))


def _formed(template: Words, values: Mapping[str, Value]) -> Words:
    english, chinese = (
        template[at].format_map({name: _written(value, at) for name, value in values.items()}) for at in (0, 1)
    )
    return Words(english, chinese)


def _written(value: Value, language: int) -> str:
    """A value in words: `language` is a field of Words."""
    if isinstance(value, Words):
        return value[language]
    if isinstance(value, int):
        return f"{value:,}"
    return value if isinstance(value, str) else (", ", "、")[language].join(value)
