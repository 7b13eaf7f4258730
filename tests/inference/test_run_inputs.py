"""What a run reads: recordings of different files kept apart, each file once, and files that change or can't be had."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from run_helpers import PART, QUICK
from zhenyan.inference.errors import InputError, Unavailable
from zhenyan.inference.io import Options
from zhenyan.inference.io.jsonlines import dump_line
from zhenyan.inference.runs import inputs as module
from zhenyan.inference.runs import local_engine
from zhenyan.inference.runs.findings import hits, merged
from zhenyan.inference.runs.inputs import describe_inputs, input_files, unread_of, work_units
from zhenyan.inference.runs.naming import StreamNames

CLAIM = "这个茶喝完三高就降下来了"


def subtitles(path: Path, *lines: str) -> str:
    path.parent.mkdir(exist_ok=True)
    cues = (f"{n}\n00:00:{n:02d},000 --> 00:00:{n:02d},900\n{line}\n" for n, line in enumerate(lines, 1))
    path.write_text("\n".join(cues), encoding="utf-8")
    return str(path)


def named(*paths: str, stream: str | None = None) -> list[str]:
    names = StreamNames([{"path": path} for path in paths])
    return [names.of({"stream": stream} if stream else {}, file) for file in range(len(paths))]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["d1/room.srt", "d2/other.srt.gz"], ["room", "other"]),
        (["d1/room.srt", "d2/room.srt", "d2/b.vtt"], ["d1/room", "d2/room", "b"]),
        (["d/room.srt", "d/room.vtt"], ["room.srt", "room.vtt"]),
        (["d/2026.11.24.srt", "d/2026.11.25.srt"], ["2026.11.24", "2026.11.25"]),
        (["d1/room.srt", "d2/room.srt", "d2/room.vtt"], ["d1/room.srt", "d2/room.srt", "d2/room.vtt"]),
        (["a/d/room.srt", "b/d/room.srt"], ["a/d/room.srt", "b/d/room.srt"]),
        (["d1/rows.jsonl", "d2/rows.jsonl"], ["d1/rows.jsonl", "d2/rows.jsonl"]),
        (["room.srt", "s3://b/x/room.srt"], ["room", "x/room"]),
        (["zip://a/x.csv::w.zip", "zip://y.csv::/d/w.zip"], ["x.csv", "y.csv"]),
        (["zip://a/x.csv::/d/w.zip", "zip://b/x.csv::/d/w.zip"], ["a/x.csv", "b/x.csv"]),
        (["x.csv", "zip://x.csv::simplecache::s3://b/w.zip"], ["x.csv", "w.zip/x.csv"]),
        (["zip://x.srt::w1.zip", "zip://x.srt::s3://b/w2.zip"], ["w1.zip/x", "w2.zip/x"]),
        (["s3://b/x.csv", "b/x.csv"], ["s3://b/x.csv", "b/x.csv"]),
        (["/b/x.csv", "b/x.csv"], ["/b/x.csv", "b/x.csv"]),
        (["tar://x.srt::d1/w.tar", "tar://x.srt::d2/w.tar"], ["d1/w.tar/x.srt", "d2/w.tar/x.srt"]),
        ([f"zip://{n}/{'表'.encode('gbk').decode('cp437')}.csv::w.zip" for n in "ab"], ["a/表.csv", "b/表.csv"]),
    ],
)
def test_files_of_one_name_are_told_apart_by_as_little_as_does(paths, names):
    assert named(*paths) == names


def test_a_stream_that_rows_name_may_span_files():
    assert named("d1/a.jsonl", "d2/a.jsonl", stream="茶叶直播间") == ["茶叶直播间"] * 2
    assert named("d1/room.srt", "d2/room.srt", stream="room") == ["d1/room", "d2/room"]  # as their reader calls them


def test_recordings_of_one_name_are_streams_of_their_own(tmp_path, score, classifier, texts):
    hit = next(t for t, p in zip(texts, classifier.predict(texts, explain=False), strict=True) if p.labels)
    paths = [subtitles(tmp_path / d / "room.srt", f"开场{d}", hit, f"收尾{d}") for d in ("d1", "d2")]
    folder = score(paths, tmp_path / "out.jsonl")
    found = list(folder.findings())
    assert {f["stream"] for f in found} == {"d1/room", "d2/room"} == {s["stream"] for s in folder.streams()}
    for finding in found:
        own = finding["stream"].removesuffix("/room")
        assert finding["count"] == 1 and finding["place"]["file"] == str(tmp_path / own / "room.srt")
        assert (finding["before"], finding["after"]) == ([f"开场{own}"], [f"收尾{own}"])
        assert "file" not in finding["times"][0]


def entry(number, file, text=CLAIM, labels=("food_safety",), stream="s"):
    row = {"text": text, "stream": stream, "labels": list(labels), "scores": {"food_safety": 0.9}, "evidence": []}
    return {"kind": "row", "file": file, "place": f"line {number}", "number": number, "row": row}


def test_parts_of_one_stream_are_one_finding_that_says_in_which_file_each_time_is():
    entries = [entry(1, 0, "第一个文件", ()), entry(2, 0), entry(3, 1), entry(4, 1, "第二个文件", ())]
    (finding,) = merged(hits(entries, [{"path": "d1/a.jsonl"}, {"path": "d2/a.jsonl"}]))
    record = finding.record(0.5)
    assert (record["stream"], record["count"]) == ("s", 2)
    assert [(t["file"], t["row"]) for t in record["times"]] == [("d1/a.jsonl", 2), ("d2/a.jsonl", 3)]
    assert (record["before"], record["after"]) == (["第一个文件"], [])  # neighbours are of the same file


def test_a_file_named_by_several_paths_is_scored_once(tmp_path, monkeypatch, source, score):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.jsonl").symlink_to(source)
    alone = score([source.name], tmp_path / "alone.jsonl")
    folder = score([source.name, f"./{source.name}", str(source), "link.jsonl"], tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "alone.jsonl").read_bytes()
    assert list(folder.findings()) == list(alone.findings())
    assert [item["path"] for item in folder.manifest["inputs"]] == [source.name]
    others = f"./{source.name}, {source}, link.jsonl"
    assert folder.summary["notes"] == [f"3 files: the same file as {source.name}, scored once: {others}"]
    assert folder.summary["noted"] == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_for_it_can_be_read_but_once(tmp_path):
    os.mkfifo(tmp_path / "rows.jsonl")
    with pytest.raises(InputError, match=r"rows\.jsonl: is a pipe or a device, .*; write it to a file first"):
        input_files([str(tmp_path / "rows.jsonl")], [], [])


def test_a_note_that_comes_up_again_is_told_once(tmp_path, score):
    """Each naming of a folder says what it leaves out; counted twice, the notes would speak of two folders."""
    for name in ("a.txt", "b.xls", "d/c.doc", "d/e.txt"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text("大家好", encoding="utf-8")
    inputs = [str(tmp_path / "in" / "d"), str(tmp_path / "in"), str(tmp_path / "in" / "d"), str(tmp_path / "in")]
    folder = score(inputs, tmp_path / "out.jsonl")
    told = [
        f"{inputs[0]}: left out 1 .doc; save documents as .txt",
        f"{inputs[1]}: left out 1 .xls, 1 .doc; save .xls as .xlsx; save documents as .txt",
    ]
    assert (folder.summary["notes"], folder.summary["noted"]) == (told, 2)
    lines = (folder.path / "notes.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split("\t") for line in lines] == list(map(list, zip(told, folder.summary["notes_zh"], strict=True)))
    assert folder.summary["notes_zh"][0] == f"{inputs[0]}：未读取 1 个 .doc 文件；请将文档另存为 .txt"


@pytest.fixture
def shaky(monkeypatch):
    """A disk or network that fails, while `shaky` holds a file's name, in the middle of that file."""
    failing, read = [], module.read_items

    def unsteady(path, options):
        for number, item in enumerate(read(path, options)):
            if number == 3 and Path(path).name in failing:
                raise Unavailable(f"{path}: Connection reset by peer")
            yield item

    monkeypatch.setattr(module, "read_items", unsteady)
    return failing


