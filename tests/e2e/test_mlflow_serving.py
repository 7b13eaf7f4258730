"""The logged model through MLflow's own doors: pyfunc in this process, and `mlflow models serve`."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import mlflow
import pandas as pd
import pytest
from linear_bundle import write_bundle
from mlflow_server import Process
from zhenyan.inference import Classifier
from zhenyan.training.config import TrackingConfig
from zhenyan.training.registry import CHAMPION, Registry
from zhenyan.training.rows import read_rows
from zhenyan.training.schema import load_schema

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def registered(tmp_path_factory, root, tiny_encoder):
    """A registered champion: its store, its address there, its bundle, and texts to score."""
    folder = tmp_path_factory.mktemp("registered")
    rows = read_rows([str(root / "data/corpus/b01.jsonl")])[:150]
    bundle = write_bundle(folder / "bundle", rows, load_schema(root / "configs/labels.yaml"), tiny_encoder)
    patch = pytest.MonkeyPatch()
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    patch.chdir(folder)  # where a store without a server puts artifacts
    store = f"sqlite:///{folder}/mlflow.db"
    registry = Registry(TrackingConfig(uri=store))
    registry.point(CHAMPION, registry.add(bundle).number)
    yield store, bundle, [row.text for row in rows[:20]]
    patch.undo()


def check(frame: pd.DataFrame, bundle: Path, texts: list[str]) -> None:
    """The answer has every label's score and the decided labels, as Classifier gives them."""
    expected = Classifier.load(bundle, explain=False).predict(texts)
    assert list(frame.columns) == ["labels", *expected[0].scores]
    assert list(frame["labels"]) == ["; ".join(p.labels) for p in expected]
    scores = pd.DataFrame([p.scores for p in expected])
    pd.testing.assert_frame_equal(frame[scores.columns].astype(float), scores, atol=1e-5, check_dtype=False)


def test_pyfunc_takes_frames_and_series(registered, monkeypatch):
    store, bundle, texts = registered
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    model = mlflow.pyfunc.load_model("models:/zhenyan@champion")
    for given in (pd.DataFrame({"text": texts}), pd.Series(texts, name="text")):
        check(model.predict(given), bundle, texts)
    outputs = {column.name: column.type.name for column in model.metadata.signature.outputs}
    labels = Classifier.load(bundle).bundle.label_ids
    assert outputs == {"labels": "string", **dict.fromkeys(labels, "double")}
    assert [column.name for column in model.metadata.signature.inputs] == ["text"]
    with pytest.raises(mlflow.MlflowException, match="text"):
        model.predict(pd.DataFrame({"wrong": texts}))


def test_mlflow_models_serve(registered, tmp_path):
    store, bundle, texts = registered
    arguments = ["models", "serve", "-m", "models:/zhenyan@champion", "--env-manager", "local", "--workers", "1"]
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"  # it starts uvicorn by name
    server = Process(tmp_path, *arguments, path="/ping", MLFLOW_TRACKING_URI=store, PATH=path)
    server.start()
    try:
        records = [{"text": text} for text in texts]
        split = {"columns": ["text"], "data": [[text] for text in texts]}
        for body in ({"dataframe_records": records}, {"dataframe_split": split}):
            answer = httpx.post(f"{server.url}/invocations", json=body, timeout=60, trust_env=False)
            assert answer.status_code == 200, answer.text
            check(pd.DataFrame(answer.json()["predictions"]), bundle, texts)
        wrong = httpx.post(
            f"{server.url}/invocations", json={"dataframe_records": [{"wrong": 1}]}, timeout=60, trust_env=False
        )
        assert wrong.status_code == 400 and "text" in wrong.text
        body = {"dataframe_records": [{"text": "两盒装"}, {"text": None}]}
        missing = httpx.post(f"{server.url}/invocations", json=body, timeout=60, trust_env=False)
        assert missing.status_code == 400 and "row 1: 'text' must be a string" in missing.text
    finally:
        server.stop()
