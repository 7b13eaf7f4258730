"""What a run says it was made from."""

from __future__ import annotations

import pytest
from zhenyan.inference.cpu import allowed_cpus
from zhenyan.training.config import OptimConfig
from zhenyan.training.provenance import threads


@pytest.mark.parametrize(
    ("stated", "expected"),
    [("3", 3), ("2,1", 2), (" 5 , 1", 5), ("", None), (",4", None), ("0", None), ("many", None), (None, None)],
)
def test_threads_are_those_of_the_environment_where_it_says_so(monkeypatch, stated, expected):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if stated is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", stated)
    assert threads(OptimConfig()) == (expected or allowed_cpus())
    assert threads(OptimConfig(threads=7)) == 7
