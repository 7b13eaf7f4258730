"""The classifier: the same text scores the same anywhere, long texts are read whole, decisions follow thresholds."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import pickle
import random
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from zhenyan.inference import Classifier
from zhenyan.inference import classifier as module
from zhenyan.inference.bundle import load_bundle
from zhenyan.inference.errors import BundleError, ConfigError, InputError, MissingExtra, ZhenyanError
from zhenyan.inference.session import RUNTIMES, OnnxSession, open_session
from zhenyan.inference.windows import MAX_CHARS

CLAIM = "喝这个茶三高就降下来了，三天治好糖尿病"


@pytest.fixture
def fresh(classifier):
    """The bundled model, remembering nothing, with its own thresholds and session back at the end."""
    session, thresholds = classifier.session, classifier.thresholds
    classifier.clear_cache()
    yield classifier
    classifier.session, classifier.thresholds = session, thresholds
    classifier.clear_cache()


class Counting:
    """A session that counts the rows it was given."""

    def __init__(self, session):
        self.session, self.rows = session, 0

    def __call__(self, ids, mask):
        self.rows += len(ids)
        return self.session(ids, mask)


def test_alone_in_any_batch_and_in_any_order_the_score_is_the_same(fresh, sample_texts):
    texts = [*dict.fromkeys(sample_texts[:50]), CLAIM, "，".join(sample_texts[:20]), "", "好"]
    together = fresh.score(texts)
    order = random.Random(0).sample(range(len(texts)), len(texts))
    fresh.clear_cache()
    shuffled = fresh.score([texts[i] for i in order])
    assert np.abs(shuffled - together[order]).max() < 1e-5
    for i in range(0, len(texts), 3):
        fresh.clear_cache()
        assert np.abs(fresh.score([texts[i]])[0] - together[i]).max() < 1e-5


def test_slices_do_not_change_a_score(fresh, sample_texts, monkeypatch):
    """The next slice is tokenised while one is scored; results come back in their places."""
    texts = list(dict.fromkeys(sample_texts[:40]))
    whole = fresh.score(texts)
    fresh.clear_cache()
    monkeypatch.setattr(module, "SLICE", 7)
    assert np.abs(fresh.score(texts) - whole).max() < 1e-5


@pytest.mark.parametrize(("chunk", "chars", "ahead"), [(4, 10**6, 12), (1, 10**6, 10), (4, 1, 11)])
def test_classify_is_lazy_and_in_order(fresh, sample_texts, monkeypatch, chunk, chars, ahead):
    """It takes no more at a time than texts or characters allow; by characters, the text after them is seen too."""
    monkeypatch.setattr(module, "CHARS", chars)
    fresh.session = lambda ids, mask: np.full((len(ids), len(fresh.bundle.labels)), -9, np.float32)
    taken = []

    def endless():
        for text in itertools.cycle(sample_texts[:6]):
            taken.append(text)
            yield text

    first = list(itertools.islice(fresh.classify(endless(), chunk=chunk), 10))
    assert [p.text for p in first] == taken[:10] and len(taken) == ahead


@pytest.mark.parametrize("chunk", [0, -1, 1.5, True, None])
def test_a_chunk_that_is_no_number_of_texts_is_refused(fresh, chunk):
    with pytest.raises(ConfigError, match="chunk: expected a whole number from 1 on, given"):
        list(fresh.classify(["好"], chunk=chunk))


def test_long_texts_are_read_a_few_at_a_time(fresh, sample_texts, monkeypatch):
    """However many there are: 2,048 of 100,000 characters took gigabytes."""
    texts, seen = sample_texts[:9], []
    expected, scores = fresh.predict(texts), fresh.score(texts)
    monkeypatch.setattr(module, "CHARS", 2 * max(map(len, texts)))
    score = Classifier._score
    monkeypatch.setattr(
        Classifier, "_score", lambda self, plain: seen.append(sum(map(len, plain))) or score(self, plain)
    )
    for ask in (fresh.predict, lambda t: list(fresh.classify(t))):
        assert ask(texts) == expected
    assert (fresh.score(texts) == scores).all()
    assert max(seen) <= module.CHARS < sum(map(len, texts))


def test_what_was_scored_is_remembered_and_repeats_are_scored_once(fresh):
    fresh.session = Counting(fresh.session)
    first = fresh.score([CLAIM, CLAIM, "大家好"])
    assert fresh.session.rows == 2
    assert (fresh.score([CLAIM]) == first[0]).all() and fresh.session.rows == 2


def test_memory_of_scores_is_bounded(fresh, monkeypatch):
    monkeypatch.setattr(module, "CACHE", 3)
    fresh.score([f"第{n}件" for n in range(9)])
    assert len(fresh._cache) == 3


def test_several_threads_may_share_it(fresh, monkeypatch):
    """Each forgets what the others remember; none may miss what it saw remembered a moment ago."""
    monkeypatch.setattr(module, "CACHE", 2)
    monkeypatch.setattr(fresh, "_score_new", lambda plain: np.array(
        [[len(text)] * len(fresh.bundle.labels) for text in plain], np.float32).reshape(-1, len(fresh.bundle.labels)))  # fmt: skip
    texts = ["好来" * n for n in range(1, 8)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def ask(seed: int) -> bool:
        order = random.Random(seed)
        asked = [order.choices(texts, k=5) for _ in range(1000)]
        return all((fresh.score(some)[:, 0] == [len(text) for text in some]).all() for some in asked)

    try:
        with ThreadPoolExecutor(3) as pool:
            assert all(pool.map(ask, range(3)))
    finally:
        sys.setswitchinterval(before)
    assert len(fresh._cache) == 2


def test_a_long_text_is_read_to_its_end(fresh, sample_texts):
    """A claim behind many windows of plain talk scores as high as its window does; nothing is cut off unseen."""
    talk = "今天天气很好，" * 120
    hidden, plain = fresh.score([talk + CLAIM, talk])
    label = int(fresh.score([CLAIM])[0].argmax())
    assert plain[label] < hidden[label] > 0.3


def test_beyond_the_limit_it_is_truncated_and_says_so(fresh):
    fresh.session = lambda ids, mask: np.zeros((len(ids), len(fresh.bundle.labels)), np.float32)
    inside, beyond = fresh.predict(["好" * MAX_CHARS, "好" * (MAX_CHARS + 1)], explain=False)
    assert (inside.truncated, beyond.truncated) == (False, True)


def test_what_normalising_makes_longer_is_cut_as_well(fresh, monkeypatch):
    """U+FDFA becomes eighteen characters: 100,000 of them took minutes."""
    seen = []
    nothing = np.zeros((1, len(fresh.bundle.labels)), np.float32)
    monkeypatch.setattr(fresh, "_score", lambda plain: seen.extend(plain) or nothing.repeat(len(plain), 0))
    (prediction, short) = fresh.predict(["\ufdfa" * MAX_CHARS, "\ufdfa" * 9], explain=False)
    assert prediction.truncated and MAX_CHARS - 18 <= len(seen[0]) <= MAX_CHARS
    assert not short.truncated and len(seen[1]) == 9 * 18


def test_evidence_behind_stacked_marks_is_cut_from_the_text_as_it_stands(fresh):
    text = "e" + "\u0301\u200b\u0323" * 3000 + "，" + CLAIM
    (found,) = fresh.predict([text])
    assert found.truncated and found.labels and found.evidence
    assert all(text[e.start : e.end] == e.text for e in found.evidence)
    assert all(set(CLAIM) & set(e.text) for e in found.evidence)


@pytest.mark.parametrize(("texts", "words"), [
    ("全网第一", "texts: expected several texts, given str; put a single text into a list"),
    (np.array("好"), "expected several texts, given ndarray"), (b"abc", "given bytes"), ({"a": 1}, "given dict"), (None, "given NoneType"), (7, "given int"),
    (["好", None], r"texts\[1\]: expected str, given NoneType"), ([float("nan")], r"texts\[0\]: expected str, given float"),
    ([b"abc"], "given bytes"),
    (np.array([["好", "不好"]]), r'given ndarray; give its column, such as table\["text"\]$'),
])  # fmt: skip
@pytest.mark.parametrize("ask", [
    lambda c, texts: list(c.classify(texts)), lambda c, texts: c.predict(texts), lambda c, texts: c.score(texts)
])  # fmt: skip
def test_what_is_no_list_of_texts_is_refused(fresh, ask, texts, words):
    with pytest.raises(InputError, match=words):
        ask(fresh, texts)


def test_a_table_is_scored_by_its_column_not_by_its_columns_names(fresh):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"text": [CLAIM, "好"], "id": ["a", "b"]})
    with pytest.raises(InputError, match=r'given DataFrame; give its column, such as table\["text"\]$'):
        fresh.predict(table)
    assert [prediction.text for prediction in fresh.predict(table["text"])] == [CLAIM, "好"]


def test_texts_come_back_as_plain_strings(fresh):
    """NumPy's would be written into files and answers as what they are not."""
    (prediction,) = fresh.predict(np.array([CLAIM]))
    assert type(prediction.text) is str and {type(e.text) for e in prediction.evidence} == {str}


