"""The classifier at work in a program: a thread that outlives the main one, hosts that repeat themselves."""

from __future__ import annotations

import subprocess
import sys

import pytest
from zhenyan.inference.errors import InputError

CLAIM = "喝这个茶三高就降下来了，三天治好糖尿病"

LATE = """
import threading, time
from zhenyan.inference import Classifier
classifier = Classifier.load(threads=1, explain=False)
classifier.session = lambda ids, mask: __import__("numpy").zeros((len(ids), len(classifier.bundle.labels)), "float32")

def work():
    threading.main_thread().join()
    print(len(classifier.predict([f"第{n}件" for n in range(3000)])))

threading.Thread(target=work).start()
"""


def test_a_thread_may_score_after_the_main_one_has_ended():
    """As in a script that starts one and falls off its end: nothing more may be given to a pool then."""
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("3000\n", "")


@pytest.mark.parametrize("chunk", [2048, 3])
def test_the_evidence_of_a_line_that_repeats_is_sought_once_in_a_chunk(classifier, monkeypatch, chunk):
    asked = []
    find = classifier.find_evidence
    monkeypatch.setattr(classifier, "find_evidence", lambda texts, *more: asked.extend(texts) or find(texts, *more))
    first, _, *others = classifier.classify([CLAIM, "好", *[CLAIM] * 4], chunk=chunk)
    assert first.evidence and set(others) == {first}
    assert asked == [CLAIM] * (1 if chunk == 2048 else 2)


@pytest.mark.parametrize("labels", [None, ["food_safety"], [None], "food_safety"])
def test_labels_that_are_no_lists_are_told(classifier, labels):
    scores = classifier.score([CLAIM])
    with pytest.raises(InputError, match="labels: expected a list of label names for each text, given"):
        classifier.find_evidence([CLAIM], labels, scores)
    assert classifier.find_evidence([CLAIM], (named for named in [("food_safety",)]), scores)[0]


def test_one_text_is_decided_at_a_time(classifier):
    scores = classifier.score(["三天止咳"])
    assert classifier.decide(scores[0].tolist()) == classifier.decide(scores[0])
    with pytest.raises(InputError, match=r"one row \(14,\) of `score`, given \(1, 14\)"):
        classifier.decide(scores)
    with pytest.raises(InputError, match=r"expected one row \(14,\) of `score`: numbers, given"):
        classifier.decide([*scores[0, 1:], "x"])
    with pytest.raises(InputError, match=r"expected one row \(14,\) of `score`: numbers, given"):
        classifier.decide([[0.5], [0.5, 0.5]])
