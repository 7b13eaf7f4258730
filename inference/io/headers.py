"""Headers of two rows: groups of columns (直播信息, 内容) above the names of the columns (序号, 直播间, 话术)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from zhenyan.inference.io.items import END_COLUMNS, START_COLUMNS, STREAM_COLUMNS, TEXT_COLUMNS, Options, plain_name

_TEXTS = frozenset(map(plain_name, TEXT_COLUMNS))
_KNOWN = _TEXTS.union(map(plain_name, (*START_COLUMNS, *END_COLUMNS, *STREAM_COLUMNS)))


def lower_header(above: Sequence[str], below: Sequence[Any], options: Options) -> list[str] | None:
    """The columns' names where the second row is the header and the first, which names a text too, one of groups.

    A cell that is blank below has its name above, as one merged over both rows. None where the second row is data.
    """
    cells = ["" if cell is None else cell for cell in below]
    if options.text_column is not None or len(cells) != len(above) or not all(isinstance(cell, str) for cell in cells):
        return None
    names = [cell.strip() for cell in cells]
    if names == list(above) or not _known(above, _TEXTS) or not _known(names, _TEXTS):
        return None
    pairs = list(zip(names, above, strict=True))
    spans = any(name and not group for name, group in pairs)
    return [name or group for name, group in pairs] if spans or _known(names, _KNOWN) > 1 else None


def header_note(path: str, place: str) -> str:
    """What is said where the second row was taken for the header."""
    return f"{path}: the header is read from {place}, for the row above it names groups of columns"


def _known(names: Sequence[str], usual: Collection[str]) -> int:
    return sum(plain_name(name) in usual for name in names)
