"""Bundles in MLflow: logged as pyfunc models, registered under aliases champion, challenger and previous."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from zhenyan.inference.bundle import MANIFEST, Bundle, bundle_id, load_bundle
from zhenyan.inference.errors import BundleError, ConfigError
from zhenyan.training.config import TrackingConfig
from zhenyan.training.journal import JOURNAL
from zhenyan.training.placing import BUNDLE
from zhenyan.training.tracking import connect, experiment_id, reason, shown_uri, tracking_uri

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
MODEL_NAME = "zhenyan"
PROMOTED = "promoted"  # the tag of the version
_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # what MLflow says of an alias, version or run


@dataclass(frozen=True)
class Version:
    """One registered version; `promoted` says when and by whom, empty where no promotion was recorded."""

    name: str
    number: str
    bundle_id: str
    promoted: str = field(default="", compare=False)

    @property
    def address(self) -> str:
        """Its MLflow address, which names it whatever aliases do."""
        return f"models:/{self.name}/{self.number}"


def signature(bundle: Bundle) -> ModelSignature:
    """Text in; labels and every label's score out."""
    given: list[ColSpec | TensorSpec] = [ColSpec(DataType.string, "text")]
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.string, "labels"),
        *(ColSpec(DataType.double, label) for label in bundle.label_ids),
    ]
    return ModelSignature(Schema(given), Schema(outputs))


@contextmanager
def fluent(address: str) -> Iterator[None]:
    """MLflow's module functions at this server; afterwards the process is as it was.

    mlflow.set_tracking_uri also writes MLFLOW_TRACKING_URI, which would win over every later configuration.
    """
    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(address)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # what takes the address back
        if before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = before


def connected(config: TrackingConfig) -> mlflow.MlflowClient:
    """A client of the server or store in use; ConfigError says why it can't be used."""
    try:
        return connect(config)
    except Exception as error:  # whatever stands behind the address: MLflow's errors, a database's, a file system's
        raise ConfigError(
            f"MLflow at {shown_uri(config)}: {reason(error).rstrip('.')}; name a server or a database that can be used in "
            "MLFLOW_TRACKING_URI or tracking.uri"
        ) from None


def log_bundle(folder: Path, config: TrackingConfig, register: str) -> Any:
    """Log a bundle as a pyfunc model to a new MLflow run, and register it under the name `register`."""
    bundle = load_bundle(folder)
    address = tracking_uri(config)
    experiment = experiment_id(connected(config), config.experiment)
    with fluent(address), mlflow.start_run(experiment_id=experiment, run_name=bundle.id):
        mlflow.set_tag("bundle_id", bundle.id)
        return mlflow.pyfunc.log_model(
            name=BUNDLE,
            python_model=str(Path(__file__).with_name("pyfunc_model.py")),
            artifacts={"bundle": str(bundle.folder)},
            signature=signature(bundle),
            input_example=pd.DataFrame({"text": ["今天二号链接两盒装的拍一下"]}),
            pip_requirements=[f"zhenyan=={version('zhenyan')}", f"numpy~={np.__version__}", "pandas"],
            metadata={"bundle_id": bundle.id},
            registered_model_name=register,
        )


