"""Learning from trained models: who is asked about which row, how much that counts, and lines that none of them has read."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from rich.console import Console
from scipy.special import expit
from transformers import BertConfig, BertModel
from zhenyan.inference.bundle import DEFAULT_BUNDLE
from zhenyan.inference.errors import ConfigError
from zhenyan.training import teachers as asking
from zhenyan.training import train as training
from zhenyan.training.config import DistilConfig, LossConfig, WrittenLessonsConfig
from zhenyan.training.dataset import SPLICE_CHARS, crossed, crossed_rows, labels_alone, origin, training_rows
from zhenyan.training.losses import label_loss, teacher_loss
from zhenyan.training.modelling import MultiLabelClassifier, load_model, save_model, width_of
from zhenyan.training.predict import predict
from zhenyan.training.rows import Row
from zhenyan.training.schema import load_schema
from zhenyan.training.teachers import ask, learn_from

LINES = ["家人们这款面霜用完皮肤水润润的", "拍一单少一单啊想要的抓紧手速", "今天直播间下单的都给大家发顺丰"]


@pytest.fixture
def teachers(small_config, tmp_path) -> list[Path]:
    """A trained model, and one that is surer of every label."""
    run = training.train(small_config, console=Console(quiet=True))
    model, tokenizer, _ = load_model(run.folder / "model")
    with torch.no_grad():
        model.head.bias += 2.0
    save_model(model, tokenizer, tmp_path / "surer", max_tokens=64, run="surer")
    return [run.folder / "model", tmp_path / "surer"]


def with_teachers(config, **values):
    return config.model_copy(update={"distil": DistilConfig(**values), "pretrain": None})


def test_a_student_has_its_teachers_layers(teachers, small_config):
    config = with_teachers(small_config, teachers=teachers[:1], unlabelled=0)
    encoder = config.encoder.model_copy(update={"source": "teacher", "layers": [0]})
    student = training.train(config.model_copy(update={"encoder": encoder}), console=Console(quiet=True))
    model, _, _ = load_model(student.folder / "model")
    assert len(model.encoder.encoder.layer) == 1


def test_teachers_that_lack_a_label_or_have_another_width_are_refused(teachers, small_config, tmp_path):
    missing, *others = load_model(teachers[0])[2]["labels"]
    model, tokenizer, _ = load_model(teachers[0], others)
    save_model(model, tokenizer, tmp_path / "lacking", max_tokens=64)
    config = with_teachers(small_config, teachers=[teachers[0], tmp_path / "lacking"])
    with pytest.raises(ConfigError, match=f"distil: teacher .*lacking lacks {missing}"):
        training.train(config, console=Console(quiet=True))
    assert len(list(config.runs.iterdir())) == 1, "refused before a run began"
    shape = BertConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                       intermediate_size=16, max_position_embeddings=64)  # fmt: skip
    narrow = MultiLabelClassifier(BertModel(shape, add_pooling_layer=False), [missing, *others])
    save_model(narrow, tokenizer, tmp_path / "narrow", max_tokens=64)
    config = with_teachers(small_config, teachers=[tmp_path / "narrow"], unlabelled=0)
    with pytest.raises(ConfigError, match=r"distil\.hidden_weight: the student is 32 wide, its teacher .*narrow 16"):
        training.train(config, console=Console(quiet=True))


def test_a_models_width_is_known_without_its_weights(teachers, tmp_path):
    shutil.copytree(teachers[0], tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors"))
    assert width_of(tmp_path / "model") == 32 and width_of(DEFAULT_BUNDLE) == 384


def test_a_bundle_that_does_not_say_its_width_is_named(tmp_path):
    bundle = shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle")
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    del manifest["hidden"]
    (bundle / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(ConfigError, match=r"manifest\.json: says nothing of `hidden`; export"):
        width_of(bundle)


def test_written_and_moved_rows_can_have_teachers_of_their_own(teachers, small_config):
    plain, surer = teachers
    written = WrittenLessonsConfig(teachers=[surer], weight=0.25)
    config = with_teachers(small_config, teachers=[plain], weight=0.9, hidden_weight=0, written=written)
    schema = load_schema(config.data.label_schema)
    metas = [{"room": "r-1"}, {"batch": "b01"}, {"room": "r-1", "rewriter": "c01"}]
    rows = [Row(text, meta=meta) for text, meta in zip(LINES, metas, strict=True)]
    lessons = learn_from(config, schema, rows)
    assert lessons.share.tolist() == pytest.approx([0.9, 0.25, 0.25])
    for row, folder in enumerate((plain, surer, surer)):
        model, tokenizer, _ = load_model(folder, schema.ids)
        logits, _ = predict(model, tokenizer, [LINES[row]], 64)
        assert np.allclose(lessons.answers[row], expit(logits)[0], atol=1e-5)


def test_of_batches_written_against_teachers_only_labels_are_learned(teachers, small_config, monkeypatch):
    config = with_teachers(
        small_config, teachers=teachers[:1], weight=0.8, hidden_weight=0, crossed=0,
        written=WrittenLessonsConfig(teachers=teachers[:1], weight=0.2, crossed=20, labels_alone=["k0*", "c01"]),
    )  # fmt: skip
    assert config.distil
    schema = load_schema(config.data.label_schema)
    metas = [{"batch": "b01"}, {"batch": "k02"}, {"rewriter": "c01"}]
    rows = [Row(text, meta=meta) for text, meta in zip(LINES, metas, strict=True)]
    made = crossed_rows(rows, config.distil, seed=1)
    only = LINES[0]
    assert len(made) == 20 and all(
        row.text.startswith(only[: len(only) // 3]) and set(row.text) <= set(only) for row in made
    )
    asked, real = [], asking.predict
    monkeypatch.setattr(asking, "predict", lambda *args: asked.extend(args[2]) or real(*args))
    lessons = learn_from(config, schema, rows + made)
    assert lessons.share.tolist() == pytest.approx([0.2, 0, 0, *[0.8] * 20])
    assert not {LINES[1], LINES[2]} & set(asked)
    none = config.distil.written.model_copy(update={"labels_alone": ["q*"]})
    with pytest.raises(ConfigError, match=r"labels_alone: no training row is of a batch 'q\*'"):
        learn_from(with_teachers(config, **{**config.distil.model_dump(), "written": none}), schema, rows)


def test_batches_of_labels_alone_are_authors_not_sources_and_rooms():
    lessons = WrittenLessonsConfig(teachers=[Path("teacher")], labels_alone=["m*", "s01"])
    metas = [{"batch": "m02"}, {"batch": "s01", "room": "s01-r1"}, {"rewriter": "m03", "source": "streams"},
             {"source": "morph_health"}, {"source": "streams", "room": "m1"}, {"batch": "b01", "room": "m1"}]  # fmt: skip
    rows = [Row(LINES[0], meta=meta) for meta in metas]
    assert [labels_alone(row, lessons) for row in rows] == [True] * 3 + [False] * 3
    everyone = lessons.model_copy(update={"labels_alone": ["*"]})
    assert [labels_alone(row, everyone) for row in rows] == [True] * 3 + [False, False, True]


def test_a_teacher_of_real_and_of_written_rows_is_loaded_once_and_answers_as_two(teachers, small_config, monkeypatch):
    plain, surer = teachers
    written = WrittenLessonsConfig(teachers=[surer, plain])
    config = with_teachers(small_config, teachers=[plain], hidden_weight=0, written=written)
    schema = load_schema(config.data.label_schema)
    rows = [
        Row(LINES[0], meta={"room": "r-1"}),
        Row(LINES[1], meta={"batch": "b01"}),
        Row(LINES[0], meta={"batch": "b01"}),
    ]
    apart = config.model_copy(update={"cache": config.cache / "apart"})
    alone = [ask(who, apart, schema, lines)[0] for who, lines in (([plain], LINES[:1]), ([surer, plain], LINES[1::-1]))]
    loaded, asked, load, real = [], [], asking.load_model, asking.predict
    monkeypatch.setattr(asking, "load_model", lambda folder, *args: loaded.append(folder) or load(folder, *args))
    monkeypatch.setattr(asking, "predict", lambda *args: asked.extend(args[2]) or real(*args))
    lessons = learn_from(config, schema, rows)
    assert sorted(loaded) == sorted(path.resolve() for path in teachers)
    assert sorted(asked) == sorted(LINES[:2] * 2), "each about each text once"
    assert lessons.answers.tolist() == np.concatenate(alone).tolist()


def test_what_a_teacher_answered_is_not_asked_again(teachers, small_config, monkeypatch):
    config = with_teachers(small_config, teachers=teachers, hidden_weight=0)
    schema, asked = load_schema(config.data.label_schema), []
    real = asking.predict
    monkeypatch.setattr(asking, "predict", lambda *args: asked.extend(args[2]) or real(*args))
    first, states = ask(teachers[:1], config, schema, LINES[:2])
    again, _ = ask(teachers, config, schema, [LINES[1], LINES[0], LINES[1], LINES[2]])
    assert asked == [*LINES[:2], LINES[2], LINES[1], LINES[0], LINES[2]] and states.shape == (2, 0)
    asked.clear()
    alone, _ = ask(teachers[:1], config, schema, [LINES[1], LINES[0]])
    assert not asked and alone.tolist() == first[::-1].tolist()
    assert again[0].tolist() == again[2].tolist() != alone[0].tolist()
    head = teachers[0] / "head.safetensors"
    head.write_bytes((teachers[1] / "head.safetensors").read_bytes())
    ask(teachers[:1], config, schema, LINES[:1])
    assert asked == LINES[:1], "another model under the same name is asked itself"
    whole = {kept: kept.read_bytes() for kept in (config.cache / "answers").iterdir()}
    for times, damage in enumerate((lambda held: held[:-30], lambda _: b"", _of_unknown_packing, _as_plain_array), 2):
        for kept, held in whole.items():
            kept.write_bytes(damage(held))
        ask(teachers[1:], config, schema, LINES[:1])
        assert asked == LINES[:1] * times, "a damaged file is asked again"


def _of_unknown_packing(held: bytes) -> bytes:
    entry = held.index(b"PK\x01\x02")  # in the archive's directory: the version that unpacks it, and how it is packed
    return held[: entry + 10] + b"\x63" + held[entry + 11 :]


def _as_plain_array(_: bytes) -> bytes:
    np.save(held := io.BytesIO(), np.zeros(3))
    return held.getvalue()


def test_a_cache_that_can_not_be_a_folder_is_named_before_a_teacher_is_asked(
    teachers, small_config, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("")
    config = with_teachers(small_config, teachers=teachers[:1], hidden_weight=0)
    config = config.model_copy(update={"cache": tmp_path / "file/cache"})
    monkeypatch.setattr(asking, "predict", lambda *args: pytest.fail("asked"))
    with pytest.raises(
        ConfigError, match=r"^cache .*file/cache: .*: Not a directory; give a folder that may be written"
    ):
        ask(teachers[:1], config, load_schema(config.data.label_schema), LINES)


def test_answers_are_kept_while_a_teacher_is_still_asked(teachers, small_config, monkeypatch):
    config = with_teachers(small_config, teachers=teachers[:1], hidden_weight=0)
    schema, real = load_schema(config.data.label_schema), asking.predict
    monkeypatch.setattr(asking, "_ASKED_AT_ONCE", 2)

    def cut(*args):
        if LINES[2] in args[2]:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(asking, "predict", cut)
    with pytest.raises(KeyboardInterrupt):
        ask(teachers[:1], config, schema, LINES)
    monkeypatch.setattr(asking, "predict", lambda *args: pytest.fail("asked before"))
    assert ask(teachers[:1], config, schema, LINES[:2])[0].shape == (2, len(schema.ids))


def test_training_with_crossed_lines_and_two_kinds_of_teachers(teachers, small_config, tmp_path, monkeypatch):
    plain, surer = teachers
    config = with_teachers(
        small_config, teachers=[plain], weight=1.0, hidden_weight=0, unlabelled=0, crossed=40,
        written=WrittenLessonsConfig(teachers=[surer], weight=0.0),
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"distil\.crossed: no real line"):
        training.train(config, console=Console(quiet=True))
    real = training.load_corpus

    def spoken(*args):
        corpus = real(*args)
        for row in corpus.train[:60]:
            row.meta.pop("batch", None)
        return corpus

    monkeypatch.setattr(training, "load_corpus", spoken)
    corpus = training.load_corpus(config.data, load_schema(config.data.label_schema))
    rows = training_rows(config, corpus)
    assert len(rows) == len(corpus.train) + 40 and all(row.annotated == () for row in rows[-40:])
    run = training.train(config, warm_start=plain, console=Console(quiet=True))
    assert (run.folder / "model").exists()


def test_crossed_lines_are_a_beginning_and_an_end():
    made = crossed(LINES, 200, seed=3)
    starts = [line[: len(line) // 3] for line in LINES]
    ends = [line[2 * len(line) // 3 :] for line in LINES]
    for line in made:
        assert line.startswith(tuple(starts)) and line.endswith(tuple(ends)) and len(line) <= SPLICE_CHARS
    assert len(set(made)) > 100 and made == crossed(LINES, 200, seed=3) != crossed(LINES, 200, seed=4)
    assert crossed(["长" * (SPLICE_CHARS + 1)], 1, seed=0) == []


def test_written_lines_are_crossed_with_their_like_and_follow_the_teachers_of_written_rows(teachers, small_config):
    plain, surer = teachers
    config = with_teachers(
        small_config, teachers=[plain], weight=0.8, hidden_weight=0, unlabelled=0,
        written=WrittenLessonsConfig(teachers=[surer], weight=0.2, crossed=31),
    )  # fmt: skip
    schema = load_schema(config.data.label_schema)
    corpus = training.load_corpus(config.data, schema)
    for row in corpus.train[:20]:
        row.meta["rewriter"] = "c01"
    rows = training_rows(config, corpus)
    made = rows[len(corpus.train) :]
    assert len(made) == 31 and all(row.annotated == () for row in made)
    assert {origin(row) for row in made} == {"written", "moved"} and {row.channel for row in made} == {"live", "copy"}
    for row in made:
        like = [one.text for one in corpus.train if (origin(one), one.channel) == (origin(row), row.channel)]
        starts, ends = tuple(t[: len(t) // 3] for t in like), tuple(t[2 * len(t) // 3 :] for t in like)
        assert row.text.startswith(starts) and row.text.endswith(ends)
    lessons = learn_from(config, schema, rows)
    assert set(lessons.share[-31:]) == {np.float32(0.8)} and set(lessons.share[:-31]) == {np.float32(0.2)}
    np.testing.assert_allclose(lessons.answers[-31:], ask([surer], config, schema, [row.text for row in made])[0])


def test_crossed_written_lines_are_drawn_by_the_seed_and_need_a_short_line(teachers):
    config = DistilConfig(
        teachers=teachers[:1], hidden_weight=0, written=WrittenLessonsConfig(teachers=teachers[:1], crossed=9)
    )
    rows = [Row(line, meta={"batch": "b01"}) for line in LINES]
    texts = [[row.text for row in crossed_rows(rows, config, seed)] for seed in (3, 3, 4)]
    assert texts[0] == texts[1] != texts[2]
    for none in ([], [Row("长" * (SPLICE_CHARS + 1), meta={"batch": "b01"})]):
        with pytest.raises(ConfigError, match=r"distil\.written\.crossed: no written line of 120 characters"):
            crossed_rows(none, config, seed=0)


def test_a_rows_share_divides_it_between_labels_and_teachers():
    logits = torch.tensor([[2.0, -1.0], [-1.0, 3.0]])
    target, mask, weight, pos = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.ones(2, 2), torch.ones(2), torch.ones(2)
    answers, pooled = torch.sigmoid(logits) * 0.5, torch.randn(2, 4)
    full = label_loss(logits, target, mask, weight, pos, LossConfig())
    first = label_loss(logits, target, mask, weight, pos, LossConfig(), torch.tensor([1.0, 0.0]))
    second = label_loss(logits, target, mask, weight, pos, LossConfig(), torch.tensor([0.0, 1.0]))
    assert torch.isclose(first + second, full) and not torch.isclose(first, second)
    one = teacher_loss(logits, pooled, answers, -pooled, 1.0, torch.tensor([1.0, 0.0]))
    alone = torch.nn.functional.binary_cross_entropy_with_logits(logits[:1], answers[:1]) + 2.0
    assert one.item() == pytest.approx(alone.item() / 2, abs=1e-5)


def test_states_of_one_teacher_and_teachers_by_origin_exclude_each_other():
    written = {"teachers": ["b"]}
    with pytest.raises(ValidationError, match=re.escape("set distil.hidden_weight to 0")):
        DistilConfig(teachers=["a"], written=written)
    assert DistilConfig(teachers=["a"], hidden_weight=0, written=written).written.weight == 0.5
