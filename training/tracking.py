"""Experiment tracking in MLflow that a dead server can't break.

Everything is first written to a journal in the run's folder, then sent. What can't be sent stays in the journal;
`zhenyan sync RUN` sends it later. MLFLOW_TRACKING_URI wins over the configured address.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from zhenyan.training.config import TrackingConfig

JOURNAL = "tracking.jsonl"
_STATE = "tracking.json"  # run id and how many journal entries the server has
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")


def tracking_uri(config: TrackingConfig) -> str:
    """The server or store in use."""
    return os.environ.get("MLFLOW_TRACKING_URI") or config.uri


class Tracker:
    """One MLflow run, backed by the journal in `folder`."""

    def __init__(self, folder: Path, config: TrackingConfig, name: str, console: Console | None = None) -> None:
        self.folder, self.config, self.name = folder, config, name
        self.console = console or Console(stderr=True)
        state = json.loads((folder / _STATE).read_text()) if (folder / _STATE).exists() else {}
        self.run_id: str | None = state.get("run_id")
        self.sent: int = state.get("sent", 0)
        self.reachable = True

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

    def finish(self, status: str = "FINISHED") -> bool:
        """Close the run; returns whether the server has everything."""
        self._note("finish", status)
        done = self.flush(patient=True)
        if not done:
            self.console.print(
                f"[yellow]MLflow at {tracking_uri(self.config)} could not be reached; everything is kept in "
                f"{self.folder}. When it is back: zhenyan sync {self.folder}[/]"
            )
        return done

    def flush(self, patient: bool = False) -> bool:
        """Send what the server doesn't have; returns whether it has everything. Once unreachable, only if `patient`."""
        if not (self.reachable or patient):
            return False
        entries = (self.folder / JOURNAL).read_text(encoding="utf-8").splitlines()
        try:
            client = self._client()
            for line in entries[self.sent :]:
                self._send(client, json.loads(line))
                self.sent += 1
                self._save()
        except Exception as error:  # whatever the client raises: training must go on
            if self.reachable:
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                self.console.print(f"[yellow]MLflow: {reason:.160}; keeping a local journal[/]")
            self.reachable = False
            return False
        return True

    def _note(self, kind: str, value: Any) -> None:
        with (self.folder / JOURNAL).open("a", encoding="utf-8") as journal:
            journal.write(json.dumps({"kind": kind, "time": int(time.time() * 1000), "value": value}) + "\n")
        self.flush()

    def _save(self) -> None:
        part = self.folder / (_STATE + ".part")
        part.write_text(json.dumps({"run_id": self.run_id, "sent": self.sent, "uri": tracking_uri(self.config)}))
        part.replace(self.folder / _STATE)

    def _client(self) -> Any:
        import mlflow

        client = mlflow.MlflowClient(tracking_uri(self.config))
        if self.run_id is None:
            experiment = client.get_experiment_by_name(self.config.experiment)
            identity = experiment.experiment_id if experiment else client.create_experiment(self.config.experiment)
            self.run_id = client.create_run(identity, run_name=self.name).info.run_id
            self._save()
        return client

    def _send(self, client: Any, entry: dict[str, Any]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        value, run = entry["value"], self.run_id
        match entry["kind"]:
            case "params":
                client.log_batch(run, params=[Param(k, v) for k, v in value.items()])
            case "metrics":
                points = [Metric(k, v, entry["time"], value["step"]) for k, v in value["values"].items()]
                client.log_batch(run, metrics=points)
            case "tags":
                client.log_batch(run, tags=[RunTag(k, v) for k, v in value.items()])
            case "artifacts":
                path = self.folder / value["path"]
                send = client.log_artifacts if path.is_dir() else client.log_artifact
                send(run, str(path), value["under"])
            case "finish":
                client.set_terminated(run, value)