class Registry:
    """The registered versions of one model name; ConfigError for a name that MLflow would refuse later."""

    def __init__(self, config: TrackingConfig, name: str = MODEL_NAME) -> None:
        if not name.strip() or {"/", ":"} & set(name):
            raise ConfigError(f"--name {name!r}: a registered model's name is not empty and has no / and no :")
        self.config, self.name = config, name
        self.client = connected(config)

    def version(self, alias: str) -> Version | None:
        """The version an alias points at, None when there is none."""
        try:
            return self._version(self.client.get_model_version_by_alias(self.name, alias))
        except MlflowException as error:
            if error.error_code in _NOT_THERE:
                return None
            raise ConfigError(f"MLflow at {shown_uri(self.config)}: {reason(error)}") from None

    def registered(self, address: str) -> Version | None:
        """The version behind `models:/NAME@ALIAS` or `models:/NAME/NUMBER`; None for any other address.

        ConfigError for a number that no version has.
        """
        if address.startswith(f"models:/{self.name}@"):
            return self.version(address.split("@", 1)[1])
        if not address.startswith(f"models:/{self.name}/"):
            return None
        try:
            return self._version(self.client.get_model_version(self.name, address.rsplit("/", 1)[1]))
        except MlflowException as error:
            raise ConfigError(
                f"{address}: {reason(error).rstrip('.')}{_instead_of(address, self.config, error)}"
            ) from None

    def _version(self, found: Any) -> Version:
        tags = found.tags
        return Version(self.name, str(found.version), str(tags.get("bundle_id", "")), str(tags.get(PROMOTED, "")))

    def add(self, folder: Path) -> Version:
        """Register a bundle as a new version; ConfigError when MLflow doesn't take it."""
        bundle = load_bundle(folder)
        with self._told():
            info = log_bundle(folder, self.config, self.name)
            number = str(info.registered_model_version)
            self.client.set_model_version_tag(self.name, number, "bundle_id", bundle.id)
        return Version(self.name, number, bundle.id)

    def point(self, alias: str, number: str) -> None:
        """Let an alias point at a version; ConfigError when MLflow doesn't take it."""
        with self._told():
            self.client.set_registered_model_alias(self.name, alias, number)

    def note(self, version: Version, tags: Mapping[str, str]) -> None:
        """Keep tags at a version; ConfigError when MLflow doesn't take them."""
        with self._told():
            for key, value in tags.items():
                self.client.set_model_version_tag(self.name, version.number, key, value)

    def versions(self) -> tuple[list[ModelVersion], dict[str, str]]:
        """MLflow's records of all versions, newest first, and the number that each alias points at.

        ConfigError when there is no version.
        """
        with self._told():
            found = self.client.search_model_versions(f"name='{self.name}'")
            if not found:
                raise ConfigError(f"--name {self.name}: no such model; {_versions(self.client, self.name)}")
            aliases = self.client.get_registered_model(self.name).aliases
        return sorted(found, key=lambda one: -int(one.version)), {k: str(v) for k, v in aliases.items()}

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What MLflow says, as a ConfigError with its address."""
        try:
            yield
        except (MlflowException, OSError) as error:  # what uploads raise is an OSError
            raise ConfigError(f"MLflow at {shown_uri(self.config)}: {reason(error)}") from None

    def promote(self, new: Version) -> Version | None:
        """Make `new` the champion, no challenger any more, and remember the one before as previous; returns that one."""
        old = self.version(CHAMPION)
        if old and old.number != new.number:
            self._move((PREVIOUS, old.number), (CHAMPION, new.number), self.version(PREVIOUS))
        else:
            self.point(CHAMPION, new.number)
        self._no_challenger(new)
        return old

    def earlier(self, number: int | None = None) -> tuple[Version, Version]:
        """What a rollback puts back, the previous champion or the version `number`, and the champion it takes down.

        ConfigError when there is none of either, or they are one.
        """
        now = self.version(CHAMPION)
        before = self.registered(f"models:/{self.name}/{number}") if number else self.version(PREVIOUS)
        if now is None or before is None or now == before:
            lacking = CHAMPION if now is None else PREVIOUS
            other = "other " if now else ""
            why = "it is the champion" if now and number else f"no {other}version has the alias {lacking!r}"
            raise ConfigError(f"{self.name}: nothing to roll back to: {why}; `zhenyan versions` lists those there are")
        return before, now

    def rollback(self, before: Version, now: Version) -> None:
        """Make `before` the champion and `now`, the champion, previous."""
        self._move((CHAMPION, before.number), (PREVIOUS, now.number), now)
        self._no_challenger(before)

    def _no_challenger(self, champion: Version) -> None:
        """Take the alias challenger off the bundle that has become champion, whichever of its versions was promoted."""
        found = self.version(CHALLENGER)
        if found is None or not (found.number == champion.number or champion.bundle_id == found.bundle_id != ""):
            return
        try:
            with self._told():
                self.client.delete_registered_model_alias(self.name, CHALLENGER)
        except ConfigError as error:
            raise ConfigError(
                f"{error}; version {champion.number} is champion all the same, and the alias {CHALLENGER} still stands at "
                f"version {found.number}: delete it in MLflow"
            ) from None

    def _move(self, first: tuple[str, str], second: tuple[str, str], was: Version | None) -> None:
        """Point two aliases at versions; when the second can't be, the first is put back to `was`.

        ConfigError then says which alias points where.
        """
        self.point(*first)
        try:
            self.point(*second)
        except ConfigError as error:
            wanted = f"{first[0]} at version {first[1]}, {second[0]} at version {second[1]}"
            try:
                self._put_back(first[0], was)
            except (ConfigError, MlflowException):
                raise ConfigError(f"{error}; of {wanted} only the first was set: set the second in MLflow") from None
            raise ConfigError(f"{error}; all aliases are as they were: of {wanted} none is set, try again") from None

    def _put_back(self, alias: str, was: Version | None) -> None:
        if was:
            self.point(alias, was.number)
        else:
            self.client.delete_registered_model_alias(self.name, alias)


def resolve(name: str, config: TrackingConfig, into: Path) -> Path:
    """A bundle's folder for its path, that of a run that was exported, `runs:/ID` or `models:/zhenyan@champion` (downloaded to `into` and verified).

    ConfigError when there is none; BundleError when what was stored has been altered.
    """
    if (folder := Path(name)).is_dir():
        if (folder / JOURNAL).is_file() and not (folder / MANIFEST).is_file():
            if (folder / BUNDLE / MANIFEST).is_file():
                return folder / BUNDLE
            raise ConfigError(f"{name}: a run, which is no bundle; `zhenyan export {name} -o FOLDER` makes one of it")
        return folder
    if not name.startswith(("runs:/", "models:/")):
        raise ConfigError(f"{name}: neither a bundle folder nor runs:/ID nor models:/{MODEL_NAME}@{CHAMPION}")
    address = f"{name}/{BUNDLE}" if name.startswith("runs:/") and name.count("/") == 1 else name
    server, client = tracking_uri(config), connected(config)
    try:
        recorded = _recorded_id(client, name)
        with fluent(server):  # artifacts of a registered version are looked for at the process's server
            folder = Path(mlflow.artifacts.download_artifacts(address, dst_path=str(into)))
    except (MlflowException, OSError) as error:
        raise ConfigError(f"{name}: {reason(error).rstrip('.')}{_instead_of(name, config, error)}") from None
    found = next((path.parent for path in folder.rglob("manifest.json")), None)
    if found is None:
        raise BundleError(f"{name}: no bundle among its artifacts")
    try:
        stored = load_bundle(found).manifest
    except BundleError as error:  # by the name that was given, not by that of a folder which will be gone
        raise type(error)(str(error).replace(str(found.resolve()), name)) from None
    if recorded and (actual := bundle_id(stored["name"], stored["sha256"])) != recorded:
        raise BundleError(f"{name}: MLflow recorded bundle {recorded} but holds {actual}: its artifacts were altered")
    return found


def _instead_of(address: str, config: TrackingConfig, error: Exception) -> str:
    """What to give instead of an address that leads nowhere; empty where MLflow says something else or can't tell."""
    if getattr(error, "error_code", "") not in _NOT_THERE:
        return ""
    try:
        client = connected(config)
        there = _runs(client, config) if address.startswith("runs:/") else _versions(client, address)
    except (MlflowException, ConfigError):
        return ""
    return f"; {there}"


