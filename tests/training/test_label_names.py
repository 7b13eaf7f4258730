"""Labels as people write them: ids or Chinese names."""

from __future__ import annotations

from zhenyan.training.label_names import read_labels
from zhenyan.training.schema import load_schema


def test_a_name_that_several_labels_bear_is_asked_about():
    """The part of a split is easily defined by a copy of the old entry: its rows went to the last one without a word."""
    schema, faults = load_schema(), list[str]()
    one = next(label for label in schema.labels if label.id == "price_fraud")
    both = schema.model_copy(update={"labels": [*schema.labels, one.model_copy(update={"id": "fake_original"})]})
    assert (
        read_labels("价格违法、food_safety", schema, "line 2", faults) == ["food_safety", "price_fraud"] and not faults
    )
    assert read_labels("price_fraud、fake_original", both, "line 2", faults) == ["price_fraud", "fake_original"]
    assert not faults
    read_labels("价格违法、food_safety", both, "line 2", faults)
    assert faults == ["line 2: 价格违法 is the name of price_fraud, fake_original; write the id"]
