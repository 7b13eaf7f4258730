"""A throw-away database beside a run, for what must be sorted or counted and may not fit in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from zhenyan.inference.errors import InputError


@contextmanager
def scratch(path: Path) -> Iterator[sqlite3.Connection]:
    """An empty database in `path`, gone afterwards; InputError when the disk is full or the folder can't be written."""
    path.unlink(missing_ok=True)  # of a run that was killed
    try:
        with closing(sqlite3.connect(path)) as store:
            store.execute("PRAGMA journal_mode=OFF")
            store.execute("PRAGMA synchronous=OFF")
            yield store
    except sqlite3.OperationalError as error:
        raise InputError(f"{path}: {error}; the scored parts are kept, the same command goes on from there") from None
    finally:
        path.unlink(missing_ok=True)


def sorted_lines(items: Iterable[tuple[float, bytes]], path: Path) -> Iterator[bytes]:
    """Lines by their number, equal ones in the order in which they came; sorted in the file `path`."""
    with scratch(path) as store:
        store.execute("CREATE TABLE item (number REAL, line BLOB)")
        store.executemany("INSERT INTO item VALUES (?, ?)", items)
        store.execute("CREATE INDEX by_number ON item (number)")
        yield from (line for (line,) in store.execute("SELECT line FROM item ORDER BY number, rowid"))
