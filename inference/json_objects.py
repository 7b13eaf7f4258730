"""JSON objects whose keys each stand once: of a repeated key's values Python's parser keeps the last and says nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any


class RepeatedKey(Exception):
    """A key that stands twice in an object; `name` is which."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the key {name!r:.80} stands twice in an object")
        self.name = name


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these keys and values, as `json.loads` takes it for `object_pairs_hook`; RepeatedKey for one given twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise RepeatedKey(Counter(name for name, _ in pairs).most_common(1)[0][0])
    return found
