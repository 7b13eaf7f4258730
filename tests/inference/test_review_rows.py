"""Decisions out as rows of the corpus: one for each text, and what is held back."""

from datetime import UTC, datetime

import pytest
from review_helpers import Browser, decide, finding, make_site, skip
from zhenyan.inference.io.times import beijing_day
from zhenyan.inference.review.exchange import Held, corpus_rows, reviewed
from zhenyan.inference.review.exports import write_export


def rows(site):
    held = Held()
    return list(corpus_rows(site.run, reviewed(site.database, site.run), held)), held


def test_rows_are_of_the_corpus_contract(site, tmp_path):
    from zhenyan.training.rows import read_rows

    decide(site, "f000001", None)
    decide(site, "f000002", [])
    decide(site, "f000003", ["price_fraud", "food_safety"])
    skip(site, "f000004")
    write_export(site.database, site.run, "rows", tmp_path / "rows.jsonl", site.bundle.labels)
    got = read_rows([str(tmp_path / "rows.jsonl")])
    assert [(row.labels, row.annotated, row.channel) for row in got] == [
        (("food_safety",), ("food_safety",), "live"),
        ((), ("food_safety",), "live"),
        (("food_safety", "price_fraud"), ("food_safety", "price_fraud"), "live"),
    ]
    assert got[0].id == f"{site.run.digest[:8]}-f000001"
    assert got[0].group == "茶叶直播间"
    expected = {"reviewer": "ann", "model": site.run.bundle, "decided": "2026-11-24", "stream": "茶叶直播间"}
    assert expected.items() <= got[0].meta.items()


def test_a_decision_is_of_the_day_on_beijings_clock():
    assert beijing_day(datetime(2026, 11, 27, 23, 30, tzinfo=UTC)) == "2026-11-28"
    assert beijing_day(datetime(2026, 11, 27, 15, 59, tzinfo=UTC)) == "2026-11-27"


def test_findings_of_one_line_become_one_row(tmp_path):
    same = {
        "text": "买一送一治百病",
        "place": {"file": "a", "place": "line 1", "id": "row-7"},
        "times": [{"place": "line 1"}],
    }
    site = make_site(tmp_path, [finding(1, **same), finding(2, label="price_fraud", **same)])
    decide(site, "f000001", None)
    got, held = rows(site)
    assert (got, held.undecided) == ([], 1)
    decide(site, "f000002", [], "ben")
    (row,), held = rows(site)
    assert (row["id"], row["source_id"]) == (f"{site.run.digest[:8]}-f000001", "row-7")
    assert (row["labels"], row["annotated"]) == (["food_safety"], ["food_safety", "price_fraud"])
    assert (row["channel"], row["reviewer"]) == ("copy", "ann, ben")
    assert str(held) == ""


def test_a_line_whose_findings_contradict_is_held_back(tmp_path):
    same = {"text": "买一送一治百病", "place": {"file": "a", "place": "line 1"}}
    site = make_site(tmp_path, [finding(1, **same), finding(2, label="price_fraud", **same)])
    decide(site, "f000001", [])
    decide(site, "f000002", ["food_safety"])
    got, held = rows(site)
    assert (got, held.contradictory) == ([], 1)
    assert "held back" in str(held)


def in_two_streams(tmp_path, *texts):
    """Two findings, of two files that hold a line of their own each."""
    places = [{"file": f"{name}.srt", "place": "cue 1"} for name in "ab"]
    records = [
        finding(n, text, stream=p["file"], place=p) for n, (text, p) in enumerate(zip(texts, places, strict=True), 1)
    ]
    return make_site(tmp_path, records)


