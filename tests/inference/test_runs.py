"""Scoring runs: resume, what is noticed when it changes, formats, rejects, a full disk."""

from __future__ import annotations

import csv
import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from run_helpers import PART, QUICK, ROWS, contents, no_engine
from zhenyan.inference import normalise
from zhenyan.inference.classifier import Classifier
from zhenyan.inference.errors import InputError, ZhenyanError
from zhenyan.inference.io import Options, read_items, writing
from zhenyan.inference.io.items import Item
from zhenyan.inference.runs import Job, RunFolder, RunOptions, local_engine, run_job
from zhenyan.inference.runs.inputs import Placed
from zhenyan.inference.runs.scoring import context_hits
from zhenyan.inference.runs.streams import verdict


def read_labels(cell):
    """The labels of a row: a list, or in one cell of a table with "; " between them."""
    return cell if isinstance(cell, list) else [label for label in str(cell or "").split("; ") if label]


def test_a_run_that_broke_off_goes_on(tmp_path, source, score, classifier):
    whole = contents(score(source, tmp_path / "whole.jsonl"), tmp_path / "whole.jsonl")
    given = []

    def broken(works):
        for number, lines in local_engine(classifier, False)(works):
            given.append(number)
            yield number, lines
            if number == 2:
                raise RuntimeError("cut off")

    output = tmp_path / "out.jsonl"
    with pytest.raises(RuntimeError):
        score(source, output, broken)
    assert not output.exists()
    told = []
    folder = score(source, output, say=told.append)
    assert given == [0, 1, 2] and told[0].resumed and told[0].rows == 3 * PART - 1
    assert contents(folder, output) == whole
    assert score(source, output, no_engine) == folder


def test_parts_may_come_in_any_order_and_none_may_be_lost(tmp_path, source, score, classifier):
    whole = contents(score(source, tmp_path / "whole.jsonl"), tmp_path / "whole.jsonl")
    local = local_engine(classifier, False)

    def backwards(works):
        yield from local(iter(list(works)[::-1]))

    def careless(works):
        yield from list(local(works))[1:]

    output = tmp_path / "out.jsonl"
    with pytest.raises(ZhenyanError, match="lost a part"):
        score(source, output, careless)
    assert contents(score(source, output), output) == whole  # only the lost one is scored
    assert contents(score(source, output, backwards, restart=True), output) == whole


def test_two_runs_of_the_same_command_are_equal(tmp_path, source, score):
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    assert contents(score(source, first), first) == contents(score(source, second), second)


def test_a_run_of_an_earlier_format_is_read_but_not_gone_on_with(tmp_path, source, score):
    output = tmp_path / "out.jsonl"
    folder = score(source, output)
    found = list(folder.findings())
    old = {key: value for key, value in folder.manifest.items() if key != "normaliser"} | {"format": 6}
    (folder.path / "manifest.json").write_text(json.dumps(old), encoding="utf-8")
    assert list(RunFolder.existing(output).findings()) == found != []
    with pytest.raises(InputError, match=r"differs in format \(6, now 8\); add --restart"):
        score(source, output, no_engine)
    assert list(score(source, output, restart=True).findings()) == found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("input", r"input .*rows\.jsonl"),
        ("bundle", r"bundle \(.*, now other\)"),
        ("normaliser", rf"text normaliser \({normalise.VERSION}, now 0\)"),
        ("options", r"option min_score \(null, now 0\.9\), option part_rows \(5, now 6\)"),
        ("reading", r"option encoding \(null, now \"utf-8\"\)"),
    ],
)
def test_what_changed_is_said(tmp_path, source, score, classifier, monkeypatch, change, said):
    output = tmp_path / "out.jsonl"
    score(source, output)
    more, bundle, job = {}, classifier.bundle, Job([str(source)], output, QUICK, part_rows=PART)
    if change == "input":
        source.write_text(source.read_text(encoding="utf-8") + '{"text": "再来一句"}\n', encoding="utf-8")
    elif change == "bundle":
        bundle = replace(bundle, manifest={**bundle.manifest, "bundle_id": "other"})
    elif change == "normaliser":
        monkeypatch.setattr(normalise, "VERSION", 0)
    elif change == "options":
        more = {"options": replace(QUICK, min_score=0.9), "part_rows": PART + 1}
    else:
        more = {"reading": Options(encoding="utf-8")}
    job = replace(job, **more)
    with pytest.raises(InputError, match=f"differs in {said}.*--restart"):
        run_job(job, bundle, no_engine)
    run_job(replace(job, restart=True), bundle, local_engine(classifier, False))


def test_the_order_of_inputs_counts(tmp_path, source, score):
    other, output = tmp_path / "other.txt", tmp_path / "out.jsonl"
    other.write_text("大家好\n", encoding="utf-8")
    score([str(source), str(other)], output)
    with pytest.raises(InputError, match="order of the inputs"):
        score([str(other), str(source)], output)