def test_evidence_is_asked_for_with_labels_and_probabilities_for_each_text(fresh):
    scores = fresh.score([CLAIM])
    with pytest.raises(InputError, match="labels: expected a list for each of 1 texts, given 2"):
        fresh.find_evidence([CLAIM], [["food_safety"], ["price_fraud"]], scores)
    with pytest.raises(InputError, match=r"probabilities: expected an array \(1, 14\) as .* given \(14,\)"):
        fresh.find_evidence([CLAIM], [["food_safety"]], scores[0])


def test_a_text_that_is_none_is_named_by_its_place_in_the_whole_stream(fresh):
    with pytest.raises(InputError, match=r"texts\[4\]: expected str, given int"):
        list(fresh.classify((text for text in ["好", "好", "好", "好", 5]), chunk=2))


def test_generators_are_read_once(fresh):
    assert [p.text for p in fresh.predict(text for text in ("好", CLAIM))] == ["好", CLAIM]
    assert fresh.score(iter(["好", CLAIM])).shape == (2, len(fresh.bundle.labels))


@pytest.mark.parametrize("text", ["", " \t\n", "\u200b\ufeff"])
def test_a_text_without_content_is_compliant(fresh, text):
    (prediction,) = fresh.predict([text])
    assert prediction.labels == () and set(prediction.scores.values()) == {0.0}


