"""Files in folders and of globs, with the folders that can't be listed, and what is left out.

pathlib and glob pass over what they can't list or look at, so that nobody would know that it wasn't scored.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from zhenyan.inference.io.names import shown
from zhenyan.inference.io.note_kinds import LEFT_OUT
from zhenyan.inference.io.notes import Note, Words

_ENDING = re.compile(r"\.[a-z0-9]{1,8}$")
_OF_SYSTEMS = ("desktop.ini", "thumbs.db")
_LINKED, _BROKEN, _OTHER, _CHAINED = "linked folder", "broken link", "other file", "::-name"
_KINDS = 8  # of endings that a note names one by one
_MORE, _NAMES = 12, 3  # other endings, and names of files without one, that it lists behind these
_DOCUMENTS = Words("save documents as .txt", "请将文档另存为 .txt")
_WORKBOOKS = Words("save .xlsm, .xlsb, .ods and .et as .xlsx", "请将 .xlsm、.xlsb、.ods、.et 另存为 .xlsx")
_ARCHIVES = Words("unpack archives", "请先解压压缩包")
_ANNOTATED = Words("export .eaf and .TextGrid as .srt", "请将 .eaf、.TextGrid 导出为 .srt")
REMEDIES = {
    ".zip": Words("read a zip by zip://::FILE.zip", "zip 压缩包请以 zip://::FILE.zip 读取"),
    ".xls": Words("save .xls as .xlsx", "请将 .xls 另存为 .xlsx"),
    **dict.fromkeys((".xlsm", ".xlsb", ".ods", ".et"), _WORKBOOKS),
    ".ndjson": Words("rename .ndjson to .jsonl", "请将 .ndjson 改名为 .jsonl"),
    ".sbv": Words("convert .sbv to .srt in a subtitle editor", "请用字幕软件将 .sbv 转为 .srt"),
    **dict.fromkeys((".doc", ".rtf", ".wps", ".pdf"), _DOCUMENTS),
    ".md": Words("rename .md to .txt", "请将 .md 改名为 .txt"),
    ".lrc": Words(
        "convert .lrc to .srt in a subtitle editor, or rename it to .txt",
        "请用字幕软件将 .lrc 转为 .srt，或改名为 .txt",
    ),
    ".ssa": Words("rename .ssa to .ass", "请将 .ssa 改名为 .ass"),
    ".textgrid": _ANNOTATED,
    ".eaf": _ANNOTATED,
    ".xml": Words("convert .xml (弹幕) to .ass or .csv", "请将 .xml（弹幕）转为 .ass 或 .csv"),
    **dict.fromkeys((".rar", ".7z", ".tgz", ".tar"), _ARCHIVES),
    _LINKED: Words("name linked folders themselves", "链接的文件夹请直接指定"),
    _CHAINED: Words("rename what has :: in its name", "名称中含 :: 的请改名"),
}
# zip://::FILE.zip names none there
_IN_ARCHIVE = {".zip": Words("unpack a zip that lies in an archive first", "压缩包中的 zip 请先解压")}
_CHINESE = {_LINKED: "个链接的文件夹", _BROKEN: "个失效的链接", _OTHER: "个其他文件", _CHAINED: "个名称含 :: 的文件"}

IsReadable = Callable[[str], bool]


@dataclass
class Found:
    """What a folder or glob holds: files to read, folders that can't be listed, and how much of what else."""

    files: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)
    nameless: list[str] = field(default_factory=list)  # the first files that have no ending

    def leave(self, kind: str, name: str) -> None:
        """Count what isn't read."""
        self.left[kind] += 1
        if kind == _OTHER and len(self.nameless) < _NAMES:
            self.nameless.append(shown(name))

    def inputs(self) -> list[str]:
        """The files in order; a folder that can't be listed is an input that can't be read."""
        return sorted({*self.files, *self.unlisted})

    def left_out(self, place: str, in_archive: bool = False) -> list[Note]:
        """A note of what isn't read and how it could be, first the kinds that could; none when there is nothing."""
        known = REMEDIES | (_IN_ARCHIVE if in_archive else {})
        named = [(kind, count) for kind, count in self.left.most_common() if kind != _OTHER]
        named.sort(key=lambda one: one[0] not in REMEDIES)
        words = [_counted(kind, count) for kind, count in named[:_KINDS]]
        if more := sum(count for _, count in named[_KINDS:]) + self.left[_OTHER]:
            (english, chinese), others = _counted(_OTHER, more), self._others(named[_KINDS:])
            words.append(Words(f"{english} ({others})", f"{chinese}（{others}）"))
        remedies = list(dict.fromkeys(known[kind] for kind, _ in named if kind in known))
        what = _joined(words, Words(", ", "、"))
        return [LEFT_OUT.of(place, what=what, remedies=_joined(remedies, Words("; ", "；")))] if words else []

    def _others(self, endings: Sequence[tuple[str, int]]) -> str:
        """Which files stand behind the endings that are named one by one: more endings, and the first names."""
        first = sorted(endings[:_MORE], key=lambda one: (-one[1], one[0]))
        words = [_counted(kind, count).english for kind, count in first] + sorted(self.nameless)
        unsaid = len(endings) > _MORE or self.left[_OTHER] > len(self.nameless)
        return ", ".join(words) + " …" * unsaid


