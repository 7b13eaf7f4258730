"""The training path on a tiny encoder: runs, resumes, warm-starts, survives a dead server, exports."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from rich.console import Console
from transformers import TrainerCallback
from typer.testing import CliRunner
from zhenyan.inference import Classifier
from zhenyan.inference.bundle import load_bundle
from zhenyan.inference.errors import ConfigError
from zhenyan.training import cli, trainer
from zhenyan.training import train as training
from zhenyan.training.calibration import fit_scaling
from zhenyan.training.config import DistilConfig, EncoderConfig, LossConfig
from zhenyan.training.cross_validation import train_without
from zhenyan.training.encoders.load import load_encoder
from zhenyan.training.export import export_run
from zhenyan.training.losses import label_loss, positive_weights
from zhenyan.training.modelling import load_model
from zhenyan.training.placing import place
from zhenyan.training.predict import predict
from zhenyan.training.progress import Stopped
from zhenyan.training.registry import resolve
from zhenyan.training.schema import Change, former, load_schema
from zhenyan.training.trainer import selection_metrics


@pytest.fixture
def quiet():
    return Console(quiet=True)


def update(config, **sections):
    """A copy of the configuration with some values of its sections replaced."""
    changes = {
        name: getattr(config, name).model_copy(update=values) if isinstance(values, dict) else values
        for name, values in sections.items()
    }
    return config.model_copy(update=changes)


@pytest.fixture
def run(small_config, quiet):
    return training.train(small_config, console=quiet)


def test_a_run_leaves_model_thresholds_metrics_plots_and_tracks_them(run, small_config):
    import mlflow

    for name in ("model/zhenyan.json", "thresholds.json", "metrics.json", "config.yaml", "plots/calibration.png"):
        assert (run.folder / name).exists(), name
    thresholds = json.loads((run.folder / "thresholds.json").read_text())
    assert all("chosen_by" in entry and 0 <= entry["threshold"] <= 1 for entry in thresholds.values())
    client = mlflow.MlflowClient(small_config.tracking.uri)
    (tracked,) = client.search_runs([client.get_experiment_by_name("zhenyan").experiment_id])
    assert tracked.info.status == "FINISHED"
    assert tracked.data.params["optim.epochs"] == "1.0" and len(tracked.data.tags["data.train"]) == 64
    assert tracked.data.metrics["labels.food_safety.f1"] == pytest.approx(run.metrics["labels"]["food_safety"]["f1"])
    assert {"model", "plots", "config.yaml"} <= {a.path for a in client.list_artifacts(tracked.info.run_id)}


def test_same_seed_same_model(small_config, quiet):
    first, second = (training.train(small_config, console=quiet) for _ in range(2))
    a, b = (load_model(r.folder / "model")[0].state_dict() for r in (first, second))
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(("cut", "warm"), [(0.9, False), (1.4, True)])
def test_resume_equals_an_unbroken_run(small_config, quiet, monkeypatch, cut, warm):
    noisy = {"inner_dropout": 0.1}  # so that random numbers are used at every step
    # No early stopping: it would end either run where scores round otherwise.
    optim = {"epochs": 2, "evaluations_per_epoch": 2, "blend": 0.6, "early_stopping": 0}
    config = update(small_config, encoder=noisy, optim=optim)
    start = None
    if warm:  # another pooling and fewer layers than the configuration's, whose encoder the resumed run must not take
        other = update(small_config, name="start", encoder={"pooling": "cls", "layers": [1]})
        start = training.train(other, console=quiet).folder / "model"
    whole = training.train(config, warm_start=start, console=quiet)

    class Stop(Exception):
        pass

    real = training.build_trainer

    def stopping(*args, **kwargs):
        from transformers import TrainerCallback

        class StopAfterSave(TrainerCallback):
            def on_save(self, args, state, control, **_):
                if state.epoch > cut:
                    raise Stop

        trainer = real(*args, **kwargs)
        trainer.add_callback(StopAfterSave())
        return trainer

    monkeypatch.setattr(training, "build_trainer", stopping)
    with pytest.raises(Stop):
        training.train(config, warm_start=start, console=quiet)
    monkeypatch.setattr(training, "build_trainer", real)
    (broken,) = [f for f in config.runs.glob("tiny-*") if f != whole.folder]
    with pytest.raises(ConfigError, match=r"it began from .*, not inference/model; leave --from away"):
        training.train(config, warm_start=Path("inference/model"), resume=broken, console=quiet)
    resumed = training.train(config, resume=broken, console=quiet)
    a, b = (load_model(r.folder / "model")[0].state_dict() for r in (whole, resumed))
    for name in a:
        assert torch.allclose(a[name], b[name], atol=1e-6), name
    assert load_model(resumed.folder / "model")[2]["pooling"] == ("cls" if warm else "mean")


class CutOff(TrainerCallback):
    """Ends a training behind an evaluation's checkpoint, or once it has ended by itself, as a kill in what follows does."""

    def __init__(self, evaluations):
        self.left = evaluations

    def on_save(self, args, state, control, **_):
        self.left -= 1
        if not self.left:
            raise Stopped

    def on_train_end(self, args, state, control, **_):
        raise Stopped


