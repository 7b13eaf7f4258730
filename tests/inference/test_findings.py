"""Merging repeats, context hits, order, and what is told of a run's streams."""

import json
from collections import Counter
from types import SimpleNamespace

import pytest
from rich.console import Console
from zhenyan.inference.bundle import Label
from zhenyan.inference.cli.table import findings_table
from zhenyan.inference.io.items import Item
from zhenyan.inference.io.jsonlines import dump_line
from zhenyan.inference.law import marks, says
from zhenyan.inference.runs.findings import Finding, alike, collect, hits, merged, risk, trigrams
from zhenyan.inference.runs.finish import output_lines
from zhenyan.inference.runs.inputs import Placed
from zhenyan.inference.runs.scoring import neighbours
from zhenyan.inference.runs.store import RunFolder
from zhenyan.inference.runs.streams import stream_lines, verdict

INPUTS = [{"path": "a.srt"}]


def row(number, text, labels=(), stream="s", **more):
    scores = dict.fromkeys(labels, 0.9)
    record = {"text": text, "stream": stream, "labels": list(labels), "scores": scores, "evidence": [], **more}
    return {"kind": "row", "file": 0, "place": f"cue {number}", "number": number, "row": record}


def test_hits_carry_their_neighbours_within_the_stream():
    entries = [row(1, "一"), row(2, "二"), row(3, "三", ["food_safety"]), row(4, "四"), row(5, "别的", stream="t")]
    (finding,) = hits(entries, INPUTS)
    assert (finding.before, finding.after) == (["一", "二"], ["四"])


@pytest.mark.parametrize(("fields", "near"), [
    ({}, []),  # copy: one row has nothing to do with the next
    ({"stream": ""}, []), ({"start": 1.7e9}, []),  # dated rows may tell of many rooms
    ({"stream": "s"}, ["前一句"]), ({"start": 1.0}, ["前一句"]),
])  # fmt: skip
def test_lines_around_a_hit_are_shown_only_of_rows_in_an_order(fields, near):
    entries = [row(1, "前一句"), row(2, "这一句", ["food_safety"])]
    for entry in entries:
        del entry["row"]["stream"]
        entry["row"] |= fields
    (finding,) = hits(entries, INPUTS)
    assert (finding.before, finding.after) == (near, [])


def test_every_hit_is_given_once_whatever_its_place():
    for count in range(1, 9):
        entries = [row(n, f"第{n}句", ["food_safety"]) for n in range(count)]
        assert [f.place["place"] for f in hits(entries, INPUTS)] == [f"cue {n}" for n in range(count)]


def test_like_claims():
    assert alike(trigrams("这个茶喝完三高就降下来了"), trigrams("这个茶喝完啊三高就降下来了"))
    assert not alike(trigrams("这个茶喝完三高就降下来了"), trigrams("今天二号链接拍两盒"))
    assert risk(0.8, 5) > risk(0.8, 1) == 0.8


@pytest.mark.parametrize(
    ("findings", "risk", "said"),
    [(0, 0.9, "none"), (1, 0.8, "high"), (1, 0.79999, "medium"), (1, 0.5, "medium"), (1, 0.49, "low")],
)
def test_the_bounds_of_verdicts(findings, risk, said):
    assert verdict(findings, risk) == said


def of(score, context=False, place="cue 1", text="这个茶喝完三高就降下来了"):
    """A finding whose every field tells its place."""
    at = {"file": "a.srt", "place": place}
    span = {"place": place, "start": 0, "end": 3}
    return Finding("s", "x", score, text, [span], at, context, [f"↑{place}"], [f"↓{place}"], [at])


def told(finding):
    """All that a finding takes from its best hit."""
    return finding.score, finding.text, finding.evidence, finding.place, finding.context, finding.before, finding.after


def test_a_finding_is_that_of_its_best_hit():
    other = "这个茶喝完啊三高就降下来了"
    (known,) = merged([of(0.6), of(0.9, place="cue 2", text=other), of(0.7, place="cue 3")])
    assert told(known) == told(of(0.9, place="cue 2", text=other))
    assert (known.count, [time["place"] for time in known.times]) == (3, ["cue 1", "cue 2", "cue 3"])