def _runs(client: mlflow.MlflowClient, config: TrackingConfig) -> str:
    experiment = client.get_experiment_by_name(config.experiment)
    runs = client.search_runs([experiment.experiment_id], "tags.bundle_id != ''", max_results=5) if experiment else []
    if not runs:
        return f"no run of the experiment {config.experiment} holds a bundle; export one, or give a bundle's folder"
    ids = ", ".join(f"runs:/{run.info.run_id} ({run.data.tags['bundle_id']})" for run in runs)
    return f"a run has its bundle once it is exported; the latest with a bundle: {ids}"


def _versions(client: mlflow.MlflowClient, address: str) -> str:
    name = re.split("[/@]", address.removeprefix("models:/"))[0]
    versions = sorted(int(one.version) for one in client.search_model_versions(f"name='{name}'"))
    if not versions:
        names = [model.name for model in client.search_registered_models()]
        return f"registered: {', '.join(names) or 'nothing yet, zhenyan promote FOLDER registers a bundle'}"
    aliases = client.get_registered_model(name).aliases.items()
    called = ", ".join(f"{alias} ({number})" for alias, number in sorted(aliases)) or "none"
    return f"{name} has versions {', '.join(map(str, versions))}; aliases: {called}"


def _recorded_id(client: mlflow.MlflowClient, address: str) -> str | None:
    """The bundle id in MLflow's database: files altered together with their manifest differ from it."""
    kind, _, rest = address.partition(":/")
    if kind == "runs":
        tags = client.get_run(rest.split("/")[0]).data.tags
    elif "@" in rest:
        tags = client.get_model_version_by_alias(*rest.split("@", 1)).tags
    elif "/" in rest:
        tags = client.get_model_version(*rest.split("/", 1)).tags
    else:  # models:/m-ID, a logged model outside the registry
        tags = {}
    return tags.get("bundle_id")
