"""10 000 hostile texts through the service: never a 5xx, always finite scores in [0, 1], evidence inside the text."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from service import client, serving

pytestmark = pytest.mark.slow
_BATCH, _EXAMPLES = 10, 1000

_claims = st.sampled_from(["喝这个茶能降血压", "全国第一", "三天治好糖尿病", "国家级", "最便宜", "加微信"])
_tricks = st.sampled_from([
    "\0", "\ud800", "\udfff", "\u200b", "\u200f", "\u202e", "\ufeff", "\u3000", "\u2028", "\r\n", "\t", "\u0301" * 20, "👨‍👩‍👧‍👦", "🇨🇳",
    "Ａ", "ﷺ", "𠮷", "\U0010ffff", "\ue000", "<script>", "'; --", "%s%n", "{{7*7}}", "\x1b[31m", "\x7f", "\x85", "١٢٣", "½", "①",
])  # fmt: skip
_anything = st.characters(exclude_categories=())  # lone surrogates and unassigned code points too
_hostile = st.one_of(
    st.text(_anything, max_size=30),
    st.lists(st.one_of(_claims, _tricks, st.text(_anything, max_size=4)), max_size=8).map("".join),
    st.tuples(st.one_of(_claims, _tricks, _anything), st.integers(1, 40)).map(lambda pair: pair[0] * pair[1]),
    st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), max_size=40),
)


@pytest.fixture(scope="module")
def http(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    with serving(folder, deadline_ms=60_000) as service, client(service) as opened:
        yield opened


@given(texts=st.lists(_hostile, min_size=_BATCH, max_size=_BATCH), evidence=st.sampled_from([False] * 9 + [True]))
@settings(max_examples=_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_generated_texts_are_scored_with_evidence_in_its_place(http, texts, evidence):
    body = json.dumps({"texts": texts, "evidence": evidence})  # ASCII: escapes what UTF-8 can't hold
    answer = http.post("/v1/classify", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text
    sent = json.loads(body)["texts"]  # two halves of a pair that stand together are one character there
    for text, result in zip(sent, answer.json()["results"], strict=True):
        assert all(math.isfinite(score) and 0 <= score <= 1 for score in result["scores"].values())
        for e in result["evidence"]:
            assert text[e["start"] : e["end"]] == e["text"] and e["label"] in result["labels"]


@given(body=st.one_of(st.binary(max_size=200), st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(_anything, max_size=9)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(
        st.one_of(st.sampled_from(["texts", "input", "lines", "evidence", "type", "text", "start"]), st.text(_anything, max_size=5)),
        inner, max_size=4)), max_leaves=12,
).map(lambda value: json.dumps(value).encode())), path=st.sampled_from(["/v1/classify", "/v1/moderations", "/v1/stream"]))  # fmt: skip
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_hostile_bodies(http, body, path):
    answer = http.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (200, 400, 422), (answer.status_code, answer.text)
    assert set(answer.json()) in ({"error"}, {"model", "results"}, {"id", "model", "results"})
