"""Where Python has neither `fcntl` and `termios` nor SIGHUP, as on Windows, all runs but the service, which says so."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from types import SimpleNamespace
from urllib.request import urlopen

import pytest
from zhenyan.inference.serve.connections import unread

PROGRAM = """
import signal, sys
sys.modules |= {"fcntl": None, "termios": None}
del signal.SIGHUP
from zhenyan.inference.cli import main
main()
"""


def zhenyan(*words, stdin=""):
    """What a command ends with and says."""
    command = [sys.executable, "-c", PROGRAM, *map(str, words)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """The output of a run of one flagged line."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "copy.txt").write_text("全网销量第一 没有之一\n", encoding="utf-8")
    code, said = zhenyan("score", folder / "copy.txt", "-o", folder / "out.jsonl", "--threads", 1)
    assert code == 0 and "1 rows, 1 with a hit" in said
    return folder / "out.jsonl"


def test_a_text_is_classified():
    code, said = zhenyan("classify", "全网销量第一 没有之一")
    assert code == 0 and "false_propaganda" in said


def test_reviewers_exports_imports_and_evidence(scored):
    tasks, case = scored.with_name("tasks.json"), scored.with_name("case.json")
    for words, stdin in (
        (("reviewers", "add", "王", "--role", "admin", "--run", scored, "--password-stdin"), "pass word of twelve\n"),
        (("review-export", scored, "-o", tasks, "--to", "labelstudio"), ""),
        (("review-import", scored, tasks), ""),
        (("evidence", scored, "f000001", "-o", case), ""),
        (("verify", case), ""),
    ):
        code, said = zhenyan(*words, stdin=stdin)
        assert code == 0, said


@pytest.mark.slow
def test_the_review_page_is_served(scored):
    command = [sys.executable, "-c", PROGRAM, "review", str(scored), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            said = server.stdout.readline()
            assert said.startswith("reviewing "), said + server.stderr.read()
            with urlopen(said.split()[-1] + "/login", timeout=30) as page:
                assert page.status == 200 and 'type="password"' in page.read().decode()
        finally:
            with contextlib.suppress(ProcessLookupError):
                server.terminate()


@pytest.mark.parametrize("module", ["fcntl", "termios"])
def test_of_answers_that_wait_those_outside_the_kernel_are_counted(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    transport = SimpleNamespace(
        get_write_buffer_size=lambda: 7, get_extra_info=lambda _: pytest.fail("asked the kernel")
    )
    assert unread(SimpleNamespace(transport=transport)) == 7


@pytest.mark.parametrize(
    "words", [("serve", "--port", "0"), ("keys", "add", "shop"), ("keys", "list"), ("keys", "revoke", "shop")]
)
def test_the_service_says_in_one_line_that_it_does_not_run_here(tmp_path, words):
    at = ("--file", tmp_path / "keys.json") if words[0] == "keys" else ()
    code, said = zhenyan(*words, *at)
    assert code == 2 and said.count("\n") == 1 and not list(tmp_path.iterdir())
    assert said.startswith(
        "error: zhenyan serve and its keys need Linux or another POSIX system (this Python has no module fcntl)"
    )


@pytest.mark.parametrize("words", [("serve", "--help"), ("keys", "add", "--help")])
def test_its_help_is_there(words):
    code, said = zhenyan(*words)
    assert code == 0 and "Usage:" in said
