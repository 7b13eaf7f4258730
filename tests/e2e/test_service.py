"""The HTTP contract against a real process: shapes, limits, logs, metrics, clients of others."""

from __future__ import annotations

import functools
import json
import math
import os
import socket
import subprocess
import sys
import time
from dataclasses import astuple

import httpx
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families
from service import Service, classifier, client, serving, start

pytestmark = pytest.mark.slow
LINE = "喝这个茶三高就降下来了，三天治好糖尿病，全国第一"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("service"), body_seconds=3, idle_seconds=2) as running:
        yield running


@pytest.fixture(scope="module")
def own():
    """The same model in this process."""
    return classifier()


@pytest.fixture(scope="module")
def http(service: Service):
    with client(service) as opened:
        yield opened


def test_every_answer_is_as_the_openapi_document_says(tmp_path):
    """Generated requests, valid and not: what is answered is what the document says, and never a 5xx."""
    with serving(tmp_path, max_texts=20, max_chars=500) as running:
        run = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "run", f"{running.url}/openapi.json", "--checks", "all",
             "--max-examples", "40", "--seed", "1", "--no-color", "--continue-on-failure"],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert "7/7" in run.stdout


def refusal(response: httpx.Response, status: int) -> dict:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def test_classify_answers_as_the_library_predicts(http, own):
    answer = http.post("/v1/classify", json={"texts": [LINE, "大家好", ""]}).json()
    assert answer["model"] == own.bundle.id
    expected = own.predict([LINE, "大家好", ""])
    for text, result, prediction in zip([LINE, "大家好", ""], answer["results"], expected, strict=True):
        assert tuple(result["labels"]) == prediction.labels and not result["truncated"]
        assert result["scores"] == pytest.approx(prediction.scores, abs=1e-5)
        assert [tuple(e.values()) for e in result["evidence"]] == [astuple(e) for e in prediction.evidence]
        assert all(text[e["start"] : e["end"]] == e["text"] for e in result["evidence"])
    assert answer["results"][2]["labels"] == []


def test_evidence_only_on_request(http):
    results = http.post("/v1/classify", json={"texts": [LINE], "evidence": False}).json()["results"]
    assert results[0]["evidence"] == []


def test_openai_client(service, own):
    remote = openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0)
    one, two = own.predict([LINE, "大家好"], explain=False)
    for given, expected in (
        (LINE, [one]),
        ([LINE, "大家好"], [one, two]),
        ([{"type": "text", "text": LINE}], [one]),
    ):
        answer = remote.moderations.create(model="omni-moderation-latest", input=given)
        assert answer.id.startswith("modr-") and answer.model == own.bundle.id
        assert [r.flagged for r in answer.results] == [bool(p.labels) for p in expected]
        for result, prediction in zip(answer.results, expected, strict=True):
            assert result.category_scores.to_dict() == pytest.approx(prediction.scores, abs=1e-5)
            assert {k for k, v in result.categories.to_dict().items() if v} == set(prediction.labels)
    parts = [{"type": "text", "text": LINE}, {"type": "text", "text": "大家好"}]
    (joined,) = remote.moderations.create(input=parts).results
    highest = {label: max(one.scores[label], two.scores[label]) for label in one.scores}
    assert joined.category_scores.to_dict() == pytest.approx(highest, abs=1e-5)
    with pytest.raises(openai.UnprocessableEntityError, match=r"input\.0: image_url is not read; send text parts"):
        remote.moderations.create(input=[{"type": "image_url", "image_url": {"url": "http://x"}}])


def test_limits_state_limit_and_value(http):
    assert "at most 256 texts in a request, given 257" in refusal(
        http.post("/v1/classify", json={"texts": ["好"] * 257}), 422)["message"]  # fmt: skip
    assert refusal(http.post("/v1/moderations", json={"input": ["好"] * 257}), 422)["param"] == "input"
    for text, given in (("长" * 20_001, "20001"), ("\ufdfa" * 6_000, "6000, 108000 after normalisation")):
        too_long = refusal(http.post("/v1/classify", json={"texts": ["好", text]}), 422)
        assert too_long["message"] == f"texts.1: at most 20000 characters in a text, given {given}"
        assert too_long["param"] == "texts.1"
    body = json.dumps({"texts": ["x" * 2_000_000]}).encode()
    message = f"body: at most 2000000 bytes, given {len(body)}"
    assert refusal(http.post("/v1/classify", content=body), 413)["message"] == message

    def chunks():
        for at in range(0, len(body), 65_536):
            yield body[at : at + 65_536]

    assert "at most 2000000 bytes, given 2" in refusal(http.post("/v1/classify", content=chunks()), 413)["message"]
    whole = json.dumps({"texts": ["x" * 8_000_000]}).encode()  # of a client that wants the connection closed, too
    for content in (whole, body, chunks(), (whole[at : at + 65_536] for at in range(0, len(whole), 65_536))):
        refusal(http.post("/v1/classify", content=content, headers={"connection": "close"}), 413)


