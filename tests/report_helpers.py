"""Finished runs for the report's tests, built without a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zhenyan.inference.io.jsonlines import dump_line
from zhenyan.inference.runs.store import RunFolder
from zhenyan.inference.runs.streams import verdict

HOSTILE = "<script>document.title='taken'</script><img src=x onerror=alert(1)>\u202e倒着"
CLAIM = "喝完这个茶三高就降下来了"


def finding(number: int, stream: str = "茶叶直播间", **more: Any) -> dict[str, Any]:
    """A finding with a time code; the lower the number, the higher the risk."""
    time = {"place": f"line {number}", "row": number, "start": 5.0 * number, "end": 5.0 * number + 4}
    evidence = [{"start": 6, "end": 12, "text": CLAIM[6:12], "label": "food_safety"}]
    return {
        "id": f"f{number:06d}", "stream": stream, "label": "food_safety", "score": 0.9, "threshold": 0.5,
        "risk": round(1 - number / 100_000, 5), "count": 1, "text": CLAIM, "evidence": evidence, "context": False,
        "place": {"file": "a.jsonl", **time}, "times": [time], "before": ["前一句"], "after": ["后一句"],
    } | more  # fmt: skip


def many_findings(count: int) -> list[dict[str, Any]]:
    """So many findings of one stream, every tenth of them of another label."""
    return [finding(n, label="price_fraud" if n % 10 == 0 else "food_safety") for n in range(1, count + 1)]


def stream_record(name: str, found: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    """The line of streams.jsonl for these findings."""
    risk = max((f["risk"] for f in found), default=0)
    return {
        "stream": name, "verdict": verdict(len(found), risk), "risk": risk, "findings": len(found),
        "labels": {"food_safety": len(found)} if found else {}, "lines": 40, "hits": len(found), "first": 1, "last": 40,
    } | more  # fmt: skip


def make_run(folder: Path, findings: Sequence[Mapping[str, Any]], streams: Sequence[Mapping[str, Any]]) -> RunFolder:
    """The folder of a finished run."""
    verdicts = {name: sum(s["verdict"] == name for s in streams) for name in ("high", "medium", "low", "none")}
    summary = {"rows": 100, "hits": 9, "rejects": 1, "findings": len(findings), "streams": verdicts, "notes": [],
               "output_sha256": "0" * 64}  # fmt: skip
    thresholds = dict.fromkeys((found["label"] for found in findings), 0.5)
    manifest = {"bundle": "b", "output": "out.jsonl", "thresholds": thresholds, "options": {},
                "inputs": [{"path": "a.jsonl"}]}  # fmt: skip
    run = write_run(folder, manifest, summary, findings)
    (run.path / "streams.jsonl").write_bytes(b"".join(map(dump_line, streams)))
    return run


def write_run(
    folder: Path, manifest: Mapping[str, Any], summary: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]
) -> RunFolder:
    """A finished run without its streams."""
    path = folder / "out.jsonl.run"
    path.mkdir(parents=True, exist_ok=True)
    (path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (path / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    (path / "findings.jsonl").write_bytes(b"".join(map(dump_line, findings)))
    return RunFolder(path)
