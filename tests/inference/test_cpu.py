"""The real allowance of processors: affinity and cgroup quota."""

from __future__ import annotations

import os

import onnxruntime
import pytest
from zhenyan.inference import cpu, session
from zhenyan.inference.bundle import DEFAULT_BUNDLE


@pytest.mark.parametrize(("text", "quota"), [
    ("max 100000\n", None), ("200000 100000\n", 2.0), ("150000 100000\n", 1.5), ("", None), ("broken", None),
])  # fmt: skip
def test_quota_of_cgroup_v2(tmp_path, text, quota):
    (tmp_path / "cpu.max").write_text(text)
    assert cpu._quota(tmp_path / "cpu.max", tmp_path / "none") == quota


@pytest.mark.parametrize(("limit", "quota"), [("-1", None), ("50000", 0.5)])
def test_quota_of_cgroup_v1(tmp_path, limit, quota):
    (tmp_path / "cpu.cfs_quota_us").write_text(limit)
    (tmp_path / "cpu.cfs_period_us").write_text("100000")
    assert cpu._quota(tmp_path / "none", tmp_path) == quota


@pytest.mark.parametrize(("own", "quota"), [
    ("0::/system.slice/zhenyan.service\n", 2.0), ("0::/system.slice/other.service\n", 3.0), ("0::/user.slice\n", None), ("0::/\n", None),
    ("5:memory:/system.slice\n4:cpu,cpuacct:/slice\n0::/\n", 0.5), ("3:cpuset:/slice\n1:cpu:/\n", None), ("broken", None),
])  # fmt: skip
def test_the_least_quota_of_the_cgroups_around_a_service_counts(tmp_path, own, quota):
    """systemd's CPUQuota= stands in the service's cgroup; what /proc/self/cgroup names is below the mounts."""
    for folder, limit in (
        ("system.slice", "300000"),
        ("system.slice/zhenyan.service", "200000"),
        ("user.slice", "max"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cpu.max").write_text(f"{limit} 100000\n")
    (tmp_path / "v1" / "slice").mkdir(parents=True)
    (tmp_path / "v1" / "slice" / "cpu.cfs_quota_us").write_text("50000")
    (tmp_path / "v1" / "slice" / "cpu.cfs_period_us").write_text("100000")
    (tmp_path / "own").write_text(own)
    assert cpu._quota(tmp_path / "cpu.max", tmp_path / "v1", tmp_path / "own") == quota


@pytest.mark.parametrize(("quota", "affinity", "allowed"), [(None, 8, 8), (1.5, 8, 2), (0.2, 8, 1), (16.0, 4, 4)])
def test_the_smaller_of_both_counts(monkeypatch, quota, affinity, allowed):
    monkeypatch.setattr(cpu, "_quota", lambda: quota)
    monkeypatch.setattr(cpu, "_affinity", lambda: affinity)
    assert cpu.allowed_cpus() == allowed


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity masks")
def test_affinity_is_seen():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert cpu.allowed_cpus() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(("flags", "exact"), [
    ("fpu avx2 avx512f avx512_vnni", True), ("fpu avx2 avx_vnni", True), ("fpu avx2 avx512f", False), ("", False),
])  # fmt: skip
def test_int8_products_are_exact_with_vnni_only(tmp_path, flags, exact):
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor\t: 0\nmodel name\t: Some Chip @ 2:1\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
    name, found = cpu.processor(info)
    assert name == "Some Chip @ 2:1" and cpu.multiplies_int8_exactly(found) is exact
    assert cpu.processor(tmp_path / "none") == ("", frozenset())


@pytest.mark.parametrize("flags", [{"avx2"}, {"avx2", "avx_vnni"}])
def test_the_exact_product_is_asked_for_where_the_fast_one_overflows(monkeypatch, flags):
    asked = {}
    entry = onnxruntime.SessionOptions.add_session_config_entry
    monkeypatch.setattr(session, "processor", lambda: ("", frozenset(flags)))
    monkeypatch.setattr(onnxruntime.SessionOptions, "add_session_config_entry",
                        lambda self, key, value: (asked.update({key: value}), entry(self, key, value)))  # fmt: skip
    session.open_session(DEFAULT_BUNDLE / "model.onnx", threads=1)
    assert asked == ({} if "avx_vnni" in flags else {"session.x64quantprecision": "1"})