@pytest.mark.parametrize(("epochs", "cut", "unused"), [(2, 2, [0.9]), (2, 9, [0.9]), (0.75, 9, [0.3, 0.9])])
def test_a_resumed_run_stops_when_the_unbroken_one_did(small_config, quiet, monkeypatch, tmp_path, epochs, cut, unused):
    """After two evaluations without a better score, or at the last step, amid an epoch: then nothing is trained any more."""
    scores = [0.5, 0.4, 0.3, 0.9]
    config = update(small_config, optim={"epochs": epochs, "evaluations_per_epoch": 2, "early_stopping": 2})
    left = iter(scores)
    monkeypatch.setattr(trainer, "selection_metrics", lambda _: {trainer.BEST: next(left)})
    whole = training.train(config, console=quiet)
    assert list(left) == unused
    left = iter(scores)
    with pytest.raises(Stopped):
        training.train(config, console=quiet, callbacks=[CutOff(cut)])
    (broken,) = [f for f in config.runs.glob("tiny-*") if f != whole.folder]
    resumed = training.train(config, resume=broken.rename(tmp_path / "moved"), console=quiet)
    assert list(left) == unused
    a, b = (load_model(r.folder / "model")[0].state_dict() for r in (whole, resumed))
    for name in a:
        assert torch.allclose(a[name], b[name], atol=1e-6), name


def test_resume_of_a_finished_run_says_so_and_leaves_it_finished(run, small_config, quiet):
    journal = (run.folder / "tracking.jsonl").read_bytes()
    with pytest.raises(ConfigError, match="this run is finished; to train on from its model: --from"):
        training.train(small_config, resume=run.folder, console=quiet)
    assert (run.folder / "tracking.jsonl").read_bytes() == journal


@pytest.mark.parametrize("option", [["--set", "optim.epochs=2"], ["--config", "configs/train/default.yaml"]])
def test_a_resumed_run_keeps_its_configuration(option, tmp_path):
    app = typer.Typer()
    cli.register(app)
    with pytest.raises(ConfigError, match="leave --config and --set away"):
        CliRunner().invoke(app, ["train", "--resume", str(tmp_path), *option], catch_exceptions=False)


def test_resume_of_what_is_no_run_folder_says_what_to_give(tmp_path):
    app = typer.Typer()
    cli.register(app)
    with pytest.raises(ConfigError, match=r"no run folder \(config\.yaml is missing\); give the folder of a run"):
        CliRunner().invoke(app, ["train", "--resume", str(tmp_path)], catch_exceptions=False)


@pytest.mark.parametrize(
    ("sections", "start", "message"),
    [
        ({}, "runs/nowhere/model", "runs/nowhere/model: no trained model here"),
        ({}, "configs/labels.yaml", "configs/labels.yaml: no trained model here"),  # a file
        ({"encoder": {"source": "teacher"}}, None, r"encoder\.source: 'teacher' is the first of distil\.teachers"),
        ({"distil": DistilConfig(teachers=["nowhere"])}, None, "nowhere: no trained model here"),
    ],
)
def test_models_that_are_not_there_are_named_before_a_run_begins(small_config, quiet, sections, start, message):
    with pytest.raises(ConfigError, match=message):
        training.train(update(small_config, **sections), warm_start=start and Path(start), console=quiet)
    assert not small_config.runs.exists()


