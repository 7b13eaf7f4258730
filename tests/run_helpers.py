"""What tests of scoring runs share: how many rows, in which parts, with which options."""

from zhenyan.inference.runs import RunOptions

ROWS, PART = 24, 5
QUICK = RunOptions(evidence=False, context=False)