def test_a_run_without_rows_is_scored_once_it_has_some(tmp_path, score, texts):
    source, output = tmp_path / "a.txt", tmp_path / "out.jsonl"
    source.write_bytes(b"")
    assert score(source, output).summary["rows"] == 0
    source.write_text("\n".join(texts[:3]), encoding="utf-8")
    assert score(source, output).summary["rows"] == 3


@pytest.mark.parametrize("name", ["manifest.json", "summary.json"])
@pytest.mark.parametrize("content", ["{}", "[]", "{", '{"inputs": [], "format": 2}'])
def test_damaged_state_of_a_run(tmp_path, source, score, name, content):
    output = tmp_path / "out.jsonl"
    folder = score(source, output)
    whole = contents(folder, output)
    (folder.path / name).write_text(content)
    with pytest.raises(InputError, match="--restart"):
        score(source, output, no_engine)
    assert contents(score(source, output, restart=True), output) == whole


def test_a_run_that_has_not_finished_is_no_finished_one(tmp_path, source, score):
    folder = score(source, tmp_path / "out.jsonl")
    assert RunFolder.existing(tmp_path / "out.jsonl") == folder
    (folder.path / "summary.json").unlink()
    with pytest.raises(InputError, match="hasn't finished; repeat its command"):
        RunFolder.existing(tmp_path / "out.jsonl")


def test_a_run_without_a_scored_part_may_be_asked_anew(tmp_path, source, score):
    def broken(works):
        raise ZhenyanError("no cluster")
        yield

    with pytest.raises(ZhenyanError, match="no cluster"):
        score(source, tmp_path / "out.jsonl", broken, options=RunOptions(min_score=0.5))
    score(source, tmp_path / "out.jsonl")


@pytest.mark.parametrize("ending", list(writing.WRITERS))
def test_every_format_holds_every_row(tmp_path, source, score, texts, ending):
    output = tmp_path / f"out{ending}"
    folder = score(source, output)
    items = list(read_items(str(output), Options()))
    assert [item.text for item in items] == texts
    assert {item.record["model"] for item in items} == {folder.manifest["bundle"]}
    hits = [bool(item.record["labels"]) for item in items]
    assert sum(hits) == folder.summary["hits"] and folder.summary["rows"] == ROWS
    labels = {label for item in items for label in read_labels(item.record["labels"])}
    assert labels and labels <= set(folder.manifest["thresholds"])
    names = (
        {"scores"}
        if ending in (".jsonl", ".parquet")
        else {f"score.{label}" for label in folder.manifest["thresholds"]}
    )
    assert names <= set(items[0].record)


def test_rejects_say_where_and_why(tmp_path, source, score):
    folder = score(source, tmp_path / "out.jsonl")
    broken, empty = (json.loads(line) for line in (folder.path / "rejects.jsonl").read_text("utf-8").splitlines())
    assert broken["file"] == str(source) and broken["place"] == "line 10" and broken["value"] == "{broken"
    assert broken["reason"].startswith("not JSON")
    assert broken["reason_zh"].startswith("不是 JSON")
    assert empty == {"file": str(source), "place": f"line {ROWS + 2}", "reason": "column 'text' is empty",
                     "reason_zh": "“text”列是空的", "value": ""}  # fmt: skip


def test_a_folder_with_one_unreadable_file(tmp_path, source, score, texts):
    (tmp_path / "a.parquet").write_bytes(b"no parquet")
    output = tmp_path / "out.jsonl"
    folder = score(tmp_path, output)
    rejects = [json.loads(line) for line in (folder.path / "rejects.jsonl").read_text("utf-8").splitlines()]
    assert [r["place"] for r in rejects] == ["file", "line 10", f"line {ROWS + 2}"]
    assert "not a readable Parquet file" in rejects[0]["reason"]
    rows = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert [row["text"] for row in rows] == texts and rows[0]["source"] == f"{source} line 1"


def test_context_adds_findings_and_changes_no_row(tmp_path, source, score):
    folders = [score(source, tmp_path / f"{on}.jsonl", options=replace(QUICK, context=on)) for on in (False, True)]
    assert (tmp_path / "True.jsonl").read_bytes() == (tmp_path / "False.jsonl").read_bytes()
    alone, both = (list(folder.findings()) for folder in folders)
    assert [f for f in both if not f["context"]] == [f | {"id": g["id"]} for f, g in zip(
        alone, (g for g in both if not g["context"]), strict=True)]  # fmt: skip
    assert any(f["context"] for f in both)