def _counted(kind: str, count: int) -> Words:
    plural = "s" if count > 1 and not kind.startswith(".") else ""
    return Words(f"{count:,} {kind}{plural}", f"{count:,} {_CHINESE.get(kind, f'个 {kind} 文件')}")


def _joined(words: Sequence[Words], between: Words) -> Words:
    english, chinese = (between[language].join(one[language] for one in words) for language in range(len(between)))
    return Words(english, chinese)


@dataclass(frozen=True)
class _Entry:
    """A name in a folder: "folder", "file", or what else it is."""

    path: str
    name: str
    kind: str


def in_folder(folder: str, is_readable: IsReadable) -> Found:
    """Files in a folder and those below it; linked folders are left out, for they may lead round in circles."""
    found = Found()
    waiting = [_Entry("" if os.path.normpath(folder) == "." else os.path.join(folder, "").rstrip("/"), "", "folder")]
    while waiting:
        inside = waiting.pop()
        for entry in _listed(inside.path, found):
            if entry.kind == "folder":
                waiting.append(entry)
            elif entry.kind == "file" and is_readable(entry.name):
                found.files.append(entry.path)
            elif not _goes_unsaid(os.path.relpath(entry.path, folder).split(os.sep)):
                found.leave(_ending(entry.name) if entry.kind == "file" else entry.kind, entry.name)
    return found


def of_listing(paths: Iterable[str], folder: str, is_readable: IsReadable) -> Found:
    """Files that a filesystem elsewhere lists below a folder; "/" parts their names, whatever the system here."""
    found = Found()
    for path in paths:
        below = path.lstrip("/").removeprefix(folder.strip("/")).lstrip("/")
        parts = below.split("/")
        # In an address what follows :: says where the file lies: whoever named a member so would choose that.
        chained = "::" in below
        if is_readable(path) and not chained:
            found.files.append(path)
        elif _is_file(parts[-1]) and not _goes_unsaid(parts):
            found.leave(_CHAINED if chained else _ending(parts[-1]), parts[-1])
    return found


def of_glob(pattern: str, is_readable: IsReadable) -> Found:
    """Files that a glob names, as the module glob has it."""
    found = Found()
    root, *parts = _parts(pattern)
    waiting = [(root, parts)]
    while waiting:
        folder, (part, *after) = waiting.pop()
        if glob.has_magic(part):
            waiting += _matched(folder, part, after, found)
        elif after:
            waiting.append((os.path.join(folder, part), after))
        elif os.path.isfile(path := os.path.join(folder, part)):
            found.files.append(path)
    found.files = [path for path in found.files if is_readable(path)]
    return found


def _parts(pattern: str) -> list[str]:
    """Where a glob begins, "" for the working folder, and its parts."""
    drive, rest = os.path.splitdrive(pattern)
    parts = re.split(r"[/\\]" if os.sep == "\\" else "/", rest)
    return [drive + os.sep, *parts[1:]] if not parts[0] else [drive, *parts]


def _matched(folder: str, part: str, after: list[str], found: Found) -> Iterator[tuple[str, list[str]]]:
    """Takes the files that a glob's part names in a folder, or gives the folders in which to go on, with what parts."""
    if part == "**" and after:
        yield folder, after
    for entry in _listed(folder, found):
        named = fnmatch.fnmatch(entry.name, part) and (part.startswith(".") or not entry.name.startswith("."))
        if named and not after and entry.kind == "file":
            found.files.append(entry.path)
        elif named and part == "**" and _is_below(entry):
            yield entry.path, [part, *after]
        elif named and after and part != "**" and entry.kind in ("folder", _LINKED):
            yield entry.path, after


def _is_below(entry: _Entry) -> bool:
    """Whether it is a folder, and no link to one in which it lies: that would lead round in circles."""
    if entry.kind != _LINKED:
        return entry.kind == "folder"
    linked, here = os.path.realpath(entry.path), os.path.realpath(os.path.dirname(entry.path) or ".")
    return os.path.commonpath((linked, here)) != linked


def _listed(folder: str, found: Found) -> Iterable[_Entry]:
    try:
        with os.scandir(folder or ".") as entries:
            return [_Entry(os.path.join(folder, entry.name), entry.name, _kind(entry)) for entry in entries]
    except (FileNotFoundError, NotADirectoryError):  # a glob's, or it went away
        return ()
    except OSError:
        found.unlisted.append(folder or ".")
        return ()


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_symlink():
            return _LINKED if entry.is_dir() else "file" if entry.is_file() else _BROKEN
        return "folder" if entry.is_dir() else "file" if entry.is_file() else _OTHER
    except OSError:  # a link to itself; else whoever opens it says what is wrong
        return _BROKEN if entry.is_symlink() else "file"


def _ending(name: str) -> str:
    found = _ENDING.search(name.lower())
    return found.group() if found else _OTHER


def _is_file(name: str) -> bool:
    """Whether a listed name below a folder is a file's: none is the folder's own, "?C=M;O=A" sorts a web server's list."""
    return bool(name) and not name.startswith("?")


def _goes_unsaid(parts: Sequence[str]) -> bool:
    """Whether nobody means it to be read: what is hidden, systems' and spreadsheets' own files, and runs' folders."""
    *folders, name = parts
    hidden = any(part.startswith(".") for part in (*folders, name))
    return hidden or name.startswith("~$") or name.lower() in _OF_SYSTEMS or any(f.endswith(".run") for f in folders)