def test_a_text_that_stands_in_two_streams_becomes_one_row(tmp_path):
    """As `zhenyan data check` wants it, which compares without punctuation, spaces and traditional characters."""
    from zhenyan.training.corpus_check import check_corpus
    from zhenyan.training.rows import read_rows
    from zhenyan.training.schema import load_schema
    from zhenyan.training.splits import Splits

    site = in_two_streams(tmp_path, "喝了这个茶，三高就降下来了！", "喝了這個茶 三高就降下来了")
    decide(site, "f000001", None)
    decide(site, "f000002", None, "ben")
    (row,), held = rows(site)
    assert (row["text"], row["findings"], row["reviewer"]) == (
        "喝了这个茶，三高就降下来了！", ["f000001", "f000002"], "ann, ben"
    )  # fmt: skip
    assert (held.given, str(held)) == (1, "")
    write_export(site.database, site.run, "rows", tmp_path / "rows.jsonl", site.bundle.labels)
    found = check_corpus(read_rows([str(tmp_path / "rows.jsonl")]), load_schema(), Splits(validation=[], test=[]))
    assert [fault for fault in found.faults if "same text" in fault] == []


@pytest.mark.parametrize("labels", [[], ["price_fraud"], ["food_safety", "price_fraud"]])
def test_a_text_that_was_decided_in_two_ways_is_held_back(tmp_path, labels):
    site = in_two_streams(tmp_path, "喝了这个茶", "喝了这个茶。")
    decide(site, "f000001", None)
    (_,), held = rows(site)
    decide(site, "f000002", labels)
    got, held = rows(site)
    assert (got, held.given, held.contradictory) == ([], 0, 2)
    assert str(held) == "2 lines held back: the decisions on their text contradict one another"
    page = Browser(site, "lea").get("/export", headers={"Accept-Language": "zh-CN"}).text
    assert "现可导出 0 行。" in page and "2 条语句的决定相互矛盾，暂不导出。" in page and "尚有发现未决定" not in page


def test_lines_in_dispute_or_read_by_one_of_two_are_held_back_those_nobody_read_are_not(tmp_path):
    site = make_site(tmp_path, [finding(n) for n in range(1, 5)], second_share=1.0)
    for name, labels in (("ann", None), ("ben", [])):
        decide(site, "f000001", labels, name)
    decide(site, "f000002", None)
    skip(site, "f000003")
    got, held = rows(site)
    assert (got, held.undecided) == ([], 2)


def test_rows_of_files_that_number_alike_have_ids_of_their_own(tmp_path):
    places = [{"file": f"{name}.csv", "place": "line 2", "id": "1"} for name in "ab"]
    site = make_site(tmp_path, [finding(n, place=place) for n, place in enumerate(places, 1)])
    for key in ("f000001", "f000002"):
        decide(site, key, None)
    got, _ = rows(site)
    assert len({row["id"] for row in got}) == 2 and [row["source_id"] for row in got] == ["1", "1"]


@pytest.mark.parametrize(("name", "offered"), [("ann", False), ("adm", True)])
def test_a_dispute_is_offered_to_those_who_may_settle_it(tmp_path, name, offered):
    site = make_site(tmp_path, second_share=1.0)
    decide(site, "f000001", None, "lea")
    decide(site, "f000001", [], "ben")
    browser = Browser(site, name)
    assert ("Review this one" in browser.get("/finding/f000001").text) == offered
    assert "Review this one" in browser.get("/finding/f000002").text
    answer = browser.submit("/finding/f000001/open")
    assert (answer.status_code, "a lead is to settle it" in answer.text) == ((200, False) if offered else (409, True))


CLAIM, OTHERWISE, ALSO = (
    "国家领导人专用的酒，全网第一",
    "国家领导人专用的酒啊，全网第一",
    "国家领导人专用的酒，全网第一没有之一",
)
ENDORSED, FALSE = "illegal_endorsement", "false_propaganda"


def in_wordings(tmp_path, file="a.srt"):
    """A claim in three wordings: one finding with all of them under one label, one of each under another."""
    said = [{"place": f"cue {n}", "start": 9.0 * n, "text": text} for n, text in enumerate((CLAIM, OTHERWISE, ALSO), 1)]
    places = [{"file": file} | {key: time[key] for key in ("place", "start")} for time in said]
    others = [{key: time[key] for key in time if key != "text" or time["text"] != OTHERWISE} for time in said]
    shown = finding(1, OTHERWISE, ENDORSED, count=3, place=places[1], times=others)
    same = [
        finding(n, time["text"], FALSE, place=place, times=[{key: place[key] for key in ("place", "start")}])
        for n, (time, place) in enumerate(zip(said, places, strict=True), 2)
    ]
    return make_site(tmp_path, [shown, *same])


