"""Alembic's entry: migrate over the connection that database.py hands in."""

from __future__ import annotations

from alembic import context
from zhenyan.inference.review.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
