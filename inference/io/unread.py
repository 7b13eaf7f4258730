"""Fields whose Chinese texts no row has for its text, for a note: what was said may stand there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from zhenyan.inference.io.items import HOST_COLUMNS, MEDIA, TITLE_COLUMNS, Item, Options, Reject, plain_name
from zhenyan.inference.io.note_kinds import OTHER_FIELDS
from zhenyan.inference.io.notes import Words
from zhenyan.inference.io.recognisers import form_of, is_word, nameless_form, unpacked
from zhenyan.inference.json_objects import RepeatedKey
from zhenyan.inference.normalise import letters

Named: TypeAlias = tuple[str, str]  # a field's name, and a text that stands in it

_FEWEST = 6  # Chinese characters of a text that may be a line of speech
_GRAM = 3  # letters; pieces by which a text that was cut or joined is found again
_LISTED = 8  # names in a note
CHINESE = re.compile("[\u4e00-\u9fff]")
# Ends of the names of fields that say who, where or of what kind; a field called subtitle holds speech
_NAMES = re.compile(
    r"(?:名|名称|昵称|直播间|房间|店铺?|账号|频道|号|作者|说话人|发言人|标签|平台|类目|分类|品类|品牌|商品|产品|地址|链接|路径"
    r"|name|(?<!sub)title|user|host|room|channel|shop|account|author|speaker|brand|category|tags?|keywords?|path|url|font|style)$"
)
_NO_TEXTS = frozenset(map(plain_name, (*HOST_COLUMNS, *TITLE_COLUMNS)))
# What an earlier run added to a row
_JUDGED = re.compile(r"evidence|labels|scores?|model|source|input\..*")


def is_line(name: str, text: str) -> bool:
    """Whether a field's text may be what somebody said: no name, also of a recording, no JSON, and not too short."""
    if len(text) < _FEWEST or text.lstrip().startswith(("{", "[")) or _JUDGED.fullmatch(name):
        return False
    if text.rstrip().lower().endswith(MEDIA):
        return False
    plain = plain_name(name)
    if plain in _NO_TEXTS or _NAMES.search(plain):
        return False
    return len(CHINESE.findall(text)) >= _FEWEST


def texts_in(value: Any) -> Iterator[Named]:
    """All texts in a JSON value, each with the name of the field in which it stands, also in a list.

    What stands in a recogniser's segments and words is passed over: these are read, and hold every reading of a line.
    """
    left: list[tuple[str, Any]] = [("", value)]
    while left:
        key, inner = left.pop()
        if isinstance(inner, str):
            yield key, inner
        elif isinstance(inner, dict) and not is_word(inner):
            form = form_of(inner)
            left += [(str(at), _unpacked(at, one)) for at, one in reversed(inner.items()) if at != form]
        elif isinstance(inner, list) and not nameless_form(inner):
            left += [(key, one) for one in reversed(inner)]


def _unpacked(name: str, value: Any) -> Any:
    with suppress(RepeatedKey):  # whoever reads it tells
        return unpacked(name, value)
    return value


class Unread:
    """Gathers what was read of a file, and names the fields whose texts weren't; nothing where the text was asked for."""

    def __init__(self, options: Options, path: str) -> None:
        self._options, self._path = options, path
        self._said: list[str] = []

    def seen(self, item: Item | Reject) -> Item | Reject:
        """The item as it is."""
        if isinstance(item, Item):
            self._said.append(item.text)
        return item

    def tell(self, value: Any) -> None:
        """Note the fields of a JSON value, after all its items."""
        if self._options.text_column is None:
            note_unread(unread_in(value, self._said), self._options, self._path)


def unread_in(value: Any, said: Sequence[str]) -> list[str]:
    """The names of the fields in which a text stands that isn't said, in their order."""
    whole = {text.strip() for text in said}
    left = [one for one in texts_in(value) if one[1].strip() not in whole and is_line(*one)]
    grams = _grams("".join(said)) if left else set()
    return list(dict.fromkeys(name for name, text in left if not _is_said(text, grams)))


def _is_said(text: str, grams: set[str]) -> bool:
    """Whether more than half of a text stands in what was read, whatever its punctuation and however it was cut."""
    own = _grams(text)
    return 2 * len(own & grams) > len(own)


def _grams(text: str) -> set[str]:
    said = letters(text)
    return {said[at : at + _GRAM] for at in range(len(said) - _GRAM + 1)}


def note_unread(names: Sequence[str], options: Options, path: str) -> None:
    """Say which fields of a JSON file hold Chinese texts that no row is read from; not those that other notes name."""
    if left := [name for name in names if name not in options.unread]:
        first, more = left[:_LISTED], len(left) - _LISTED
        listed = Words(
            ", ".join(first) + (f" and {more:,} more" if more > 0 else ""),
            "、".join(first) + (f"等 {len(left):,} 个字段" if more > 0 else ""),
        )
        options.note_once(OTHER_FIELDS.of(path, names=listed))
