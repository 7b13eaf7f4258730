"""`zhenyan score`: exit codes, mistakes, being stopped, and what it shows meanwhile."""

from __future__ import annotations

import contextlib
import io
import sys

import pytest
from report_helpers import CLAIM, finding, make_run, stream_record
from rich.console import Console
from run_helpers import PART
from zhenyan.inference.cli.score import Reporter
from zhenyan.inference.cli.table import findings_table
from zhenyan.inference.runs import RunFolder, local_engine
from zhenyan.inference.runs.job import Progress


def test_exit_codes(tmp_path, source, command, texts):
    quick = ("--no-evidence", "--no-context", "--part-rows", PART)
    clean = tmp_path / "clean.txt"
    clean.write_text("\n".join(texts[:20]), encoding="utf-8")
    assert command("score", clean, "-o", tmp_path / "a.jsonl", *quick)[0] == 0
    assert command("score", source, "-o", tmp_path / "b.jsonl", *quick)[0] == 3
    assert RunFolder.existing(tmp_path / "b.jsonl").summary["hits"]
    assert command("score", source, "-o", tmp_path / "b.jsonl", *quick, "--fail-on-hit")[0] == 4


def test_findings_name_the_threshold_they_were_decided_by(tmp_path, source, command):
    asked = 0.3  # over the thresholds of some labels and under those of others
    command("score", source, "-o", tmp_path / "out.jsonl", "--no-evidence", "--no-context", "--min-score", asked)
    folder = RunFolder.existing(tmp_path / "out.jsonl")
    own = folder.manifest["thresholds"]
    assert min(own.values()) < asked < max(own.values())
    found = list(folder.findings())
    assert any(own[f["label"]] < asked for f in found)
    for one in found:
        assert one["threshold"] == pytest.approx(max(asked, own[one["label"]]), abs=1e-5)
        assert one["score"] >= one["threshold"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.jsonl", "-o", "{out}.jsonl"], "nothing.jsonl: no such file"),
        (["{source}", "-o", "{out}.doc"], "ending '.doc' is no output format"),
        (["{source}", "-o", "{source}"], "is one of the inputs"),
        (["{source}", "-o", "s3://bucket/out.jsonl"], "outputs are written to this machine's disks"),
        (
            ["{source}", "-o", "{out}.jsonl", "--labels", "no_such_label,虚假宣传"],
            "unknown label no_such_label; this bundle has false_propaganda 虚假宣传, ",
        ),
        (["{source}", "-o", "{out}.jsonl", "--labels", " , "], "--labels ' , ' names no label; this bundle has "),
        (["{source}", "-o", "{out}.jsonl", "--labels", ""], "--labels '' names no label; this bundle has "),
        (["{source}", "-o", "{out}.jsonl", "--report", "{source}"], "ending '.jsonl', but the report is HTML"),
        (
            ["{source}", "-o", "{out}.jsonl", "--report", "x" * 300 + ".html"],
            "xxx.html: File name too long; name another file",
        ),
        (["{source}", "-o", "{out}.jsonl", "--encoding", "klingon"], "--encoding 'klingon' is unknown"),
        (["{source}", "-o", "{out}.jsonl", "--model", "{out}"], "is {out} a bundle folder?"),
        (["{source}", "-o", "{out}.jsonl", "--actors", "2"], "--actors is for a Ray cluster; add --engine ray"),
        (["{source}", "-o", "/dev/null/out.jsonl"], "name an output in a folder that can be written"),
    ],
)
def test_mistakes_get_a_message_and_exit_code_2(tmp_path, source, command, arguments, said):
    names = {"source": source, "out": tmp_path / "out"}
    code, told = command("score", *(argument.format(**names) for argument in arguments))
    assert code == 2 and "error: " in told and said.format(**names) in told.replace("\n", "")


def test_ctrl_c_says_how_far_the_run_came(tmp_path, source, command, monkeypatch, classifier):
    def interrupted(works):
        with contextlib.closing(local_engine(classifier, False)(works)) as results:
            yield next(results)
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["zhenyan.inference.cli.score"], "make_engine", lambda *_: interrupted)
    code, told = command("score", source, "-o", tmp_path / "out.jsonl", "--part-rows", PART)
    assert code == 130 and f"stopped after {PART} rows; the same command goes on from there" in told


@pytest.mark.parametrize(("read", "known"), [(None, False), (0.5, True), (1.0, False)])
def test_the_time_left_is_not_told_once_everything_is_read(read, known):
    console = Console(file=io.StringIO(), width=200)
    with Reporter(console, every=0) as reporter:
        reporter(Progress(rows=100, hits=1, rejects=0, read=read))
    assert (" left" in console.file.getvalue()) is known


def test_findings_are_shown_whole(tmp_path, classifier):
    found = [finding(1, text=CLAIM * 12)]
    folder = make_run(tmp_path, found, [stream_record("room", found)])
    console = Console(file=io.StringIO(), width=60)
    console.print(findings_table(folder, classifier.bundle, 50))
    shown = console.file.getvalue()
    assert "…" not in shown and [shown.count(character) for character in "喝高降"] == [12] * 3


def test_labels_are_named_by_id_or_in_chinese(tmp_path, command):
    (tmp_path / "a.txt").write_text("全网销量第一 没有之一\n喝这个茶三高就降下来了\n", encoding="utf-8")
    written = []
    for number, names in enumerate(("food_safety,false_propaganda", "食品安全违法宣称，虚假宣传、food_safety")):
        code, _ = command("score", tmp_path / "a.txt", "-o", tmp_path / f"{number}.jsonl", "--labels", names)
        assert code == 0
        written.append((tmp_path / f"{number}.jsonl").read_bytes())
    assert written[0] == written[1] and written[0].count(b'"labels":["food_safety"]') == 1
