"""Torch reads long texts as `Classifier` does, and what is chosen on validation rows is chosen for texts as they are read."""

from __future__ import annotations

import numpy as np
import pytest
from rich.console import Console
from scipy.special import expit
from zhenyan.inference import windows
from zhenyan.inference.bundle import DEFAULT_BUNDLE
from zhenyan.training import train as module
from zhenyan.training.calibration import Scaling
from zhenyan.training.dataset import load_corpus
from zhenyan.training.decisions import decisions_of
from zhenyan.training.export import decide_anew
from zhenyan.training.modelling import load_model
from zhenyan.training.predict import predict, predict_as_read
from zhenyan.training.schema import load_schema

LONG = (
    "瓶子是玻璃的，路上我们包了三层泡沫，破了包赔，保质期十二个月，吃了血糖就不用打针了，"
    "颜色有黑的白的和粉的，今天下单明天发货，收到有磕碰的找客服补发。"
)


def test_a_long_text_is_read_as_the_classifier_reads_it(classifier):
    """int8 moves a score by some hundredths."""
    model, tokenizer, meta = load_model(DEFAULT_BUNDLE)
    texts = [LONG, "全网销量第一", ""]
    read = expit(predict_as_read(model, tokenizer, texts, meta["max_tokens"]))
    claim = meta["labels"].index("food_safety")
    assert np.abs(read[:2] - classifier.score(texts)[:2]).max() < 0.1
    assert expit(predict(model, tokenizer, texts, meta["max_tokens"])[0])[0, claim] < read[0, claim] - 0.2


def test_thresholds_are_those_of_scores_as_they_are_read(small_config, monkeypatch):
    """A run's margin is taken from what calibration made of the logits, as the exported head gives them."""
    monkeypatch.setattr(windows, "LONG", 12)
    monkeypatch.setattr(windows, "RUN", 8)
    labels = len(load_schema(small_config.data.label_schema).ids)
    steep = Scaling(np.full(labels, 3, np.float32), np.zeros(labels, np.float32))
    monkeypatch.setattr(module, "fit_scaling", lambda *_: steep)
    run = module.train(small_config, console=Console(quiet=True))
    schema = load_schema(small_config.data.label_schema)
    model, tokenizer, _ = load_model(run.folder / "model", schema.ids)
    again = decide_anew(model, tokenizer, load_corpus(small_config.data, schema), schema, small_config)
    for label, one in decisions_of(run.folder).thresholds.items():
        assert again.thresholds[label]["threshold"] == pytest.approx(one["threshold"], abs=1e-5), label