def test_runs_that_begin_in_the_same_second_have_folders_of_their_own(small_config):
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: training.new_folder(small_config), range(24)))
    assert len(set(folders)) == 24 and all((folder / training.CONFIG).exists() for folder in folders)


def test_a_training_that_diverges_says_so(small_config, quiet):
    wild = update(small_config, optim={"learning_rate": 1e30, "head_learning_rate": 1e30})
    with pytest.raises(ConfigError, match=r"the training diverged: .* lower optim\.learning_rate"):
        training.train(wild, console=quiet)


@pytest.mark.parametrize("make", [training.new_folder, lambda config: train_without([], config, 0, pytest.fail)])
def test_runs_that_can_not_be_a_folder_are_named(small_config, tmp_path, make):
    (tmp_path / "file").write_text("")
    config = update(small_config, runs=tmp_path / "file/runs")
    with pytest.raises(ConfigError, match=r"^runs .*file/runs: .*: Not a directory; give a folder that may be written"):
        make(config)


def test_texts_longer_than_the_encoders_positions_are_refused(small_config):
    schema = load_schema(small_config.data.label_schema)
    with pytest.raises(ConfigError, match=r"encoder\.max_tokens: 129 is more than the encoder's 128 positions"):
        training.start_model(update(small_config, encoder={"max_tokens": 129}), schema, None)


def test_a_warm_start_says_what_it_leaves(small_config):
    note = training.warm_start_note(small_config, Path("m"), ["brand_new"])
    assert "labels that start afresh: brand_new" in note and "without encoder.source, encoder.trim_vocabulary" in note
    bare = update(small_config, encoder=EncoderConfig(), pretrain=None)
    assert training.warm_start_note(bare, Path("m"), []) == "goes on from m"


def test_warm_start_keeps_head_rows_by_name(run):
    old, _, meta = load_model(run.folder / "model")
    labels = ["brand_new", *reversed(meta["labels"])]
    new, _, _ = load_model(run.folder / "model", labels)
    for label in meta["labels"]:
        assert torch.equal(new.head.weight[labels.index(label)], old.head.weight[meta["labels"].index(label)])
    assert not torch.equal(new.head.weight[0], old.head.weight[0])
    first, second = meta["labels"][:2]
    changes = [
        Change(date="2026-12-01", kind="rename", labels=[first], into=["between"]),
        Change(date="2026-12-02", kind="rename", labels=["between"], into=["renamed"]),
    ]
    new, _, _ = load_model(run.folder / "model", [second, "renamed"], changes)
    assert torch.equal(new.head.weight, old.head.weight[[1, 0]])
    assert former("between", [first], changes) == first and former("brand_new", [first], changes) is None


def test_a_blend_stands_between_start_and_end(run, small_config, quiet):
    start = run.folder / "model"
    ends = [
        training.train(update(small_config, optim={"blend": share}), warm_start=start, console=quiet).folder / "model"
        for share in (1.0, 0.25)
    ]
    begun, trained, blended = (load_model(folder)[0].encoder.state_dict() for folder in (start, *ends))
    assert not all(torch.equal(begun[name], trained[name]) for name in begun)
    for name, value in begun.items():
        assert torch.allclose(blended[name], value + 0.25 * (trained[name] - value), atol=1e-6), name


