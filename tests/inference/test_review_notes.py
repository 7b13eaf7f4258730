"""Notes on decisions: on the pages, in the log, in what is taken out and in; and one decision on all with the same words."""

import csv
import json

import pytest
from review_helpers import Browser, decide, finding, make_site, user
from zhenyan.inference.errors import InputError
from zhenyan.inference.review.desk import Wanted
from zhenyan.inference.review.exports import decisions, write_export
from zhenyan.inference.review.imports import take_annotations
from zhenyan.inference.review.labelstudio import Unclear, read_annotations
from zhenyan.inference.review.listing import find

NOTE = "主播在复述<b>顾客</b>的话"


def decide_on_page(browser, item, note, hx=True, **form):
    form = {"verdict": "accept", "version": item.version, "key": item.finding.key} | form
    return browser.submit(f"/work/{item.reading}/decide", hx=hx, note=note, **form)


def test_a_note_is_shown_with_its_decision_and_logged(site, ann):
    item = site.desk.claim(user(site, "ann"), Wanted())
    assert decide_on_page(ann, item, NOTE).status_code == 200
    shown = "主播在复述&lt;b&gt;顾客&lt;/b&gt;的话"
    lea = Browser(site, "lea")
    assert lea.get("/finding/f000001").text.count(shown) == 2  # with the decision, and in the history
    assert shown in lea.get("/log").text
    assert [entry["after"].get("note") for entry in decisions(site.database, site.run, "f000001")] == [NOTE]
    beside = ann.get("/work").text  # the next line is like it
    assert "Earlier decisions" in beside and shown in beside


def test_every_verdict_takes_a_note(site, ann):
    for form in ({"verdict": "accept"}, {"verdict": "reject"}, {"verdict": "relabel", "labels": "price_fraud"}):
        item = site.desk.claim(user(site, "ann"), Wanted())
        decide_on_page(ann, item, form["verdict"], **form)
        _, (reading,) = find(site.database, site.run, item.finding.key)
        assert reading.note == form["verdict"]


@pytest.mark.parametrize(
    ("form", "said"),
    [({"note": "长" * 501}, "the note has 501 characters"), ({"note": NOTE, "verdict": "relabel"}, "at least one")],
)
def test_a_refused_decision_keeps_the_note_on_the_page(site, ann, form, said):
    item = site.desk.claim(user(site, "ann"), Wanted())
    answer = decide_on_page(ann, item, **form)
    assert (answer.status_code, said in answer.text) == (400, True)
    assert form["note"].replace("<", "&lt;").replace(">", "&gt;") in answer.text
    assert find(site.database, site.run, "f000001")[0].state == "open"


@pytest.mark.parametrize("hx", [True, False])
def test_a_decision_that_came_too_late_shows_its_note(site, ann, hx):
    item = site.desk.claim(user(site, "ann"), Wanted())
    answer = decide_on_page(ann, item, NOTE, hx=hx, version=item.version - 1)
    assert (answer.status_code, "Your note: " in answer.text and "主播在复述" in answer.text) == (409, True)


@pytest.fixture
def noted(tmp_path):
    site = make_site(tmp_path, [finding(1), finding(2)])
    decide(site, "f000001", None, note=NOTE)
    decide(site, "f000002", None)
    return site


def test_notes_are_in_table_and_rows(noted, tmp_path):
    write_export(noted.database, noted.run, "csv", tmp_path / "x.csv", noted.bundle.labels)
    with (tmp_path / "x.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["备注"] for row in csv.DictReader(file)] == [f"ann：{NOTE}", ""]
    write_export(noted.database, noted.run, "rows", tmp_path / "x.jsonl", noted.bundle.labels)
    rows = map(json.loads, (tmp_path / "x.jsonl").read_text(encoding="utf-8").splitlines())
    assert [row.get("notes") for row in rows] == [[NOTE], None]


def tasks_of(site, tmp_path):
    path = tmp_path / "tasks.json"
    write_export(site.database, site.run, "labelstudio", path, site.bundle.labels)
    return path, json.loads(path.read_text(encoding="utf-8"))


def test_notes_go_to_label_studio_and_come_back(noted, tmp_path):
    path, tasks = tasks_of(noted, tmp_path)
    assert '<TextArea name="note" toName="text"' in path.with_suffix(".config.xml").read_text(encoding="utf-8")
    (annotation,) = tasks[0]["annotations"]
    assert annotation["result"][1] == {
        "from_name": "note", "to_name": "text", "type": "textarea", "value": {"text": [NOTE]},
    }  # fmt: skip
    del annotation["id"]  # as one that was made there
    annotation["reviewer"] = "she"
    path.write_text(json.dumps(tasks), encoding="utf-8")
    take_annotations(noted.desk, list(noted.labels), read_annotations(path, noted.run, Unclear()))
    _, (_, hers) = find(noted.database, noted.run, "f000001")
    assert (hers.name, hers.note) == ("she", NOTE)


@pytest.mark.parametrize(
    ("note", "said"),
    [
        ("长" * 501, "task 1: the note has 501 characters"),
        (7, "task 1: 'note' must be text or a list of texts, found int"),
    ],
)
def test_a_note_that_cannot_be_kept_stops_the_import(noted, tmp_path, note, said):
    task = {"finding": "f000001", "run": noted.run.digest, "labels": "food_safety", "annotator": "x@y", "note": note}
    path = tmp_path / "min.json"
    path.write_text(json.dumps([task]), encoding="utf-8")
    with pytest.raises(InputError, match=said):
        list(read_annotations(path, noted.run, Unclear()))


def test_the_page_offers_a_decision_on_all_with_the_same_words(tmp_path):
    site = make_site(tmp_path, [finding(n, "同一句话") for n in range(1, 4)] + [finding(4)])
    browser, ann = Browser(site, "ann"), user(site, "ann")
    item = site.desk.claim(ann, Wanted())
    assert "also the 2 others with these words" in browser.get("/work").text
    answer = decide_on_page(browser, item, "", alike="1")
    assert "f000001 + 2 accepted" in answer.text
    assert "with these words" not in answer.text.split("<dialog")[0]  # the last finding stands alone
    assert "f000004" in answer.text
    assert [find(site.database, site.run, f"f{n:06d}")[0].state for n in range(1, 5)] == ["accepted"] * 3 + ["open"]
    assert "taken back" in browser.submit("/undo", hx=True).text
    assert sum(find(site.database, site.run, f"f{n:06d}")[0].state == "accepted" for n in range(1, 5)) == 2
