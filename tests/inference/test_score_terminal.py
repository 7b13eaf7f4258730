"""What `zhenyan score` says to scripts and terminals: exit code 4, consoles that aren't UTF-8, text that steers."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from report_helpers import finding, make_run
from rich.console import Console
from zhenyan.inference import load_bundle, windows
from zhenyan.inference.cli.score import say_notes, unscored
from zhenyan.inference.cli.table import bracketed, findings_table, printable
from zhenyan.inference.errors import InputError
from zhenyan.inference.io.note_kinds import READ_AS_ASKED
from zhenyan.inference.runs import RunFolder
from zhenyan.inference.runs.finish import note_lines
from zhenyan.inference.runs.store import object_bytes

STEERING = "房间\x1b]0;taken\x07\x1b[2J\u202e倒着\x9b31m"
HIT = "喝完这个茶三高就降下来了 药都停了"


def noted(folder, notes, **more):
    """The run's summary has these notes."""
    path = folder.path / "summary.json"
    found = {key: value for key, value in folder.summary.items() if key != "noted"}
    path.write_text(json.dumps(found | {"notes": notes, **more}), encoding="utf-8")


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
    def broken(*_, **__):
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
    noted(folder, [f"a.xlsx: read sheet {STEERING}\nerror: made up"])
    say_notes(folder, console)
    told = console.file.getvalue()
    assert "房间" in told and "a.xlsx" in told and "\nerror" not in told
    assert not any(c != "\n" and not c.isprintable() for c in told)


@pytest.mark.parametrize(("terminal", "marks"), [(True, "\x1b[1;"), (False, "【")])
def test_the_deciding_words_are_marked_also_where_nothing_can_be_bold(tmp_path, terminal, marks):
    """In a pipe, a file, the log of a build."""
    (tmp_path / "a.txt").write_text(f"{HIT}\n", encoding="utf-8")
    words = ("score", tmp_path / "a.txt", "-o", tmp_path / "out.jsonl", "--show", 5)
    done = zhenyan(*words, **({"FORCE_COLOR": "1", "TERM": "xterm-256color"} if terminal else {}))
    shown = done.stdout.decode().partition("deciding words marked")[2]
    assert done.returncode == 0 and marks in shown and ("【" in shown) is not terminal


def test_deciding_words_of_several_labels_that_overlap_are_bracketed_once():
    spans = [{"start": 3, "end": 6}, {"start": 0, "end": 2}, {"start": 4, "end": 7}, {"start": 7, "end": 8}]
    assert bracketed("零一二三四五六七\n九", spans).plain == "【零一】二【三四五六七】 九"


def test_the_table_shows_a_finding_with_the_time_of_its_text(tmp_path):
    first, own = {"place": "cue 1", "start": 5.0}, {"place": "cue 9", "start": 600.0}
    found = finding(1, count=2, place={"file": "a.srt", **own}, times=[first, own])
    console = Console(file=io.StringIO(), width=80)
    console.print(findings_table(make_run(tmp_path, [found], []), load_bundle(), 1))
    assert "0:10:00" in console.file.getvalue() and "0:00:05" not in console.file.getvalue()


def test_errors_do_not_steer_the_terminal_either(tmp_path, command):
    source = tmp_path / "a.csv"
    source.write_text(f"一列{STEERING},另一列\nx,y\n", encoding="utf-8")
    code, told = command("score", source, "-o", tmp_path / "out.jsonl", "--text-column", "文案")
    assert code == 2 and "一列房间" in told and "\x1b]" not in told and "\u202e" not in told
    assert printable("a\x1b[2Jb\nc") == "a [2Jb\nc"


