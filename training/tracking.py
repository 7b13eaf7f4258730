"""Experiment tracking in MLflow that a dead server can't break.

Everything is first written to a journal in the run's folder, then sent. What can't be sent stays in the journal;
`zhenyan sync RUN` sends it later, and all of it to a server that doesn't know the run. A file that is gone by then holds up nothing: it is noted, and sent when it is back.
MLFLOW_TRACKING_URI wins over the configured address. A login in the address is neither printed nor kept.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from zhenyan.inference import locks
from zhenyan.inference.errors import ConfigError
from zhenyan.training.config import TrackingConfig, without_login
from zhenyan.training.journal import JOURNAL, entries
from zhenyan.training.whole import read_object

_STATE = "tracking.json"  # the run at the server in use; the same of other servers, by run id; the parent run's folder
_PATIENCE = 60.0  # seconds until a server that was away is tried again; doubled each time it still is
_BATCH = 100  # MLflow takes at most this many parameters or tags at once
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")


def tracking_uri(config: TrackingConfig) -> str:
    """The server or store in use, with the login that may be in its address."""
    address = os.environ.get("MLFLOW_TRACKING_URI") or config.uri
    if without_login(address) != address:
        os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # MLflow's own links would show the login
    return address


def shown_uri(config: TrackingConfig) -> str:
    """The server or store in use, to print or to keep."""
    return without_login(tracking_uri(config))


def connect(config: TrackingConfig) -> Any:
    """A client of the server or store in use, its tables made if it is a database that has none.

    Processes that begin side by side wait for each other: MLflow makes SQLite's tables unguarded, and all but one would fail.
    """
    import mlflow

    address = tracking_uri(config)
    with _alone(address) if address.startswith("sqlite") else contextlib.nullcontext():
        return mlflow.MlflowClient(address)


@contextlib.contextmanager
def _alone(address: str) -> Iterator[None]:
    """Until the block ends no other process is in it for a database of the same folder, which is what is locked."""
    from sqlalchemy import make_url

    folder = Path(make_url(address).database or "").parent
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):  # no folder, or none that can be opened: what is wrong MLflow says itself
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY)
            held.callback(os.close, descriptor)
            locks.take(descriptor, wait=True)
        yield


def reason(error: Exception) -> str:
    """An error's first line, to print or to keep; where that only announces others, the last of them, too."""
    first, *others = str(error).strip().splitlines() or [type(error).__name__]
    return without_login(f"{first} {others[-1]}" if others and first.endswith(":") else first)


@dataclass
class _ServerRun:
    """The run as one server has it."""

    uri: str = ""  # where it was seen last: for the reader, since only by the run id a server is known again
    run_id: str | None = None
    sent: int = 0  # how many journal entries were sent or lacked their file
    missing: list[dict[str, Any]] = field(default_factory=list)  # artifacts that were gone when they were to be sent


