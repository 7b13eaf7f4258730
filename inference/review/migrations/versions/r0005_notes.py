"""A note with each decision; findings that a reviewer marked are told from the model's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No decision has a note so far, and every finding is the model's."""
    op.add_column("reading", sa.Column("note", sa.Text))
    op.add_column("finding", sa.Column("origin", sa.String(8), nullable=False, server_default="model"))