def test_of_two_lines_evidence_is_sought_only_where_they_carry_something_new(classifier, monkeypatch):
    """Else the words of every hit were sought three times: alone, and beside either neighbour."""
    spoken = ["我血糖高", "就靠这个茶降下来的 针都停了", "二号链接两盒装", "今天拍明天发"]
    items = [Placed(0, Item({"text": text, "start": 4.0 * n}, "line")) for n, text in enumerate(spoken)]
    sought = []
    predict = Classifier.predict
    monkeypatch.setattr(Classifier, "predict", lambda self, texts, explain=None: (
        sought.extend(texts if explain is None else ()), predict(self, texts, explain))[1])  # fmt: skip
    scored = [(placed, found) for placed, found in zip(items, predict(classifier, spoken, False), strict=True)]
    hits = list(context_hits(classifier, None, scored))
    assert any(found.labels for _, found in scored) and sought == [hit["text"] for hit in hits]


def test_every_stream_gets_a_verdict(tmp_path, score, texts):
    source = tmp_path / "rows.jsonl"
    rows = [{"text": text, "room": "busy", "start": 4.0 * n} for n, text in enumerate(texts)]
    rows += [{"text": "大家好", "room": "quiet"}] * 3
    source.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    folder = score(source, tmp_path / "out.jsonl")
    busy, quiet = folder.streams()
    assert (busy["stream"], busy["lines"], busy["first"], busy["last"]) == ("busy", ROWS, 1, ROWS)
    assert (busy["start"], busy["hits"]) == (0.0, folder.summary["hits"])
    found = list(folder.findings())
    assert busy["verdict"] == verdict(len(found), found[0]["risk"]) != "none"
    assert busy["findings"] == sum(busy["labels"].values()) == len(found) and busy["risk"] == found[0]["risk"]
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").open("rb")]
    for finding in found:
        assert written[finding["place"]["row"] - 1]["text"] == finding["text"]
    expected = {"stream": "quiet", "verdict": "none", "risk": 0, "findings": 0, "labels": {}, "lines": 3, "hits": 0,
                "first": ROWS + 1, "last": ROWS + 3}  # fmt: skip
    assert quiet == expected
    assert folder.summary["streams"]["none"] == 1 and sum(folder.summary["streams"].values()) == 2


def test_progress_tells_what_share_was_read(tmp_path, source, score):
    told = []
    score(source, tmp_path / "out.jsonl", say=told.append)
    shares = [progress.read for progress in told]
    assert shares[0] is None and shares[1:] == sorted(shares[1:]) and shares[-1] == 1.0


def test_encodings_are_in_the_summary(tmp_path, score, texts):
    source = tmp_path / "a.txt"
    source.write_text("\n".join(texts[:3]), encoding="gb18030")
    assert score(source, tmp_path / "out.jsonl").summary["notes"][0].startswith(f"{source}: read as gb18030")


def test_an_output_in_the_scored_folder_is_no_input(tmp_path, source, score):
    output = tmp_path / "out.jsonl"
    folder = score(tmp_path, output)
    assert [item["path"] for item in folder.manifest["inputs"]] == [str(source)]
    assert score(tmp_path, output, no_engine) == folder
    with pytest.raises(InputError, match="one of the inputs"):
        score(output, output)


@pytest.mark.parametrize(
    ("inputs", "output", "report"),
    [
        (["./rows.jsonl"], "rows.jsonl", None),
        (["rows.jsonl"], "../{folder}/rows.jsonl", None),
        (["{here}"], "rows.jsonl", None),
        (["rows.jsonl"], "link.jsonl", None),
        (["file://{here}/rows.jsonl"], "rows.jsonl", None),
        (["rows.jsonl"], "out.jsonl", "{here}/rows.jsonl"),
        (["rows.jsonl"], "out.jsonl", "./out.jsonl"),
        (["rows.jsonl"], "out.jsonl", "out.jsonl.run/findings.jsonl"),
        (["rows.jsonl"], "out.jsonl", "{here}"),
        (["rows.jsonl"], "out.jsonl", "nowhere/report.html"),
        (["rows.jsonl"], "out/out.jsonl", "other/report.html"),
    ],
)
def test_no_input_is_written_over(tmp_path, monkeypatch, source, score, inputs, output, report):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.jsonl").symlink_to(source)
    before, names = source.read_bytes(), {"here": tmp_path, "folder": tmp_path.name}
    output, report = (name and Path(name.format(**names)) for name in (output, report))
    with pytest.raises(InputError, match=r"choose another output|make the folder"):
        score([name.format(**names) for name in inputs], output, no_engine, report=report)
    assert source.read_bytes() == before and not list(tmp_path.rglob("*.run"))


def test_a_report_may_lie_beside_an_output_whose_folder_the_run_makes(tmp_path, source, score):
    score(source, tmp_path / "new/out.jsonl", report=tmp_path / "new/out.html")  # which the command writes later
    assert (tmp_path / "new/out.jsonl").read_bytes().count(b"\n") == ROWS


