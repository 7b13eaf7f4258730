"""The Dockerfile without Docker: its build steps in a fresh environment, then its command, user and health check."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import httpx
import pytest
from service import Service

pytestmark = pytest.mark.slow


def instructions(file: Path) -> list[tuple[str, str]]:
    """(INSTRUCTION, rest) in order, with continued lines joined."""
    text = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", file.read_text(), flags=re.MULTILINE))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def ignored(path: Path, rules: list[str]) -> bool:
    """Whether .dockerignore keeps a path of the repository out: the last rule that matches decides."""
    out = False
    for rule in rules:
        pattern = rule.removeprefix("!").removeprefix("**/")
        parts = path.parts if rule.startswith("**/") else path.parts[:1]
        if any(fnmatch(part, pattern) for part in parts):
            out = not rule.startswith("!")
    return out


def copied(root: Path, source: Path, steps: list[tuple[str, str]]) -> None:
    """Run the COPY steps that read the repository."""
    rules = (root / ".dockerignore").read_text().split()
    for _, rest in (step for step in steps if step[0] == "COPY" and "--from" not in step[1]):
        *names, target = rest.split()
        for name in names:
            files = [root / name] if (root / name).is_file() else [p for p in (root / name).rglob("*") if p.is_file()]
            assert files, f"COPY {name}: nothing there"
            for file in (f for f in files if not ignored(f.relative_to(root), rules)):
                place = source / target / (name if target.endswith("/") else file.relative_to(root / name))
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, place)


def test_dockerfile(root, tmp_path):
    steps = instructions(root / "Dockerfile")
    last = dict(steps)  # of what may be given once, the last counts
    assert [rest.split()[0] for name, rest in steps if name == "FROM"] == ["python:3.11-slim"] * 2
    assert last["USER"] not in ("root", "0")

    source, venv = tmp_path / "src", tmp_path / "venv"
    copied(root, source, steps)
    build = next(rest for name, rest in steps if name == "RUN").replace("/venv", str(venv))
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("ZHENYAN_", "PYTHON", "VIRTUAL_ENV"))}
    images = clean | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    }  # where python is, which Debian calls python3
    done = subprocess.run(build, shell=True, cwd=source, env=images, capture_output=True, text=True)
    if re.search("No matching distribution|Temporary failure in name resolution|Failed to establish", done.stderr):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    installed = subprocess.run([venv / "bin/pip", "list", "--format", "json"], capture_output=True, check=True).stdout
    assert not {"torch", "transformers", "mlflow"} & {package["name"] for package in json.loads(installed)}
    shutil.rmtree(source)  # the image has only the environment

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = clean | {k: v.replace("/venv", str(venv)).replace("$PATH", os.environ["PATH"])
                           for k, v in (pair.split("=", 1) for pair in shlex.split(last["ENV"]))}  # fmt: skip
    environment |= {"ZHENYAN_PORT": str(port)} | {k: v for k, v in os.environ.items() if k == "ZHENYAN_MODEL"}
    health = json.loads(last["HEALTHCHECK"].partition("CMD ")[2])
    command = [venv / "bin" / json.loads(last["ENTRYPOINT"])[0], *json.loads(last["CMD"])]
    assert subprocess.run(health, env=environment, capture_output=True).returncode != 0
    log_file = tmp_path / "log"
    with log_file.open("wb") as log:
        service = Service(subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=log), log_file)
    try:
        assert service.wait_for("listening", seconds=300)["address"] == f"http://0.0.0.0:{port}"
        assert subprocess.run(health, env=environment).returncode == 0
        answer = httpx.post(f"http://127.0.0.1:{port}/v1/classify", json={"texts": ["好"]}, trust_env=False)
        assert answer.status_code == 200
    finally:
        assert service.stop() == 0
