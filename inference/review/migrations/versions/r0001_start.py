"""The first tables, and triggers that keep the log append-only."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column, ForeignKey

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)

_SQLITE = (
    "CREATE TRIGGER log_no_update BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END",
    "CREATE TRIGGER log_no_delete BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END",
    # INSERT OR REPLACE deletes without a delete trigger, so a taken id is refused before it gets there.
    "CREATE TRIGGER log_no_replace BEFORE INSERT ON log "
    "WHEN EXISTS (SELECT 1 FROM log WHERE id = NEW.id OR undoes = NEW.undoes) "
    "BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END",
)
_POSTGRESQL = (
    "CREATE FUNCTION log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the log is append-only'; END $$",
    "CREATE TRIGGER log_no_change BEFORE UPDATE OR DELETE ON log FOR EACH ROW EXECUTE FUNCTION log_is_append_only()",
    "CREATE TRIGGER log_no_truncate BEFORE TRUNCATE ON log FOR EACH STATEMENT EXECUTE FUNCTION log_is_append_only()",
)


def upgrade() -> None:
    """Build everything."""
    _people()
    _findings()
    _log()
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)


def _people() -> None:
    table = op.create_table(
        "secret",
        Column("name", sa.String(40), primary_key=True),
        Column("value", sa.String(200), nullable=False),
    )
    op.bulk_insert(table, [{"name": "csrf", "value": secrets.token_urlsafe(32)}])
    op.create_table(
        "reviewer",
        Column("id", sa.Integer, primary_key=True),
        Column("name", sa.String(80), nullable=False, unique=True),
        Column("role", sa.String(20), nullable=False),
        Column("password", sa.String(300)),
        Column("active", sa.Boolean, nullable=False),
        Column("created", _MOMENT, nullable=False),
    )
    op.create_table(
        "login",
        Column("token", sa.String(64), primary_key=True),
        Column("reviewer_id", sa.Integer, ForeignKey("reviewer.id"), nullable=False, index=True),
        Column("created", _MOMENT, nullable=False),
        Column("seen", _MOMENT, nullable=False),
    )
    op.create_table(
        "throttle",
        Column("key", sa.String(120), primary_key=True),
        Column("failures", sa.Integer, nullable=False),
        Column("since", _MOMENT, nullable=False),
        Column("locked_until", _MOMENT),
    )


def _findings() -> None:
    op.create_table(
        "run",
        Column("id", sa.Integer, primary_key=True),
        Column("digest", sa.String(64), nullable=False, unique=True),
        Column("name", sa.Text, nullable=False),
        Column("bundle", sa.String(120), nullable=False),
        Column("added", _MOMENT, nullable=False),
    )
    op.create_table(
        "finding",
        Column("id", sa.Integer, primary_key=True),
        Column("run_id", sa.Integer, ForeignKey("run.id"), nullable=False),
        Column("key", sa.String(20), nullable=False),
        Column("position", sa.Integer, nullable=False),
        Column("stream", sa.Text, nullable=False),
        Column("label", sa.String(80), nullable=False),
        Column("risk", sa.Float, nullable=False),
        Column("start", sa.Float),
        Column("record", sa.Text, nullable=False),
        Column("state", sa.String(12), nullable=False),
        Column("labels", sa.Text),
        Column("decided", _MOMENT),
        sa.UniqueConstraint("run_id", "key"),
    )
    op.create_index("finding_by_risk", "finding", ["run_id", "state", "risk"])
    op.create_index("finding_by_stream", "finding", ["run_id", "stream"])
    op.create_table(
        "reading",
        Column("id", sa.Integer, primary_key=True),
        Column("finding_id", sa.Integer, ForeignKey("finding.id"), nullable=False),
        Column("number", sa.Integer, nullable=False),
        Column("kind", sa.String(8), nullable=False),
        Column("state", sa.String(8), nullable=False),
        Column("reviewer_id", sa.Integer, ForeignKey("reviewer.id")),
        Column("leased", _MOMENT),
        Column("lease_until", _MOMENT),
        Column("version", sa.Integer, nullable=False),
        Column("labels", sa.Text),
        Column("decided", _MOMENT),
        sa.UniqueConstraint("finding_id", "number"),
    )
    op.create_index("reading_by_reviewer", "reading", ["reviewer_id", "state"])
    only_reads = sa.text("kind = 'read'")
    op.create_index(
        "one_reading_each", "reading", ["finding_id", "reviewer_id"], unique=True,
        sqlite_where=only_reads, postgresql_where=only_reads,
    )  # fmt: skip
    op.create_table(
        "skipped",
        Column("finding_id", sa.Integer, ForeignKey("finding.id"), primary_key=True),
        Column("reviewer_id", sa.Integer, ForeignKey("reviewer.id"), primary_key=True),
        Column("at", _MOMENT, nullable=False),
    )


def _log() -> None:
    op.create_table(
        "log",
        Column("id", sa.Integer, primary_key=True),
        Column("at", _MOMENT, nullable=False),
        Column("reviewer_id", sa.Integer, ForeignKey("reviewer.id")),
        Column("who", sa.String(80), nullable=False),
        Column("action", sa.String(20), nullable=False),
        Column("finding_id", sa.Integer, ForeignKey("finding.id"), index=True),
        Column("reading_id", sa.Integer),
        Column("model", sa.String(120)),
        Column("before", sa.Text),
        Column("after", sa.Text),
        Column("seconds", sa.Float),
        Column("undoes", sa.Integer, ForeignKey("log.id"), unique=True),
    )
