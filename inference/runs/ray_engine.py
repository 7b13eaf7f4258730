"""Scoring on a Ray cluster: actors that hold one session each and are fed part by part.

This process reads the inputs and writes the parts, exactly as without a cluster; an actor turns one part into its lines.
Those depend on nothing but the part, so whatever dies, its part goes to another actor and the result is the same.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zhenyan.inference.bundle import MANIFEST, Bundle, files_of
from zhenyan.inference.classifier import Classifier
from zhenyan.inference.cpu import allowed_cpus
from zhenyan.inference.errors import ConfigError, MissingExtra, ZhenyanError
from zhenyan.inference.runs.inputs import Work
from zhenyan.inference.runs.job import Engine
from zhenyan.inference.runs.scoring import RunOptions, open_classifier, score_part

ATTEMPTS = 5  # a part that took so many actors with it is held to be the cause; as many failed starts end the run
START_SECONDS = 600  # how long to wait while no actor at all is running; an autoscaler needs minutes for a machine


@dataclass(frozen=True)
class ClusterOptions:
    """Which Ray cluster, how many actors (as many as it has processors for), and threads of each."""

    address: str | None = None
    actors: int | None = None
    threads: int = 1


class Scorer:
    """What runs on the cluster: one classifier. Errors travel as text, for not every error survives pickling."""

    def __init__(self, options: RunOptions, threads: int) -> None:
        os.environ["RAYON_NUM_THREADS"] = str(threads)  # the tokenizer's threads; the session has its own
        self.options, self.threads = options, threads
        self.classifier: Classifier | None = None

    def load(self, files: dict[str, bytes]) -> str:
        """Open the bundle from its bytes, so that every node has the driver's and no shared disk is needed."""
        with tempfile.TemporaryDirectory(prefix="zhenyan-") as folder:
            for name, data in files.items():
                (Path(folder) / name).write_bytes(data)
            try:
                self.classifier = open_classifier(folder, self.options, self.threads)
            except ZhenyanError as error:
                return str(error)
        return ""

    def score(self, work: Work) -> tuple[bytes, str]:
        """Lines of one part, or what is wrong."""
        assert self.classifier is not None
        try:
            return score_part(self.classifier, work, self.options.context), ""
        except ZhenyanError as error:
            return b"", str(error)


def ray_engine(bundle: Bundle, options: RunOptions, cluster: ClusterOptions) -> Engine:
    """Scores on a Ray cluster; MissingExtra when Ray isn't installed, ConfigError when the cluster can't be joined."""
    try:
        import ray
    except ImportError:
        raise MissingExtra("ray", "ray") from None

    def run(works: Iterator[Work]) -> Generator[tuple[int, bytes], None, None]:
        ours = _join(ray, cluster)
        try:
            yield from _Pool(ray, bundle, options, cluster).run(works)
        finally:
            if ours:
                ray.shutdown()

    return run


def _join(ray: Any, cluster: ClusterOptions) -> bool:
    """Connect to the cluster, or start one on this machine; False when this process is connected already."""
    if ray.is_initialized():
        return False
    address = cluster.address or os.environ.get("RAY_ADDRESS") or "local"
    cpus = allowed_cpus()
    if address == "local" and cluster.threads > cpus:  # Ray would wait for a machine that nobody adds
        raise ConfigError(
            f"--threads {cluster.threads}: an actor on this machine alone can have {cpus} at most; lower --threads, "
            "or name a cluster with --ray-address"
        )
    more = {"num_cpus": cpus, "include_dashboard": False} if address == "local" else {}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the machine unasked
    try:
        _knock(address)
        ray.init(address, log_to_driver=False, logging_level="error", **more)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ConfigError(
            f"--ray-address {address}: {_last_line(error)}; is a Ray node running on this machine? `ray status` tells"
        ) from None
    return True


def _knock(address: str) -> None:
    """OSError when nobody listens at host:port; Ray itself would go on trying for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _last_line(error: BaseException) -> str:
    """The line of Ray's long messages that says what happened."""
    lines = [line.strip(" .") for line in str(error).splitlines() if line.strip(" .")]
    return lines[-1] if lines else type(error).__name__


