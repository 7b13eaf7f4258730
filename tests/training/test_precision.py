"""bfloat16 where it is faster, not wherever it is understood."""

from functools import partial

import pytest
import torch
from zhenyan.inference.cpu import multiplies_bf16_faster
from zhenyan.training import precision
from zhenyan.training.config import OptimConfig

PROCESSORS = [
    ("AuthenticAMD", "avx2 avx512f avx512_bf16", True),
    ("AuthenticAMD", "avx2 avx512f", False),
    ("GenuineIntel", "avx512f avx512_bf16", False),
    ("GenuineIntel", "avx512f avx512_bf16 amx_bf16 amx_int8", True),
    ("GenuineIntel", "avx512f amx_int8", False),
]


@pytest.fixture
def on(monkeypatch, tmp_path):
    """Puts the process on a processor of some vendor with some flags, without a GPU."""

    def place(vendor, flags):
        info = tmp_path / "cpuinfo"
        info.write_text(
            f"processor\t: 0\nvendor_id\t: {vendor}\nmodel name\t: Chip\nflags\t\t: fpu {flags}\n\nprocessor\t: 1\n"
        )
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(precision, "multiplies_bf16_faster", partial(multiplies_bf16_faster, info))

    return place


@pytest.mark.parametrize(("vendor", "flags", "faster"), PROCESSORS)
@pytest.mark.parametrize(("asked", "given"), [("auto", None), ("bf16", "bf16"), ("fp32", "fp32"), ("fp16", "fp16")])
def test_auto_takes_what_the_processor_multiplies_faster(on, vendor, flags, faster, asked, given):
    on(vendor, flags)
    config = OptimConfig(precision=asked)
    taken = given or ("bf16" if faster else "fp32")
    assert precision.arithmetic(config) == taken and precision.uses_bf16(config) is (taken == "bf16")
    assert precision.bf16_is_faster() is faster


def test_where_nothing_is_told_of_the_processor_float_is_taken(tmp_path):
    assert multiplies_bf16_faster(tmp_path / "none") is False


@pytest.mark.parametrize("supported", [True, False])
def test_a_gpu_is_asked_itself(monkeypatch, supported):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: supported)
    assert precision.uses_bf16(OptimConfig()) is supported
