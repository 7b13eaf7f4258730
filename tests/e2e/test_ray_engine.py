"""Scoring on a real Ray cluster of several nodes on this machine: whatever dies, the result is the local run's."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from zhenyan.inference.cpu import allowed_cpus
from zhenyan.inference.errors import ConfigError, ZhenyanError
from zhenyan.inference.runs import Job, RunFolder, RunOptions, local_engine, run_job
from zhenyan.inference.runs.inputs import Work
from zhenyan.inference.runs.ray_engine import ATTEMPTS, ClusterOptions, ray_engine
from zhenyan.inference.runs.scoring import open_classifier

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.alone]  # loaded, and killed by the clock

ZHENYAN = Path(sys.executable).with_name("zhenyan")
OPTIONS = RunOptions(evidence=False)
PART_ROWS = 12


@pytest.fixture(scope="module")
def cluster():
    """A head without processors, and three nodes of one processor each."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(3):
        cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.fixture(scope="module")
def source(tmp_path_factory, sample_texts):
    """A text file of some tens of parts."""
    path = tmp_path_factory.mktemp("rows") / "rows.txt"
    path.write_text("\n".join(sample_texts), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def job(source):
    """The job of a run with this output."""
    return lambda output: Job([str(source)], output, OPTIONS, part_rows=PART_ROWS)


@pytest.fixture(scope="module")
def here():
    """The local engine, deciding as the actors do."""
    return local_engine(open_classifier(None, OPTIONS, threads=1), OPTIONS.context)


@pytest.fixture(scope="module")
def local(classifier, here, job, tmp_path_factory):
    """What the local engine makes of it."""
    output = tmp_path_factory.mktemp("local") / "out.jsonl"
    run_job(job(output), classifier.bundle, here)
    return contents(output)


@pytest.fixture
def engine(cluster, classifier):
    """The Ray engine on the cluster, with fewer actors than it has room for."""
    return lambda options=OPTIONS: ray_engine(classifier.bundle, options, ClusterOptions(cluster.address, actors=2))


def contents(output: Path) -> list[bytes]:
    """Output, findings, streams and rejects."""
    folder = RunFolder.of_output(output).path
    return [output.read_bytes(), *((folder / f"{n}.jsonl").read_bytes() for n in ("findings", "streams", "rejects"))]


def actors(cluster) -> list[int]:
    """Process ids of the cluster's actors: children of its raylets, which Ray names after their class."""
    raylets = {str(node.all_processes["raylet"][0].process.pid) for node in cluster.list_all_nodes()}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            if parent in raylets and (process / "cmdline").read_bytes().startswith(b"ray::Scorer"):
                found.append(int(process.name))
    return found


def wait_for_parts(folder: RunFolder, count: int, process: subprocess.Popen[bytes]) -> None:
    """Until a run is under way."""
    while not folder.path.exists() or len(folder.done()) < count:
        assert process.poll() is None
        time.sleep(0.02)


def test_a_node_is_killed_mid_run(tmp_path, cluster, source, local):
    output = tmp_path / "out.jsonl"
    command = [ZHENYAN, "score", source, "-o", output, "--no-evidence", "--part-rows", str(PART_ROWS), "--engine", "ray",
               "--ray-address", cluster.address, "--actors", "3"]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        wait_for_parts(RunFolder.of_output(output), 3, process)
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        assert process.poll() is None  # still at work when it happened
        said = process.communicate(timeout=300)[1].decode()
    cluster.add_node(num_cpus=1)
    assert process.returncode == 0, said
    assert contents(output) == local


def test_actors_are_killed_and_a_run_changes_engines(tmp_path, classifier, cluster, job, here, engine, local):
    """Begun here, cut off, gone on with on the cluster, where every actor is killed once."""
    output = tmp_path / "out.jsonl"

    def broken(works):
        yield next(here(works))
        raise ZhenyanError("cut off")

    with pytest.raises(ZhenyanError, match="cut off"):
        run_job(job(output), classifier.bundle, broken)
    killed: list[int] = []

    def kill(progress):
        if progress.rows >= 3 * PART_ROWS and len(killed) < 3:
            victim = next((pid for pid in actors(cluster) if pid not in killed), None)
            if victim:
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)

    run_job(job(output), classifier.bundle, engine(), kill)
    assert len(killed) == 3
    assert contents(output) == local


class Deadly:
    """What brings down any process that unpickles it, like a part that doesn't fit in memory."""

    def __reduce__(self):
        return os._exit, (1,)


def test_a_part_that_kills_its_actors_ends_the_run_with_a_message(engine):
    works = iter([Work(7, None, (Deadly(),))])
    with pytest.raises(ZhenyanError, match=rf"part 7 lost its actor {ATTEMPTS} times.*kept; if memory ran out"):
        list(engine()(works))


def test_mistakes_get_a_message(classifier, engine):
    works = iter([Work(0, None, ())])
    with pytest.raises(ZhenyanError, match="on the cluster: unknown label no_such_label"):
        list(engine(RunOptions(labels=("no_such_label",)))(works))
    nobody = ray_engine(classifier.bundle, OPTIONS, ClusterOptions("127.0.0.1:9"))
    with pytest.raises(ConfigError, match=r"--ray-address 127\.0\.0\.1:9: .*refused.*`ray status`"):
        list(nobody(works))


def test_an_actor_that_this_machine_can_never_hold_is_told_at_once(classifier, monkeypatch):
    """It was waited for ten minutes, as for an autoscaler's machine; the cluster of this machine alone has none."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    alone = ray_engine(classifier.bundle, OPTIONS, ClusterOptions(threads=allowed_cpus() + 1))
    with pytest.raises(ConfigError, match=rf"--threads {allowed_cpus() + 1}: .* {allowed_cpus()} at most; lower"):
        list(alone(iter([Work(0, None, ())])))


def test_more_actors_than_processors_are_waited_for_by_nobody(classifier, cluster):
    engine = ray_engine(classifier.bundle, OPTIONS, ClusterOptions(cluster.address, actors=9))
    found = list(engine(Work(number, None, ()) for number in range(12)))
    assert sorted(number for number, _ in found) == list(range(12)) and len({lines for _, lines in found}) == 1
