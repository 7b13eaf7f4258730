"""The transcript of a stream, and lines marked on it that the model missed."""

import csv
import json
import re

import pytest
from review_helpers import Browser, site_over
from zhenyan.inference.errors import InputError
from zhenyan.inference.review.exports import write_export
from zhenyan.inference.review.listing import find
from zhenyan.inference.runs import RunFolder, RunOptions
from zhenyan.inference.runs import transcript as module
from zhenyan.inference.runs.transcript import Transcript

LABEL = "public_order"


@pytest.fixture
def folder(source, score, tmp_path):
    """A run of one stream in five parts."""
    score(source, tmp_path / "out.jsonl")
    return RunFolder.of_output(tmp_path / "out.jsonl")


@pytest.fixture
def rows(folder):
    output = folder.path.with_name("out.jsonl")
    return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def site(folder, classifier):
    site = site_over(folder, classifier.bundle)
    yield site
    site.database.close()


@pytest.fixture
def missed(rows):
    """The first row, counted from 1, without a label."""
    return next(number for number, row in enumerate(rows, 1) if not row["labels"])


def test_pages_have_every_line_of_the_stream_in_order(folder, rows, monkeypatch):
    monkeypatch.setattr(module, "PAGE", 7)
    transcript = Transcript(folder)
    assert (transcript.streams, transcript.count("room"), transcript.count("other")) == (["room"], len(rows), 0)
    pages = [transcript.page("room", page) for page in range(1, 6)]
    assert [line["row"] for page in pages for line in page] == rows
    assert [len(page) for page in pages] == [7, 7, 7, len(rows) - 21, 0]
    for number in range(1, len(rows) + 1):
        assert number in [line["number"] for line in pages[transcript.page_of("room", number) - 1]]


def test_streams_that_take_turns_are_told_apart(score, tmp_path):
    lines = [{"text": f"今天第{n}句话", "stream": "ab"[n % 2]} for n in range(12)]
    for name, some in (("x.jsonl", lines[:7]), ("y.jsonl", lines[7:])):
        (tmp_path / name).write_text("\n".join(map(json.dumps, some)), encoding="utf-8")
    score([str(tmp_path / name) for name in ("x.jsonl", "y.jsonl")], tmp_path / "two.jsonl")
    transcript = Transcript(RunFolder.of_output(tmp_path / "two.jsonl"))
    assert sorted(transcript.streams) == ["a", "b"]
    assert [line["row"]["text"] for line in transcript.page("b", 1)] == [line["text"] for line in lines[1::2]]
    assert [line["number"] for line in transcript.page("a", 1)] == [1, 3, 5, 7, 9, 11]