def test_notes_are_told_by_kind_and_none_is_lost(tmp_path, score, texts, monkeypatch):
    monkeypatch.setattr("zhenyan.inference.io.opening._SAMPLE", 4096)  # the damage comes after what tells the encoding
    for number in range(12):
        (tmp_path / f"a{number:02d}.txt").write_text(texts[0], encoding="gb18030")
    (tmp_path / "b: c.txt").write_bytes("大家好\n欢迎来到直播间\n".encode() * 200 + "坏\n".encode("gb18030"))
    paths = sorted(map(str, tmp_path.glob("*.txt")))
    folder, console = score(paths, tmp_path / "out.jsonl"), Console(file=io.StringIO(), width=400)
    say_notes(folder, console)
    many, rare, where = console.file.getvalue().splitlines()
    assert many == (f"note: 12 files: read as gb18030; name --encoding if that is wrong: {', '.join(paths[:3])} …")
    assert rare.startswith(f"note: {paths[-1]}: read as utf-8, of which line 401 has damaged bytes; save")
    assert where == f"note: all 13 notes: {folder.path / 'notes.txt'}"
    every = (folder.path / "notes.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split(": read as")[0] for line in every] == paths
    assert (folder.summary["noted"], len(folder.summary["notes"])) == (13, 2)


def test_texts_that_are_read_in_part_are_noted_everywhere(tmp_path, command, monkeypatch):
    monkeypatch.setattr(windows, "MAX_CHARS", 50)
    source, report = tmp_path / "a.csv", tmp_path / "out.html"
    source.write_text(f"文案\n大家好\n{'好' * 60}\n好{chr(0x301) * 70}\n", encoding="utf-8")
    words = ("score", source, "-o", tmp_path / "out.jsonl", "--no-evidence", "--report", report)
    wanted = [
        f"{source} line {line}: read in part, left out {what} characters; cut it, or score with --split"
        for line, what in ((3, "10 of 60"), (4, "21 of 71"))
    ]
    folder = RunFolder.of_output(tmp_path / "out.jsonl")
    for _ in range(2):
        code, told = command(*words)
        assert code == 0 and "note: 2 texts: read in part, left out …;" in " ".join(told.split())
        lines = (folder.path / "notes.txt").read_text("utf-8").splitlines()
        assert [line.split("\t")[0] for line in lines] == wanted
        page = report.read_text("utf-8")
        assert '<span lang="en">2 texts: read in part, left out' in page
        assert '<span lang="zh">2 条文本：只读取了一部分，略去' in page
        (folder.path / "summary.json").unlink()  # the second time the run ends anew from its parts


def test_more_kinds_of_notes_than_are_printed(tmp_path, source, score):
    folder, console = score(source, tmp_path / "out.jsonl"), Console(file=io.StringIO(), width=400)
    noted(folder, [f"note {n}" for n in range(13)], noted=2500)
    say_notes(folder, console)
    noted(folder, [f"note {n}" for n in range(13)])  # of before they were told by kind
    say_notes(folder, console)
    told = console.file.getvalue().splitlines()
    assert told[10] == f"note: and 3 more kinds; all 2,500 notes: {folder.path / 'summary.json'}"
    assert told[21] == f"note: and 3 more kinds; all 13 notes: {folder.path / 'summary.json'}" and len(told) == 22


def test_damaged_runs_are_named_when_their_findings_are_shown(tmp_path, source, command):
    words = ("score", source, "-o", tmp_path / "out.jsonl", "--show", 5, "--no-evidence")
    command(*words)
    run = RunFolder.existing(tmp_path / "out.jsonl").path
    (run / "summary.json").write_text('{"rows": 1}')
    code, told = command(*words)
    assert code == 2 and "summary.json: damaged, field 'hits' is None; score anew with --restart" in told
    assert command(*words, "--restart")[0] == 3
    (run / "findings.jsonl").write_text("{broken")
    code, told = command(*words)
    assert code == 2 and "findings.jsonl line 1: can't be read" in told and "score anew with --restart" in told


def test_a_file_name_that_is_not_utf8_is_scored_like_any_other(tmp_path, command, score):
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/room\xff\xb2.txt"))
    odd.write_text(f"{HIT}\n", encoding="gb18030")
    (tmp_path / "b.txt").write_text("大家好\n", encoding="utf-8")
    words = ("score", odd, tmp_path / "b.txt", "-o", tmp_path / "out.jsonl", "--report", tmp_path / "out.html")
    for _ in range(2):  # the second time the run is known
        assert command(*words, "--no-evidence", "--no-context", "--show", 1)[0] == 0
    for ending in (".csv", ".xlsx", ".parquet"):
        folder = score([str(odd), str(tmp_path / "b.txt")], tmp_path / f"out{ending}")
        assert next(folder.findings())["text"] == HIT and "room" in folder.summary["notes"][0]


def test_a_summary_holds_notes_of_any_name():
    assert json.loads(object_bytes({"notes": ["坏\udcff.txt"]})) == {"notes": ["坏\udcff.txt"]}
    assert "好".encode() in object_bytes({"notes": ["好"]})
    told = list(note_lines([READ_AS_ASKED.of("坏\udcff\t1\n.txt", encoding="gb18030")]))
    assert told == ["坏\\udcff 1 .txt: read as gb18030\t坏\\udcff 1 .txt：按 gb18030 编码读取\n".encode()]


def test_files_that_are_lost_are_told_apart_from_rows(tmp_path, source, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(22):
        Path(f"坏{number:02d}.xlsx").write_bytes(b"x")
    words = ("score", source.name, *sorted(p.name for p in tmp_path.glob("*.xlsx")), "-o", "out.jsonl", "--no-evidence")
    code, told = command(*words, "--report", "out.html")
    where = Path("out.jsonl.run/rejects.jsonl")
    assert code == 3
    assert f"22 files and 2 rows could not be scored (坏00.xlsx, 坏01.xlsx, 坏02.xlsx …): {where}" in " ".join(
        told.split()
    )
    summary = RunFolder.existing(Path("out.jsonl")).summary
    assert (summary["rejects"], summary["lost"]["files"], len(summary["lost"]["named"])) == (24, 22, 20)
    first = summary["lost"]["named"][0]
    assert first["file"] == "坏00.xlsx" and first["reason"].startswith("not a readable XLSX workbook: ")
    page = Path("out.html").read_text(encoding="utf-8")
    assert first["reason_zh"] == "不是可读取的 XLSX 工作簿：实为文本；请用电子表格程序打开后另存为 .xlsx，或重新获取"
    assert re.search(r"坏19\.xlsx.*不是可读取的 XLSX 工作簿.*not a readable XLSX", page) and "坏20.xlsx" not in page


@pytest.mark.parametrize(
    ("files", "rejects", "told"),
    [
        (0, 1, "1 row could not be scored"),
        (1, 1, "1 file could not be scored (a.docx)"),
        (1, 3, "1 file and 2 rows could not be scored (a.docx)"),
    ],
)
def test_how_many_could_not_be_scored(files, rejects, told):
    named = [{"file": "a.docx", "reason": "x"}] * files
    assert unscored({"rejects": rejects, "lost": {"files": files, "named": named}}) == told


def test_a_damaged_count_of_lost_files_is_said(tmp_path):
    folder = make_run(tmp_path, [], [])
    assert folder.summary["lost"] == {"files": 0, "named": []}  # of a run of before they were told
    noted(folder, [], lost={"files": 1})
    with pytest.raises(InputError, match=r"summary\.json: lost: damaged, field 'named' is None; score anew"):
        _ = folder.summary
