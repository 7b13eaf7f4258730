"""What tests of scoring runs share: how many rows, in which parts, with which options, and what comes of them."""

from pathlib import Path

from zhenyan.inference.runs import RunFolder, RunOptions

ROWS, PART = 24, 5
QUICK = RunOptions(evidence=False, context=False)


def contents(folder: RunFolder, output: Path) -> list[bytes]:
    """Everything a run is asked for."""
    names = ("findings.jsonl", "streams.jsonl", "rejects.jsonl")
    return [output.read_bytes(), *((folder.path / name).read_bytes() for name in names)]


def no_engine(works):
    """An engine for runs that have nothing left to score."""
    assert not list(works)
    yield from ()