@pytest.mark.parametrize("part_rows", [1, 2])  # the pair in two parts, in one
def test_what_two_lines_carry_together_stands_at_the_second(score, tmp_path, classifier, part_rows):
    lines = ["晚上睡不着的扣一", "二号链接这个软糖 今天就是给你们准备的"]
    rows = [{"text": text, "stream": "room", "start": 4.0 * n} for n, text in enumerate(lines)]
    (tmp_path / "pair.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    score(tmp_path / "pair.jsonl", tmp_path / "two.jsonl", options=RunOptions(evidence=False), part_rows=part_rows)
    folder = RunFolder.of_output(tmp_path / "two.jsonl")
    first, second = Transcript(folder).page("room", 1)
    assert (first["together"], list(second["together"])) == ({}, ["food_safety"])
    site = site_over(folder, classifier.bundle)
    assert Browser(site, "ann").get("/stream/1").text.count("with the line before: ") == 1
    site.database.close()


def test_a_missed_line_is_described_as_the_models_findings_are(folder, rows, missed):
    transcript, known = Transcript(folder), next(iter(folder.findings()))
    found = transcript.finding(missed, LABEL)
    assert (found["text"], found["label"], found["stream"], found["count"]) == (
        rows[missed - 1]["text"],
        LABEL,
        "room",
        1,
    )
    assert found["score"] == rows[missed - 1]["scores"][LABEL] < found["threshold"]
    assert {"id", *found} == set(known) and set(found["place"]) == set(known["place"])
    assert [set(time) for time in found["times"]] == [set(known["times"][0])]
    middle = transcript.finding(6, LABEL)  # the first of a part
    assert (middle["before"], middle["after"]) == tuple([row["text"] for row in rows[n : n + 2]] for n in (3, 6))


@pytest.mark.parametrize(("least", "threshold"), [(None, 0.9), (0.95, 0.95)])
def test_a_missed_line_has_the_threshold_that_the_run_was_asked_for(folder, missed, least, threshold):
    manifest = folder.manifest
    manifest["options"] |= {"thresholds": {LABEL: 0.9}, "min_score": least}
    (folder.path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert Transcript(folder).finding(missed, LABEL)["threshold"] == threshold


def test_a_line_is_marked_from_the_finding_on(site, missed, rows):
    key = next(iter(site.folder.findings()))["id"]
    browser, lea = Browser(site, "ann"), Browser(site, "lea")
    page = browser.get(f"/finding/{key}").text
    link = re.search(r'href="(/stream/1\?row=\d+)#row-\d+"', page)[1]
    page = browser.get(link).text
    assert all(f'id="row-{number}"' in page for number in range(1, len(rows) + 1))
    assert 'aria-current="true"' in page
    assert page.count('<select name="label" required') == page.count('"><option value="">choose a label') == len(rows)
    page = browser.submit("/stream/1/mark", row=missed, label=LABEL)
    assert (page.status_code, page.text.count("marked by a reviewer")) == (200, 1)
    marked = re.search(r'href="/finding/(m\d+-\d+)"', page.text)[1]
    assert find(site.database, site.run, marked)[0].state == "accepted"
    again = browser.submit("/stream/1/mark", row=missed, label=LABEL)
    assert (again.status_code, f"{marked}: this line is marked so already" in again.text) == (409, True)
    about = lea.get(f"/finding/{marked}").text
    assert ("the model missed it" in about, "case.json" in about) == (True, False)
    assert "no finding &#39;m" in lea.get(f"/finding/{marked}/case.json").text
    numbers = browser.get("/numbers").text
    assert "Missed by the model" in numbers and "Nothing decided yet" in numbers.split('id="missed"')[0]


def exported(site, tmp_path, kind, ending):
    write_export(site.database, site.run, kind, tmp_path / f"x{ending}", site.bundle.labels)
    return (tmp_path / f"x{ending}").read_text(encoding="utf-8-sig")


def test_a_marked_line_teaches_its_label_until_it_is_taken_back(site, missed, rows, tmp_path):
    browser = Browser(site, "ann")
    browser.submit("/stream/1/mark", row=missed, label=LABEL)
    row = json.loads(exported(site, tmp_path, "rows", ".jsonl"))
    assert (row["text"], row["labels"], row["annotated"]) == (rows[missed - 1]["text"], [LABEL], [LABEL])
    assert (row["missed"], row["reviewer"]) == ([LABEL], "ann")
    table = list(csv.DictReader(exported(site, tmp_path, "csv", ".csv").splitlines()))
    assert {one["发现者"] for one in table[:-1]} == {"模型"}
    assert (table[-1]["发现者"], table[-1]["决定"]) == ("审查员", "已接受")
    task = json.loads(exported(site, tmp_path, "labelstudio", ".json"))[-1]
    assert (task["predictions"], len(task["annotations"])) == ([], 1)
    assert "taken back" in browser.submit("/undo", hx=True).text
    assert exported(site, tmp_path, "rows", ".jsonl") == ""
    assert "marked by a reviewer" not in browser.get("/stream/1").text


@pytest.mark.parametrize(
    ("path", "form", "status", "said"),
    [
        ("/stream/1/mark", {"row": "1", "label": "nothing"}, 400, "choose a label"),
        ("/stream/1/mark", {"row": "1", "label": ""}, 400, "choose a label"),  # as the page offers it at first
        ("/stream/1/mark", {"row": "99", "label": LABEL}, 400, "row 99: the run has no such row"),
        ("/stream/1/mark", {"row": "", "label": LABEL}, 400, "row 0: the run has no such row"),
        ("/stream/2/mark", {"row": "1", "label": LABEL}, 404, "no such stream"),
        ("/stream/0/mark", {"row": "1", "label": LABEL}, 404, "no such stream"),
    ],
)
def test_what_cannot_be_marked_is_said(site, path, form, status, said):
    answer = Browser(site, "ann").submit(path, **form)
    assert (answer.status_code, said in answer.text) == (status, True)


def test_a_hit_is_not_marked_under_its_own_label(site, rows):
    number, row = next((n, row) for n, row in enumerate(rows, 1) if row["labels"])
    answer = Browser(site, "ann").submit("/stream/1/mark", row=number, label=row["labels"][0])
    assert (answer.status_code, "no such row without" in answer.text) == (400, True)


def test_pages_beyond_the_last_show_the_last(site):
    assert 'id="row-24"' in Browser(site, "ann").get("/stream/1?page=999").text
    assert Browser(site, "ann").get("/stream/1?page=x&row=y").status_code == 200


def test_parts_that_are_gone_or_damaged_are_told(folder):
    folder.part(2).write_bytes(b"{\n")
    with pytest.raises(InputError, match=r"parts: can't be read \(.*\); score the files anew"):
        Transcript(folder).count("room")
