"""A PostgreSQL server of the test run's own, and a browser."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--lang=en-US"]


def _binary(name: str) -> str:
    """A server program, also where Debian hides it; skips the test when PostgreSQL isn't installed."""
    hidden = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(hidden[-1]) if hidden else None)
    return found or pytest.skip(f"no {name}: install the package postgresql")


def _unprivileged() -> dict:
    """Arguments of subprocess.run that drop root, as which PostgreSQL refuses to run."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            account = pwd.getpwnam(name)
            return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        except KeyError:
            continue
    return pytest.skip("root, and no unprivileged account to run PostgreSQL as")


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Path]:
    """The socket folder of a running server; it listens on nothing else and is gone afterwards."""
    initdb, control, account = _binary("initdb"), _binary("pg_ctl"), _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="zhenyan-pg-"))
    if account:
        os.chown(folder, account["user"], account["group"])
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(folder)}

    def run(*command: str) -> None:
        subprocess.run(command, check=True, cwd=folder, env=environment, stdout=subprocess.DEVNULL, **account)

    data = str(folder / "data")
    run(initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
    options = f"-k {folder} -c listen_addresses='' -c fsync=off -c max_connections=80"
    run(control, "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
    yield folder
    run(control, "-D", data, "-m", "immediate", "-w", "stop")
    shutil.rmtree(folder)


_number = itertools.count(1)


@pytest.fixture
def postgres_url(postgres_cluster: Path) -> Iterator[str]:
    """The URL of a new, empty database, for SQLAlchemy or psycopg."""
    import psycopg

    name, admin = f"test_{next(_number)}", f"postgresql://postgres@/postgres?host={postgres_cluster}"
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield f"postgresql://postgres@/{name}?host={postgres_cluster}"
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def chromium() -> Iterator:
    """The system's Chromium, driven by Playwright."""
    api = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser: install one of {', '.join(_BROWSERS)}")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        browser.close()
