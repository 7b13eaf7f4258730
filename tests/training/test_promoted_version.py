"""What becomes champion is what the gates measured, whatever happens to aliases and folders meanwhile.

And what is done with versions: they are listed, put back, pulled into folders, measured; some are for another text normaliser.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import typer
import yaml
from linear_bundle import write_bundle
from typer.testing import CliRunner
from zhenyan.inference import normalise
from zhenyan.inference.bundle import load_bundle
from zhenyan.inference.errors import BundleError, ConfigError
from zhenyan.training import cli, cli_registry
from zhenyan.training import promote as promoting
from zhenyan.training.config import TrackingConfig
from zhenyan.training.promote import load_gates
from zhenyan.training.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry
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
        monkeypatch.setattr(cli_registry, "_pass_gates", lambda _, folder, *rest: ([], str(meanwhile(folder))))
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


@pytest.fixture
def called(tmp_path):
    """Runs a command of `zhenyan` with the configuration."""

    def run(*words: object) -> str:
        app = typer.Typer()
        cli.register(app)
        command = [*map(str, words), "--config", str(tmp_path / "config.yaml")]
        done = CliRunner(env={"COLUMNS": "200"}).invoke(app, command, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    return run


@pytest.fixture
def measured(tmp_path):
    """Options that measure on the rows the bundles know, by the bounds that these few rows can tell something about."""
    lines = (json.dumps({"text": row.text, "labels": row.labels}, ensure_ascii=False) for row in ROWS)
    (tmp_path / "set.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    gates = yaml.safe_load(Path("configs/gates.yaml").read_text(encoding="utf-8"))
    gates |= {"min_positives": 5, "latency_ratio": None, "evasion_mean_fall": None, "evasion_worst_fall": None}
    gates |= {"any_violation_calibration_error": 0.5, "label_calibration_error": 0.5}
    (tmp_path / "gates.yaml").write_text(yaml.safe_dump(gates), encoding="utf-8")
    return ["--rows", "set.jsonl", "--gates", "gates.yaml"]


def number_of(shelf: Registry, alias: str) -> str:
    return shelf.version(alias).number


def test_any_version_is_put_back_and_the_list_tells_who_was_champion(shelf, measured, bundle, called, monkeypatch):
    read = []
    monkeypatch.setattr(promoting, "load_gates", lambda path: read.append(path) or load_gates(path))
    called("promote", "models:/zhenyan@challenger", *measured)
    assert read == [Path("gates.yaml")]  # once: the bounds that were checked are those that hold
    called("promote", bundle("third"), *measured)
    assert "version 1 (first-" in called("rollback", "--to", "1") and number_of(shelf, PREVIOUS) == "3"
    assert number_of(shelf, CHAMPION) == "1"
    tags = shelf.client.get_model_version("zhenyan", "2").tags
    checks = json.loads(tags["gates"])
    assert checks["fall of any-violation F1"] == [0.0, 0.01] and "rows decided differently" in checks
    assert tags["held_to"].startswith(f"{len(checks)} checks of gates.yaml against zhenyan version 1 (first-")
    listed = called("versions")
    rows = [line for line in listed.splitlines() if line.startswith("│") and line[2:4].strip()]
    assert [row[2] for row in rows] == ["3", "2", "1"] and "previous" in rows[0] and "champion" in rows[2]
    # The fixture records nothing of the first.
    assert listed.count("promoted 20") == 2 and listed.count("put back 20") == 1
    for number, why in (
        (1, "nothing to roll back to: it is the champion"),
        (9, "zhenyan has versions 1, 2, 3; aliases"),
    ):
        with pytest.raises(ConfigError, match=why):
            called("rollback", "--to", number)


def test_a_version_that_no_gate_is_known_to_have_passed_is_put_back_with_a_word(shelf, called):
    assert "version 2 has no record of a promotion" in called("rollback", "--to", "2")
    assert number_of(shelf, CHAMPION) == "2"


@pytest.fixture
def old_champion(shelf, bundle, monkeypatch):
    """The third version, champion, is for text normaliser 9."""
    with monkeypatch.context() as past:
        past.setattr(normalise, "VERSION", 9)
        version = shelf.add(bundle("old"))
    shelf.promote(version)
    return version


OLD = rf"models:/zhenyan/3: made for text normaliser 9, this version has {normalise.VERSION}; use the zhenyan version"


def test_a_champion_of_another_normaliser_is_followed_by_absolute_gates_alone(
    shelf, old_champion, bundle, measured, called, tmp_path
):
    new, bounds = bundle("new"), tmp_path / "gates.yaml"
    with pytest.raises(
        ConfigError, match=rf"^{OLD}.*--absolute-gates holds .*new to .* leaves out any_violation_drop, "
    ):
        called("promote", new, *measured)
    strict = bounds.read_text(encoding="utf-8").replace("label_calibration_error: 0.5", "label_calibration_error: 0.0")
    (tmp_path / "strict.yaml").write_text(strict, encoding="utf-8")
    with pytest.raises(ConfigError, match="new stays out: calibration error of labels, mean"):
        called("promote", new, "--rows", "set.jsonl", "--gates", "strict.yaml", "--absolute-gates")
    assert number_of(shelf, CHAMPION) == "3" and len(shelf.versions()[0]) == 3
    said = called("promote", new, *measured, "--absolute-gates")
    tags = shelf.client.get_model_version("zhenyan", "4").tags
    assert "fall of" not in said and "calibration error of labels, mean" in said
    assert number_of(shelf, CHAMPION) == "4" and set(json.loads(tags["gates"])) == {
        "calibration error of any violation", "calibration error of labels, mean",
    }  # fmt: skip
    told = "not checked: any_violation_drop, core_micro_drop, core_label_drop, other_label_drop, flip_rate"
    assert f"version 3 ({old_champion.bundle_id})" in tags["held_to"] and tags["held_to"].endswith(told)
    with pytest.raises(ConfigError, match="models:/zhenyan/4 can be compared with: leave --absolute-gates out"):
        called("promote", "models:/zhenyan@challenger", *measured, "--absolute-gates")


def test_a_version_that_can_not_be_loaded_is_not_put_back(shelf, old_champion, bundle, called):
    shelf.promote(shelf.add(bundle("new")))
    with pytest.raises(ConfigError, match=rf"^{OLD}.*; zhenyan version 4 stays champion$"):
        called("rollback")
    assert (number_of(shelf, CHAMPION), number_of(shelf, PREVIOUS)) == ("4", "3")
    assert "put back" not in called("versions")


def stored(tmp_path: Path, name: str) -> Path:
    """Where MLflow keeps the bundle of this name."""
    (found,) = (path.parent for path in tmp_path.glob("mlruns/**/manifest.json") if f'"{name}"' in path.read_text())
    return found


@pytest.mark.parametrize(
    ("harm", "said"), [("altered", r"thresholds\.json: SHA-256 is "), ("gone", "no bundle"), ("all gone", "")]
)
def test_a_champion_that_is_lost_or_altered_stops_promote_with_the_way_out(
    shelf, measured, called, tmp_path, harm, said
):
    kept = stored(tmp_path, "first")
    if harm == "altered":
        (kept / "thresholds.json").write_text("{}", encoding="utf-8")
    else:
        shutil.rmtree(kept if harm == "gone" else kept.parents[2])
    candidate = "models:/zhenyan@challenger"
    for more in ([], ["--absolute-gates"]):
        with pytest.raises(
            ConfigError, match=rf"^models:/zhenyan/1.*{said}.*another version .*`zhenyan rollback --to NUMBER`"
        ):
            called("promote", candidate, *measured, *more)
    called("promote", tmp_path / "first", "--challenger")  # the champion's own once more, with its files
    assert "version 3 (first-" in called("rollback", "--to", "3")
    called("promote", "models:/zhenyan/2", *measured)
    assert number_of(shelf, CHAMPION) == "2"


def test_a_version_is_pulled_into_a_folder_whole(shelf, bundle, called, tmp_path):
    noted = bundle("noted")
    # No part of a bundle: it would refuse the next pull.
    (noted / "notes.txt").write_text("kept with it", encoding="utf-8")
    shelf.promote(shelf.add(noted))
    output = tmp_path / "serving/model"
    for address, name in (("models:/zhenyan@champion", "noted"), ("models:/zhenyan/1", "first")):
        said = called("pull", address, "-o", output)
        assert load_bundle(output).id.startswith(f"{name}-") and f"bundle {name}-" in said and "SIGHUP" in said
        assert [path.name for path in output.parent.iterdir()] == ["model"]  # nothing is left beside it


def test_what_is_refused_leaves_the_folder_as_it_was(shelf, called, tmp_path):
    other, output = tmp_path / "configs-of-mine", tmp_path / "model"
    other.mkdir()
    (other / "notes.txt").touch()
    with pytest.raises(ConfigError, match=rf"^{other}: holds something else than a bundle"):
        called("pull", "models:/zhenyan@champion", "-o", other)
    called("pull", "models:/zhenyan@champion", "-o", output)
    with pytest.raises(ConfigError, match=rf"^{output}/a/b: lies in the bundle {output}, which holds nothing else"):
        called("pull", "models:/zhenyan@champion", "-o", output / "a/b")
    assert not (output / "a").exists()
    thresholds = stored(tmp_path, "second") / "thresholds.json"
    text = thresholds.read_text(encoding="utf-8")
    thresholds.write_text(text.replace("0.5", "0.9", 1), encoding="utf-8")
    with pytest.raises(BundleError, match=r"^models:/zhenyan@challenger/thresholds\.json: SHA-256 is "):
        called("pull", "models:/zhenyan@challenger", "-o", output)
    assert load_bundle(output).id.startswith("first-")
    shutil.rmtree(output)
    with pytest.raises(ConfigError, match="zhenyan has versions 1, 2; aliases"):
        called("pull", "models:/zhenyan@nobody", "-o", output)
    assert not output.exists()


def test_a_version_is_measured_by_its_address(shelf, measured, called, tmp_path):
    options = ["--rows", "set.jsonl", "--no-baselines", "--errors", "0", "--json", "out.json"]
    called("evaluate", "--model", "models:/zhenyan@challenger", *options)
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert found["bundle"] == shelf.version(CHALLENGER).bundle_id and found["rows"] == len(ROWS)
    with pytest.raises(
        ConfigError, match=r"^nowhere: neither a bundle folder nor runs:/ID nor models:/zhenyan@champion"
    ):
        called("evaluate", "--model", "nowhere", *options)


def test_rows_that_nobody_read_are_no_part_of_what_is_measured(shelf, measured, called, tmp_path):
    """Among `rows decided differently` they would let any flips pass; their texts stand in no share either."""
    chosen = [{"text": f"喝{i}杯降压茶", "labels": ["food_safety"], "annotated": []} for i in range(5)]
    with (tmp_path / "set.jsonl").open("a", encoding="utf-8") as rows:
        rows.writelines(json.dumps(one, ensure_ascii=False) + "\n" for one in chosen)
    told = "5 rows that nobody read (`annotated` is []) are left out: they measure nothing"
    options = ["--rows", "set.jsonl", "--no-baselines", "--json", "out.json", "--report", "out.html", "--errors", "0"]
    said = called("evaluate", "--model", "models:/zhenyan@challenger", *options)
    assert f"set.jsonl: {len(ROWS)} rows;" in said and told in said
    record = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert (record["rows"], record["unread"]) == (len(ROWS), 5)
    assert "5 rows that nobody read are left out." in (tmp_path / "out.html").read_text(encoding="utf-8")
    said = called("compare", "models:/zhenyan@champion", "models:/zhenyan@challenger", "--rows", "set.jsonl")
    assert told in said and f"0 of {len(ROWS)} rows are decided differently" in said
    assert told in called("promote", "models:/zhenyan@challenger", *measured)


def test_a_comparison_is_written_as_json(shelf, measured, called, tmp_path):
    blind = write_bundle(
        tmp_path / "blind", ROWS, load_schema(), tmp_path / "first", name="blind", blind=("food_safety",)
    )
    options = ["models:/zhenyan@champion", blind, "--rows", "set.jsonl", "--json"]
    for flips in (2, 0):
        called("compare", *options, "out.json", "--flips", flips)
        found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
        assert (found["a"], found["rows"], found["flipped"]) == (shelf.version(CHAMPION).bundle_id, len(ROWS), 9)
        assert len(found["flips"]) == flips and found["verdicts"]["food_safety"] == "worse"
        assert found["scores"]["food_safety"]["b"] == 0 and set(found["facts"]) == {found["a"], found["b"]}
    with pytest.raises(ConfigError, match=r"--json set\.jsonl: the command reads this file"):
        called("compare", *options, "set.jsonl")