def test_a_read_error_stops_the_run_which_then_goes_on(tmp_path, source, score, shaky):
    other = tmp_path / "b.jsonl"
    other.write_bytes(source.read_bytes())
    whole = tmp_path / "whole.jsonl"
    score([str(source), str(other)], whole)
    output = tmp_path / "out.jsonl"
    shaky.append(source.name)
    with pytest.raises(
        Unavailable, match="Connection reset by peer; what was scored is kept, the same command goes on"
    ):
        score([str(source), str(other)], output)
    shaky.clear()
    folder = score([str(source), str(other)], output)
    assert output.read_bytes() == whole.read_bytes()
    assert folder.summary["rejects"] == 4  # two in each file, none for the file itself


def test_what_the_disk_says_is_no_damage_of_the_file(tmp_path, source, monkeypatch):
    class Failing(io.BytesIO):
        def read(self, size=-1):
            raise OSError(5, "Input/output error")

    from zhenyan.inference.io import opening

    monkeypatch.setattr(opening, "open", lambda *_: Failing(), raising=False)
    with pytest.raises(Unavailable, match=r"rows\.jsonl: Input/output error"):
        list(work_units([str(source)], Options()))


def test_a_file_that_could_not_be_read_at_the_start_stays_a_reject(tmp_path, source):
    missing = tmp_path / "missing.jsonl"
    described = describe_inputs([str(missing), str(source)])
    missing.write_bytes(source.read_bytes())  # it comes back too late: the manifest has no digest of it
    (work,) = work_units([str(missing), str(source)], Options(), unread=unread_of(described))
    assert (work.items[0].item.place, work.items[0].item.reason) == ("file", f"{missing}: No such file or directory")
    assert {placed.file for placed in work.items[1:]} == {1}