def test_no_texts_no_predictions(fresh):
    assert fresh.predict([]) == [] and fresh.score([]).shape == (0, len(fresh.bundle.labels))


def test_decisions_follow_thresholds(fresh):
    scores = fresh.score([CLAIM])
    decided = fresh.decide(scores[0])
    assert decided == tuple(
        label for label, score, threshold in zip(fresh.bundle.label_ids, scores[0], fresh.bundle.thresholds, strict=True)
        if score >= np.float32(threshold)
    )  # fmt: skip
    narrowed = fresh.with_thresholds(labels=[fresh.bundle.label_ids[-1]])
    assert set(narrowed.decide(np.ones(len(fresh.thresholds)))) == {fresh.bundle.label_ids[-1]}
    assert fresh.with_thresholds(min_score=1.0).decide(scores[0]) == ()
    assert (fresh.score([CLAIM]) == scores).all()
    with pytest.raises(ConfigError, match="unknown label nonsense; this bundle has"):
        fresh.with_thresholds(labels=["nonsense"])


def test_a_narrowed_classifier_leaves_the_other_as_it_was_and_shares_model_and_memory(fresh):
    before, decided = fresh.thresholds.copy(), fresh.predict([CLAIM], explain=False)[0].labels
    narrowed = fresh.with_thresholds(min_score=1.0)
    assert narrowed is not fresh and narrowed.predict([CLAIM])[0].labels == ()
    assert (fresh.thresholds == before).all() and fresh.predict([CLAIM], explain=False)[0].labels == decided != ()
    narrowed.session = Counting(fresh.session)
    assert (narrowed.score([CLAIM]) == fresh.score([CLAIM])).all() and narrowed.session.rows == 0
    narrowed.clear_cache()
    assert not fresh._cache


