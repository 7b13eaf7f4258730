"""Notebooks run through in a small copy of the repository; what is kept with them holds no error."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import small_repository
import warm_commands

ROOT = Path(__file__).resolve().parents[1]
NAMES = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
SECONDS = 1800


def read(path: Path) -> list[dict[str, Any]]:
    """The cells of a notebook."""
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def outputs(path: Path) -> dict[str, str]:
    """What each cell put out, as text, by cell id."""
    found = {}
    for cell in read(path):
        parts = [out.get("text") or out.get("data", {}).get("text/html") or out.get("data", {}).get("text/plain", "")
                 for out in cell.get("outputs", [])]  # fmt: skip
        found[cell["id"]] = "".join("".join(part) for part in parts)
    return found


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    """A small repository with a trained run in it."""
    folder = small_repository.make(tmp_path_factory.mktemp("notebooks") / "repository", ROOT, tiny_encoder)
    zhenyan = Path(sys.executable).with_name("zhenyan")
    subprocess.run([zhenyan, "train", "--set", "data.public_required=false"], cwd=folder, check=True, timeout=SECONDS,
                   env=small_repository.environment(folder), capture_output=True)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def executed(repository: Path) -> dict[str, dict[str, str]]:
    """What every notebook put out, by name."""
    execute = Path(sys.executable).with_name("jupyter-execute")
    paths = [repository / "notebooks" / name for name in NAMES]
    with warm_commands.commands(small_repository.environment(repository)) as settings:
        done = subprocess.run([execute, "--inplace", f"--timeout={SECONDS}", *paths], cwd=repository, text=True,
                              env=settings, capture_output=True)  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return {path.name: outputs(path) for path in paths}


@pytest.mark.slow
def test_the_new_label_goes_from_schema_to_challenger(executed: dict[str, dict[str, str]]) -> None:
    found = executed["01_new_label.ipynb"]
    assert "recorded in data/migrations/001.yaml" in found["migrate"]
    assert "private_diversion" in found["check"] and "0 faults" in found["check"]
    assert "15 labels" in found["train"]
    assert "policy f1" in found["thresholds"]
    assert "challenger" in found["compare"] and "private_diversion" in found["compare"]
    assert "champion" in found["promote"]


@pytest.mark.slow
def test_nothing_of_the_repository_is_changed(executed: dict[str, dict[str, str]], repository: Path) -> None:
    assert "private_diversion" not in (repository / "configs/labels.yaml").read_text(encoding="utf-8")
    assert not (repository / "data/migrations").exists()


@pytest.mark.slow
def test_errors_are_shown_with_what_was_taught(executed: dict[str, dict[str, str]]) -> None:
    shown = "".join(executed["02_error_analysis.ipynb"].values())
    assert "any violation" in shown and "true: " in shown and "<mark>" in shown


@pytest.mark.slow
def test_the_stream_ends_in_a_case_that_verifies(executed: dict[str, dict[str, str]]) -> None:
    shown = "".join(executed["03_stream_report.ipynb"].values())
    assert "f000001" in shown and "the same, score" in shown


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_is_whole_and_without_errors(name: str) -> None:
    """Outputs are those of one full run from top to bottom (`make notebooks`), made fit to read."""
    cells = [cell for cell in read(ROOT / "notebooks" / name) if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert not [out for out in cell["outputs"] if out["output_type"] == "error" or out.get("name") == "stderr"]
        assert sum(out["output_type"] == "stream" for out in cell["outputs"]) <= 1 + len(cell["outputs"]) // 2
    assert "site-packages" not in (ROOT / "notebooks" / name).read_text(encoding="utf-8")


def test_outputs_are_tidied() -> None:
    spec = importlib.util.spec_from_file_location("tidy_notebooks", ROOT / "docs" / "tidy_notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stream = {"output_type": "stream", "name": "stdout"}
    figure = {"output_type": "display_data", "data": {}}
    found = module.tidy([stream | {"text": [f"{ROOT}/a\n10%|#\r90%|##\r"]}, stream | {"name": "stderr", "text": "warning"},
                         stream | {"text": "100%|###|\nb"}, figure, stream | {"text": "50%|#| 1/2\n"}])  # fmt: skip
    assert found == [stream | {"text": ["a\n", "b"]}, figure]
