"""Writing exports to files, for the command line and the page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from zhenyan.inference.bundle import Label
from zhenyan.inference.io.jsonlines import write_atomic
from zhenyan.inference.io.writing import write_output, write_table
from zhenyan.inference.review import log
from zhenyan.inference.review.database import Database
from zhenyan.inference.review.exchange import TABLE, Held, corpus_rows, reviewed, table_rows
from zhenyan.inference.review.intake import Run
from zhenyan.inference.review.kinds import check_kind
from zhenyan.inference.review.labelstudio import beside, configuration, keep_configuration, tasks
from zhenyan.inference.review.listing import find
from zhenyan.inference.review.outcome import ACCEPTED, RELABELLED
from zhenyan.inference.review.schema import finding


def write_export(database: Database, run: Run, kind: str, path: Path, labels: Sequence[Label]) -> list[str]:
    """Write one kind of export, whole or not at all; returns what should be said about it. ConfigError as of `check_kind`."""
    check_kind(kind, path)
    if kind == "rows":
        held = Held()
        write_output(path, lambda: corpus_rows(run, reviewed(database, run), held))
        return [f"{held.given:,} rows", *filter(None, str(held).split("\n"))]
    if kind in ("csv", "xlsx"):
        return list(map(str, write_table(path, TABLE, table_rows(run, reviewed(database, run), labels))))
    keep_configuration(beside(path))
    write_atomic(path, _json_list(tasks(run, reviewed(database, run))))
    write_atomic(beside(path), [project_configuration(labels)])
    return [f"labelling configuration for the project: {beside(path)}"]


def project_configuration(labels: Sequence[Label]) -> bytes:
    """The labelling configuration of a Label Studio project for the tasks, XML in UTF-8."""
    return configuration([(label.id, label.name_zh) for label in labels]).encode()


def held_back(database: Database, run: Run) -> Held:
    """How many rows the export "rows" would have now, and how many lines it would hold back."""
    held = Held()
    for _ in corpus_rows(run, reviewed(database, run), held):
        pass
    return held


def _json_list(records: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    """A JSON list, one record a line; in ASCII, so that any text survives."""
    start = b"[\n"
    for record in records:
        yield start + json.dumps(record).encode()
        start = b",\n"
    yield b"[]\n" if start == b"[\n" else b"\n]\n"


def upheld(database: Database, run: Run) -> dict[str, str]:
    """The findings in which reviewers saw a violation, by id and in order, each with its state: accepted or relabelled."""
    query = sa.select(finding.c.key, finding.c.state).where(
        finding.c.run_id == run.id, finding.c.state.in_((ACCEPTED, RELABELLED))
    )
    with database.read() as connection:
        return {row.key: row.state for row in connection.execute(query.order_by(finding.c.position))}


def standing(database: Database, run: Run, key: str) -> list[str] | None:
    """The labels that were decided on for a finding; None while it is open or disputed."""
    found = find(database, run, key)
    return found[0].labels if found else None


def decisions(database: Database, run: Run, key: str) -> list[dict[str, Any]]:
    """A finding's log, oldest first, for its evidence file."""
    with database.read() as connection:
        entries = log.entries(connection, run.id, key, limit=10_000)
    return [
        {"number": e.id, "at": e.at.isoformat(timespec="seconds"), "who": e.who, "action": e.action, "model": e.model,
         "before": e.before, "after": e.after, "undoes": e.undoes}
        for e in reversed(entries)
    ]  # fmt: skip
