"""Standard streams that are full, closed or gone: each command ends with a message, none with a traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from zhenyan.inference.cli import main

COMMANDS = [
    ["classify", "--json", "全网第一"],
    ["classify", "全网第一"],
    ["bundle"],
    ["serve", "--settings"],
    ["--help"],
]
full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")


def shell(line, *words, **environment):
    """The shell's line, in which "$@" is `zhenyan` with these words: exit code, what it answered, what it said beside."""
    command = ["bash", "-o", "pipefail", "-c", line, "bash", sys.executable, "-c",
               "from zhenyan.inference.cli import main; main()", *words]  # fmt: skip
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=os.environ | environment
    )
    return done.returncode, done.stdout, done.stderr


@full
@pytest.mark.parametrize(("words", "unbuffered"), [*((words, "") for words in COMMANDS), (COMMANDS[0], "1")])
def test_a_full_disk_is_told(words, unbuffered):
    code, _, complaint = shell('"$@" > /dev/full', *words, PYTHONUNBUFFERED=unbuffered)
    assert code == 2
    assert complaint == (
        "error: can't write the output: standard output: No space left on device; "
        "send it to a file or program that takes it\n"
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_closed_standard_output_is_told(words):
    code, _, complaint = shell('"$@" >&-', *words)
    assert code == 2
    assert complaint.startswith("error: can't write the output: standard output: it is closed; ")


@full
@pytest.mark.parametrize("line", ['"$@" 2> /dev/full', '"$@" > /dev/full 2>&1', '"$@" 2>&-', '"$@" >&- 2>&-'])
def test_where_nothing_can_be_said_the_exit_code_tells(line):
    assert shell(line, "classify", " ", PYTHONUNBUFFERED="") == (2, "", "")


def test_a_closed_standard_input_is_no_text():
    code, said, complaint = shell('"$@" <&-', "classify")
    assert (code, said) == (2, "")
    assert complaint.startswith("error: no text given")
    assert shell('"$@" <&-', "classify", "二号链接两盒装")[0] == 0


@pytest.mark.parametrize("words", [["classify", "--json"], ["classify"]])
def test_a_reader_that_leaves_is_no_fault(words):
    _, said, complaint = shell('yes 全网第一 | "$@" | head -1', *words)
    assert said.count("全网第一") >= 1 and complaint == ""


@pytest.mark.parametrize("words", [["data", "check"], ["data", "fix"]], ids=" ".join)
def test_a_name_that_no_system_takes_is_told(words):
    code, _, complaint = shell('"$@"', *words, "x" * 300)
    assert code == 2 and complaint.startswith("error: xxx") and "File name too long" in complaint


def test_another_fault_of_the_system_is_not_called_one_of_the_output(monkeypatch):
    def broken(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys.modules["zhenyan.inference.cli.classify"].Classifier, "load", broken)
    monkeypatch.setattr(sys, "argv", ["zhenyan", "classify", "全网第一"])
    with pytest.raises(OSError, match="No space left"):
        main()
