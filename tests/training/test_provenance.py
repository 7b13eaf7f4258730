"""What a run says it was made from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rich.console import Console
from zhenyan.inference.cpu import allowed_cpus
from zhenyan.training import average, cross_validation, export, train
from zhenyan.training.config import OptimConfig
from zhenyan.training.provenance import machine, threads


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


QUIET = Console(quiet=True)


@pytest.fixture
def threads_before():
    """Another number of threads than the configuration's, put back afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads_before")
@pytest.mark.parametrize(
    ("module", "first", "run"),
    [
        (train, "load_schema", lambda config: train.train(config, console=QUIET)),
        (cross_validation, "load_schema", lambda config: cross_validation.cross_validate(config, 2, QUIET)),
        (average, "load_schema", lambda config: average.average(config, {}, QUIET)),
        (export, "check_output", lambda config: export.export_run(Path("run"), Path("bundle"), QUIET)),
    ],
)
def test_threads_are_the_configurations_before_any_model_is_run(small_config, monkeypatch, module, first, run):
    def stop(*_):
        raise InterruptedError(f"{torch.get_num_threads()} threads")

    monkeypatch.setattr(module, first, stop)
    monkeypatch.setattr(export, "config_of", lambda *_: small_config)
    with pytest.raises(InterruptedError, match="1 threads"):
        run(small_config)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_run_says_in_which_arithmetic_it_was_made(precision):
    assert machine(OptimConfig(precision=precision))["precision"] == precision
    assert machine(OptimConfig())["precision"] in ("bf16", "fp32")
