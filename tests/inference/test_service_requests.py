"""What the service says of requests it refuses, asked in this process: no model, no socket."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY
from pydantic import ValidationError
from zhenyan.inference.bundle import load_bundle
from zhenyan.inference.classifier import Prediction
from zhenyan.inference.law import citation
from zhenyan.inference.serve import batcher, observe
from zhenyan.inference.serve.app import create_app
from zhenyan.inference.serve.keys import KeyFile
from zhenyan.inference.serve.schemas import WRONG_INPUT, ClassifyRequest, ModerationRequest
from zhenyan.inference.serve.settings import Settings

MANY = 100_000
LONG = "a" * 20_001
PART = {"type": "text", "text": "a"}


@pytest.fixture(scope="module")
def http():
    """A client of an application that isn't ready: enough for what is refused before it is scored."""
    nothing = SimpleNamespace(bundle=SimpleNamespace(id="none", label_ids=("a", "b")))
    return TestClient(create_app(Settings(), nothing), follow_redirects=False)


def scorer(scored: list[str], folder: Path = Path("none"), bundle: Any = None) -> SimpleNamespace:
    """A model that finds nothing and notes what it has scored; its bundle's probes are hits above a half."""

    def predict(texts, explain, deciders):
        scored.extend(texts)
        return [Prediction(text, (), {}) for text in texts]

    return SimpleNamespace(
        bundle=bundle or SimpleNamespace(id="none", label_ids=("a", "b"), folder=folder),
        predict=predict,
        clear_cache=lambda: None,
        decide=lambda row: [each for each in row if each > 0.5],
    )


@pytest.mark.parametrize(("model", "body"), [
    (ClassifyRequest, {"texts": [1] * MANY}), (ModerationRequest, {"input": [1] * MANY}),
    (ClassifyRequest, {"texts": ["a"]} | dict.fromkeys(map(str, range(MANY)), 1)),
    (ModerationRequest, {"input": [{"type": "text", "text": "a"} | dict.fromkeys(map(str, range(MANY)), 1)]}),
    (ModerationRequest, {"input": [{"type": "image_url"}] * MANY}), (ModerationRequest, {"input": ["a", 1] * MANY}),
])  # fmt: skip
def test_of_many_faults_few_are_gathered(model, body):
    """One for every item of 2 MB took 2.6 GiB and 23 s of a worker. Of a union each kind may tell its own."""
    with pytest.raises(ValidationError) as refused:
        model.model_validate(body)
    assert refused.value.error_count() <= 4


