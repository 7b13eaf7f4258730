"""What streams are called: by their rows, else by their file; two files never share a name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from zhenyan.inference.io.documents import file_name, stream_name
from zhenyan.inference.io.names import member_name
from zhenyan.inference.io.opening import inner_address, plain_suffix

_NAMED_BY_FILE = (".txt", ".docx", ".srt", ".vtt", ".ass", ".json")  # their readers give rows the file's name as stream


class StreamNames:
    """The name of the stream of every row of a run's inputs."""

    def __init__(self, inputs: Sequence[Mapping[str, Any]]) -> None:
        paths = [str(item["path"]) for item in inputs]
        self._own = [_short(path) for path in paths]
        self._names = _distinct(paths, self._own)

    def of(self, own: Mapping[str, Any], file: int) -> str:
        """The stream a row belongs to."""
        return self._names[file] if self.is_file(own, file) else str(own["stream"])

    def is_file(self, own: Mapping[str, Any], file: int) -> bool:
        """Whether a row's stream is its file, and not one that it names itself, which others may name too."""
        named = own.get("stream")
        return not named or str(named) == self._own[file]

    def tells_file(self, own: Mapping[str, Any], file: int) -> bool:
        """Whether a row's stream says, by its name, which of the files it is in."""
        return len(self._own) == 1 or self.is_file(own, file)


def _short(path: str) -> str:
    """A file's name, without endings where its reader drops them."""
    return stream_name(path) if plain_suffix(path) in _NAMED_BY_FILE else file_name(path)


def _distinct(paths: Sequence[str], short: Sequence[str]) -> list[str]:
    """The short names; of those that clash as much of the paths as tells them apart."""
    alike: dict[str, list[int]] = defaultdict(list)
    for at, name in enumerate(short):
        alike[name].append(at)
    names = list(short)
    for name, group in alike.items():
        if len(group) > 1:
            for at, longer in zip(group, _longer([paths[at] for at in group], name), strict=True):
                names[at] = longer
    return names


def _longer(paths: Sequence[str], short: str) -> Sequence[str]:
    """Names of files called alike: with their folder, else with their endings, else with more folders."""
    parts = [_parts(path) for path in paths]
    named = [["/".join((*p[-2:-1], short)) for p in parts]]
    named += [["/".join(p[-depth:]) for p in parts] for depth in range(1, max(map(len, parts)) + 1)]
    return next((names for names in named if len(set(names)) == len(paths)), paths)


def _parts(path: str) -> tuple[str, ...]:
    """What "/" parts in a path, its name last; of an archive's member the archive's path, then its own."""
    member = inner_address(path)
    archive = path.partition(f"{member}::")[2]
    scheme, mark, inside = member.rpartition("://")
    own = PurePath(inside).as_posix().split("/")
    if archive:
        return *_parts(archive), *(map(member_name, own) if scheme == "zip" else own)
    return (f"{scheme}:/", *own) if mark else tuple(own)
