"""Peak memory and speed of `zhenyan score` on generated input; prints what was measured and writes memory.json.

The rows are short and their texts repeat, so that the model takes little of the time: what is measured is the runner
around it, on a single thread. Ids, times and streams are all different, as in an archive.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STREAM_ROWS = 900  # an hour of speech in lines of four seconds
LIMITS_MIB = {1_000_000: 250, 10_000_000: 600}
TEXTS = (
    "姐妹们看一下一号链接", "这个价格只有今天有", "喝完三高就降下来了", "库存不多了抓紧拍", "全网最低价错过没有了",
    "这款是纯棉的不起球", "吃一个疗程糖尿病就好了", "拍完记得点一下关注", "假一赔十支持退换", "颜色有三个可以选",
    "专家推荐的放心喝", "今天下单送运费险", "一米六一百斤穿M码", "抹上三天斑就没了", "明天发货中通快递",
    "国家级品质认证", "来左上角领优惠券", "保质期十八个月", "这个药不用忌口", "点赞到一万抽奖",
)  # fmt: skip


def write_input(path: Path, rows: int) -> None:
    """`rows` JSON lines of short, repeated texts, the same each time."""
    rng = random.Random(0)
    with path.open("w", encoding="utf-8") as out:
        for number in range(rows):
            stream, line = divmod(number, STREAM_ROWS)
            record = {"id": f"r{number}", "stream": f"room{stream}", "start": line * 4.0, "end": line * 4.0 + 3.5,
                      "text": rng.choice(TEXTS)}  # fmt: skip
            out.write(json.dumps(record, ensure_ascii=False) + "\n")


def command(source: Path, output: Path, model: Path | None) -> list[str]:
    """The measured command."""
    program = "from zhenyan.inference.cli import main; main()"
    options = ["--no-evidence", "--no-context", "--threads", "1", "--report", str(output.with_suffix(".html"))]
    return [sys.executable, "-c", program, "score", str(source), "-o", str(output), *options,
            *(["--model", str(model)] if model else [])]  # fmt: skip


def measure(rows: int, ending: str, model: Path | None) -> dict[str, Any]:
    """One run in a process of its own: seconds, processor seconds, peak resident memory, counts."""
    with tempfile.TemporaryDirectory(prefix="zhenyan-memory-") as scratch:
        source, output = Path(scratch) / "rows.jsonl", Path(scratch) / f"out{ending}"
        write_input(source, rows)
        started = time.perf_counter()
        process = subprocess.Popen(command(source, output, model), env={**os.environ, "OMP_NUM_THREADS": "1"})
        _, status, used = os.wait4(process.pid, 0)  # unlike getrusage, of this child alone
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        if process.returncode:
            raise SystemExit(f"zhenyan score ended with {process.returncode}")
        summary = json.loads((output.parent / (output.name + ".run") / "summary.json").read_text(encoding="utf-8"))
    cpu = used.ru_utime + used.ru_stime
    return {
        "rows": rows, "output": ending, "peak_mib": round(used.ru_maxrss / 1024, 1), "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1), "rows_per_cpu_s": round(rows / cpu), "hits": summary["hits"],
        "findings": summary["findings"],
    }  # fmt: skip


def over_limit(runs: Sequence[dict[str, Any]]) -> list[str]:
    """What took more than it may."""
    return [f"{run['rows']:,} rows to {run['output']}: {run['peak_mib']} MiB, the limit is {limit}"
            for run in runs for limit in [LIMITS_MIB.get(run["rows"])] if limit and run["peak_mib"] > limit]  # fmt: skip


def main() -> None:
    """Measure all asked sizes and formats."""
    from zhenyan.inference import load_bundle
    from zhenyan.inference.doctor import machine

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 2_000_000, 10_000_000])
    parser.add_argument("--outputs", nargs="+", default=[".csv", ".parquet"], help="further formats, at the least rows")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--output", type=Path, default=HERE, help="folder to write memory.json into")
    given = parser.parse_args()
    tasks = [(min(given.rows), ending) for ending in given.outputs] + [(rows, ".jsonl") for rows in sorted(given.rows)]
    runs = []
    for rows, ending in tasks:
        runs.append(measure(rows, ending, given.model))
        print(json.dumps(runs[-1]), flush=True)
    results = {
        "date": date.today().isoformat(), "machine": machine(), "bundle": load_bundle(given.model).id, "runs": runs
    }  # fmt: skip
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "memory.json").write_text(
        json.dumps(results, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )
    print(json.dumps(results, ensure_ascii=False))
    if problems := over_limit(runs):
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
