"""Tables of the review database, the same on SQLite and PostgreSQL; migrations/ builds them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)


class Moment(TypeDecorator[datetime]):
    """A time in UTC; SQLite, which has no time zones, keeps it bare."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """UTC without its zone for SQLite."""
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Always with its zone."""
        return None if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Json(TypeDecorator[Any]):
    """JSON as ASCII text: it holds NUL and lone surrogates, which PostgreSQL's own text and JSON types refuse."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """None stays NULL."""
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """The value that was stored."""
        return None if value is None else json.loads(value)


metadata = MetaData()

secret = Table(
    "secret", metadata,
    Column("name", String(40), primary_key=True),
    Column("value", String(200), nullable=False),
)  # fmt: skip

reviewer = Table(
    "reviewer", metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(80), nullable=False, unique=True),
    Column("role", String(20), nullable=False),
    Column("password", String(300)),  # Argon2 hash; NULL: can't log in (annotators of imported files)
    Column("active", Boolean, nullable=False, default=True),
    Column("created", Moment, nullable=False),
)  # fmt: skip

login = Table(
    "login", metadata,
    Column("token", String(64), primary_key=True),  # SHA-256 of the cookie, so that a stolen database opens nothing
    Column("reviewer_id", ForeignKey("reviewer.id"), nullable=False, index=True),
    Column("created", Moment, nullable=False),
    Column("seen", Moment, nullable=False),
)  # fmt: skip

throttle = Table(
    "throttle", metadata,
    Column("key", String(120), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("since", Moment, nullable=False),
    Column("locked_until", Moment),
)  # fmt: skip

run = Table(
    "run", metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),  # SHA-256 of findings.jsonl
    Column("name", Text, nullable=False),
    Column("bundle", String(120), nullable=False),
    Column("added", Moment, nullable=False),
)  # fmt: skip

finding = Table(
    "finding", metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey("run.id"), nullable=False),
    Column("key", String(20), nullable=False),  # the finding's id in findings.jsonl
    Column("position", Integer, nullable=False),
    Column("stream", Text, nullable=False),
    Column("label", String(80), nullable=False),
    Column("risk", Float, nullable=False),
    Column("start", Float),  # a sort key, no time to show: seconds, or where a text has none what puts it by its row (intake.order)
    Column("record", Json, nullable=False),  # the finding as the run wrote it
    Column("origin", String(8), nullable=False, server_default="model"),  # or "reviewer", who marked what the model missed
    Column("words", String(32)),  # digest of its text (intake.words)
    Column("state", String(12), nullable=False),
    Column("labels", Json),  # what was decided; NULL while open or disputed
    Column("decided", Moment),
    UniqueConstraint("run_id", "key"),
    # The queue's orders and choices, all columns that they look at included: records are wide and only a page's are read.
    Index("finding_by_risk", "run_id", "state", "risk", "position", "stream"),
    Index("finding_by_label", "run_id", "label", "state", "risk", "position", "stream"),
    Index("finding_by_time", "run_id", "state", "stream", "start", "position"),
    Index("finding_by_rank", "run_id", "risk", "position", "stream", "label"),
    Index("finding_by_stream", "run_id", "stream", "start", "position"),
    Index("finding_in_order", "run_id", "position"),
    Index("finding_by_words", "run_id", "words", "label", "state"),
)  # fmt: skip

reading = Table(
    "reading", metadata,
    Column("id", Integer, primary_key=True),
    Column("finding_id", ForeignKey("finding.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("kind", String(8), nullable=False),  # "read", or "settle": a lead decides between readings that differ
    Column("state", String(8), nullable=False),  # open, done
    Column("reviewer_id", ForeignKey("reviewer.id")),
    Column("leased", Moment),
    Column("lease_until", Moment),
    Column("version", Integer, nullable=False, default=0),  # raised by every change: a stale page can't overwrite
    Column("labels", Json),
    Column("note", Text),  # why, in the reviewer's words
    Column("decided", Moment),
    UniqueConstraint("finding_id", "number"),
    Index("reading_by_reviewer", "reviewer_id", "state"),
    Index("one_reading_each", "finding_id", "reviewer_id", unique=True, sqlite_where=text("kind = 'read'"),
          postgresql_where=text("kind = 'read'")),
)  # fmt: skip

skipped = Table(
    "skipped", metadata,
    Column("finding_id", ForeignKey("finding.id"), primary_key=True),
    Column("reviewer_id", ForeignKey("reviewer.id"), primary_key=True),
    Column("at", Moment, nullable=False),
)  # fmt: skip

log = Table(
    "log", metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("reviewer_id", ForeignKey("reviewer.id")),
    Column("who", String(80), nullable=False),
    Column("action", String(20), nullable=False),
    Column("finding_id", ForeignKey("finding.id"), index=True),
    Column("reading_id", Integer),
    Column("model", String(120)),
    Column("before", Json),
    Column("after", Json),
    Column("seconds", Float),  # from lease to decision
    Column("undoes", ForeignKey("log.id"), unique=True),
    Index("log_by_reviewer", "reviewer_id", "id"),
)  # fmt: skip