@pytest.mark.parametrize("send", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_sent_to_another_process_it_is_loaded_there_again_and_decides_alike(fresh, send):
    own = Classifier.load(threads=1, explain=False).with_thresholds(min_score=0.5, labels=["food_safety"])
    own.score([CLAIM])
    sent = send(own)
    assert sent.session is not own.session and not sent._cache and sent._opened == ("onnxruntime", 1, True)
    assert (sent.thresholds == own.thresholds).all() and not sent.explain


def test_what_cant_be_sent_says_so(fresh, tmp_path):
    with pytest.raises(ConfigError, match=r"wasn't made by Classifier\.load.*make one in each process"):
        pickle.dumps(Classifier(fresh.bundle, fresh.session, fresh.tokenizer))
    sent = Classifier.load(threads=1)
    sent.bundle = dataclasses.replace(sent.bundle, manifest={**sent.bundle.manifest, "bundle_id": "older"})
    with pytest.raises(BundleError, match=f"is of bundle older, here is {fresh.bundle.id}"):
        copy.deepcopy(sent)
    sent.bundle = dataclasses.replace(sent.bundle, folder=tmp_path / "gone")
    with pytest.raises(BundleError, match=r"no such file; is .*gone a bundle folder"):
        copy.deepcopy(sent)


def test_what_it_shows_is_short_and_none_of_the_texts(fresh):
    fresh.score([CLAIM])
    assert CLAIM not in repr(fresh) and len(repr(fresh)) < 500 and str(fresh.bundle.folder) in repr(fresh)


def test_classifiers_predictions_bundles_and_labels_may_be_keys(fresh):
    (one,), (two,) = fresh.predict([CLAIM]), fresh.predict([CLAIM])
    assert one is not two and {one, two} == {one}
    again = load_bundle(fresh.bundle.folder)
    assert {fresh.bundle, again} == {again} and len({*again.labels, *fresh.bundle.labels}) == len(again.labels)
    other = fresh.with_thresholds(min_score=0.5)
    assert {fresh: 1, other: 2}[other] == 2 and fresh != other


@pytest.mark.parametrize(("asked", "words"), [
    ({"min_score": [0.5]}, r"min_score: expected a number from 0 to 1, given \[0.5\]"), ({"labels": 5}, "labels: expected label names, given 5"),
    ({"labels": [["food_safety"]]}, r"unknown label \['food_safety'\]"), ({"min_score": np.array([0.5])}, "given array"),
    ({"min_score": float("nan")}, "min_score: expected a number from 0 to 1, given nan"), ({"min_score": 2}, "given 2"),
    ({"min_score": -0.1}, "given -0.1"), ({"min_score": "0.5"}, "given '0.5'"), ({"min_score": True}, "given True"),
    ({"labels": []}, "labels: names none; this bundle has"), ({"labels": "food"}, "unknown label food;"),
    ({"labels": [None, 3]}, "unknown label 3, None;"),
])  # fmt: skip
def test_thresholds_that_decide_nonsense_are_refused(fresh, asked, words):
    before = fresh.thresholds
    with pytest.raises(ConfigError, match=words):
        fresh.with_thresholds(**asked)
    assert fresh.thresholds is before


def test_labels_may_come_one_by_one(fresh):
    names = fresh.bundle.label_ids
    assert np.isfinite(fresh.with_thresholds(labels=iter(names[:2])).thresholds).sum() == 2
    assert np.isfinite(fresh.with_thresholds(labels=names[0]).thresholds).sum() == 1
    with pytest.raises(ConfigError, match="unknown label nope;"):
        fresh.find_evidence([CLAIM], [["nope"]], fresh.score([CLAIM]))


@pytest.mark.parametrize("threads", [0, -5, 1.5, "2", True, 10**12])
def test_threads_that_are_no_number_of_threads_are_refused(fresh, threads):
    with pytest.raises(ConfigError, match="threads: expected a whole number from 1 to 1024"):
        open_session(fresh.bundle.folder / "model.onnx", threads=threads)


def test_evidence_cuts_no_word(fresh):
    text = "协和医院的主任都在给家里人买，喝了这个鱼油血管里的垃圾都能清干净"
    ends = {0} | {end for _, end in fresh.tokenizer.encode(text, add_special_tokens=False).offsets}
    evidence = fresh.predict([text], explain=True)[0].evidence
    assert evidence and {place for each in evidence for place in (each.start, each.end)} <= ends
    assert fresh.predict([text + "\ud800"], explain=True)[0].evidence, "a lone surrogate is no word"


def test_evidence_only_where_it_is_asked_for(fresh):
    with_evidence, without = fresh.predict([CLAIM], explain=True)[0], fresh.predict([CLAIM], explain=False)[0]
    assert without.evidence == () and dataclasses.replace(with_evidence, evidence=()) == without
    assert {e.label for e in with_evidence.evidence} == set(with_evidence.labels)


def test_a_score_that_is_no_number_is_an_error(fresh):
    fresh.session = lambda ids, mask: np.full((len(ids), len(fresh.bundle.labels)), np.nan, np.float32)
    with pytest.raises(ZhenyanError, match="not a number"):
        fresh.score([CLAIM])


def test_threads_do_not_change_a_score(fresh, sample_texts):
    one = Classifier.load(threads=1, explain=False)
    assert np.abs(one.score(sample_texts[:20]) - fresh.score(sample_texts[:20])).max() < 1e-5


def test_runtimes_are_told_apart(fresh, tmp_path):
    model = fresh.bundle.folder / "model.onnx"
    assert isinstance(open_session(model, threads=1), OnnxSession)
    with pytest.raises(
        ConfigError, match="runtime: 'other' is unknown; allowed: onnxruntime, openvino, openvino-bf16, auto"
    ):
        open_session(model, "other")
    assert RUNTIMES[0] == "onnxruntime"


def test_a_missing_runtime_names_its_extra(fresh, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(MissingExtra, match=r"pip install .\.\[openvino\]"):
        Classifier.load(runtime="openvino")


def test_a_missing_runtime_is_told_across_processes():
    """An error that can't be unpickled leaves a pool waiting for ever."""
    error = pickle.loads(pickle.dumps(MissingExtra("openvino", "openvino")))
    assert type(error) is MissingExtra and str(error) == str(MissingExtra("openvino", "openvino"))


def test_openvino_that_cannot_read_a_file_says_so(tmp_path):
    pytest.importorskip("openvino")
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(BundleError, match=r"OpenVINO can't run it .* use the runtime onnxruntime"):
        open_session(tmp_path / "model.onnx", "openvino", 1)


@pytest.mark.parametrize("runtime", [name for name in RUNTIMES if name != "onnxruntime"])
def test_openvino_decides_alike_alone_and_in_a_batch(fresh, sample_texts, runtime):
    pytest.importorskip("openvino")
    own = fresh.score(sample_texts[:24])
    classifier = Classifier.load(runtime=runtime, threads=1, explain=False)
    there = classifier.score(sample_texts[:24])
    assert ((own >= fresh.thresholds) == (there >= fresh.thresholds)).mean() > 0.99
    classifier.clear_cache()
    alone = np.concatenate([classifier.score([text]) for text in sample_texts[:12]])
    assert np.abs(alone - there[:12]).max() < 1e-5


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_session_answers_several_threads(fresh, runtime):
    if runtime != "onnxruntime":
        pytest.importorskip("openvino")
    session = open_session(fresh.bundle.folder / "model.onnx", runtime, 1)
    random = np.random.default_rng(0)
    asked = [random.integers(5, 3000, (4, width)) for width in (16, 24, 32, 40, 48)]
    expected = [session(ids, np.ones_like(ids)) for ids in asked]

    def ask(_: int) -> float:
        return max(
            np.abs(session(ids, np.ones_like(ids)) - want).max() for ids, want in zip(asked, expected, strict=True)
        )

    with ThreadPoolExecutor(3) as pool:
        assert max(pool.map(ask, range(30))) < 1e-4