class Tracker:
    """One MLflow run, backed by the journal in `folder`.

    `parent` is the folder of the tracker under whose run this one is nested.
    """

    def __init__(
        self,
        folder: Path,
        config: TrackingConfig,
        name: str,
        console: Console | None = None,
        parent: Path | None = None,
    ) -> None:
        self.folder, self.config, self.name, self.parent = folder, config, name, parent
        self.console = console or Console(stderr=True)
        self._run, self._elsewhere = _ServerRun(), list[_ServerRun]()  # at the server in use, at others
        self._known: str | None = None  # id of the run that the server in use was found to have
        self.problem = ""  # why the server doesn't have everything, if it doesn't
        self._wait, self._again = _PATIENCE, 0.0
        self._load()
        _cut_torn_line(folder / JOURNAL)

    @property
    def run_id(self) -> str | None:
        """Id of the run at the server in use, None before it is made there."""
        return self._run.run_id

    @property
    def sent(self) -> int:
        """How many journal entries that server got, or would have if their file weren't gone."""
        return self._run.sent

    def params(self, values: dict[str, Any]) -> None:
        """Log parameters (values are cut to MLflow's 6,000 characters)."""
        self._note("params", {key: str(value)[:6000] for key, value in values.items()})

    def metrics(self, values: dict[str, float], step: int = 0) -> None:
        """Log metrics at a step."""
        self._note("metrics", {"step": step, "values": {k: float(v) for k, v in values.items()}})

    def tags(self, values: dict[str, str]) -> None:
        """Set tags."""
        self._note("tags", values)

    def artifacts(self, path: Path, under: str | None = None) -> None:
        """Log a file or a folder that lies in the run's folder."""
        self._note("artifacts", {"path": str(path.resolve().relative_to(self.folder.resolve())), "under": under})

    def restart(self) -> None:
        """Mark a run that was cut off as running again."""
        self._note("restart", None)

    def finish(self, status: str = "FINISHED") -> bool:
        """Close the run (FINISHED, FAILED or KILLED); returns whether the server has everything."""
        self._note("finish", status)
        done = self.flush(patient=True)
        if gone := self.gone():
            self.console.print(
                f"[yellow]MLflow lacks what is gone: {escape(', '.join(map(str, gone)))}. To send it, too, put it back and: "
                f"zhenyan sync {escape(str(self.folder))}[/]",
                soft_wrap=True,
            )
        if not done:
            self.console.print(
                f"[yellow]MLflow at {shown_uri(self.config)} could not be reached; everything is kept in "
                f"{escape(str(self.folder))}. When it is back: zhenyan sync {escape(str(self.folder))}[/]",
                soft_wrap=True,
            )
        return done and not gone

    def gone(self) -> list[Path]:
        """The files and folders that could not be sent because they no longer exist."""
        return [self.folder / value["path"] for value in self._run.missing]

    def flush(self, patient: bool = False) -> bool:
        """Send what the server doesn't have; returns whether it has everything but what is `gone`.

        After a failure only once in a while, so that a server that hangs doesn't hold up training; `patient`: at once.
        """
        if self.problem and not patient and time.monotonic() < self._again:
            return False
        lines = [line.strip() for line in (self.folder / JOURNAL).read_text(encoding="utf-8").splitlines()]
        begun = next((line for line in lines if line), None)
        if begun is None:  # cut off before, or amid, its first entry
            return True
        try:
            client = self._client(json.loads(begun)["time"])
            for value in list(self._run.missing):
                self._send_artifact(client, value)
                self._save()
            for line in lines[self.sent :]:
                if line:  # else it was broken, and a person has emptied it
                    self._send(client, json.loads(line))
                self._run.sent += 1
                self._save()
        except Exception as error:  # whatever the client raises: training must go on
            self._unreachable(error)
            return False
        self.problem, self._wait = "", _PATIENCE
        return True

    def _unreachable(self, error: Exception) -> None:
        problem = f"{reason(error):.600}"  # MLflow says at length what to do instead of a folder
        if not self.problem:
            self.console.print(f"[yellow]MLflow: {escape(problem)}; keeping a local journal[/]")
        self.problem = problem
        self._again, self._wait = time.monotonic() + self._wait, 2 * self._wait

    def _note(self, kind: str, value: Any) -> None:
        _cut_torn_line(self.folder / JOURNAL)
        with (self.folder / JOURNAL).open("a", encoding="utf-8") as journal:
            journal.write(json.dumps({"kind": kind, "time": int(time.time() * 1000), "value": value}) + "\n")
        self.flush()

    def _load(self) -> None:
        if not (self.folder / _STATE).exists():
            return
        self._run, self._elsewhere, parent = _state(self.folder)
        if parent:
            self.parent = (self.folder / parent).resolve()

    def _save(self) -> None:
        parent = os.path.relpath(self.parent, self.folder) if self.parent else None
        state = asdict(self._run) | {
            "elsewhere": {one.run_id: asdict(one) for one in self._elsewhere},
            "parent": parent,
        }
        part = self.folder / (_STATE + ".part")
        part.write_text(json.dumps(state), encoding="utf-8")
        part.replace(self.folder / _STATE)

    def _client(self, started: int) -> Any:
        """A client, with the run made on the server if it wasn't; `started` in milliseconds since 1970.

        Of a run that was made at another server one is made here, too, and all of the journal is to be sent.
        """
        client = connect(self.config)
        self._load()  # a nested run may have made this one through a tracker of its own
        if self.run_id is None or self.run_id != self._known:
            self._look(client)
        if self.run_id is None:
            experiment = experiment_id(client, self.config.experiment)
            tags = self._parent_tag(started)
            self._run.run_id = client.create_run(experiment, started, tags, self.name).info.run_id
            self._save()
        self._known = self.run_id
        return client

    def _look(self, client: Any) -> None:
        """Go on from what the server in use has of the run, if it has any; what others have is kept."""
        kept = [self._run, *self._elsewhere]
        here = next((one for one in kept if one.run_id and _knows(client, one.run_id)), None) or _ServerRun()
        here.uri = _absolute(shown_uri(self.config))
        if here is not self._run:
            self._run, self._elsewhere = here, [one for one in kept if one.run_id and one is not here]
            self._save()  # of a run still to be made, too: whose child it is must be known to a later sync

    def _parent_tag(self, started: int) -> dict[str, Any]:
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

        if self.parent is None:
            return {}
        parent = Tracker(self.parent, self.config, self.parent.name, self.console)
        parent._client(started)
        return {MLFLOW_PARENT_RUN_ID: parent.run_id}

    def _send(self, client: Any, entry: dict[str, Any]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        value, run = entry["value"], self.run_id
        match entry["kind"]:
            case "params":
                for part in _batches(value):
                    client.log_batch(run, params=[Param(k, v) for k, v in part])
            case "metrics":
                points = [Metric(k, v, entry["time"], value["step"]) for k, v in value["values"].items()]
                client.log_batch(run, metrics=points)
            case "tags":
                for part in _batches(value):
                    client.log_batch(run, tags=[RunTag(k, v) for k, v in part])
            case "artifacts":
                self._send_artifact(client, value)
            case "restart":
                client.update_run(run, "RUNNING")
            case "finish":
                client.set_terminated(run, value, entry["time"])

    def _send_artifact(self, client: Any, value: dict[str, Any]) -> None:
        """Send a file or folder, or note that it is gone."""
        path = self.folder / value["path"]
        if not path.exists():
            self._run.missing += [] if value in self._run.missing else [value]
            return
        send = client.log_artifacts if path.is_dir() else client.log_artifact
        send(self.run_id, str(path), value["under"])
        self._run.missing = [one for one in self._run.missing if one != value]


def _state(folder: Path) -> tuple[_ServerRun, list[_ServerRun], str | None]:
    """The run at the server in use, at others, and its parent's folder; ConfigError when the file of them is damaged."""
    path = folder / _STATE
    remedy = "put it back, or delete it: then sync sends all of the run anew, as another one and nested under none"
    state = read_object(path, remedy)
    try:
        parent, elsewhere = state.pop("parent", None), state.pop("elsewhere", {})
        here, *others = [_ServerRun(**one) for one in (state, *elsewhere.values())]
    except (TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: not what a run keeps ({error}); {remedy}") from None
    if not all(isinstance(one.sent, int) and isinstance(one.missing, list) for one in (here, *others)):
        raise ConfigError(f"{path}: not what a run keeps (`sent` or `missing`); {remedy}")
    return here, others, parent


def check_kept(run: Path) -> None:
    """ConfigError names the file, and the line, of what a run keeps for its server and is damaged; its parent's, too."""
    for _ in entries(run):
        pass
    parent = _state(run)[2] if (run / _STATE).exists() else None
    if parent and (run / parent / _STATE).exists():
        _state(run / parent)


class NoTracker(Tracker):
    """What the other processes of a distributed run have: nothing is kept or sent."""

    def __init__(self) -> None:
        pass

    def gone(self) -> list[Path]:
        """Nothing is ever to be sent."""
        return []

    def flush(self, patient: bool = False) -> bool:
        """Nothing is ever left to send."""
        return True

    def _note(self, kind: str, value: Any) -> None:
        pass


def _batches(values: dict[str, str]) -> list[list[tuple[str, str]]]:
    items = list(values.items())
    return [items[start : start + _BATCH] for start in range(0, len(items), _BATCH)]


def _cut_torn_line(journal: Path) -> None:
    """A crash or a full disk may leave the last line half-written; what comes after it must not be joined to it."""
    if not journal.exists() or not journal.stat().st_size:
        return
    with journal.open("rb") as held:  # before every entry: of a whole journal the last byte is enough
        held.seek(-1, os.SEEK_END)
        whole = held.read() == b"\n"
    if not whole:
        os.truncate(journal, journal.read_bytes().rfind(b"\n") + 1)


def _absolute(address: str) -> str:
    """An address that names the same database file or folder wherever it is read."""
    from mlflow.utils.uri import resolve_uri_if_local
    from sqlalchemy import make_url

    if not address.startswith("sqlite"):
        return resolve_uri_if_local(address)
    url = make_url(address)
    return url.set(database=os.path.abspath(url.database or "")).render_as_string()


def _knows(client: Any, run_id: str) -> bool:
    """Whether a server has a run of this id, deleted or not."""
    from mlflow.exceptions import MlflowException

    try:
        client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return True


def experiment_id(client: Any, name: str) -> str:
    """Id of an experiment, made if there is none; several runs may start at the same moment."""
    from mlflow.exceptions import MlflowException

    if found := client.get_experiment_by_name(name):
        return found.experiment_id
    try:
        return client.create_experiment(name)
    except MlflowException:
        if found := client.get_experiment_by_name(name):
            return found.experiment_id
        raise
