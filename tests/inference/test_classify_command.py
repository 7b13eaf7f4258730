"""`zhenyan classify`: texts given or lines that come."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest
from zhenyan.inference import Classifier

VIOLATING, COMPLIANT = "全网销量第一 没有之一", "二号链接两盒装 今天拍明天发"


@pytest.fixture
def typed(monkeypatch):
    """Bytes on standard input."""
    return lambda data: monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_texts_given_are_answered_in_order(answers):
    code, said, _ = answers("classify", VIOLATING, COMPLIANT)
    lines = said.splitlines()
    assert code == 0
    assert lines[0] == VIOLATING
    assert "虚假宣传" in lines[1]
    assert "《广告法》" in lines[1]
    assert lines[-2:] == [COMPLIANT, "  compliant"]


def test_lines_that_come_are_answered_as_json(answers, typed):
    typed(f"\ufeff{VIOLATING}\r\n\n{COMPLIANT}".encode())
    code, said, _ = answers("classify", "--json")
    rows = [json.loads(line) for line in said.splitlines()]
    expected = Classifier.load().predict([VIOLATING, COMPLIANT])
    assert code == 0
    assert [row["text"] for row in rows] == [VIOLATING, COMPLIANT]
    assert [tuple(row["labels"]) for row in rows] == [one.labels for one in expected]
    assert rows[0]["scores"] == pytest.approx(expected[0].scores, abs=1e-5)
    assert rows[0]["evidence"][0]["text"] == expected[0].evidence[0].text


def test_bytes_that_are_no_utf8_are_named_with_their_line_after_the_lines_before(answers, typed):
    typed(COMPLIANT.encode() + b"\n" + "国家级".encode("gb18030"))
    code, said, complaint = answers("classify")
    assert code == 2
    assert said.startswith(COMPLIANT)
    assert "standard input, line 2" in complaint
    assert "iconv -f GB18030 -t UTF-8" in complaint


def in_a_process(*words, stdin=subprocess.DEVNULL, **environment):
    """`zhenyan classify` as a shell runs it: exit code, the bytes it answered, and what it said beside."""
    command = [sys.executable, "-c", "from zhenyan.inference.cli import main; main()", "classify", *words]
    done = subprocess.run(command, stdin=stdin, capture_output=True, env=os.environ | environment)
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.mark.parametrize("encoding", ["latin-1", "gbk"])
def test_json_is_whole_where_the_stream_is_not_utf8(encoding):
    code, said, complaint = in_a_process("--json", f"{VIOLATING}🎉", PYTHONIOENCODING=encoding)
    assert (code, complaint) == (0, "")
    assert json.loads(said.decode("ascii"))["text"] == f"{VIOLATING}🎉"


def test_json_is_not_escaped_where_the_stream_is_utf8():
    _, said, _ = in_a_process("--json", VIOLATING, PYTHONIOENCODING="utf8")
    assert said.startswith(f'{{"text": "{VIOLATING}"'.encode())


@pytest.mark.parametrize("words", [["--json"], []])
def test_an_argument_that_is_no_utf8_is_named(words):
    code, said, complaint = in_a_process(*words, COMPLIANT, b"\xe5\x85\xa8\xff", PYTHONUTF8="1")
    assert (code, said) == (2, b"")
    assert "text 2: byte 0xff is not UTF-8" in complaint
    assert "iconv -f GB18030 -t UTF-8" in complaint


def test_a_standard_input_that_cannot_be_read_is_told(tmp_path):
    with (tmp_path / "written").open("wb") as out:
        code, _, complaint = in_a_process(stdin=out)
    assert code == 2
    assert "standard input: cannot be read: Bad file descriptor; pipe lines in: zhenyan classify" in complaint


def test_a_blank_text_is_no_lawful_one(answers):
    code, said, complaint = answers("classify", COMPLIANT, " ")
    assert (code, said) == (2, "")
    assert "a blank one" in complaint


def test_a_text_that_is_read_in_part_is_told(answers):
    _, said, _ = answers("classify", COMPLIANT + " " * 100_000)
    assert "read in part: longer than 100,000 characters" in said


def test_a_dash_stands_for_standard_input(answers, typed):
    typed(f"{VIOLATING}\n{COMPLIANT}\n".encode())
    code, said, _ = answers("classify", "--json", "-")
    assert code == 0
    assert [json.loads(line)["text"] for line in said.splitlines()] == [VIOLATING, COMPLIANT]


def test_the_name_of_a_file_is_told_to_be_no_more_than_a_name(answers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.txt").write_text(VIOLATING, "utf-8")
    code, said, note = answers("classify", "lines.txt", COMPLIANT, "好" * 300)
    assert code == 0
    assert said.startswith("lines.txt\n  compliant\n")
    assert note == (
        "note: lines.txt is a file, and its name alone is classified here; its lines: "
        "zhenyan classify < FILE, or zhenyan score FILE\n"
    )


def test_nothing_given_at_a_terminal_is_told(answers, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    code, _, complaint = answers("classify")
    assert code == 2
    assert "zhenyan classify < lines.txt" in complaint


def test_the_package_runs_as_its_script_does():
    """Where a virtual environment's scripts aren't on the path, or several Pythons are installed."""
    words = [sys.executable, "-m", "zhenyan.inference", "classify", "--json", VIOLATING]
    done = subprocess.run(words, capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"") and json.loads(done.stdout)["text"] == VIOLATING
