"""What becomes champion is what the gates measured, whatever happens to aliases and folders meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
import yaml
from linear_bundle import write_bundle
from typer.testing import CliRunner
from zhenyan.inference.bundle import load_bundle
from zhenyan.inference.errors import ConfigError
from zhenyan.training import cli_registry
from zhenyan.training.config import TrackingConfig
from zhenyan.training.registry import CHALLENGER, CHAMPION, Registry
from zhenyan.training.rows import Row
from zhenyan.training.schema import load_schema

ROWS = [Row(f"喝{i}杯降压茶血压就降", ("food_safety",)) for i in range(9)] + [Row(f"{i}盒装") for i in range(9)]


@pytest.fixture
def bundle(tmp_path, tiny_encoder):
    """Writes a bundle under a name."""
    return lambda name: write_bundle(tmp_path / name, ROWS, load_schema(), tiny_encoder, name=name)


@pytest.fixture
def shelf(tmp_path, monkeypatch, root, bundle):
    """A registry with the champion `first` (version 1) and the challenger `second` (version 2), and its configuration file."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracking = {"uri": f"sqlite:///{tmp_path}/mlflow.db"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"tracking": tracking}), encoding="utf-8")
    (tmp_path / "configs").symlink_to(root / "configs")
    monkeypatch.chdir(tmp_path)  # where a store without a server puts artifacts
    registry = Registry(TrackingConfig(**tracking))
    registry.promote(registry.add(bundle("first")))
    registry.point(CHALLENGER, registry.add(bundle("second")).number)
    return registry


@pytest.fixture
def promote(tmp_path, monkeypatch):
    """Runs `zhenyan promote`; every gate passes, and `meanwhile` is done with the folder that is measured."""

    def run(candidate: str, meanwhile=lambda folder: None):
        monkeypatch.setattr(cli_registry, "_pass_gates", lambda _, champion, folder, *rest: meanwhile(folder))
        app = typer.Typer()
        cli_registry.register(app)
        command = ["promote", str(candidate), "--config", str(tmp_path / "config.yaml")]
        return CliRunner().invoke(app, command, catch_exceptions=False)

    return run


def test_an_alias_that_moves_during_the_gates_promotes_what_was_measured(shelf, promote, bundle):
    seen = []

    def meanwhile(folder: Path) -> None:
        seen.append(load_bundle(folder).id)
        shelf.point(CHALLENGER, shelf.add(bundle("third")).number)

    done = promote("models:/zhenyan@challenger", meanwhile)
    champion = shelf.version(CHAMPION)
    assert done.exit_code == 0 and "zhenyan version 2 (second-" in done.output
    assert (champion.number, [champion.bundle_id]) == ("2", seen) and shelf.version(CHALLENGER).number == "3"


def test_a_folder_that_changes_during_the_gates_is_refused(shelf, promote, bundle):
    def meanwhile(folder: Path) -> None:
        for path in bundle("fourth").iterdir():
            (folder / path.name).write_bytes(path.read_bytes())

    with pytest.raises(ConfigError, match="its files changed while they were measured; run promote again"):
        promote(bundle("third"), meanwhile)
    assert shelf.version(CHAMPION).number == "1"


VERSIONS = "zhenyan has versions 1, 2; aliases: challenger \\(2\\), champion \\(1\\)$"


@pytest.mark.parametrize(
    ("address", "there"),
    [
        ("models:/zhenyan/99", VERSIONS),
        ("models:/zhenyan@nobody", VERSIONS),
        ("models:/zhenyan/x", VERSIONS),
        ("models:/other@champion", "registered: zhenyan$"),
        ("runs:/0123", r"the latest with a bundle: runs:/\w{32} \(second-\w+\), runs:/\w{32} \(first-\w+\)$"),
    ],
)
def test_of_what_is_not_there_those_that_are_there_are_named(shelf, promote, address, there):
    with pytest.raises(ConfigError, match=f"^{address}: .*; {there}"):
        promote(address)