def test_two_lines_together_never_replace_one_that_says_it_alone():
    (known,) = merged([of(0.6), of(0.9, context=True, place="cue 2")])
    assert told(known) == told(of(0.6)) and known.count == 2
    (known,) = merged([of(0.6, context=True), of(0.9, place="cue 2")])
    assert told(known) == told(of(0.9, place="cue 2"))


def test_the_bounds_of_likeness():
    def grams(*numbers):
        return frozenset(map(str, numbers))

    ten = grams(*range(10))
    assert alike(ten, grams(*range(6), *range(20, 24)))  # six of ten are shared
    assert not alike(ten, grams(*range(5), *range(20, 25)))
    assert alike(ten, grams(*range(5))) and not alike(ten, grams(*range(4)))  # half as long at least
    assert risk(0.5, 8) < risk(0.5, 9) == risk(0.5, 900) == 1 - 0.5**3


@pytest.mark.parametrize(("gap", "together"), [(0.0, True), (20.0, True), (20.1, False), (-4.9, True), (-5.1, False)])
def test_how_far_neighbours_may_lie_apart(gap, together):
    first, second = (
        Placed(0, Item({"text": "好", "stream": "s", "start": at, "end": at + 4}, "cue")) for at in (11.0, 15.0 + gap)
    )
    assert neighbours(first, second) is together


def test_a_finding_has_its_own_labels_evidence_and_keeps_id_and_recording():
    evidence = [{"start": 0, "end": 1, "text": "一", "label": label} for label in ("food_safety", "price_fraud")]
    entry = row(1, "一句", ["food_safety", "price_fraud"], evidence=evidence, id="r7", file="店.mp4")
    context = {**entry["row"], "kind": "context", "file": 0, "number": 2, "places": ["cue 1", "cue 2"],
               "recording": "店.mp4"}  # fmt: skip
    alone, pair = (list(hits([one], INPUTS)) for one in (entry, context))
    for found in (alone, pair):
        assert [[span["label"] for span in finding.evidence] for finding in found] == [["food_safety"], ["price_fraud"]]
    for finding in alone:
        assert (finding.place["id"], finding.place["recording"]) == ("r7", "店.mp4")
        assert finding.times[0]["recording"] == "店.mp4" and "id" not in finding.times[0]


