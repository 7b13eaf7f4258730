"""Alembic migrations of the review database; database.py runs them at start."""
