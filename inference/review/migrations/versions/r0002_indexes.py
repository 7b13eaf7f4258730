"""Indexes for long runs: one for each order of the queue, and each reviewer's last step."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_FINDING = {
    "finding_by_risk": ["run_id", "state", "risk", "position", "stream"],
    "finding_by_label": ["run_id", "label", "state", "risk", "position", "stream"],
    "finding_by_time": ["run_id", "state", "stream", "start", "position"],
    "finding_by_rank": ["run_id", "risk", "position", "stream", "label"],
    "finding_by_stream": ["run_id", "stream", "start", "position"],
    "finding_in_order": ["run_id", "position"],
}


def upgrade() -> None:
    """Replace the two narrow indexes of findings, add the others."""
    for name in ("finding_by_risk", "finding_by_stream"):
        op.drop_index(name, "finding")
    for name, columns in _FINDING.items():
        op.create_index(name, "finding", columns)
    op.create_index("log_by_reviewer", "log", ["reviewer_id", "id"])
