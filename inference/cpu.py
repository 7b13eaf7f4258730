"""The processor: how many this process may really use (affinity mask, cgroup quota), its name, what it can do."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu")
_OWN = Path("/proc/self/cgroup")
_CPUINFO = Path("/proc/cpuinfo")


def _groups(own: Path) -> set[Path]:
    """The cgroups this process computes in and those around them, by their paths below the mounted root, which is Path()."""
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except (OSError, ValueError):
        lines = []
    paths = [Path(line[2].lstrip("/")) for line in lines if len(line) == 3 and {"", "cpu"} & set(line[1].split(","))]
    return {Path(), *(group for path in paths for group in (path, *path.parents))}


def _limit(v2: Path, v1: Path) -> float | None:
    """CPU quota of one cgroup in processors, or None where there is none."""
    try:
        limit, period = v2.read_text().split()[:2]
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        pass
    try:
        limit = (v1 / "cpu.cfs_quota_us").read_text()
        return int(limit) / int((v1 / "cpu.cfs_period_us").read_text()) if int(limit) > 0 else None
    except (OSError, ValueError):
        return None


def _quota(v2: Path = _CGROUP_V2, v1: Path = _CGROUP_V1, own: Path = _OWN) -> float | None:
    """The least CPU quota in processors of the cgroups that this process is in, or None where there is none.

    A container's is at the root as the container sees it, a systemd service's (CPUQuota=) below.
    """
    limits = [_limit(v2.parent / group / v2.name, v1 / group) for group in _groups(own)]
    return min((limit for limit in limits if limit is not None), default=None)


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def allowed_cpus() -> int:
    """Processors this process may use at once, at least 1.

    ONNX Runtime sizes its pool from the host and ignores container quotas, so every session here gets this number.
    """
    quota = _quota()
    cpus = _affinity()
    return max(1, cpus if quota is None else min(cpus, math.ceil(quota)))


def _fields(cpuinfo: Path) -> dict[str, str]:
    """What Linux tells of the first processor; nothing elsewhere."""
    try:
        first = cpuinfo.read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}


def processor(cpuinfo: Path = _CPUINFO) -> tuple[str, frozenset[str]]:
    """Name and flags of the first processor as Linux tells them; empty elsewhere."""
    fields = _fields(cpuinfo)
    return fields.get("model name", ""), frozenset(fields.get("flags", "").split())


def multiplies_int8_exactly(flags: frozenset[str]) -> bool:
    """Whether uint8 × int8 products are summed without overflow (VNNI); with AVX2 alone they saturate at 16 bits."""
    return not flags.isdisjoint({"avx512_vnni", "avx_vnni"})


def multiplies_bf16_faster(cpuinfo: Path = _CPUINFO) -> bool:
    """Whether products in bfloat16 are faster than in float, by what the processor is: never by a timing, which load draws.

    Measured on two cores: AMX makes an Intel Xeon nine times as fast, AVX512-BF16 an AMD EPYC 2.2 times, but an Intel Xeon
    without AMX only 0.55 times.
    """
    flags = processor(cpuinfo)[1]
    return "amx_bf16" in flags or ("avx512_bf16" in flags and _fields(cpuinfo).get("vendor_id") == "AuthenticAMD")
