"""What two neighbouring lines carry together: in Python, over HTTP and in the archive the same."""

from __future__ import annotations

import json
from dataclasses import astuple

import pytest
from fastapi.testclient import TestClient
from zhenyan.inference import Line
from zhenyan.inference.errors import ConfigError, InputError
from zhenyan.inference.runs import RunFolder
from zhenyan.inference.serve.app import create_app
from zhenyan.inference.serve.batcher import Batcher, Overloaded
from zhenyan.inference.serve.settings import Settings

SLEEPLESS, GUMMY = "晚上睡不着的扣一", "二号链接这个软糖 今天就是给你们准备的"
STREAM = [
    Line(SLEEPLESS, 0.0, 3.0),
    Line(GUMMY, 4.0, 8.0),
    Line("大家好 欢迎来到直播间", 9.0, 12.0),
    Line("全网销量第一 没有之一", 13.0, 16.0),
    Line("膝盖疼得走不动路的", 17.0, 20.0),
    Line("这瓶钙片今天只要九十九", 40.5, 43.0),  # too long after
    Line("我血糖高", 44.0, 46.0),
    Line("就靠这个茶降下来的 针都停了", 45.5, 49.0),  # two speak; carries a label of its own
]


def hits(results):
    """What each line and the one before carry together, by the line's place."""
    return {place: one.context for place, one in enumerate(results) if one.context}


@pytest.fixture(scope="module")
def service(classifier):
    with TestClient(create_app(Settings(deadline_ms=60_000), classifier)) as client:
        yield client