@dataclass
class _Part:
    """A part on its way; the work lies in Ray's object store, so that parts in flight don't fill this process."""

    number: int
    work: Any
    attempts: int = 0


class _Pool:
    """Actors, each with one part at a time. A lost actor is replaced, its part given to the next that is free."""

    def __init__(self, ray: Any, bundle: Bundle, options: RunOptions, cluster: ClusterOptions) -> None:
        self.ray = ray
        self.size = cluster.actors or max(1, int(ray.cluster_resources().get("CPU", 0)) // cluster.threads)
        names = (MANIFEST, *files_of(bundle.manifest))
        self.files = ray.put({name: (bundle.folder / name).read_bytes() for name in names})
        remote = ray.remote(num_cpus=cluster.threads, max_restarts=0)(Scorer)
        self.start: Callable[[], Any] = lambda: remote.remote(options, cluster.threads)
        self.idle: list[Any] = []
        self.loading: dict[Any, Any] = {}  # awaited reference -> actor
        self.scoring: dict[Any, tuple[Any, _Part]] = {}
        self.again: list[_Part] = []  # parts whose actor was lost
        self.failed_starts = 0

    def run(self, works: Iterator[Work]) -> Generator[tuple[int, bytes], None, None]:
        """Lines of every part, as they are finished."""
        coming = (_Part(work.number, self.ray.put(work)) for work in works)
        ahead = next(coming, None)  # read while the actors are at work
        while ahead or self.again or self.scoring:
            while self.idle and (part := self.again.pop() if self.again else ahead):
                self._give(part)
                if part is ahead:
                    ahead = next(coming, None)
            self._fill()
            yield from self._wait()

    def _fill(self) -> None:
        while len(self.idle) + len(self.loading) + len(self.scoring) < self.size:
            actor = self.start()
            self.loading[actor.load.remote(self.files)] = actor

    def _give(self, part: _Part) -> None:
        actor = self.idle.pop()
        self.scoring[actor.score.remote(part.work)] = (actor, part)

    def _wait(self) -> Iterator[tuple[int, bytes]]:
        done, _ = self.ray.wait([*self.scoring, *self.loading], timeout=START_SECONDS)
        for reference in done:
            if reference in self.loading:
                self._loaded(reference)
            else:
                yield from self._scored(reference)
        if not done and not self.scoring:
            raise ConfigError(
                f"no Ray actor started within {START_SECONDS} s: the cluster has "
                f"{self.ray.available_resources().get('CPU', 0):g} free CPUs; see `ray status`, or lower --threads"
            )

    def _loaded(self, reference: Any) -> None:
        actor = self.loading.pop(reference)
        try:
            problem = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            self._failed_start(error)
            return
        if problem:
            raise ZhenyanError(f"on the cluster: {problem}")
        self.failed_starts = 0
        self.idle.append(actor)

    def _failed_start(self, error: Exception) -> None:
        """Try again, but do with fewer actors once it fails each time: a machine of the cluster may lack something."""
        self.failed_starts += 1
        if self.failed_starts >= ATTEMPTS:
            self.size -= 1
        if not self.size:
            raise ConfigError(
                f"no Ray actor could start: {_last_line(error)}; is the same zhenyan installed on every node?"
            ) from None

    def _scored(self, reference: Any) -> Iterator[tuple[int, bytes]]:
        actor, part = self.scoring.pop(reference)
        try:
            lines, problem = self.ray.get(reference)
        except self.ray.exceptions.RayTaskError:
            raise  # a fault of this program, the same on any actor
        except self.ray.exceptions.RayError as error:
            self._lost(part, error)
            return
        if problem:
            raise ZhenyanError(f"part {part.number}: {problem}")
        self.idle.append(actor)
        yield part.number, lines

    def _lost(self, part: _Part, error: Exception) -> None:
        part.attempts += 1
        if part.attempts == ATTEMPTS:
            raise ZhenyanError(
                f"part {part.number} lost its actor {ATTEMPTS} times, the last time to: {_last_line(error)}; "
                "what was scored so far is kept; if memory ran out, use fewer --actors"
            ) from None
        self.again.append(part)
