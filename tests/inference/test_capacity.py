"""The table of what a platform needs."""

import importlib
import json
import sys

import pytest


@pytest.fixture
def capacity(root, monkeypatch):
    """benchmarks/capacity.py, which is no package."""
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    yield importlib.import_module("capacity")
    for name in ("capacity", "run", "systems"):  # names that others may use
        sys.modules.pop(name, None)


def test_cores_of_a_platform(capacity):
    """5,000 tokens a second: 1,000 stream-hours in a core-hour; 400,000 stream-hours a day, twice the work."""
    rate = capacity.stream_hours_per_core_hour(5000)
    row = capacity.table([("x", rate)], capacity.Demand(rooms=100_000, hours=4, work=2, price=0.05)).splitlines()[-1]
    assert row == "| x | 500 | 800 | 33.3 | 100.0 | 40 |"


def test_speeds_are_those_of_our_bundle(capacity, tmp_path):
    rows = [{"name": "zhenyan bundle, ONNX Runtime", "stream_hours_per_core_hour": 1234.5},
            {"name": "zhenyan bundle, OpenVINO", "error": "not installed"},
            {"name": "BERT-base shape, transformers pipeline", "stream_hours_per_core_hour": 50}]  # fmt: skip
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"rows": rows}), encoding="utf-8")
    assert capacity.speeds(path) == [("zhenyan bundle, ONNX Runtime", 1234.5)]
    assert len(capacity.speeds(tmp_path / "missing.json")) == len(capacity.SPEEDS)


def test_counting_gives_what_the_session_gives(capacity):
    import numpy as np

    counting = capacity.Counting(lambda ids, mask: ids * 2)
    ids, mask = np.array([[1, 2, 0]]), np.array([[1, 1, 0]])
    assert (counting(ids, mask) == ids * 2).all() and counting.tokens == 2


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--tokens-per-s", "0"], "argument --tokens-per-s: must be a number over 0, given 0"),
        (["--rooms", "-5"], "argument --rooms: must be a whole number over 0, given -5"),
        (["--rooms", "1.5"], "argument --rooms: must be a whole number over 0, given 1.5"),
        (["--hours", "nan"], "argument --hours: must be a number over 0, given nan"),
        (["--archive", "gone.srt"], "argument --archive: gone.srt: no such file"),
        (["--archive", "blank.txt"], "argument --archive: blank.txt: nothing is said in it"),
    ],
)
def test_what_cannot_be_reckoned_is_told_by_its_option(capacity, tmp_path, monkeypatch, capsys, given, told):
    """No traceback, no cores below zero."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "blank.txt").write_text("\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["capacity.py", *given])
    with pytest.raises(SystemExit) as left:
        capacity.main()
    assert left.value.code == 2 and told in capsys.readouterr().err