def asked(service, lines, **more):
    """The results over HTTP."""
    sent = [{key: value for key, value in vars(line).items() if value is not None} for line in lines]
    answer = service.post("/v1/stream", json={"lines": sent, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def code(seconds: float) -> str:
    return f"00:00:{seconds:06.3f}".replace(".", ",")


@pytest.fixture
def archived(tmp_path, command):
    """Rows and findings of two lines that `zhenyan score` writes of the stream as subtitles."""
    cues = [f"{n}\n{code(line.start)} --> {code(line.end)}\n{line.text}\n" for n, line in enumerate(STREAM, 1)]
    (tmp_path / "room.srt").write_text("\n".join(cues), encoding="utf-8")
    output = tmp_path / "out.jsonl"
    assert command("score", tmp_path / "room.srt", "-o", output)[0] == 0
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [Line(row["text"], row["start"], row["end"]) for row in rows] == STREAM
    return rows, [found for found in RunFolder.existing(output).findings() if found["context"]]


def test_online_and_archive_agree(archived, classifier, service):
    rows, found = archived
    local, remote = list(classifier.classify_stream(STREAM)), asked(service, STREAM)
    for row, one, answer in zip(rows, local, remote, strict=True):
        assert tuple(row["labels"]) == one.labels == tuple(answer["labels"])
        assert row["scores"] == pytest.approx(one.scores, abs=2e-5)
        assert answer["scores"] == pytest.approx(one.scores, abs=2e-5)
        spans = [[span[key] for key in ("start", "end", "text", "label")] for span in row["evidence"]]
        assert spans == [[*astuple(e)] for e in one.evidence] == [[*e.values()] for e in answer["evidence"]]
    together = hits(local)
    assert together[1].labels == ("food_safety",) and not local[0].labels and not local[1].labels
    assert [place for place, answer in enumerate(remote) if answer["context"]] == [*together]
    by_text = {finding["text"]: finding for finding in found}
    assert len(found) == len(together) and set(by_text) == {hit.text for hit in together.values()}
    for place, hit in together.items():
        told, finding = remote[place]["context"], by_text[hit.text]
        assert told["text"] == hit.text and tuple(told["labels"]) == hit.labels == (finding["label"],)
        assert hit.scores == pytest.approx({finding["label"]: finding["score"]}, abs=2e-5)
        assert told["scores"] == pytest.approx(hit.scores, abs=2e-5)
        spans = [[e["start"], e["end"], e["text"], e["label"]] for e in finding["evidence"]]
        assert spans == [[*astuple(e)] for e in hit.evidence] == [[*e.values()] for e in told["evidence"]] != []


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_lines_are_read_together_wherever_they_are_cut(classifier, chunk):
    together = hits(classifier.classify_stream(iter(STREAM), chunk=chunk))
    whole = hits(classifier.classify_stream(STREAM))
    assert {place: hit.labels for place, hit in together.items()} == {place: hit.labels for place, hit in whole.items()}
    assert together[1].text == f"{SLEEPLESS} {GUMMY}"


def test_each_line_of_a_live_transcript_is_answered_before_the_next_is_taken(classifier):
    taken = []
    coming = (taken.append(line) or line for line in STREAM)
    for number, one in enumerate(classifier.classify_stream(coming, chunk=1), 1):
        assert len(taken) == number and one.text == taken[-1].text
    assert taken == STREAM


@pytest.mark.parametrize(("before", "after", "together"), [
    (Line(SLEEPLESS), Line(GUMMY), True),  # no times: the order is enough
    (Line(SLEEPLESS), Line(GUMMY, 500.0), True),
    (Line(SLEEPLESS, 0.0), Line(GUMMY, 20.0), True),
    (Line(SLEEPLESS, 0.0), Line(GUMMY, 20.1), False),
    (Line(SLEEPLESS, 0.0, 15.0), Line(GUMMY, 35.0), True),
    (Line(SLEEPLESS, 20.0, 5.0), Line(GUMMY, 39.0), True),  # an end before its start is none
    (Line(SLEEPLESS, 9.0, 12.0), Line(GUMMY, 7.9), False),  # an earlier start is another recording's
])  # fmt: skip
def test_how_close_lines_are_read_together(classifier, service, before, after, together):
    assert bool(hits(classifier.classify_stream([before, after]))) is together
    assert bool(asked(service, [before, after], evidence=False)[1]["context"]) is together


def test_options_hold_for_two_lines_too(classifier, service):
    for labels, found in ((["food_safety"], True), (["price_fraud"], False)):
        narrowed = classifier.with_thresholds(labels=labels)
        assert bool(hits(narrowed.classify_stream(STREAM[:2]))) is found
    context = asked(service, STREAM[:2], evidence=False)[1]["context"]
    assert context["labels"] == ["food_safety"] and context["evidence"] == []
    assert asked(service, STREAM[:2], thresholds={"food_safety": 0.999})[1]["context"] is None


@pytest.mark.parametrize(("lines", "told"), [
    (5, "lines: expected the lines of a stream, given int; give a list of Line"),
    ([Line("a"), "b"], r"lines\[1\]: expected Line, given str; give Line\(text, start, end\)"),
    ([Line("a"), Line(None)], r"lines\[1\]\.text: expected str, given NoneType"),
    ([Line("a", "5")], r"lines\[0\]\.start: expected seconds, given '5'; None where it isn't known"),
    ([Line("a", 1, True)], r"lines\[0\]\.end: expected seconds, given True"),
    ([Line("a", float("nan"))], r"lines\[0\]\.start: expected seconds, given nan"),
    ([Line("a", 10**400)], r"lines\[0\]\.start: expected seconds, given 1000"),
])  # fmt: skip
def test_what_is_no_line_is_named(classifier, lines, told):
    with pytest.raises(InputError, match=told):
        list(classifier.classify_stream(lines))


def test_a_chunk_that_is_no_number_is_refused_and_no_lines_give_nothing(classifier):
    assert list(classifier.classify_stream([])) == []
    with pytest.raises(ConfigError, match="chunk: expected a whole number from 1 on, given 0"):
        list(classifier.classify_stream(STREAM, chunk=0))


@pytest.mark.parametrize(("body", "param", "told"), [
    ({"lines": []}, "lines", "given a list of 0"),
    ({"lines": ["a"]}, "lines.0", 'given "a"'),
    ({"lines": [{"text": "a"}] * 257}, "lines", "lines: at most 256 texts in a request, given 257"),
    ({"lines": [{"text": "a"}, {"text": "a" * 20_001}]}, "lines.1.text", "at most 20000 characters in a text, given 20001"),
    ({"lines": [{"text": "a", "start": "5"}]}, "lines.0.start", 'Input should be a valid number, given "5"'),
    ({"lines": [{"text": "a", "end": 1e300}]}, "lines.0.end", "Input should be less than 1000000000000000, given 1e+300"),
    ({"lines": [{"text": "a", "time": 5}]}, "lines.0.time", "Extra inputs are not permitted, given 5"),
    ({"texts": ["a"]}, "lines", "lines: Field required, given an object with texts"),
])  # fmt: skip
def test_what_is_no_stream_is_refused(service, body, param, told):
    answer = service.post("/v1/stream", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (422, param) and error["message"].endswith(told)


def test_the_document_states_the_limits(service):
    schemas = service.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["StreamRequest"]["properties"]["lines"]["maxItems"] == 256
    assert schemas["StreamLine"]["properties"]["text"]["maxLength"] == 20_000


def test_metrics_count_lines_as_texts_and_the_labels_of_two_as_hits(service):
    def count(name):
        lines = service.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    names = ("zhenyan_texts_total", 'zhenyan_hits_total{label="food_safety"}',
             'zhenyan_requests_total{path="/v1/stream",status="200"}')  # fmt: skip
    before = [count(name) for name in names]
    asked(service, STREAM[:3], evidence=False)
    assert [count(name) - was for name, was in zip(names, before, strict=True)] == [3, 1, 1]


def test_two_lines_wait_in_the_queue_like_any_text(service, monkeypatch):
    """What is read together is unknown until the lines are scored: then the queue may have become too long."""
    submit = Batcher.submit
    sent = []

    def full(self, texts, *more):
        sent.append(list(texts))
        if len(sent) > 1:
            raise Overloaded(3.0, 1.0, 4.0)
        return submit(self, texts, *more)

    monkeypatch.setattr(Batcher, "submit", full)
    answer = service.post("/v1/stream", json={"lines": [{"text": SLEEPLESS}, {"text": GUMMY}]})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert sent == [[SLEEPLESS, GUMMY], [f"{SLEEPLESS} {GUMMY}"]]


def test_a_line_alone_is_asked_for_once(service, monkeypatch):
    """The queue takes no request for nothing."""
    submit = Batcher.submit
    sent = []
    monkeypatch.setattr(
        Batcher, "submit", lambda self, texts, *more: (sent.append(texts), submit(self, texts, *more))[1]
    )
    assert asked(service, [Line(GUMMY)])[0]["context"] is None and sent == [[GUMMY]]
