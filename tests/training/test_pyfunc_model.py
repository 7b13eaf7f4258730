"""The model as MLflow calls it: missing texts are named, and calls from several threads come one after the other."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from zhenyan.training.pyfunc_model import ZhenyanModel


class Single:
    """A classifier that can't bear two callers at once, as one that remembers scores can't."""

    bundle = SimpleNamespace(label_ids=("food_safety",))

    def __init__(self):
        self.held = threading.Lock()

    def predict(self, texts):
        assert self.held.acquire(blocking=False), "two callers at once"
        time.sleep(0.01)
        self.held.release()
        return [SimpleNamespace(labels=("food_safety",), scores={"food_safety": float(len(text))}) for text in texts]


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setattr("zhenyan.inference.Classifier.load", lambda folder, explain: Single())
    made = ZhenyanModel()
    made.load_context(SimpleNamespace(artifacts={"bundle": "anywhere"}))
    return made


@pytest.mark.parametrize("missing", [None, float("nan"), np.nan, pd.NA, 7])
def test_a_row_without_a_text_is_named_not_scored(model, missing):
    frame = pd.DataFrame({"text": pd.Series(["好的", missing, "两盒装"], dtype=object)})
    with pytest.raises(MlflowException, match=r"row 1: 'text' must be a string, found .*; leave rows without") as error:
        model.predict(None, frame)
    assert error.value.get_http_status_code() == 400


def test_threads_take_turns(model):
    frames = [pd.DataFrame({"text": ["好" * n]}) for n in range(1, 9)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda frame: model.predict(None, frame), frames))
    assert [answer["food_safety"].tolist() for answer in answers] == [[float(n)] for n in range(1, 9)]
    assert list(answers[0].columns) == ["labels", "food_safety"]


def test_answers_stand_under_the_rows_of_the_frame(model):
    frame = pd.DataFrame({"text": ["好的", "今天", "两盒装"]}, index=[5, 3, 9]).drop(index=3)
    assert frame.join(model.predict(None, frame))["food_safety"].to_dict() == {5: 2.0, 9: 3.0}
    none = model.predict(None, frame.iloc[:0])
    assert list(none.columns) == ["labels", "food_safety"] and none.empty
