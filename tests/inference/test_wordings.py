"""Wordings of one claim: each is shown at its time, in report, page, table and case file; older runs don't tell them."""

import csv
import json

import pytest
import report_helpers
from markupsafe import escape
from review_helpers import HOSTILE, Browser, finding, make_site
from zhenyan.inference import load_bundle
from zhenyan.inference.errors import InputError
from zhenyan.inference.evidence_file import make_case
from zhenyan.inference.report import when, write_report
from zhenyan.inference.review.exports import write_export
from zhenyan.inference.runs import Job, RunFolder, local_engine, run_job

OTHER = "来姐妹们，喝了这个茶三高啊就降下来了<b>"
TIMES = [{"place": "cue 1", "start": 10.0, "text": OTHER}, {"place": "cue 2", "start": 600.0}]
PLACE = {"file": "a.srt", "place": "cue 2", "start": 600.0}


@pytest.fixture
def site(tmp_path):
    return make_site(tmp_path, [finding(1, count=2, place=PLACE, times=TIMES)])


def test_a_time_is_told_with_its_wording():
    assert when(TIMES) == (f"0:00:10 “{OTHER}”, 0:10:00", f"0:00:10 “{OTHER}”, 0:10:00")
    recorded = {"place": "line 3", "recording": "某店.mp4", "file": "a.jsonl", "text": "\u202e倒着"}
    assert when([recorded])[0] == "第3行 某店.mp4 a.jsonl “\ufffd倒着”"


def test_the_page_shows_every_wording_and_runs_none(site):
    page = Browser(site, "ann").get("/finding/f000001").text
    assert f"0:00:10 “{escape(OTHER)}”, 0:10:00" in page and OTHER not in page


def test_the_report_shows_every_wording_and_runs_none(tmp_path):
    found = [report_helpers.finding(1, count=2, place=PLACE, times=TIMES)]
    run = report_helpers.make_run(tmp_path, found, [report_helpers.stream_record("茶叶直播间", found)])
    write_report(run, load_bundle(), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"0:00:10 “{escape(OTHER)}”, 0:10:00" in page and OTHER not in page


def table(site, tmp_path):
    write_export(site.database, site.run, "csv", tmp_path / "out.csv", site.bundle.labels)
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_and_the_case_have_every_wording(site, tmp_path):
    (row,) = table(site, tmp_path)
    assert row["各次时间"] == f"0:00:10 “{OTHER}”, 0:10:00"
    assert make_case(site.folder, site.bundle, "f000001")["finding"]["times"] == TIMES


def test_hostile_wordings_go_through(tmp_path):
    times = [{"place": "cue 1", "text": f"\ud800{HOSTILE}"}, {"place": "cue 2"}]
    site = make_site(tmp_path, [finding(1, count=2, times=times)])
    page = Browser(site, "ann").get("/finding/f000001")
    assert page.status_code == 200 and "<img" not in page.text and "\u202e" not in page.text
    (row,) = table(site, tmp_path)
    assert row["各次时间"].startswith("第1段 “")


def test_a_run_of_before_wordings_were_kept_is_shown_as_it_was(tmp_path):
    times = [{key: value for key, value in time.items() if key != "text"} for time in TIMES]
    site = make_site(tmp_path, [finding(1, count=2, place=PLACE, times=times)])
    assert "0:00:10, 0:10:00" in Browser(site, "ann").get("/finding/f000001").text
    (row,) = table(site, tmp_path)
    assert (row["时间"], row["各次时间"]) == ("0:10:00", "0:00:10, 0:10:00")


def test_a_wording_that_is_no_text_is_said(site):
    site.folder.path.joinpath("findings.jsonl").write_text(
        json.dumps(finding(1, times=[{"place": "cue 1", "text": 3}])), encoding="utf-8"
    )
    with pytest.raises(InputError, match=r"findings\.jsonl line 1: times: damaged, field 'text' is 3; score anew"):
        list(site.folder.findings())


@pytest.mark.parametrize("part_rows", [3, 100])
def test_claims_of_one_pattern_are_found_apart_however_a_run_is_cut(tmp_path, classifier, part_rows):
    """The three that were once one finding, told as said at times at which they weren't."""
    calm = ["大家好欢迎来到直播间", "点点关注不迷路", "今天天气不错", "二号链接已经上了"]
    claims = ["我们这款茶喝了可以降血糖", "我们这款茶喝了可以抗癌症", "我们这款茶喝了可以降血压"]
    lines = [line for claim in (*claims, f"{claims[0]}啊") for line in (*calm, claim)]
    source, output = tmp_path / "a.srt", tmp_path / "out.jsonl"
    cues = (f"{n}\n00:{n:02d}:00,000 --> 00:{n:02d}:02,000\n{line}\n" for n, line in enumerate(lines, 1))
    source.write_text("\n".join(cues), encoding="utf-8")
    job = Job([str(source)], output, part_rows=part_rows)
    run_job(job, classifier.bundle, local_engine(classifier, True))
    told = {found["text"].rstrip("啊"): found for found in RunFolder.of_output(output).findings()}
    assert {text: [time["start"] for time in found["times"]] for text, found in told.items()} == {
        claims[0]: [300.0, 1200.0], claims[1]: [600.0], claims[2]: [900.0]
    }  # fmt: skip
    worded = {time["start"]: time.get("text", told[claims[0]]["text"]) for time in told[claims[0]]["times"]}
    assert worded == {300.0: claims[0], 1200.0: f"{claims[0]}啊"}
