"""Platt scaling of labels that have few rows, or rows with one answer only."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from zhenyan.training.calibration import fit_scaling
from zhenyan.training.config import ThresholdConfig
from zhenyan.training.evaluate import labelled
from zhenyan.training.rows import Row
from zhenyan.training.schema import load_schema
from zhenyan.training.train import decide


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(0, 2, (200, 2))


def test_a_label_without_a_seen_negative_gets_the_pooled_fit(logits):
    """As after `data migrate add`: the only rows that anybody looked at for the label have it."""
    truth = logits + np.random.default_rng(1).normal(0, 1, logits.shape) > 0.5
    seen = np.ones_like(truth)
    truth[:, 1] = seen[:, 1] = np.arange(200) < 30
    found = fit_scaling(truth, logits, 10, seen)
    pooled = fit_scaling(truth, logits, 1000, seen)
    assert pooled.slope[0] == pooled.slope[1] != 1  # nobody has so many positives
    assert (found.slope[1], found.offset[1]) == (pooled.slope[1], pooled.offset[1])
    assert found.slope[0] != pooled.slope[0]


@pytest.mark.parametrize("answer", [True, False])
def test_where_all_rows_agree_scores_stay_as_they_are(logits, answer):
    found = fit_scaling(np.full(logits.shape, answer), logits, 10)
    assert found.slope.tolist() == [1, 1] and found.offset.tolist() == [0, 0]


def test_such_a_label_can_be_decided_and_measured(logits):
    schema = load_schema()
    rows = [
        Row(f"第{i}行", (schema.ids[0],) if i < 30 else (), annotated=tuple(schema.ids[i >= 30 :])) for i in range(60)
    ]
    data = labelled(rows, schema.ids)
    scores = np.tile(np.linspace(0.9, 0.1, 60)[:, None], (1, len(schema.ids)))
    chosen, _, metrics = decide(data, scores, schema, ThresholdConfig())
    assert chosen[schema.ids[0]]["positives"] == 30 and metrics["average_precision"][schema.ids[0]] == 1


@pytest.mark.parametrize("share", [0.02, 0.104, 0.5])
def test_where_logits_run_the_wrong_way_the_mean_stays_what_was_seen(share):
    logits = np.random.default_rng(2).normal(-4, 3, (2000, 1))
    truth = logits <= np.quantile(logits, share)
    found = fit_scaling(truth, logits, 10)
    assert found.slope.tolist() == pytest.approx([0.05])
    assert expit(logits * found.slope + found.offset).mean() == pytest.approx(share, rel=0.05)
