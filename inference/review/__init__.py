"""The review page: reviewers decide on a run's findings in a browser; needs the extra `review`.

A queue with leases hands findings out, every decision goes to an append-only log, and decisions leave again as corpus
rows, Label Studio tasks, tables and case files.
"""
