"""Aliases of the registry move together, also when MLflow fails between them."""

from __future__ import annotations

from types import SimpleNamespace

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from zhenyan.inference.errors import ConfigError
from zhenyan.training.config import TrackingConfig
from zhenyan.training.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry, Version, resolve


class Client:
    """Aliases in a dictionary; the calls that change one, by number from 1, fail where `failing` names them."""

    def __init__(self, aliases, failing=()):
        self.aliases, self.failing, self.calls = dict(aliases), failing, 0

    def get_model_version_by_alias(self, name, alias):
        if alias not in self.aliases:
            raise MlflowException("no such alias", RESOURCE_DOES_NOT_EXIST)
        return SimpleNamespace(version=self.aliases[alias], tags={"bundle_id": f"b-{self.aliases[alias]}"})

    def _change(self):
        self.calls += 1
        if self.calls in self.failing:
            raise MlflowException("API request to http://alice:s3cr3t@mlflow:5000/api failed\nmore")

    def set_registered_model_alias(self, name, alias, number):
        self._change()
        self.aliases[alias] = number

    def delete_registered_model_alias(self, name, alias):
        self._change()
        del self.aliases[alias]


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://alice:s3cr3t@mlflow:5000")
    monkeypatch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "false")

    def make(failing=(), **aliases):
        monkeypatch.setattr(mlflow, "MlflowClient", lambda address: Client(aliases, failing))
        return Registry(TrackingConfig())

    return make


@pytest.mark.parametrize("kind", ["unknown", "text", "below a file"])
def test_an_address_that_can_not_be_used_is_named(tmp_path, monkeypatch, kind):
    """An unknown scheme, a file that is no database, and a database whose folder can't be made."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    file = tmp_path / "notes.txt"
    file.write_text("no database " * 100, encoding="utf-8")
    address = {"unknown": "foo://bar", "text": f"sqlite:///{file}", "below a file": f"sqlite:///{file}/mlflow.db"}[kind]
    settings = TrackingConfig(uri=address)
    for use in (lambda: Registry(settings), lambda: resolve("models:/zhenyan@champion", settings, tmp_path / "into")):
        with pytest.raises(
            ConfigError, match=f"^MLflow at {address}: .*; name a server or a database that can be used"
        ):
            use()


def promote(registry):
    registry.promote(Version("zhenyan", "3", "b-3"))


def rollback(registry):
    pair = registry.earlier()
    registry.rollback(*pair)
    return pair


def test_both_aliases_move(registry):
    shelf = registry(champion="2", previous="1")
    promote(shelf)
    assert shelf.client.aliases == {CHAMPION: "3", PREVIOUS: "2"}
    now, gone = rollback(shelf)
    assert (now.number, gone.number) == ("2", "3") and shelf.client.aliases == {CHAMPION: "2", PREVIOUS: "3"}
    first = registry()
    promote(first)
    assert first.client.aliases == {CHAMPION: "3"}


def test_what_becomes_champion_is_no_challenger_any_more(registry):
    shelf = registry(champion="2", challenger="3")
    promote(shelf)
    assert shelf.client.aliases == {CHAMPION: "3", PREVIOUS: "2"}
    shelf.point(CHALLENGER, "2")  # named anew, and then put back
    rollback(shelf)
    assert shelf.client.aliases == {CHAMPION: "2", PREVIOUS: "3"}
    other = registry(champion="2", challenger="4")
    promote(other)
    assert other.client.aliases == {CHAMPION: "3", PREVIOUS: "2", CHALLENGER: "4"}


def test_the_same_bundle_registered_once_more_is_no_challenger_either(registry):
    shelf = registry(champion="2", challenger="4")
    shelf.promote(Version("zhenyan", "5", "b-4"))  # its folder was promoted, not models:/zhenyan@challenger
    assert shelf.client.aliases == {CHAMPION: "5", PREVIOUS: "2"}


def test_where_the_challenger_keeps_its_alias_the_promotion_is_told_of(registry):
    shelf = registry(failing=(3,), champion="2", challenger="3")
    with pytest.raises(
        ConfigError, match="version 3 is champion all the same, and the alias challenger still stands at"
    ):
        promote(shelf)
    assert shelf.client.aliases == {CHAMPION: "3", PREVIOUS: "2", CHALLENGER: "3"}


def test_promoting_the_champion_again_forgets_no_previous(registry):
    shelf = registry(champion="3", previous="1")
    promote(shelf)
    assert shelf.client.aliases == {CHAMPION: "3", PREVIOUS: "1"}
    assert rollback(shelf)[0].number == "1"


@pytest.mark.parametrize(
    ("move", "before"),
    [
        (promote, {"champion": "2", "previous": "1"}),
        (promote, {"champion": "2"}),
        (rollback, {"champion": "2", "previous": "1"}),
    ],
)
def test_when_the_second_fails_both_stay(registry, move, before):
    shelf = registry(failing=(2,), **before)
    with pytest.raises(ConfigError, match="all aliases are as they were") as error:
        move(shelf)
    assert shelf.client.aliases == before
    assert "MLflow at http://mlflow:5000: API request to http://mlflow:5000/api failed;" in str(error.value)


def test_when_nothing_can_be_put_back_the_error_names_both(registry):
    shelf = registry(failing=(2, 3), champion="2", previous="1")
    with pytest.raises(ConfigError, match="champion at version 1, previous at version 2 only the first was set"):
        rollback(shelf)
    assert shelf.client.aliases == {CHAMPION: "1", PREVIOUS: "1"}
    with pytest.raises(ConfigError, match="nothing to roll back to"):
        rollback(shelf)
