"""Taking a scoring run's findings into the review database, once."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection
from zhenyan.inference import locks
from zhenyan.inference.bundle import sha256, text_digest
from zhenyan.inference.errors import ConfigError, InputError
from zhenyan.inference.review import schema
from zhenyan.inference.review.database import Database, insert
from zhenyan.inference.review.outcome import OPEN, second_read
from zhenyan.inference.review.settings import Settings
from zhenyan.inference.runs.store import FINDINGS, REVIEW, REVIEWED, RunFolder

_CHUNK = 1000
_MAX_NAME = 300  # characters of a stream's name in lists; an index takes no 2,704 bytes
_DIGEST, WORDS = 8, 32  # characters
_BEFORE_TIMES = 1e12  # more than there are rows


@dataclass(frozen=True)
class Run:
    """A run in the database. It is known by the digest of its findings: moved, it is the same, scored anew, another."""

    id: int
    digest: str
    name: str
    bundle: str


def take_in(database: Database, folder: RunFolder, settings: Settings) -> Run:
    """The run's row, with its findings queued on first sight; InputError when the run hasn't finished.

    A note of it stays in the run's folder, so that the run isn't scored anew over its decisions.
    """
    path = folder.path / FINDINGS
    if not path.is_file():
        raise InputError(f"{path}: missing; the run hasn't finished, repeat its `zhenyan score` command")
    digest = sha256(path)
    _note_database(database, folder)
    with database.alone() as connection:
        known = connection.execute(sa.select(schema.run).where(schema.run.c.digest == digest)).first()
        run = Run(known.id, digest, known.name, known.bundle) if known else _add(connection, folder, digest, settings)
        _add_second_readings(connection, run, settings.second_share)
    return run


def _note_database(database: Database, folder: RunFolder) -> None:
    url, path = database.engine.url, folder.path / REVIEWED
    name = str(Path(url.database or "").resolve()) if url.get_backend_name() == "sqlite" else url.database
    if name == str((folder.path / REVIEW).resolve()):
        return  # it lies there itself
    shown = URL.create(url.drivername, host=url.host, port=url.port, database=name).render_as_string()
    # Locked, for two that take the run in at once must not miss each other; a folder that can't be written can't be
    # scored anew either.
    with suppress(OSError), path.open("a+b") as notes:
        locks.take(notes.fileno(), wait=True)
        notes.seek(0)
        known = notes.read()
        if shown not in known.decode("utf-8", "replace").splitlines():
            notes.write((b"\n" if known and not known.endswith(b"\n") else b"") + f"{shown}\n".encode())
            notes.flush()
            os.fsync(notes.fileno())


def known_run(database: Database, folder: RunFolder) -> Run | None:
    """The run's row; None when it was never reviewed in this database."""
    path = folder.path / FINDINGS
    digest = sha256(path) if path.is_file() else ""
    with database.read() as connection:
        known = connection.execute(sa.select(schema.run).where(schema.run.c.digest == digest)).first()
    return Run(known.id, digest, known.name, known.bundle) if known else None


def check_labels(folder: RunFolder, bundle: str, labels: Sequence[str]) -> None:
    """ConfigError when the run has labels that the bundle doesn't know."""
    manifest = folder.manifest
    if unknown := sorted(set(manifest["thresholds"]) - set(labels)):
        raise ConfigError(
            f"{folder.path}: scored with bundle {manifest['bundle']}; bundle {bundle} has no label "
            f"{', '.join(unknown)}; name the run's own bundle with --model"
        )


def _add(connection: Connection, folder: RunFolder, digest: str, settings: Settings) -> Run:
    name, bundle = folder.path.name.removesuffix(".run"), folder.manifest["bundle"]
    values = {"digest": digest, "name": name, "bundle": bundle, "added": settings.clock()}
    run = Run(insert(connection, schema.run, **values), digest, name, bundle)
    rows = _rows(folder, run.id)
    while chunk := list(itertools.islice(rows, _CHUNK)):
        connection.execute(schema.finding.insert(), chunk)
    _add_readings(connection, run.id, 1, sa.true())
    return run


def _rows(folder: RunFolder, run_id: int) -> Iterator[dict[str, Any]]:
    for position, record in enumerate(folder.findings()):
        yield {
            "run_id": run_id, "key": record["id"], "position": position, "stream": listed(record["stream"]),
            "label": record["label"], "risk": record["risk"], "start": order(record["place"]),
            "record": record, "state": OPEN, "words": words(record["text"]),
        }  # fmt: skip


def order(place: Mapping[str, Any]) -> float | None:
    """What a stream's findings are sorted by: seconds, or the row where a text has no time; all of those come first."""
    row = place.get("row")
    return place.get("start", None if row is None else row - _BEFORE_TIMES)


def words(text: str) -> str:
    """What tells a text's very words from all others."""
    return text_digest(text)[:WORDS]


def listed(stream: str) -> str:
    """A stream's name to list and choose by; the record has it as it is.

    In one line, for a form sends a line break, which a cell may have, as another one; short, for PostgreSQL's indexes,
    ending in a digest where it was cut, which others may be at the same place; with signs, for an empty one chooses all.
    """
    name = " ".join(storable(stream).splitlines())
    if not name.strip():
        name = repr(stream)
    if len(name) <= _MAX_NAME:
        return name
    end = "…" + hashlib.sha256(storable(stream).encode()).hexdigest()[:_DIGEST]
    return name[: _MAX_NAME - len(end)] + end


def storable(text: str) -> str:
    """Text without what PostgreSQL can't hold (NUL, lone surrogates)."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _add_readings(connection: Connection, run_id: int, number: int, which: sa.ColumnElement[bool]) -> None:
    finding = schema.finding
    rows = sa.select(finding.c.id, sa.literal(number), sa.literal("read"), sa.literal("open"), sa.literal(0))
    names = ["finding_id", "number", "kind", "state", "version"]
    connection.execute(schema.reading.insert().from_select(names, rows.where(finding.c.run_id == run_id, which)))


def _add_second_readings(connection: Connection, run: Run, share: float) -> None:
    """For open findings only: a decision that stands isn't opened again because the share was raised."""
    if share <= 0:
        return
    finding, reading = schema.finding, schema.reading
    twice = sa.exists().where(reading.c.finding_id == finding.c.id, reading.c.number == 2)
    query = sa.select(finding.c.id, finding.c.key).where(finding.c.run_id == run.id, finding.c.state == OPEN, ~twice)
    drawn = [row.id for row in connection.execute(query) if second_read(run.digest, row.key, share)]
    for start in range(0, len(drawn), _CHUNK):
        _add_readings(connection, run.id, 2, finding.c.id.in_(drawn[start : start + _CHUNK]))
