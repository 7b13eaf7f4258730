"""Findings can be looked up by their very words."""

from __future__ import annotations

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_BATCH = 500
_FINDING = sa.table("finding", sa.column("id"), sa.column("record"), sa.column("words"))


def upgrade() -> None:
    """A digest of each text, and an index of these."""
    op.add_column("finding", sa.Column("words", sa.String(32)))
    last = 0
    query = sa.select(_FINDING.c.id, _FINDING.c.record).order_by(_FINDING.c.id).limit(_BATCH)
    while rows := op.get_bind().execute(query.where(_FINDING.c.id > last)).all():
        for row in rows:
            text = json.loads(row.record)["text"].encode("utf-8", "surrogatepass")
            words = hashlib.sha256(text).hexdigest()[:32]
            op.execute(_FINDING.update().where(_FINDING.c.id == row.id).values(words=words))
        last = rows[-1].id
    op.create_index("finding_by_words", "finding", ["run_id", "words", "label", "state"])