def test_stacked_marks_take_no_time_and_are_told(http):
    """Normalising takes time that grows with the square of their number: 20,000 took 0.4 s, a body of them half a minute."""
    words = "喝这个茶三高就降下来了"
    texts = [words + mark * 9_000 for mark in ("\u0301", "\u0301\u200b")] * 20
    begin = time.monotonic()
    answer = http.post("/v1/classify", json={"texts": texts, "evidence": False})
    assert answer.status_code == 200 and time.monotonic() - begin < 5
    assert all(result["truncated"] for result in answer.json()["results"])


@pytest.mark.parametrize(("body", "told"), [
    (b"\xff\xfe\xfa", "truncated data at byte 2; send JSON in UTF-8"), (b'{"texts": ["\xff"]}', "at byte 12"),
    (b"[" * 100_000, "nested too deeply"), (b'{"texts": [' + b"9" * 5000 + b"]}", "more than 4300 digits"),
])  # fmt: skip
def test_unreadable_json_is_told_why(http, body, told):
    error = refusal(http.post("/v1/classify", content=body, headers={"content-type": "application/json"}), 400)
    assert told in error["message"] and error["param"] == "body"


@pytest.mark.parametrize(("headers", "param", "told"), [
    ({"content-type": "application/x-www-form-urlencoded"}, "content-type", 'application/json, given "application/x-www'),
    ({}, "content-type", "application/json, given none"),
    ({"content-type": "application/json", "content-encoding": "gzip"}, "content-encoding", 'as it is, given "gzip"'),
])  # fmt: skip
def test_other_media_are_refused_by_name(http, headers, param, told):
    error = refusal(http.post("/v1/classify", content=b'{"texts": ["a"]}', headers=headers), 415)
    assert told in error["message"] and error["param"] == param


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/vnd.api+json", "Application/JSON"])
def test_json_by_other_names_is_read(http, kind):
    answer = http.post("/v1/classify", content=b'{"texts": ["a"]}', headers={"content-type": kind})
    assert answer.status_code == 200


@pytest.mark.parametrize(("path", "body", "told"), [
    ("classify", {"texts": "abc"}, 'given "abc"'), ("classify", {"texts": [None]}, "given null"),
    ("classify", {"texts": ["a"], "evidence": 1}, "given 1"), ("classify", {"text": 1}, "given an object with text"),
    ("moderations", {"input": None}, "given null"), ("moderations", {"input": "a", "model": 3}, "given 3"),
    ("moderations", {"input": ["a", 2]}, "input.1: Input should be a valid string, given 2"),
])  # fmt: skip
def test_refusals_say_what_was_given(http, path, body, told):
    assert refusal(http.post(f"/v1/{path}", json=body), 422)["message"].endswith(told)


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/v1/clasify", 404), ("GET", "/v1/classify", 405)])
def test_a_wrong_route_is_told_the_known_ones(http, method, path, status):
    message = refusal(http.request(method, path), status)["message"]
    assert (
        message.startswith(f"{method} {path}: ")
        and "POST /v1/classify, POST /v1/moderations, POST /v1/stream, GET /v1/labels, GET /health" in message
    )


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/v1/labels"])
def test_probes_answer_head(http, path):
    answer = http.head(path)
    assert answer.status_code == 200 and not answer.content
    assert answer.headers["content-type"] == http.get(path).headers["content-type"]


def test_websockets_are_off_without_advice(service, http):
    headers = {"connection": "upgrade", "upgrade": "websocket", "x-request-id": "ws"}
    assert http.get("/health", headers=headers).status_code == 200
    service.request("ws")
    assert "WebSocket library" not in service.log_file.read_text()