def test_a_line_waits_for_a_finding_that_shows_another_wording_of_it(tmp_path):
    site = in_wordings(tmp_path)
    for key in ("f000002", "f000003", "f000004"):
        decide(site, key, None)
    got, held = rows(site)
    assert (got, held.undecided) == ([], 3)
    decide(site, "f000001", None, "ben")
    got, held = rows(site)
    assert str(held) == "" and [row["text"] for row in got] == [OTHERWISE, CLAIM, ALSO]
    assert {tuple(row["labels"]) for row in got} == {(FALSE, ENDORSED)}
    assert {row["reviewer"] for row in got} == {"ann, ben"}
    ids = [row["id"].partition("-")[2] for row in got]
    assert ids == ["f000001", "f000002", "f000004"]  # of the finding that shows the line, as ever
    assert [row["findings"] for row in got] == [
        ["f000001", "f000003"], ["f000002", "f000001"], ["f000004", "f000001"]
    ]  # fmt: skip


def test_what_is_denied_of_one_wording_is_denied_of_all(tmp_path):
    site = in_wordings(tmp_path)
    decide(site, "f000001", [])
    decide(site, "f000002", None)
    (row,), held = rows(site)
    assert (row["text"], row["labels"], row["annotated"]) == (CLAIM, [FALSE], [FALSE, ENDORSED])
    assert held.undecided == 2


def test_a_finding_that_is_of_a_line_of_another_file_is_of_none_here(tmp_path):
    """Files number their lines alike: a time names its file where several are of one stream."""
    times = [{"file": "a.srt", "place": "cue 1"}, {"file": "b.srt", "place": "cue 1", "text": OTHERWISE}]
    repeated = finding(1, CLAIM, ENDORSED, place=times[0], times=times)
    own = [finding(n, OTHERWISE, FALSE, place={"file": f"{name}.srt", "place": "cue 1"}, times=[{"place": "cue 1"}])
           for n, name in ((2, "b"), (3, "c"))]  # fmt: skip
    site = make_site(tmp_path, [repeated, own[0], {**own[1], "text": ALSO}])
    decide(site, "f000002", None)
    decide(site, "f000003", None)
    (row,), held = rows(site)
    assert (row["text"], row["findings"], held.undecided) == (ALSO, ["f000003"], 1)


def test_decisions_on_a_line_with_an_open_finding_contradict_too(tmp_path):
    """One label of an equal text was given in one file and denied in the other, where another finding is open."""
    records = [
        finding(2 * n + m, CLAIM, label, place={"file": f"{name}.srt", "place": "cue 1"}, times=[{"place": "cue 1"}])
        for n, name in enumerate("ab")
        for m, label in enumerate((ENDORSED, FALSE), 1)
    ]
    site = make_site(tmp_path, records)
    decide(site, "f000001", None)
    decide(site, "f000002", None)
    (row,), held = rows(site)
    assert (row["labels"], row["findings"], str(held)) == ([FALSE, ENDORSED], ["f000001", "f000002"], "")
    decide(site, "f000003", [])
    got, held = rows(site)
    assert (got, held.given, held.contradictory, held.undecided) == ([], 0, 1, 1)


def test_what_is_decided_alike_on_a_line_with_an_open_finding_holds_nothing_back(tmp_path):
    site = in_two_streams(tmp_path, CLAIM, CLAIM)
    same = {"label": FALSE, "place": {"file": "b.srt", "place": "cue 1"}, "times": [{"place": "cue 1"}]}
    site = make_site(
        tmp_path / "more", [*(one.record for one in reviewed(site.database, site.run)), finding(3, CLAIM, **same)]
    )
    decide(site, "f000001", None)
    decide(site, "f000002", None)
    (row,), held = rows(site)
    assert (row["findings"], held.contradictory, held.undecided) == (["f000001"], 0, 1)
