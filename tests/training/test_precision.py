"""bfloat16 where it is faster, not wherever it is understood."""

import pytest
import torch
from zhenyan.training import precision
from zhenyan.training.config import OptimConfig


@pytest.mark.parametrize(("half", "single", "faster"), [(1.0, 2.2, True), (2.0, 1.1, False)])
@pytest.mark.parametrize(("asked", "given"), [("auto", None), ("bf16", True), ("fp32", False)])
def test_auto_takes_what_multiplies_faster(monkeypatch, half, single, faster, asked, given):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(precision, "product_seconds", {torch.bfloat16: half, torch.float32: single}.__getitem__)
    precision.bf16_is_faster.cache_clear()
    try:
        assert precision.uses_bf16(OptimConfig(precision=asked)) is (faster if given is None else given)
    finally:
        precision.bf16_is_faster.cache_clear()


def test_a_product_is_timed():
    # 1.2 GFLOP: no processor needs less than a microsecond, and none of those it runs on a minute
    assert 1e-6 < precision.product_seconds(torch.float32) < 60