def test_only_one_process_works_on_a_run(tmp_path, source, score):
    output = tmp_path / "out.jsonl"
    with RunFolder.of_output(output).locked(), pytest.raises(InputError, match="another process"):
        score(source, output)
    score(source, output)


@pytest.mark.parametrize("call", [0, 3, 7, 8, 9, 10, 11])
def test_a_full_disk_keeps_the_parts_and_says_so(tmp_path, source, score, monkeypatch, call):
    """The n-th file that is flushed fails: manifest, a part, findings, the output's neighbours."""
    whole = contents(score(source, tmp_path / "whole.jsonl"), tmp_path / "whole.jsonl")
    calls, flush = iter(range(10_000)), os.fsync

    def full(file):
        if next(calls) == call:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(file)

    output = tmp_path / "out.jsonl"
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        score(source, output)
    monkeypatch.setattr(os, "fsync", flush)
    folder = RunFolder.of_output(output)
    assert len(folder.done()) == min(max(0, call - 1), 6) and not list(tmp_path.rglob("*.tmp"))
    assert contents(score(source, output), output) == whole


def test_fields_that_scoring_adds_replace_older_ones(tmp_path, score, texts):
    old = {"text": texts[0], "labels": ["food_safety"], "scores": {}, "model": "older-0123456789ab", "truncated": True,
           "x": [1, {"labels": []}]}  # fmt: skip
    source = tmp_path / "a.jsonl"
    source.write_text(json.dumps(old) + "\n", encoding="utf-8")
    folder = score(source, tmp_path / "out.jsonl")
    (row,) = (json.loads(line) for line in (tmp_path / "out.jsonl").open("rb"))
    assert row["model"] == folder.manifest["bundle"] and row["x"] == old["x"] and "truncated" not in row
    assert list(row) == ["text", "x", "labels", "scores", "evidence", "model"]


def test_values_that_json_lacks(tmp_path, score, texts):
    import datetime

    table = {
        "text": texts[:2],
        "when": [datetime.datetime(2026, 1, 2)] * 2,
        "n": [float("nan"), 2.5],
        "bad": ["a\0", "=1+1"],
    }
    parquet.write_table(pa.table(table), tmp_path / "a.parquet")
    for ending in writing.WRITERS:
        score(tmp_path / "a.parquet", tmp_path / f"out{ending}")
    rows = [json.loads(line, parse_constant=pytest.fail) for line in (tmp_path / "out.jsonl").open("rb")]
    assert rows[0]["n"] is None and rows[0]["when"].startswith("2026-01-02")
    cells = list(csv.DictReader((tmp_path / "out.csv").open(encoding="utf-8-sig", newline="")))
    assert cells[1]["bad"] == "'=1+1" and cells[0]["bad"] == "a\ufffd"  # no formula, no NUL


@pytest.mark.parametrize(
    ("ids", "parquet_ids"),
    [
        ([1, 2**62], [1, 2**62]),
        ([1, 2.5], [1.0, 2.5]),
        ([True, None], [True, None]),
        ([2**62, 2.5], [str(2**62), "2.5"]),
        ([10**15, 10**20], [str(10**15), str(10**20)]),
        ([1, "a", [2]], ["1", "a", "[2]"]),
    ],
)
def test_mixed_and_long_numbers_stay_exact(tmp_path, score, texts, ids, parquet_ids):
    source = tmp_path / "a.jsonl"
    source.write_text("".join(json.dumps({"text": texts[0], "id": n}) + "\n" for n in ids), encoding="utf-8")
    for ending in (".parquet", ".xlsx"):
        score(source, tmp_path / f"out{ending}")
    assert [i.record["id"] for i in read_items(str(tmp_path / "out.parquet"), Options())] == parquet_ids
    sheet = [i.record["id"] for i in read_items(str(tmp_path / "out.xlsx"), Options())]
    assert all(str(was) == str(now) for was, now in zip(ids, sheet, strict=True))


def test_more_rows_than_a_sheet_holds(tmp_path, source, score, monkeypatch):
    monkeypatch.setattr(writing, "_XLSX_ROWS", ROWS - 1)
    with pytest.raises(InputError, match=r"a sheet holds.*rename the run's folder"):
        score(source, tmp_path / "out.xlsx")
    (tmp_path / "out.xlsx.run").rename(tmp_path / "out.csv.run")
    score(source, tmp_path / "out.csv", no_engine)


def test_nothing_to_score(tmp_path, score):
    source = tmp_path / "empty.jsonl"
    source.write_bytes(b"")
    for ending in writing.WRITERS:
        assert score(source, tmp_path / f"out{ending}").summary["rows"] == 0