def folder_of(path, *parts, min_score=None):
    """A run of these parts."""
    folder = RunFolder(path)
    (path / "parts").mkdir()
    for number, lines in enumerate(parts):
        folder.part(number).write_bytes(b"".join(map(dump_line, lines)))
    manifest = {
        "bundle": "b",
        "output": "out.jsonl",
        "thresholds": {},
        "options": {"min_score": min_score},
        "inputs": INPUTS,
    }
    (path / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_findings_tell_the_least_score_and_pairs_are_no_rows_of_a_label(tmp_path):
    rows = [
        row(n, f"{text}不一样的一句", ["x"]) | {"kind": "hit"} for n, text in enumerate(("甲乙丙丁戊", "子丑寅卯辰巳"))
    ]
    pair = {"kind": "context", "file": 0, "places": ["cue 1", "cue 2"], "index": 2, "stream": "s", "labels": ["y"],
            "scores": {"y": 0.9}, "text": "两句", "evidence": []}  # fmt: skip
    bundle, counted = SimpleNamespace(label_ids=["x", "y"], thresholds=[0.4, 0.8]), Counter()
    folder = folder_of(tmp_path, [*rows, pair], min_score=0.6)
    found = [json.loads(line) for line in collect(folder, bundle, counted)]
    assert sorted((one["label"], one["threshold"]) for one in found) == [("x", 0.6), ("x", 0.6), ("y", 0.8)]
    assert dict(counted) == {"x": 2}  # no entry of 0 for what findings count


def part(start=None, end=None, lines=1):
    times = {key: at for key, at in (("start", start), ("end", end)) if at is not None}
    return {"kind": "part", "rows": lines, "streams": [{"file": 0, "stream": "s", "lines": lines, "hits": 0, "first": 1,
                                                      "last": lines, **times}]}  # fmt: skip


def test_times_of_a_stream_span_its_parts_timed_or_not(tmp_path):
    noted, parts = [], [[part(5.0, 9.0)], [part()], [part(2.0, 30.0, 2)], [part(3.0, 4.0)]]
    (stream,) = map(json.loads, stream_lines(folder_of(tmp_path, *parts), noted.append))
    assert (stream["start"], stream["end"], stream["lines"], stream["first"], stream["last"]) == (2.0, 30.0, 5, 1, 5)
    assert not noted


def test_time_codes_and_dates_of_one_stream_have_no_common_range(tmp_path):
    noted = []
    parts = [part(605.0, 610.0)], [part(1.7958e9, 1.7958e9)]
    (stream,) = map(json.loads, stream_lines(folder_of(tmp_path, *parts), noted.append))
    assert stream["lines"] == 2 and not stream.keys() & {"start", "end"}
    assert [str(note).split(";")[0] for note in noted] == ["stream s: time codes in some rows and dates in others"]


def test_a_source_of_the_rows_own_is_kept_beside_the_one_that_is_added(tmp_path):
    own = [{"source": "店"}, {}, {"source": "店", "input.source": "旧"}, {"meta": {"source": "店"}}]
    folder = folder_of(tmp_path, [row(n, "一", **more) for n, more in enumerate(own, 1)])
    first, second, third, fourth = map(json.loads, output_lines(folder, ["a.srt", "b.srt"]))
    assert (first["source"], first["input.source"]) == ("a.srt cue 1", "店")
    assert second["source"] == "a.srt cue 2" and "input.source" not in second
    assert (third["source"], third["input.source"], third["input.input.source"]) == ("a.srt cue 3", "旧", "店")
    assert (fourth["source"], fourth["meta"]) == ("a.srt cue 4", {"source": "店"})
    alone = [json.loads(line) for line in output_lines(folder, ["a.srt"])]
    assert [line.get("source") for line in alone] == ["店", None, "店", None]


def test_what_an_article_says_and_what_to_know_before_citing():
    assert says({"says": "It says.", "says_zh": "它说。"}) == ("它说。", "It says.")
    assert says({"says": "It says."}) == ("It says.", "It says.") and says({}) == ("", "")
    assert marks({"verified": "case", "check": True}) == (
        "（仅见于案例，引用前请核对）", " (seen applied only, check before citing)")  # fmt: skip
    assert marks({"verified": "text"}) == ("", "")


def cited(*articles):
    """A label that cites articles of `law` and `verified`, with what else is known of each."""
    known = [
        {"law": law, "article": article, "verified": verified, **more} for law, article, verified, more in articles
    ]
    return Label("price_fraud", "价格违法", "Price fraud", "14", "What it is.", False, tuple(known), ("operator",), {})


@pytest.mark.parametrize(("articles", "citation"), [
    ([("商标法 [Trademark Law]", "第五十七条", "text", {"check": True}), ("专利法 [Patent Law]", "第六十八条", "text", {})],
     "《商标法》第五十七条（引用前请核对）；《专利法》第六十八条"),
    ([("食品安全法 [Food Safety Law]", "第七十一条", "text", {}), ("广告法 [Advertising Law]", "第十七条", "text", {}),
      ("食品安全法 [Food Safety Law]", "第七十三条", "text", {}), ("食品安全法 [Food Safety Law]", "第三十四条", "text", {}),
      ("价格法 [Price Law]", "第十四条第四项", "text", {}), ("商标法 [Trademark Law]", "第五十七条", "text", {})],
     "《食品安全法》第七十一条、第七十三条；《广告法》第十七条；《价格法》第十四条第四项等，视事实适用其一"),
    ([("广告法 [Advertising Law]", "第九条第三项", "text", {}), ("广告法 [Advertising Law]", "第十一条", "case", {})],
     "《广告法》第九条第三项、第十一条（仅见于案例）"),
])  # fmt: skip
def test_a_citation_is_short_and_says_what_to_know_before_citing_and_that_there_is_more(articles, citation):
    assert cited(*articles).citation == citation


def test_the_table_says_what_to_know_before_citing():
    label = cited(("价格法 [Price Law]", "第十四条第四项", "text", {"check": True}))
    found = {"label": label.id, "stream": "s", "place": {"place": "cue 1"}, "times": [{"place": "cue 1"}], "count": 1,
             "text": "原价一千九今天九十九", "evidence": [], "score": 0.9}  # fmt: skip
    console = Console(width=200, record=True)
    console.print(findings_table(SimpleNamespace(findings=lambda: iter([found])), SimpleNamespace(labels=(label,)), 9))
    assert "《价格法》第十四条第四项（引用前请核对）" in console.export_text()