@pytest.mark.parametrize(("body", "status", "place"), [
    (b'{"texts": [', 400, "body"), (b"", 400, "body"),
    (b'{"texts": []}', 422, "texts"), (b'{"texts": "x"}', 422, "texts"), (b'{"texts": [1]}', 422, "texts.0"),
    (b'{"texts": [null]}', 422, "texts.0"), (b'{}', 422, "texts"), (b'{"texts": ["x"], "more": 1}', 422, "more"),
    (b'{"texts": ["x"], "\\ud800": 1}', 422, "\\ud800"), (b'{"texts": ["x"], "evidence": "maybe"}', 422, "evidence"),
    (b'[1]', 422, "body"),
])  # fmt: skip
def test_broken_requests(http, body, status, place):
    error = refusal(http.post("/v1/classify", content=body, headers={"content-type": "application/json"}), status)
    assert (error["param"] or "") == place and len(error["message"]) < 300


@pytest.mark.parametrize(("body", "place"), [
    ('{"input": 1}', "input"), ('{"input": []}', "input"), ('{"input": [1]}', "input.0"),
    ('{"input": [{"type": "x"}]}', "input.0"),
])  # fmt: skip
def test_broken_moderations(http, body, place):
    answer = http.post("/v1/moderations", content=body, headers={"content-type": "application/json"})
    assert refusal(answer, 422)["param"] == place


@pytest.mark.parametrize("text", [
    "\0", "a\0降血压\0b", "\ud800", "降\udfff血压", "\ud83d", "‮压血降‬", "مرحبا 降血压", "长" * 20_000,
    "三天治好糖尿病" * 2857, "👨‍👩‍👧‍👦" * 1000, " \t\r\n", "﻿降血压", "\u2028\u2029", "a" * 20_000,
])  # fmt: skip
def test_hostile_texts_are_scored_with_evidence_in_its_place(http, text):
    body = json.dumps({"texts": [text, LINE + text[:200]]})  # escapes what UTF-8 can't hold
    answer = http.post("/v1/classify", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text
    for result, given in zip(answer.json()["results"], [text, LINE + text[:200]], strict=True):
        assert all(0 <= score <= 1 and math.isfinite(score) for score in result["scores"].values())
        assert all(given[e["start"] : e["end"]] == e["text"] for e in result["evidence"])


def test_truncated_is_reported(tmp_path):
    """Length alone decides; spaces cost no scoring."""
    with serving(tmp_path, max_chars=150_000) as running, client(running) as http:
        body = {"texts": ["好" + " " * 99_999, "好" + " " * 100_000], "evidence": False}
        assert [r["truncated"] for r in http.post("/v1/classify", json=body).json()["results"]] == [False, True]
        asked = {"input": body["texts"]}
        assert [r["truncated"] for r in http.post("/v1/moderations", json=asked).json()["results"]] == [False, True]


@pytest.mark.parametrize(("given", "same"), [("abc-1", True), ("x" * 128, True), ("x" * 129, False), ("a b", False)])
def test_request_ids(service, http, given, same):
    answer = http.post("/v1/moderations", json={"input": "好"}, headers={"x-request-id": given})
    identity = answer.headers["x-request-id"]
    assert (identity == given) is same and answer.json()["id"] == f"modr-{identity}"
    assert service.request(identity)["status"] == 200


def test_every_answer_has_a_request_id(http):
    for path in ("/health", "/nowhere", "/v1/classify"):
        assert http.get(path, headers={"x-request-id": path}).headers["x-request-id"] == path


def test_logs_hold_texts_only_when_asked(tmp_path):
    secret = "这句不该出现在日志里"
    for log_texts in (False, True):
        with serving(tmp_path, log_texts=log_texts) as running, client(running) as http:
            http.post("/v1/classify", json={"texts": [secret]})
            http.post("/v1/moderations", json={"input": [secret, 1]})
            http.post("/v1/classify", json={"texts": [secret], secret: 1})
            entry = running.wait_for("request")
            assert entry["texts"] == 1 and entry["chars"] == len(secret) and entry["status"] == 200
        assert (secret in running.log_file.read_text(encoding="utf-8")) is log_texts


def test_metrics_count_requests_texts_and_stages(service, http):
    def read() -> dict:
        families = text_string_to_metric_families(http.get("/metrics").text)
        return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}

    before = read()
    for _ in range(3):
        http.post("/v1/classify", json={"texts": ["好", "很好"]})
    http.post("/v1/classify", content=b"{")
    http.post("/v1/moderations", content=b" " * 2_000_001)
    after = read()

    def grown(*key: str) -> float:
        return after.get(key, 0) - before.get(key, 0)

    assert grown("zhenyan_requests_total", "/v1/classify", "200") == 3
    assert grown("zhenyan_requests_total", "/v1/moderations", "413") == 1
    assert grown("zhenyan_texts_total") == 6
    assert grown("zhenyan_stage_seconds_count", "queue") == 3
    assert grown("zhenyan_stage_seconds_count", "request") == 3  # not of probes, which are quick
    assert grown("zhenyan_stage_seconds_count", "score") >= 1
    assert after["zhenyan_waiting_chars",] == 0