@pytest.mark.parametrize(("path", "body", "param", "message"), [
    ("classify", {"texts": [1] * MANY}, "texts.0", "texts.0: Input should be a valid string, given 1"),
    ("classify", {"texts": ["a", "b", None, 1]}, "texts.2", "texts.2: Input should be a valid string, given null"),
    ("classify", {"texts": ["a"], "more": 1, "most": 2}, "more", "more: Extra inputs are not permitted, given 1"),
    ("classify", {"text": 1}, "texts", "texts: Field required, given an object with text"),
    ("classify", ["a"], "body",
     "body: Input should be a valid dictionary or object to extract fields from, given a list of 1"),
    ("classify", {"texts": ["a"], "input.": 1}, "input.", "input.: Extra inputs are not permitted, given 1"),
    ("classify", {"texts": ["a"], "\ud800": 1}, r"\ud800", r"\ud800: Extra inputs are not permitted, given 1"),
    ("stream", {"lines": [{"text": "a", "\ud800": 1}]}, r"lines.0.\ud800",
     r"lines.0.\ud800: Extra inputs are not permitted, given 1"),
    ("classify", {"texts": ["a"], "thresholds": {"a": 0.5, "c": 0.5} | dict.fromkeys(map(str, range(MANY)), 1)}, "thresholds.c",
     "thresholds.c: unknown label; this model has a, b"),
    ("classify", {"texts": ["a"], "thresholds": {"a": 1, "b": 0}}, "thresholds.b",
     "thresholds.b: expected a number over 0 and up to 1, given 0"),
    ("classify", {"texts": ["a"], "thresholds": {"a": 1.01}}, "thresholds.a",
     "thresholds.a: expected a number over 0 and up to 1, given 1.01"),
    ("classify", {"texts": ["a"], "thresholds": {"a": "0.5"}}, "thresholds.a",
     'thresholds.a: expected a number over 0 and up to 1, given "0.5"'),
    ("classify", {"texts": ["a"], "thresholds": {"a": True}}, "thresholds.a",
     "thresholds.a: expected a number over 0 and up to 1, given true"),
    ("classify", {"texts": ["a"], "thresholds": {"a": None}}, "thresholds.a",
     "thresholds.a: expected a number over 0 and up to 1, given null"),
    ("classify", {"texts": ["a"], "thresholds": {"\ud800": 1}}, "thresholds.\ud800",
     "thresholds.\ud800: unknown label; this model has a, b"),
    ("classify", {"texts": ["a"], "thresholds": [["a", 0.5]]}, "thresholds",
     "thresholds: Input should be a valid dictionary, given a list of 1"),
    ("moderations", {"input": 5}, "input", f"{WRONG_INPUT}; given 5"),
    ("moderations", {"input": []}, "input", f"{WRONG_INPUT}; given a list of 0"),
    ("moderations", {"input": {"0": 1}}, "input", f"{WRONG_INPUT}; given an object with 0"),
    ("moderations", {"input": [1] * MANY}, "input.0", "input.0: Input should be a valid string, given 1"),
    ("moderations", {"input": ["a"] * 100 + [None] + ["a"] * 100}, "input.100",
     "input.100: Input should be a valid string, given null"),
    ("moderations", {"input": [None], "model": 5}, "input.0", "input.0: Input should be a valid string, given null"),
    ("moderations", {"input": ["a", PART]}, "input.1",
     "input.1: Input should be a valid string, given an object with type, text"),
    ("moderations", {"input": [PART, "a"]}, "input.1",
     'input.1: Input should be a {"type": "text", "text": ...} part, given "a"'),
    ("moderations", {"input": [PART, {"type": "image_url", "image_url": {"url": "data:"}}]}, "input.1",
     "input.1: image_url is not read; send text parts"),
    ("moderations", {"input": [PART | {"type": 5}]}, "input.0", "input.0: 5 is not read; send text parts"),
    ("moderations", {"input": [PART, PART | {"text": None}]}, "input.1.text",
     "input.1.text: Input should be a valid string, given null"),
    ("moderations", {"input": [{"text": "a"}]}, "input.0.type",
     "input.0.type: Field required, given an object with text"),
    ("moderations", {"input": [PART | {"x": 1}]}, "input.0.x", "input.0.x: Extra inputs are not permitted, given 1"),
])  # fmt: skip
def test_the_first_fault_is_told(http, path, body, param, message):
    answer = http.post(f"/v1/{path}", content=json.dumps(body), headers={"content-type": "application/json"})
    error = answer.json()["error"]
    assert answer.status_code == 422 and (error["param"], error["message"]) == (param, message)