def test_a_file_that_grows_meanwhile_is_noticed(tmp_path, source, score, classifier):
    output = tmp_path / "out.jsonl"

    def growing(works):
        for done in local_engine(classifier, False)(works):
            with source.open("a", encoding="utf-8") as file:
                file.write('{"text": "再来一句"}\n')
            yield done

    with pytest.raises(InputError, match=r"rows\.jsonl: changed while it was read; score it again with --restart"):
        score(source, output, growing)
    assert not output.exists()
    assert score(source, output, restart=True).summary["rows"] > 24


def test_a_file_that_is_only_touched_is_the_same(tmp_path, source, score, classifier):
    def touching(works):
        source.write_bytes(source.read_bytes())
        yield from local_engine(classifier, False)(works)

    assert score(source, tmp_path / "out.jsonl", touching).summary["rows"] == 24


@pytest.mark.parametrize("wide", ["长" * 1000, ["长" * 500, {"k": "长" * 500}], {"a": {"b": ["长" * 1000]}}])
def test_a_part_is_bounded_by_all_that_its_rows_hold(tmp_path, monkeypatch, wide):
    monkeypatch.setattr(module, "PART_CHARS", 10_000)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(dump_line({"text": "大家好", "raw": wide}) for _ in range(100)))
    parts = list(work_units([str(path)], Options()))
    assert len(parts) == 10 and sum(len(part.items) for part in parts) == 100


def test_findings_carry_the_rows_channel(tmp_path, score, texts):
    source = tmp_path / "a.jsonl"
    rows = [
        {"text": text, "start": 1.0 * n, "stream": "s", "channel": ("copy", "live", 3)[n % 3]}
        for n, text in enumerate(texts)
    ]
    source.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = list(score(source, tmp_path / "out.jsonl", options=replace(QUICK, context=True), part_rows=PART).findings())
    assert found
    for finding in found:
        channel = rows[finding["place"]["row"] - 1]["channel"]
        assert finding["place"].get("channel") == (channel if channel != 3 else None)


@pytest.mark.parametrize("kept", [0, 0.5, 0.9, 1], ids=["nothing", "half", "most", "all but its end"])
def test_a_part_that_was_cut_off_is_scored_again(tmp_path, source, score, classifier, kept):
    """As by a copy that broke off: its rows would be missing from all that is written, and nobody would know."""
    output = tmp_path / "out.jsonl"
    folder = score(source, output)
    whole, part, again = output.read_bytes(), folder.part(1), []
    lines = part.read_bytes().splitlines(keepends=True)
    part.write_bytes(b"".join(lines[: int(kept * (len(lines) - 1))]))
    output.unlink()

    def engine(works):
        for number, scored in local_engine(classifier, False)(works):
            again.append(number)
            yield number, scored

    assert score(source, output, engine).summary == folder.summary
    assert (output.read_bytes(), part.read_bytes(), again) == (whole, b"".join(lines), [1])


@pytest.mark.parametrize("ending", [".jsonl", ".csv"])
def test_a_damaged_part_is_said(tmp_path, source, score, ending):
    output = tmp_path / f"out{ending}"
    folder = score(source, output)
    whole = output.read_bytes()
    part = folder.part(0)
    lines = part.read_bytes().splitlines(keepends=True)
    hit = next(number for number, line in enumerate(lines) if line.startswith(b'{"kind":"hit"'))
    part.write_bytes(b"".join([*lines[:hit], lines[hit][:40] + b"\n", *lines[hit + 1 :]]))
    (folder.path / "summary.json").unlink()
    with pytest.raises(InputError, match=r"out\.\w+\.run/parts: a part is damaged .*--restart"):
        score(source, output)
    score(source, output, restart=True)
    assert output.read_bytes() == whole
