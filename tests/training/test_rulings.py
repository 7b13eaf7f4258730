"""Rulings of the label guide under the names that the schema has now."""

from __future__ import annotations

import pytest
from zhenyan.training.corpus_check import check_corpus
from zhenyan.training.rows import Row
from zhenyan.training.rulings import broken_rulings, rulings_for
from zhenyan.training.schema import Change, load_schema
from zhenyan.training.splits import Splits

REPLICA = "高仿包包一比一复刻"


def renamed(*changes):
    """The committed schema after these changes of its labels' names, and without what is retired."""
    schema = load_schema()
    labels = schema.labels
    for change in changes:
        into = dict(zip(change.labels, change.into, strict=False))
        labels = [one.model_copy(update={"id": into.get(one.id, one.id)}) for one in labels]
        labels = [one for one in labels if one.id not in change.gone]
    return schema.model_copy(update={"labels": labels, "changes": [*schema.changes, *changes]})


def change(kind, *labels, into=()):
    return Change(date="2026-12-01", kind=kind, labels=list(labels), into=list(into))


@pytest.mark.parametrize(
    ("text", "labels", "told"),
    [
        ("这个技术申请了专利", ("false_propaganda",), ["a patent applied for and sold as one is ip_infringement"]),
        ("这个技术申请了专利", ("false_propaganda", "ip_infringement"), []),
        ("这个技术申请了专利", ("price_fraud",), []),
        (REPLICA, ("food_safety",), ["openly sold as a replica is ip_infringement"]),
        (REPLICA, (), []),
        ("我妈糖尿病吃好了", ("unreviewed_ad",), []),
        ("我妈糖尿病吃好了", ("food_safety",),
         ["a person's recovery is illegal_endorsement (with food_safety for an edible)"]),
    ],
)  # fmt: skip
def test_a_violating_row_that_breaks_a_ruling_is_told_why(text, labels, told):
    assert broken_rulings(Row(text, labels), rulings_for(load_schema())) == told


def test_rulings_speak_of_labels_as_they_are_called_now():
    schema = renamed(change("rename", "ip_infringement", into=["stolen_brand"]),
                     change("rename", "price_fraud", into=["ip_infringement"]))  # fmt: skip
    rows = [Row(REPLICA, (label,), origin=label, meta={"batch": "a"}) for label in ("ip_infringement", "stolen_brand")]
    notes = check_corpus(rows, schema, Splits(validation=[], test=[])).notes
    assert [note for note in notes if "replica" in note] == [
        "ip_infringement: openly sold as a replica is stolen_brand"
    ]
    assert "is ip_infringement" in "".join(ruling.reason for ruling in rulings_for(schema) if "price" in ruling.reason)


def test_a_ruling_about_a_label_that_is_gone_is_left_out():
    schema = renamed(change("retire", "ip_infringement", "food_safety"))
    told = " ".join(ruling.reason for ruling in rulings_for(schema))
    assert len(rulings_for(schema)) == len(rulings_for(load_schema())) - 3
    assert not any(words in told for words in ("patent", "replica", "recovery"))
