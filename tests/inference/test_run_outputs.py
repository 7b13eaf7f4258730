"""An output that someone has worked in since, and a run that was reviewed: both are kept, and the way on is said."""

from __future__ import annotations

import json
from pathlib import Path

import openpyxl
import pytest
from run_helpers import ROWS, contents, no_engine
from zhenyan.inference.errors import InputError
from zhenyan.inference.io import Options, read_items
from zhenyan.inference.runs import RunFolder, finish

CHANGED = r"was changed since it was written; move it away or name another output \(once it is moved, the same command"


def remark(output):
    """What a reviewer does to an output: a column more, or a line."""
    if output.suffix == ".xlsx":
        book = openpyxl.load_workbook(output)
        book.active.cell(1, book.active.max_column + 1, "审查意见")
        book.active.cell(2, book.active.max_column, "已核实")
        book.save(output)
    else:
        output.write_bytes(output.read_bytes() + "审查意见\n".encode())
    return output.read_bytes()


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".xlsx"])
def test_remarks_in_an_output_are_not_written_over(tmp_path, source, score, ending, restart):
    output = tmp_path / f"out{ending}"
    folder = score(source, output)
    edited, summary = remark(output), (folder.path / "summary.json").read_bytes()
    with pytest.raises(InputError, match=CHANGED) as caught:
        score(source, output, no_engine, restart=restart)
    assert str(caught.value).startswith(f"{output}: ")
    assert (output.read_bytes(), (folder.path / "summary.json").read_bytes()) == (edited, summary)
    output.rename(tmp_path / f"mine{ending}")
    score(source, output, no_engine)
    assert len(list(read_items(str(output), Options()))) == ROWS
    assert (tmp_path / f"mine{ending}").read_bytes() == edited


def test_a_report_that_is_asked_for_later_comes_once_the_edited_output_is_moved(tmp_path, source, command):
    output, report = tmp_path / "out.xlsx", tmp_path / "out.html"
    words = ("score", source, "-o", output, "--no-evidence", "--no-context")
    command(*words)
    edited = remark(output)
    code, told = command(*words, "--report", report)
    assert code == 2 and "was changed since it was written; move it away" in " ".join(told.split())
    assert output.read_bytes() == edited and not report.exists()
    output.rename(tmp_path / "mine.xlsx")
    assert command(*words, "--report", report)[0] == 3 and output.exists() and report.exists()


def test_an_output_that_is_gone_is_written_again_but_not_scored_again(tmp_path, source, score):
    output = tmp_path / "out.jsonl"
    whole = contents(score(source, output), output)
    output.unlink()
    assert contents(score(source, output, no_engine), output) == whole


def test_a_run_cut_off_between_its_new_output_and_its_summary_goes_on(tmp_path, source, score, monkeypatch):
    """A workbook written again differs, for it holds the time: the old summary must not call it changed."""
    output = tmp_path / "out.jsonl"
    folder = score(source, output)
    whole = contents(folder, output)
    path = folder.path / "summary.json"
    path.write_text(json.dumps(folder.summary | {"output_sha256": "0" * 64}), encoding="utf-8")
    output.unlink()

    def cut_off(_):
        raise RuntimeError("cut off")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(finish, "sha256", cut_off)
        score(source, output, no_engine)
    assert output.exists()
    assert contents(score(source, output, no_engine), output) == whole


def test_restart_does_not_cut_off_decisions(tmp_path, source, score):
    output = tmp_path / "out.jsonl"
    folder = score(source, output)
    (folder.path / "review.db").touch()
    before = contents(folder, output)
    with pytest.raises(InputError, match=r"review\.db: .*name another output.*review-export"):
        score(source, output, no_engine, restart=True)
    assert contents(folder, output) == before