def test_cors_is_not_open(http):
    origin = {"origin": "https://elsewhere.example", "access-control-request-method": "POST"}
    for answer in (http.options("/v1/classify", headers=origin), http.get("/health", headers=origin)):
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_ready_only_after_the_warm_up(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    get = functools.partial(httpx.get, timeout=60, trust_env=False)
    running = start(tmp_path, "--port", str(port))
    answers: list[tuple[float, int]] = []
    try:
        while not any(status == 200 for _, status in answers):
            assert running.process.poll() is None
            try:
                answers.append((time.monotonic(), get(f"http://127.0.0.1:{port}/ready").status_code))
            except httpx.ConnectError:
                time.sleep(0.01)
        # The socket is bound first, so the question waits; whoever answers has scored the warm-up before.
        assert {status for _, status in answers} <= {200, 503}
        counts = text_string_to_metric_families(get(f"http://127.0.0.1:{port}/metrics").text)
        samples = {(s.name, s.labels.get("stage")): s.value for family in counts for s in family.samples}
        assert ("zhenyan_stage_seconds_count", "score") not in samples  # which is no service
    finally:
        assert running.stop() == 0


def exchange(service: Service, request: bytes) -> bytes:
    """All that comes back before the service closes the connection."""
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(request)
        return b"".join(iter(functools.partial(connection.recv, 65_536), b""))


def test_a_body_of_two_lengths_is_refused_and_ends_the_connection(service):
    """What follows is a body to a proxy that goes by the one, and a request to a server that goes by the other."""
    lengths = b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    smuggled = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
    answer = exchange(service, b"POST /v1/classify HTTP/1.1\r\nhost: x\r\n" + lengths + smuggled)
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(("target", "status"), [
    (b"http://x/health", 200), (b"HTTPS://x:1/ready?a=http://y", 200), (b"http://x", 404), (b"ftp://x/health", 404),
])  # fmt: skip
def test_a_target_that_names_the_host_is_taken(service, target, status):
    """As RFC 9112 asks."""
    answer = exchange(service, b"GET " + target + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status)


def test_who_does_not_read_is_left_and_who_reads_slowly_is_not(tmp_path):
    """A few hundred that asked for what needs no key and read nothing shut the service out."""
    ask = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n" * 1_500
    with serving(tmp_path, body_seconds=3) as running:
        (worker,), (host, port) = running.workers(), running.url.removeprefix("http://").split(":")
        before = len(os.listdir(f"/proc/{worker}/fd"))
        connections = [socket.socket() for _ in range(5)]
        for connection in connections:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect((host, int(port)))
            connection.sendall(ask)

        def held(count: int) -> None:
            """Read slowly on the first connection until so many are open."""
            end = time.monotonic() + 30
            while (now := len(os.listdir(f"/proc/{worker}/fd")) - before) != count:
                assert connections[0].recv(2048) and time.monotonic() < end, now
                time.sleep(0.1)

        held(5)
        held(1)
        assert all(connections[0].recv(2048) for _ in range(10))
        for connection in connections:
            connection.close()


def test_slow_body_and_idle_connection_are_ended(service):
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as slow, socket.create_connection((host, int(port))) as idle:
        slow.settimeout(30)
        idle.settimeout(30)
        slow.sendall(b"POST /v1/classify HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{")
        idle.sendall(b"POST /v1/cl")
        assert slow.recv(100).startswith(b"HTTP/1.1 408")
        assert idle.recv(100) == b""
