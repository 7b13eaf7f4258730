"""How many processors this process may really use: affinity mask and cgroup quota, not the host's core count."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu")


def _quota(v2: Path = _CGROUP_V2, v1: Path = _CGROUP_V1) -> float | None:
    """CPU quota of the cgroup in processors, or None where there is none."""
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