@pytest.mark.parametrize(("path", "body", "param"), [
    ("classify", {"texts": ["好", LONG]}, "texts.1"),
    ("moderations", {"input": LONG}, "input"),
    ("moderations", {"input": ["好", LONG]}, "input.1"),
    ("moderations", {"input": [PART, PART | {"text": LONG}]}, "input.1.text"),
])  # fmt: skip
def test_a_text_that_is_too_long_is_named_where_it_stands(http, path, body, param):
    answer = http.post(f"/v1/{path}", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (422, param)
    assert error["message"] == f"{param}: at most 20000 characters in a text, given 20001"


def test_of_two_keys_in_one_request_none_counts(tmp_path):
    """A proxy may have let the request pass for the one, and the last would win here."""
    file = tmp_path / "keys.json"
    known = KeyFile(file).add("shop")
    http = TestClient(create_app(Settings(keys=file), scorer([])))
    for keys in (["wrong", known], [known, "wrong"], [known, known]):
        answer = http.post("/v1/classify", json={}, headers=[("authorization", f"Bearer {key}") for key in keys])
        error = answer.json()["error"]
        assert (answer.status_code, error["type"]) == (401, "authentication_error")
        assert error["message"] == "one authorization header is read, given 2; send one: Authorization: Bearer KEY"
        assert answer.headers["www-authenticate"] == "Bearer"
    assert http.post("/v1/classify", json={}, headers={"authorization": f"Bearer {known}"}).status_code == 422


def test_a_request_is_decided_by_its_own_thresholds_and_the_next_by_the_bundles(classifier):
    own = dict(zip(classifier.bundle.label_ids, classifier.bundle.thresholds, strict=True))
    with TestClient(create_app(Settings(), classifier)) as client:

        def decided(**asked):
            (answer,) = client.post("/v1/classify", json={"texts": ["全网销量第一"], **asked}).json()["results"]
            assert {span["label"] for span in answer["evidence"]} == set(answer["labels"])
            return answer["labels"], answer["scores"]

        labels, scores = decided()
        assert labels == ["false_propaganda"] and scores["price_fraud"] < own["price_fraud"]
        lower = {"price_fraud": scores["price_fraud"] * 0.99, "false_propaganda": 1}
        assert decided(thresholds=lower) == (["price_fraud"], pytest.approx(scores, abs=1e-5))
        assert decided(thresholds={}) == decided() == (labels, pytest.approx(scores, abs=1e-5))
        stated = client.get("/openapi.json").json()["components"]["schemas"]["ClassifyRequest"]["properties"][
            "thresholds"
        ]
        assert list(stated["properties"]) == list(own) and stated["additionalProperties"] is False


def test_labels_are_told_with_law_and_threshold():
    bundle = load_bundle()
    with TestClient(create_app(Settings(), scorer([], bundle=bundle))) as client:
        answer = client.get("/v1/labels", headers={"x-request-id": "mine"})
        assert (answer.status_code, answer.headers["x-request-id"]) == (200, "mine")
        told = answer.json()
        assert client.head("/v1/labels").status_code == 200 and client.post("/v1/labels", json={}).status_code == 405
    assert told["model"] == bundle.id
    assert [one["threshold"] for one in told["labels"]] == list(bundle.thresholds)
    for one, label in zip(told["labels"], bundle.labels, strict=True):
        assert (one["id"], one["name_zh"], one["name_en"]) == (label.id, label.name_zh, label.name_en)
        assert (one["definition_zh"], one["definition"]) == label.defined
        assert (one["citation_zh"], one["citation"]) == citation(label.articles)
        assert one["articles"] == [dict(article) for article in label.articles]
        assert one["penalty"] == dict(label.penalty) and one["law_as_of_zh"] == label.law_as_of_zh


def test_the_openapi_document_says_that_metrics_are_plain_text(http):
    answers = http.get("/openapi.json").json()["paths"]["/metrics"]["get"]["responses"]
    assert answers["200"]["content"] == {"text/plain": {"schema": {"type": "string"}}}
    assert http.get("/metrics").headers["content-type"].startswith("text/plain")


def test_labels_need_a_key_where_keys_are_asked_for(tmp_path):
    known = KeyFile(tmp_path / "keys.json").add("shop")
    client = TestClient(create_app(Settings(keys=tmp_path / "keys.json"), scorer([], bundle=load_bundle())))
    assert client.get("/v1/labels").status_code == 401
    assert client.get("/v1/labels", headers={"authorization": f"Bearer {known}"}).status_code == 200
    route = client.get("/openapi.json").json()["paths"]["/v1/labels"]["get"]
    assert "401" in route["responses"] and "422" not in route["responses"] and route["security"] == [{"HTTPBearer": []}]


@pytest.mark.parametrize(("path", "body", "key"), [
    ("classify", '{"texts": ["全网第一"], "texts": ["好"]}', "texts"),
    ("moderations", '{"input": [{"type": "text", "text": "全网第一", "text": "好"}]}', "text"),
])  # fmt: skip
def test_a_key_twice_in_an_object_is_no_json(http, path, body, key):
    """Of the two values the first would be lost without a word."""
    answer = http.post(f"/v1/{path}", content=body.encode(), headers={"content-type": "application/json"})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "body")
    assert error["message"] == f'body: the key "{key}" stands twice in an object; send it once'


def test_the_warm_up_is_no_service(monkeypatch):
    """Its seconds would stand in the metrics of every start and reload; the first request's count."""
    scored: list[str] = []
    observed: list[str] = []
    monkeypatch.setattr(observe, "measure", lambda stage, value: observed.append(stage))
    with TestClient(create_app(Settings(), scorer(scored))) as client:
        assert len(scored) == 144 and observed == [] and client.get("/ready").status_code == 200
        assert client.post("/v1/classify", json={"texts": ["好"]}).status_code == 200
    assert {"queue", "score", "waiting"} == set(observed) and observed.count("score") == 1


@pytest.mark.parametrize(("probes", "hits"), [
    ({"texts": ["好", "全网第一", "三天治好"], "probabilities": [[0.1, 0.2], [0.9, 0.1], [0.2, 0.6]]}, ["全网第一", "三天治好"]),
    ({"texts": ["好"], "probabilities": [[0.1, 0.2]]}, []), ({"texts": [], "probabilities": []}, []), ([], []),
])  # fmt: skip
def test_the_warm_up_seeks_evidence_of_hits_where_the_bundle_carries_some(tmp_path, probes, hits):
    """Of other texts it costs nothing, and the pace that it showed was two hundred times that of hits."""
    (tmp_path / "probes.json").write_text(json.dumps(probes))
    scored: list[str] = []
    with TestClient(create_app(Settings(), scorer(scored, tmp_path))):
        assert len(scored) == (72 + 2 * len(hits) if hits else 144) and scored.count("全网第一") == 2 * bool(hits)


