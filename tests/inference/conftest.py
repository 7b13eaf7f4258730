"""Fixtures of the review page and of scoring runs that several files share."""

import json
import sys
from pathlib import Path

import pytest
from review_helpers import Browser, Clock, make_site
from run_helpers import PART, QUICK, ROWS
from zhenyan.inference.cli import main
from zhenyan.inference.runs import Job, local_engine, run_job


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def site(tmp_path, clock):
    site = make_site(tmp_path, clock=clock)
    yield site
    site.database.close()


@pytest.fixture
def ann(site):
    return Browser(site, "ann")


@pytest.fixture(scope="module")
def texts(sample_texts):
    """Lines of which some are hits."""
    return sample_texts[:ROWS]


@pytest.fixture
def source(tmp_path, texts):
    """Rows of one stream, among them two that can't be scored."""
    rows = [
        {"id": f"r{n}", "text": text, "stream": "room", "start": 4.0 * n, "end": 4.0 * n + 3}
        for n, text in enumerate(texts)
    ]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join([*lines[:9], "{broken", *lines[9:], '{"text": null}']) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def score(classifier):
    """Runs a job in this process; keywords are the job's."""

    def run(source, output, engine=None, say=lambda _: None, bundle=classifier.bundle, **job):
        options = job.pop("options", QUICK)
        inputs = [str(source)] if isinstance(source, Path) else source
        job = Job(inputs, output, options, **{"part_rows": PART, **job})
        return run_job(job, bundle, engine or local_engine(classifier, options.context), say)

    return run


@pytest.fixture
def answers(monkeypatch, capsys):
    """`zhenyan` with these arguments: exit code, what it answered, and what it said beside."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["zhenyan", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def command(answers):
    """`zhenyan` with these arguments: exit code and what it said."""
    return lambda *arguments: answers(*arguments)[::2]
