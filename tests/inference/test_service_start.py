"""`zhenyan serve` where something that it needs isn't there, and what its help says."""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import subprocess
import sys

import pytest
from zhenyan.inference.serve import server


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "prometheus_client"])  # newer Typers need pydantic, too
def test_a_missing_package_of_the_extra_is_named(command, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    code, told = command("serve", "--port", "0")
    assert code == 2 and f"this needs {package}, which is not installed" in told and "'.[serve]'" in told


def test_a_settings_file_that_is_not_there_is_told_what_to_give(command):
    code, told = command("serve", "--config", "nofile.toml")
    assert code == 2 and "nofile.toml: cannot be read: No such file or directory; give a TOML file of settings" in told


def test_looking_for_the_packages_leaves_the_metrics_folder_to_the_supervisor():
    """prometheus_client looks for its folder when it is imported: too early, and workers wouldn't share metrics."""
    program = (
        "import sys\nfrom zhenyan.inference.cli import main\nsys.argv = ['zhenyan', 'serve', '--settings']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    print(end.code, 'prometheus_client' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "0 False", done.stderr
    assert "a request is answered within this, with 429 where others make it wait too long" in done.stdout


def test_no_folder_for_the_metrics_is_told(tmp_path):
    """As in a read-only container."""
    set_up = f"import tempfile\ntempfile.tempdir = {str(tmp_path / 'none')!r}"
    program = f"{set_up}\nfrom zhenyan.inference.cli import main\nmain()"
    done = subprocess.run([sys.executable, "-c", program, "serve", "--port", "0"], capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "no folder can be written for the metrics (No such file or directory): set TMPDIR to one" in done.stderr


def test_a_disk_without_locks_has_room_for_the_metrics(monkeypatch, tmp_path):
    """Such as NFS without its lock service."""

    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    os.close(server._hold(str(tmp_path / "metrics"), None))
    assert os.path.isdir(tmp_path / "metrics")


def test_the_folder_of_the_metrics_is_locked_once_and_anew_when_it_was_swept_away(tmp_path):
    first = server._hold(str(tmp_path / "metrics"), None)
    assert server._hold(str(tmp_path / "metrics"), first) == first
    (tmp_path / "metrics").rmdir()
    handle = server._hold(str(tmp_path / "metrics"), first)
    other = os.open(tmp_path / "metrics", os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)
    os.close(handle)


def test_with_standard_error_closed_it_serves_without_a_log():
    program = (
        "import os, socket\nfrom zhenyan.inference.serve import server, settings\n"
        "service = server.Supervisor(settings.Settings(port=0))\nservice.log.error('nowhere')\n"
        "print('serves', service.listener.fileno() > 2)"
    )
    line = f"{shlex.quote(sys.executable)} -c {shlex.quote(program)} 2>&-"
    assert subprocess.run(line, shell=True, capture_output=True, text=True).stdout == "serves True\n"


def forked(body: str) -> str:
    """What a process prints that forks `body` and waits for it."""
    program = f"import os, sys, time\nfrom zhenyan.inference.serve.processes import fork, orphaned\n{body}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60).stdout


def test_a_child_ends_though_its_standard_error_takes_nothing_more():
    """As where nobody reads it any more; it went on as a second supervisor."""
    body = "sys.stderr = open('/dev/full', 'w')\nchild = fork(sys.stderr.write, 'lost')\n"
    told = "_, status = os.waitpid(child, 0)\nprint(os.waitstatus_to_exitcode(status), flush=True)\nos._exit(0)"
    assert forked(body + told) == "0\n"


def test_a_child_knows_that_its_parent_went_before_it_asked():
    body = "def ask():\n    time.sleep(0.5)\n    print(orphaned(), flush=True)\nfork(ask)\n"
    assert forked(body + "os._exit(0)") == "True\n"
    assert forked(body + "time.sleep(1)") == "False\n"


def test_a_key_that_nobody_saw_is_not_kept(tmp_path):
    keys = [sys.executable, "-c", "from zhenyan.inference.cli import main; main()", "keys"]
    with open("/dev/full", "wb") as full:
        assert subprocess.run([*keys, "add", "shop", "--file", tmp_path / "keys.json"], stdout=full).returncode
    done = subprocess.run([*keys, "add", "shop", "--file", tmp_path / "keys.json"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("zy-")
