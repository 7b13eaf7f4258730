"""The lowest versions that pyproject.toml allows of what services and reviewers install: zhenyan works with them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest
from service import ZHENYAN, client, serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.version_info >= (3, 12), reason="some of the lowest versions are older than this Python"),
]
EXTRAS = ["serve", "review", "docx"]
INSTALLED = ["pyproject.toml", "README.md", "LICENSE", "NOTICE", "MANIFEST.in", "inference", "training"]


def _lowest(project: dict) -> list[str]:
    """`name==version` for the lower bound of everything that is installed."""
    wanted = [*project["dependencies"], *(one for extra in EXTRAS for one in project["optional-dependencies"][extra])]
    return ["==".join(re.match(r"([\w.-]+)(?:\[.*\])?>=([\d.]+)", one).groups()) for one in wanted]


@pytest.fixture(scope="module")
def lowest(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`zhenyan` in an environment of its own, with the lowest versions of all that pyproject.toml names."""
    folder = tmp_path_factory.mktemp("lowest")
    (source := folder / "source").mkdir()  # setuptools builds in the folder that it installs from
    for name in INSTALLED:
        (shutil.copytree if (root / name).is_dir() else shutil.copy)(root / name, source / name)
    pins = _lowest(tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"])
    (folder / "pins.txt").write_text("\n".join(pins), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    pip = [folder / "venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", "--constraint"]
    command = [*pip, folder / "pins.txt", f"{source}[{','.join(EXTRAS)}]"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "venv/bin/zhenyan"


def _scored(zhenyan: Path, root: Path, output: Path) -> list[dict]:
    command = [zhenyan, "score", root / "data/samples", "-o", output, "--report", output.with_suffix(".html")]
    done = subprocess.run([*command, "--text-column", "文案"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]


def _findings(rows: list[dict]) -> list[tuple]:
    return [(row["text"], row["labels"], [hit["text"] for hit in row.get("evidence", [])]) for row in rows]


def test_it_scores_the_samples_as_this_environment_does(lowest, root, tmp_path):
    ours = _scored(ZHENYAN, root, tmp_path / "ours.jsonl")
    assert _findings(_scored(lowest, root, tmp_path / "lowest.jsonl")) == _findings(ours)
    assert any(row["labels"] for row in ours)


def test_it_serves(lowest, tmp_path):
    with serving(tmp_path, program=lowest) as service, client(service) as http:
        answer = http.post("/v1/classify", json={"texts": ["全网销量第一 没有之一", "今天拍明天发"]})
        assert [bool(result["labels"]) for result in answer.json()["results"]] == [True, False]
        assert http.get("/metrics").status_code == 200


def test_a_reviewer_logs_in_and_sees_the_findings(lowest, root, tmp_path):
    _scored(lowest, root, run := tmp_path / "o.jsonl")
    add = [lowest, "reviewers", "add", "ann", "--role", "admin", "--run", run, "--password-stdin"]
    subprocess.run(add, input="correct horse battery", text=True, check=True, capture_output=True)
    command, log = [lowest, "review", run, "--port", "0"], tmp_path / "log"
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with log.open("w") as errors, subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
    ) as process:  # fmt: skip
        try:
            said = process.stdout.readline()
            assert said, log.read_text()
            with httpx.Client(base_url=said.split()[-1], follow_redirects=True, trust_env=False, timeout=60) as http:
                hidden = re.findall(r'name="(\w+)" value="([^"]*)"', http.get("/login").text)
                page = http.post("/login", data={**dict(hidden), "name": "ann", "password": "correct horse battery"})
                assert page.status_code == 200 and "全国销量第一" in http.get("/").text
        finally:
            process.terminate()