def test_a_warm_up_that_misses_the_deadline_is_no_reason_not_to_start(monkeypatch):
    """As where the machine is busy and `deadline_ms` short."""
    late = SimpleNamespace(perf_counter=itertools.count(10**9).__next__)
    with monkeypatch.context() as patch:
        patch.setattr(batcher, "time", late)
        with TestClient(create_app(Settings(deadline_ms=50), scorer([]))) as client:
            assert client.get("/ready").status_code == 200


@pytest.mark.parametrize(("body", "status", "message"), [
    (b"", 400, "body: not JSON: it is empty; send an object"),
    (b'{"texts": ["a"], "x": NaN}', 400, "body: not JSON: NaN is no number of JSON"),
    (b'{"texts": ["a\n"]}', 400, "body: not JSON: Invalid control character at character 13"),
    (b"null", 422, "body: (Input should be a valid dictionary or object to extract fields from|Field required), given null"),
])  # fmt: skip
def test_what_python_takes_for_json_and_isnt_is_refused(http, body, status, message):
    """FastAPI takes an empty body for null, its words for which differ by version, and Python's JSON knows NaN."""
    answer = http.post("/v1/classify", content=body, headers={"content-type": "application/json"})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (status, "body")
    assert re.fullmatch(message, error["message"])


def test_it_is_not_ready_while_it_cannot_read_its_keys(tmp_path, caplog):
    """It refused every request, and those who sent them were sent here all the same."""
    file = tmp_path / "keys.json"
    KeyFile(file).add("shop")
    with TestClient(create_app(Settings(keys=file), scorer([]))) as client:
        assert client.get("/ready").json() == {"status": "ready", "model": "none"}
        file.rename(tmp_path / "elsewhere.json")
        answer = client.get("/ready")
        assert answer.status_code == 503
        assert answer.json()["status"] == "not ready: the keys can't be read, the log says why"
        assert f"{file}: no such file" in caplog.text
        (tmp_path / "elsewhere.json").rename(file)
        assert client.get("/ready").status_code == 200
        client.app.state.draining = True
        assert client.get("/ready").json()["status"] == "not ready: stopping"


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/classify/"), ("GET", "/health/"), ("GET", "/metrics/")])
def test_a_slash_too_many_is_told_the_known_routes(http, method, path):
    """A redirect goes to http:// behind a proxy that ends TLS, and leaves the key in the clear."""
    answer = http.request(method, path)
    assert answer.status_code == 404 and "location" not in answer.headers
    message = answer.json()["error"]["message"]
    assert message.startswith(f"{method} {path}: not found; there are ") and "POST /v1/classify, " in message


def test_metrics_that_cant_be_written_stop_nothing_and_are_told_once(monkeypatch, caplog):
    def gone(_):
        raise OSError("no such folder for this test")

    monkeypatch.setattr(observe.STAGE, "labels", gone)
    for _ in range(3):
        observe.measure("score", 0.1)
    assert [record.message for record in caplog.records] == ["metrics can't be written"]


def test_what_is_refused_at_once_makes_no_request_look_quick(monkeypatch):
    """Under overload such refusals are most of all, and the seconds of those that were served looked like none."""

    def measured() -> float:
        return REGISTRY.get_sample_value("zhenyan_stage_seconds_count", {"stage": "request"}) or 0

    def overloaded(*_):
        raise batcher.Overloaded(1, 1, 2)

    with TestClient(create_app(Settings(), scorer([]))) as client:
        before = measured()
        assert client.post("/v1/classify", json={"texts": ["好"]}).status_code == 200
        assert measured() == before + 1
        with monkeypatch.context() as patch:
            patch.setattr(batcher.Batcher, "submit", overloaded)
            assert client.post("/v1/classify", json={"texts": ["好"]}).status_code == 429
        assert measured() == before + 1


def test_an_answer_tells_how_long_its_texts_waited(caplog):
    """In a header, and the log says the same."""
    caplog.set_level("INFO", "zhenyan.serve")
    with TestClient(create_app(Settings(max_delay_ms=20), scorer([]))) as client:
        answer = client.post("/v1/classify", json={"texts": ["好"]})
        assert "server-timing" not in client.post("/v1/classify", json={"texts": []}).headers
    queue, total = (float(part.partition(";dur=")[2]) for part in answer.headers["server-timing"].split(", "))
    (told,) = (record.fields for record in caplog.records if getattr(record, "fields", {}).get("texts"))
    assert 15 <= queue <= total <= told["ms"] and told["queue_ms"] == queue
