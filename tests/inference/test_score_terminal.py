"""What `zhenyan score` says to scripts and terminals: exit code 4, consoles that aren't UTF-8, text that steers."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

from rich.console import Console
from zhenyan.inference.cli.score import say_notes
from zhenyan.inference.cli.table import findings_table, printable
from zhenyan.inference.runs import RunFolder

STEERING = "房间\x1b]0;taken\x07\x1b[2J\u202e倒着\x9b31m"
HIT = "喝完这个茶三高就降下来了 药都停了"


def zhenyan(*words, **environment):
    """The command in a process of its own."""
    code = "from zhenyan.inference.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, env=os.environ | environment
    )


def test_a_finding_of_two_lines_is_a_hit_for_scripts(tmp_path, command):
    source, output = tmp_path / "a.txt", tmp_path / "out.jsonl"
    source.write_text("大家好\n欢迎来到直播间\n", encoding="utf-8")
    words = ("score", source, "-o", output, "--fail-on-hit")
    assert command(*words)[0] == 0
    path = RunFolder.existing(output).path / "summary.json"
    found = json.loads(path.read_text(encoding="utf-8")) | {"hits": 0, "findings": 1}  # none of the lines alone
    path.write_text(json.dumps(found), encoding="utf-8")
    code, told = command(*words)
    assert code == 4 and "0 with a hit, 1 findings" in told


def test_a_console_that_is_not_utf8_ends_nothing(tmp_path):
    source, report = tmp_path / "a.txt", tmp_path / "out.html"
    source.write_text(f"{HIT}🎉\n", encoding="utf-8")
    words = ("score", source, "-o", tmp_path / "out.jsonl", "--show", 5, "--report", report)
    done = zhenyan(*words, PYTHONIOENCODING="gbk", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr.decode("gbk", "replace")
    assert "三高" in done.stdout.decode("gbk") and "?" in done.stdout.decode("gbk") and report.exists()


def test_the_report_is_written_before_anything_is_shown(tmp_path, source, command, monkeypatch):
    def broken(*_):
        raise RuntimeError("a terminal that went away")

    monkeypatch.setattr(sys.modules["zhenyan.inference.cli.score"], "findings_table", broken)
    try:
        command("score", source, "-o", tmp_path / "out.jsonl", "--show", 1, "--report", tmp_path / "out.html")
    except RuntimeError:
        assert (tmp_path / "out.html").exists()
    else:
        raise AssertionError("nothing was shown")


def test_no_name_or_note_steers_the_terminal(tmp_path, score, classifier):
    source = tmp_path / "a.jsonl"
    source.write_text(json.dumps({"text": HIT, "stream": STEERING, "start": 1.0}), encoding="utf-8")
    folder, console = score(source, tmp_path / "out.jsonl"), Console(file=io.StringIO(), width=60)
    console.print(findings_table(folder, classifier.bundle, 50))
    say_notes([f"a.xlsx: read sheet {STEERING}\nerror: made up"], console)
    told = console.file.getvalue()
    assert "房间" in told and "a.xlsx" in told and "\nerror" not in told
    assert not any(c != "\n" and not c.isprintable() for c in told)


def test_errors_do_not_steer_the_terminal_either(tmp_path, command):
    source = tmp_path / "a.csv"
    source.write_text(f"一列{STEERING},另一列\nx,y\n", encoding="utf-8")
    code, told = command("score", source, "-o", tmp_path / "out.jsonl", "--text-column", "文案")
    assert code == 2 and "一列房间" in told and "\x1b]" not in told and "\u202e" not in told
    assert printable("a\x1b[2Jb\nc") == "a [2Jb\nc"