def test_masked_labels_and_weights_change_the_loss_as_they_should():
    logits, target = torch.tensor([[2.0, -1.0], [-1.0, 3.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    mask, weight, pos = torch.tensor([[1.0, 1.0], [1.0, 0.0]]), torch.tensor([1.0, 0.5]), torch.tensor([3.0, 1.0])
    sure, less = np.log1p(np.exp(-2.0)), np.log1p(np.exp(-1.0))  # what a right answer costs, at logits of 2 and 1
    first, second = (3 * sure + less) / 2, (less + 0) / 2
    found = label_loss(logits, target, mask, weight, pos, LossConfig())
    assert found.item() == pytest.approx((first + 0.5 * second) / 1.5)
    smoothed = label_loss(logits[:1, :1], torch.ones(1, 1), torch.ones(1, 1), torch.ones(1), torch.ones(1),
                          LossConfig(label_smoothing=0.1))  # fmt: skip
    assert smoothed.item() == pytest.approx(0.9 * sure + 0.1 * (sure + 2))


@pytest.mark.parametrize(
    ("positives", "negatives", "power", "expected"),
    [(1, 9, 1, 4.0), (1, 9, 0.5, 3.0), (2, 6, 1, 3.0), (9, 1, 1, 1.0), (0, 9, 1, 1.0), (1, 9, 0, 1.0)],
)
def test_rare_labels_weigh_more_between_one_and_the_cap(positives, negatives, power, expected):
    target = torch.tensor([[1.0]] * positives + [[0.0]] * negatives)
    config = LossConfig(pos_weight_cap=4, pos_weight_power=power)
    assert positive_weights(target, torch.ones_like(target), config).tolist() == [expected]


def test_choice_of_checkpoint_ignores_what_nobody_annotated():
    from transformers import EvalPrediction

    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1, (60, 2))
    labels = (logits + rng.normal(0, 1, logits.shape) > 0).astype(float)
    labels[30:, 1] = -1
    other = logits.copy()
    other[30:, 1] = 9.0
    found, same = (selection_metrics(EvalPrediction(values, labels)) for values in (logits, other))
    assert found == same and 0.5 < found["macro_average_precision"] < 1


def test_a_dead_server_loses_nothing(small_config, quiet, tmp_path):
    import mlflow
    from zhenyan.training.tracking import Tracker

    dead = update(small_config, tracking={"uri": "http://127.0.0.1:9"})
    run = training.train(dead, console=quiet)
    alive = small_config.tracking
    tracker = Tracker(run.folder, alive, run.folder.name, quiet)
    assert tracker.flush(patient=True)
    found = mlflow.MlflowClient(alive.uri).get_run(tracker.run_id)
    assert found.info.status == "FINISHED" and "micro.f1" in found.data.metrics
    assert Tracker(run.folder, alive, "x", quiet).sent == tracker.sent


def test_export_gate_and_bundle(run, small_config, quiet, tmp_path):
    import mlflow
    import yaml

    target = tmp_path / "bundle"
    target.mkdir()
    exported = export_run(run.folder, target, quiet)
    settings = yaml.safe_load((run.folder / "config.yaml").read_text())
    if not exported:  # a tiny model may sit on its thresholds; then the bounds must be what stops it
        settings["export"] |= {"max_flip_rate": 1.0, "max_f1_drop": 1.0}
        (run.folder / "config.yaml").write_text(yaml.safe_dump(settings))
        assert export_run(run.folder, target, quiet)
    assert sorted(path.name for path in tmp_path.iterdir() if "bundle" in path.name) == ["bundle"]
    manifest = json.loads((target / "manifest.json").read_text())
    card = (target / "MODEL_CARD.md").read_text()
    assert (manifest["layers"], manifest["hidden"]) == (2, 32) and "/" not in manifest["encoder"]
    assert "MODEL_CARD.md" in manifest["sha256"] and manifest["bundle_id"] in card and "CO₂" in card
    assert "a local folder" in card and "| train | " in card and str(tmp_path) not in card
    tracked = json.loads((run.folder / "tracking.json").read_text())["run_id"]
    artifacts = mlflow.MlflowClient(small_config.tracking.uri).list_artifacts(tracked)
    assert "MODEL_CARD.md" in {artifact.path for artifact in artifacts}
    fetched = resolve(f"runs:/{tracked}", small_config.tracking, tmp_path / "fetched")
    assert load_bundle(fetched).id == load_bundle(run.folder / "bundle").id == manifest["bundle_id"]
    assert resolve(str(run.folder), small_config.tracking, tmp_path) == run.folder / "bundle"
    (run.folder / "bundle").rename(tmp_path / "before")
    with pytest.raises(
        ConfigError, match=f"^{run.folder}: a run, which is no bundle; `zhenyan export {run.folder} -o FOLDER`"
    ):
        resolve(str(run.folder), small_config.tracking, tmp_path / "fetched")
    classifier = Classifier.load(target)
    model, tokenizer, meta = load_model(run.folder / "model")
    texts = ["喝这个茶三高就降下来了", "今天二号链接两盒装", "全网第一"]
    logits, _ = predict(model, tokenizer, texts, meta["max_tokens"])
    assert np.abs(1 / (1 + np.exp(-logits)) - classifier.score(texts)).max() < 0.1
    settings["export"] |= {"max_probability_difference": 1e-12}
    (run.folder / "config.yaml").write_text(yaml.safe_dump(settings))
    assert not export_run(run.folder, tmp_path / "refused", quiet)
    assert not (tmp_path / "refused").exists()
    assert not export_run(run.folder, target, quiet) and Classifier.load(target).bundle.id == classifier.bundle.id
    place(target, tmp_path / "earlier")
    (tmp_path / "earlier/note").touch()
    place(target, tmp_path / "earlier")
    assert {path.name for path in (tmp_path / "earlier").iterdir()} == {path.name for path in target.iterdir()}


def test_export_refuses_other_folders_than_runs_and_never_deletes_any(run, small_config, quiet, tmp_path):
    for folder in (tmp_path / "nowhere", run.folder / "model", Path("inference/model")):
        with pytest.raises(ConfigError, match="give the run folder, not its model or a bundle"):
            export_run(folder, tmp_path / "bundle", quiet)
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "note").touch()
    (kept / "manifest.json").write_text("{}")  # as scored runs and web pages have one
    for output, message in (
        (run.folder, "is, holds or lies in the run"),
        (run.folder.parent, "is, holds or lies in the run"),
        (run.folder / "bundle", "is, holds or lies in the run"),
        (kept, "holds something else than a bundle"),
        (kept / "note", "can't be a bundle folder"),
        (kept / "note/bundle", "can't be a bundle folder"),
    ):
        with pytest.raises(ConfigError, match=message):
            export_run(run.folder, output, quiet)
    assert (kept / "note").exists() and (run.folder / "model").exists()
    kept.rename(run.folder / "bundle")
    with pytest.raises(ConfigError, match=f"^{run.folder}/bundle: holds something else than a bundle.*; move it away"):
        export_run(run.folder, tmp_path / "bundle", quiet)
    (run.folder / "bundle").rename(kept)
    described = json.loads((run.folder / "model/zhenyan.json").read_text(encoding="utf-8"))
    described["labels"][0] = "former_name"
    (run.folder / "model/zhenyan.json").write_text(json.dumps(described), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"its model has labels that .* lacks \(former_name\); train on with"):
        export_run(run.folder, tmp_path / "bundle", quiet)
    (run.folder / "metrics.json").unlink()
    with pytest.raises(ConfigError, match=r"the run isn't finished \(metrics\.json missing\)"):
        export_run(run.folder, tmp_path / "bundle", quiet)


def test_calibration_improves_and_never_turns_scores_round():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1, (2000, 2)).astype(np.float32)
    truth = rng.random((2000, 2)) < 1 / (1 + np.exp(-(0.5 * logits - 1)))
    scaling = fit_scaling(truth, logits, 10)
    assert scaling.slope == pytest.approx([0.5, 0.5], abs=0.15) and scaling.offset == pytest.approx([-1, -1], abs=0.15)
    upside_down = fit_scaling(~(logits > 0), logits, 10)
    assert (upside_down.slope > 0).all()


@pytest.mark.parametrize("source", ["no/such-model", "configs"])
def test_unknown_encoder_is_named(source, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # the environment is read on import
    with pytest.raises(ConfigError, match=r"encoder\.source: no encoder at (folder|folder or Hub id) "):
        load_encoder(source)


@pytest.mark.parametrize("source", ["./nowhere", "/no/where", "runs/nowhere/model/encoder"])
def test_a_missing_folder_is_no_hub_id(source):
    with pytest.raises(ConfigError, match=r"no encoder at folder '.*' \(no such folder\)"):
        load_encoder(source)
