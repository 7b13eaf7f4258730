"""Scoring runs: files in, scored rows out, behind them a folder from which a cut-off run goes on.

A run's folder holds manifest.json (inputs with digests, bundle, options), parts/ (a fixed number of rows each, written
atomically), rejects.jsonl, notes.txt, findings.jsonl, streams.jsonl and summary.json; a review adds review.db and reviewed.txt, a
table of the findings or an export of decisions tables.txt.
"""

from zhenyan.inference.runs.job import Job, local_engine, run_job
from zhenyan.inference.runs.scoring import RunOptions
from zhenyan.inference.runs.store import RunFolder

__all__ = ["Job", "RunFolder", "RunOptions", "local_engine", "run_job"]
