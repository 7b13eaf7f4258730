"""Merging repeats, context hits, order."""

from zhenyan.inference.runs.findings import alike, hits, risk, trigrams

INPUTS = [{"path": "a.srt"}]


def row(number, text, labels=(), stream="s", **more):
    scores = dict.fromkeys(labels, 0.9)
    record = {"text": text, "stream": stream, "labels": list(labels), "scores": scores, "evidence": [], **more}
    return {"kind": "row", "file": 0, "place": f"cue {number}", "number": number, "row": record}


def test_hits_carry_their_neighbours_within_the_stream():
    entries = [row(1, "一"), row(2, "二"), row(3, "三", ["food_safety"]), row(4, "四"), row(5, "别的", stream="t")]
    (finding,) = hits(entries, INPUTS)
    assert (finding.before, finding.after) == (["一", "二"], ["四"])


def test_every_hit_is_given_once_whatever_its_place():
    for count in range(1, 9):
        entries = [row(n, f"第{n}句", ["food_safety"]) for n in range(count)]
        assert [f.place["place"] for f in hits(entries, INPUTS)] == [f"cue {n}" for n in range(count)]


def test_like_claims():
    assert alike(trigrams("这个茶喝完三高就降下来了"), trigrams("这个茶喝完啊三高就降下来了"))
    assert not alike(trigrams("这个茶喝完三高就降下来了"), trigrams("今天二号链接拍两盒"))
    assert risk(0.8, 5) > risk(0.8, 1) == 0.8