def test_what_was_decided_stays_where_no_part_is_left(tmp_path, source, score):
    folder = score(source, tmp_path / "out.jsonl")
    (folder.path / "review.db").touch()
    for part in (folder.path / "parts").iterdir():
        part.unlink()
    with pytest.raises(InputError, match=r"review\.db: .*with review\.db-wal and review\.db-shm"):
        score(source, tmp_path / "out.jsonl", no_engine)


def test_a_run_that_is_open_in_a_review_is_not_scored_anew(tmp_path, source, score):
    output = tmp_path / "out.jsonl"
    folder = score(source, output)
    before = contents(folder, output)
    with folder.in_review(), folder.in_review():  # two sites may show one run
        with pytest.raises(InputError, match=r"is open in `zhenyan review`.*end that first \(Ctrl-C\)"):
            score(source, output, no_engine, restart=True)
        assert contents(score(source, output, no_engine), output) == before  # it is finished
    assert contents(score(source, output, restart=True), output) == before
    with (
        folder.out_of_review(),
        pytest.raises(InputError, match="is being scored anew; wait for it"),
        folder.in_review(),
    ):
        pass


def test_a_first_review_finds_out_that_its_run_is_scored_anew(tmp_path):
    folder = RunFolder(tmp_path)
    with folder.out_of_review(), pytest.raises(InputError, match="is being scored anew; wait"), folder.in_review():
        pass
    with folder.in_review(), pytest.raises(InputError, match="end that first"), folder.out_of_review():
        pass


def test_a_lock_that_another_user_made_holds_all_the_same(tmp_path, monkeypatch):
    folder, opens = RunFolder(tmp_path), Path.open
    with folder.out_of_review():
        pass

    def refused(path, mode="r", **more):
        if mode != "rb":
            raise PermissionError(13, "Permission denied")
        return opens(path, mode, **more)

    monkeypatch.setattr(Path, "open", refused)
    with folder.out_of_review(), pytest.raises(InputError, match="is being scored anew; wait"), folder.in_review():
        pass
    (tmp_path / "review.lock").unlink()
    with folder.in_review():  # of a folder that can only be read, in which there is none
        pass


def test_the_folder_of_parts_outlives_a_fresh_start(tmp_path):
    """Who counts parts meanwhile, as tests and monitoring do, found it gone for a moment."""
    folder = RunFolder.of_output(tmp_path / "out.jsonl")
    with folder.locked():
        before = (folder.path / "parts").stat().st_ino
        folder.part(1).write_bytes(b"")
        (folder.path / "parts" / "copied").mkdir()
        (folder.path / "parts" / "linked").symlink_to(tmp_path)
        folder.clear()
    assert (folder.path / "parts").stat().st_ino == before and not list((folder.path / "parts").iterdir())
    assert tmp_path.is_dir()


def test_a_file_that_no_run_wrote_is_written_over_only_when_that_is_asked_for(tmp_path, source, command):
    output = tmp_path / "notes.csv"
    output.write_bytes("我的笔记\n".encode())
    code, told = command("score", source, "-o", output)
    assert code == 2 and "is there already, and no run wrote it; name another output, or add --restart" in told
    assert output.read_bytes() == "我的笔记\n".encode() and list(tmp_path.glob("notes.csv.run")) == []
    assert command("score", source, "-o", output, "--restart", "--no-evidence", "--no-context")[0] == 3
    assert len(list(read_items(str(output), Options()))) == ROWS


def test_a_page_that_is_no_report_is_kept(tmp_path, source, command):
    output, page = tmp_path / "out.jsonl", tmp_path / "case.html"
    page.write_text("<html><title>案卷</title></html>", encoding="utf-8")
    words = ("score", source, "-o", output, "--no-evidence", "--no-context", "--report")
    code, told = command(*words, page)
    assert code == 2 and "case.html: is there already, and is no report of zhenyan's; name another file" in told
    assert page.read_text(encoding="utf-8") == "<html><title>案卷</title></html>" and not output.exists()
    report = tmp_path / "out.html"
    assert [command(*words, report)[0] for _ in range(2)] == [3, 3] and report.stat().st_size > 1000
