"""How hits become findings: only what matters is parsed, repeats are merged, memory stays bounded."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zhenyan.inference.classifier import Prediction
from zhenyan.inference.errors import InputError
from zhenyan.inference.io.items import Item, Options
from zhenyan.inference.io.jsonlines import dump_line
from zhenyan.inference.runs import findings
from zhenyan.inference.runs.findings import Finding, Wording, _near_hits, alike, hits, merged
from zhenyan.inference.runs.inputs import Placed, Work, work_units
from zhenyan.inference.runs.scoring import score_part
from zhenyan.inference.runs.scratch import sorted_lines

INPUTS = [{"path": "a.srt"}]
CLAIM = "这个茶喝完三高就降下来了"


def hit(text=CLAIM, stream="s", score=0.9, place="cue 1", label="food_safety"):
    return Finding(stream, label, score, text, [], {"file": "a.srt"}, False, times=[{"place": place, "start": 1.0}])


def entry(kind, number):
    labels = ["food_safety"] if kind == "hit" else []
    row = {"text": f"第{number}句", "stream": "s", "labels": labels, "scores": {"food_safety": 0.9}, "evidence": []}
    return {"kind": kind, "file": 0, "place": f"cue {number}", "row": row}


@given(st.lists(st.sampled_from(["row", "row", "row", "hit", "reject"]), max_size=30))
def test_parsing_only_what_is_near_a_hit_changes_nothing(kinds):
    entries = [entry(kind, number) for number, kind in enumerate(kinds)]
    near = list(hits(_near_hits(map(dump_line, entries)), INPUTS))
    rows = [e for e in entries if e["kind"] != "reject"]
    assert near == list(hits((e | {"number": n} for n, e in enumerate(rows, 1)), INPUTS))
    assert len(near) == kinds.count("hit")


def test_a_text_that_looks_like_a_hit_is_none():
    row = entry("row", 1)
    row["row"]["text"] = row["row"]["note"] = '\n{"kind":"hit"'
    assert not list(_near_hits([dump_line(row)]))


def test_repeats_are_one_finding_with_its_times_and_best_score():
    found = [hit(place=f"cue {n}", score=0.9 + n / 10_000) for n in range(700)]
    (finding,) = merged(iter(found))
    assert finding.count == 700 and len(finding.times) == 500 and finding.score == pytest.approx(0.9699)
    near = [
        hit(),
        hit(CLAIM.replace("喝完", "喝完啊")),
        hit("今天二号链接拍两盒"),
        hit(label="price_fraud"),
        hit(stream="t"),
    ]
    assert [f.count for f in merged(iter(near))] == [2, 1, 1, 1]


def said(marked, place="cue 1", score=0.9):
    """A hit whose deciding words stand in brackets."""
    text, evidence = "", []
    for part in marked.split("["):
        words, _, rest = part.rpartition("]")
        evidence += [{"start": len(text), "end": len(text + words), "text": words}] if words else []
        text += words + rest
    return replace(hit(text, score=score, place=place), evidence=evidence, times=[{"place": place, "text": text}])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("我们这款茶喝了可以[降血糖]", "我们这款茶喝了可以[抗癌症]"),
        ("我们这款茶喝了可以[降血糖]", "我们这款茶喝了可以[降血压]"),
        ("我们这款胶囊真的[能治高血]压", "我们这款胶囊真的[能治高血]脂"),  # the words are cut off
        ("[原价一千九]今天到手九十九包邮到家", "[原价两千九]今天到手九十九包邮到家"),
        ("我们这款今天[原价49.9]直接给到手九块九", "我们这款今天[原价499]直接给到手九块九"),
        ("我们这款茶喝了[3-5天降血糖]真的", "我们这款茶喝了[35天降血糖]真的"),
        ("我们这款片一天[1/2片血糖]就下来", "我们这款片一天[12片血糖]就下来"),
        ("我们这款茶喝了可以[降血糖]", "我们这款茶喝了可以[降血糖]还[抗癌症]"),
        ("🔥🔥[🍬]", "🔥🔥[💊]"),
        ("我们这款茶喝了可以降血糖", "我们这款茶喝了可以降血压"),  # without evidence any word may decide
        ("我们这款茶今天喝了可以降血糖", "我们这款茶昨天喝了可以降血糖"),
        ("我们这款茶喝[了]可以降血糖", "我们这款茶喝[了]可以降血压"),
    ],
)
def test_lines_that_differ_in_what_decides_are_two_findings(one, other):
    for first, second in ((one, other), (other, one)):
        found = list(merged([said(first), said(second, "cue 2")]))
        assert [(f.text, f.count) for f in found] == [(said(first).text, 1), (said(second).text, 1)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("我们这款茶喝了可以[降血糖]", "哎，我们这款茶啊喝了它就可以[降那个血糖]的呀"),
        ("我们这款茶喝了可以[降血糖]", "姐妹们听好，我们这款茶喝了可以[降血糖]。"),
        ("为什么[女明星很早]就开始去抗糖", "为什么她们[女明星很早]就开始去做抗糖啊"),
        ("我们这款茶喝了可以降血糖", "我们这款茶，喝了啊就可以降血糖的"),
        ("啊啊", "啊啊"),
    ],
)
def test_a_claim_said_again_with_other_words_around_it_is_one_finding(one, other):
    for first, second in ((one, other), (other, one)):
        (found,) = merged([said(first), said(second, "cue 2", score=0.95)])
        assert (found.text, found.count) == (said(second).text, 2)


def test_what_is_merged_is_compared_with_what_was_said_first():
    """Else a claim could turn into another one step by step, under one finding."""
    first, better = "[能降血糖]就喝我们这款八宝茶", "[能降血糖]就喝我们这款八宝茶老人孩子都能喝"
    third = "[能降血糖]就喝那款八宝茶[老人孩子都能喝]啊"
    found = list(merged([said(first, score=0.6), said(better, "cue 2"), said(third, "cue 3", 0.99)]))
    assert [(f.text, f.count) for f in found] == [(said(better).text, 2), (said(third).text, 1)]


def test_each_time_keeps_its_wording_where_that_is_another():
    first, better = "我们这款茶喝了可以[降血糖]", "来，我们这款茶喝了可以[降血糖]啊"
    (found,) = merged([said(first), said(better, "cue 2", 0.95), said(first, "cue 3"), said(better, "cue 4")])
    assert found.record(0.5)["times"] == [
        {"place": "cue 1", "text": said(first).text}, {"place": "cue 2"},
        {"place": "cue 3", "text": said(first).text}, {"place": "cue 4"},
    ]  # fmt: skip
    (same,) = merged([said(first) for _ in range(4)])
    assert found.size >= same.size + 2 * len(said(first).text + said(better).text)  # what is kept is counted


def test_memory_is_bounded_by_streams_findings_and_size(monkeypatch):
    monkeypatch.setattr(findings, "_OPEN_STREAMS", 2)
    interleaved = [hit(stream=f"s{n % 3}") for n in range(6)]
    assert [f.count for f in merged(iter(interleaved))] == [1] * 6  # the third stream pushes the first out, and so on
    monkeypatch.setattr(findings, "_OPEN_FINDINGS", 2)
    texts = ["今天二号链接拍两盒", "假一赔十支持退换", "抹上三天斑就没了"]
    assert [f.text for f in merged(hit(text) for text in texts)] == texts
    monkeypatch.setattr(findings, "_OPEN_BYTES", 100_000)
    held = findings._Open()
    for number in range(50):
        held.add(hit(f"{number}" * 20 + "长" * 10_000, stream="s"))
        list(held.surplus("s"))
        assert held.size <= 100_000
    assert held.size == sum(f.size for f in held.streams["s"]) and len(held.exact) == len(held.streams["s"])


def test_sorting_on_disk_is_stable_and_leaves_nothing(tmp_path):
    path = tmp_path / "sort.db"
    path.write_bytes(b"left by a process that was killed")
    items = [(-0.5, b"a"), (-0.9, b"b"), (-0.5, b"c"), (-0.9, b"d")]
    assert list(sorted_lines(items, path)) == [b"b", b"d", b"a", b"c"]
    assert not path.exists()
    with pytest.raises(InputError, match="the scored parts are kept"):
        list(sorted_lines(items, tmp_path / "missing" / "sort.db"))


def test_a_repeat_is_scored_once_and_told_each_time(classifier, monkeypatch):
    asked = []
    predict = type(classifier).predict
    monkeypatch.setattr(
        type(classifier), "predict", lambda self, t, explain=None: asked.extend(t) or predict(self, t, explain)
    )
    items = [Placed(0, Item({"text": text, "id": n}, f"line {n}")) for n, text in enumerate([CLAIM, "大家好", CLAIM])]
    part = score_part(replace(classifier, explain=False), Work(0, None, tuple(items)), context=False)
    *rows, end = [json.loads(line) for line in part.splitlines()]
    hits = sum(bool(row["row"]["labels"]) for row in rows)
    assert end == {
        "kind": "part", "rows": 3, "streams": [{"file": 0, "lines": 3, "hits": hits, "first": 1, "last": 3}]
    }  # fmt: skip
    assert asked == [CLAIM, "大家好"] and [r["row"].pop("id") for r in rows] == [0, 1, 2]
    assert rows[0]["row"] == rows[2]["row"] and rows[0]["place"] != rows[2]["place"]


class Together:
    """A model to which only symptom and goods in one text are a claim."""

    explain, thresholds, bundle = False, [0.5], SimpleNamespace(id="fake", label_ids=("a",))

    def clear_cache(self):
        """Nothing is remembered."""

    def predict(self, texts, explain=None):
        """A prediction for each text."""
        scores = [0.9 if "三高" in t and "这个茶" in t else 0.2 if "三高" in t else 0.0 for t in texts]
        return [Prediction(t, ("x",) if s > 0.5 else (), {"x": s}) for t, s in zip(texts, scores, strict=True)]


@pytest.mark.parametrize("part_rows", [1, 2, 3, 100])
def test_neighbours_are_read_together_wherever_a_part_is_cut(tmp_path, part_rows):
    said = ["三高的姐妹听我说", "喝的就是这个茶", "大家好", "这个茶", "三高", "三高", "点关注"]
    rows = [{"text": t, "stream": "s", "start": 5.0 * n, "end": 5.0 * n + 4} for n, t in enumerate(said)]
    rows[5] |= {"start": 90.0}  # long after the line before
    path = tmp_path / "a.jsonl"
    lines = [dump_line(row) for row in rows]
    path.write_bytes(b"".join([lines[0], b"{broken\n", *lines[1:4], b"{broken\n", b"3\n", b"\xff\n", *lines[4:]]))
    parts = [score_part(Together(), work, True) for work in work_units([str(path)], Options(), (), part_rows)]
    entries = [json.loads(line) for part in parts for line in part.splitlines()]
    assert len(parts) == -(-(len(said) + 4) // part_rows) and sum(e["kind"] == "row" for e in entries) == len(said)
    pairs = [e for e in entries if e["kind"] == "context"]
    assert [e["places"] for e in pairs] == [["line 1", "line 3"], ["line 5", "line 9"]]
    found = list(hits(_near_hits(line for part in parts for line in part.splitlines()), [{"path": str(path)}]))
    assert [f.times[0]["row"] for f in found] == [2, 5]  # rows of the output
    assert [f.before for f in found] == [[], said[1:3]]
    following = [said[2:4], said[5:7]]
    if part_rows == 100:
        assert [f.after for f in found] == following
    assert all(f.after == after[: len(f.after)] for f, after in zip(found, following, strict=True))
    assert (pairs[0]["start"], pairs[0]["end"], pairs[0]["text"]) == (0.0, 9.0, f"{said[0]} {said[1]}")


@pytest.mark.parametrize(
    ("fields", "together"),
    [
        ({"stream": "s"}, True),  # no time codes: the order of the lines is enough
        ({"start": 1.0, "end": 2.0}, True),  # times alone make a stream of a file
        ({}, False),  # copy: one row has nothing to do with the next
    ],
)
def test_what_forms_a_stream(fields, together):
    items = [Placed(0, Item({"text": text, **fields}, "row")) for text in ("三高的姐妹听我说", "喝的就是这个茶")]
    part = score_part(Together(), Work(0, None, tuple(items)), True)
    assert (b'"kind":"context"' in part) == together


def test_lines_of_another_stream_are_not_shown_around_two(tmp_path):
    said = [("a", "大家好"), ("s", "三高的姐妹听我说"), ("s", "喝的就是这个茶"), ("s", "点关注"), ("b", "大家好")]
    items = [Placed(0, Item({"text": text, "stream": stream}, "row")) for stream, text in said]
    lines = score_part(Together(), Work(0, None, tuple(items)), True).splitlines()
    (found,) = hits(_near_hits(lines), [{"path": "a.jsonl"}])
    assert (found.before, found.after) == ([], ["点关注"])


_SHORT = st.text("甲乙丙1%", min_size=1, max_size=12)


@given(_SHORT, _SHORT, st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), max_size=2))
def test_a_claim_is_repeated_where_every_deciding_character_stands_in_a_common_trigram(text, other, spans):
    said = Wording.of(text, [{"start": start, "end": start + length} for start, length in spans])
    again = Wording.of(other, [])

    def decided_in(one, two):
        grams = [(at, one.plain[at : at + 3]) for at in range(max(1, len(one.plain) - 2))]
        common = {at + i for at, gram in grams if gram in two.grams for i in range(3)}
        return {at for at, decided in enumerate(one.deciding) if decided} <= common

    expected = alike(said.grams, again.grams) and decided_in(said, again) and decided_in(again, said)
    assert said.claims(again) == again.claims(said) == expected
