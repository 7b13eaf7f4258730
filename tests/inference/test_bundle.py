"""A bundle that isn't whole, or whose manifest says what its files don't, is refused with the place and the remedy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import onnx
import pytest
from typer.testing import CliRunner
from zhenyan.inference.bundle import CARD, DEFAULT_BUNDLE, FILES, bundle_id, load_bundle, sha256
from zhenyan.inference.classifier import Classifier
from zhenyan.inference.cli import app
from zhenyan.inference.errors import BundleError

LABELS = load_bundle().label_ids


@pytest.fixture
def folder(tmp_path) -> Path:
    """The bundled model, its files linked."""
    source, target = load_bundle().folder, tmp_path / "bundle"
    target.mkdir()
    for name in (*FILES, CARD):
        (target / name).symlink_to(source / name)
    shutil.copy(source / "manifest.json", target / "manifest.json")
    return target


def changed(folder: Path, **values) -> Path:
    """`folder` with values of its manifest replaced, or left out where None."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8")) | values
    kept = {key: value for key, value in manifest.items() if value is not None}
    (folder / "manifest.json").write_text(json.dumps(kept), "utf-8")
    return folder


def with_file(folder: Path, name: str, content: bytes) -> Path:
    """`folder` with another file of that name, as when an exporter wrote it: the hashes fit."""
    (folder / name).unlink()
    (folder / name).write_bytes(content)
    hashes = {name: sha256(folder / name) for name in FILES}
    return changed(folder, sha256=hashes, bundle_id=bundle_id("zhenyan", hashes))


@pytest.mark.parametrize(("values", "words"), [
    ({"bundle_id": "zhenyan-000000000000"}, "bundle_id is 'zhenyan-000000000000', its files make zhenyan-"),
    ({"bundle_id": None}, "bundle_id must be str, found nothing"), ({"pad_id": "x"}, "pad_id must be int, found 'x'"),
    ({"pad_id": True}, "pad_id must be int"), ({"max_tokens": None}, "max_tokens must be int, found nothing"),
    ({"max_tokens": 8}, "max_tokens must be from 16 to 512, found 8"), ({"max_tokens": 513}, "from 16 to 512, found 513"),
    ({"max_tokens": 64}, "max_tokens must be 128, as in tokenizer.json, found 64"), ({"sha256": "abc"}, "sha256 must be dict"),
    ({"pad_id": 0}, "pad_id must be 1, as in tokenizer.json, found 0"),
    ({"specials": {"pad_token": "[PAD]"}}, r"specials.pad_token must be a special token of tokenizer.json \(<s> <pad> .*found '\[PAD\]'"),
    ({"specials": []}, r"specials must be dict, found \[\]"), ({"architecture": "x"}, "architecture must be dict, found 'x'"),
    ({"architecture": {"max_position_embeddings": "512"}}, "architecture.max_position_embeddings must be int, found '512'"),
    ({"activation": "softmax"}, "activation must be 'sigmoid', found 'softmax'"), ({"activation": None}, "activation must be str"),
    ({"labels": None}, "labels must be list, found nothing"),
    ({"labels": ["food_safety"]}, r"labels\[0\] must be false_propaganda, as in labels.json, found 'food_safety'"),
    ({"labels": [*LABELS[:12], LABELS[13], LABELS[12]]}, r"labels\[12\] must be consumer_rights, .* found 'public_order'"),
    ({"labels": list(LABELS[:13])}, r"labels\[13\] must be public_order, as in labels.json, found nothing"),
    ({"labels": [*LABELS, "more"]}, r"labels\[14\] must be left out, as in labels.json, found 'more'"),
    ({"labels": [3]}, "found 3"), ({"name": "other"}, "its files make other-"),
    ({"format": 9}, "bundle format 9; this version reads format 1"),
    ({"normaliser": 0, "commit": None}, r"made for text normaliser 0, this version has \d+; use the zhenyan version that made it, or export"),
    ({"normaliser": 9, "commit": "0123456789abcdef"}, r"use the zhenyan version that made it \(commit 0123456789ab\), or export it again"),
    ({"normaliser": 99, "commit": "0123456789abcdef"}, r"use zhenyan 0\.99\.x, which reads it \(commit 0123456789ab\), or export it again"),
    ({"normaliser": "x"}, "made for text normaliser 'x', .*use the zhenyan version that made it"),
    ({"sha256": {}}, "SHA-256 is"),
])  # fmt: skip
def test_a_manifest_that_does_not_fit_is_refused(folder, values, words):
    with pytest.raises(BundleError, match=words):
        Classifier.load(changed(folder, **values))


@pytest.mark.parametrize("command", ["bundle", "doctor"])
def test_commands_on_a_bundle_refuse_what_scoring_would(folder, command):
    error = CliRunner().invoke(app, [command, "--model", str(changed(folder, max_tokens=64))]).exception
    assert isinstance(error, BundleError) and "max_tokens must be 128, as in tokenizer.json, found 64" in str(error)


def test_a_threshold_that_is_missing_is_named(folder):
    thresholds = json.loads((folder / "thresholds.json").read_text("utf-8"))
    del thresholds["food_safety"]
    with pytest.raises(BundleError, match=r"thresholds\.json: lacks food_safety"):
        load_bundle(with_file(folder, "thresholds.json", json.dumps(thresholds).encode()))


@pytest.mark.parametrize("value", [None, True, "0.5", [], float("nan"), -0.1, 5])
def test_a_threshold_that_decides_nothing_is_refused(folder, value):
    thresholds = json.loads((folder / "thresholds.json").read_text("utf-8"))
    thresholds["food_safety"]["threshold"] = value
    told = r"thresholds\.json: the threshold of food_safety must be a number from 0 to 1, found .*; export"
    with pytest.raises(BundleError, match=told):
        load_bundle(with_file(folder, "thresholds.json", json.dumps(thresholds).encode()))


@pytest.mark.parametrize(("name", "content", "words"), [
    ("labels.json", "3", "not the labels of a bundle"), ("labels.json", "[3]", "not the labels of a bundle"),
    ("labels.json", '[{"id": "food_safety"}]', r"not the labels of a bundle \(KeyError\('name_zh'\)\); export"),
    ("thresholds.json", "3", "lacks false_propaganda, "), ("thresholds.json", "[]", "lacks false_propaganda, "),
    ("thresholds.json", json.dumps(dict.fromkeys(LABELS, 0.5)), "the threshold of false_propaganda must be"),
])  # fmt: skip
def test_files_of_another_shape_are_told(folder, name, content, words):
    with pytest.raises(BundleError, match=f"{name}: {words}"):
        load_bundle(with_file(folder, name, content.encode()))


@pytest.mark.parametrize("more", [b"\x08\x63", b"\xff"])  # a second ir_version, 99, which counts; no protobuf at all
def test_a_network_that_onnx_runtime_cannot_run_is_told(folder, more):
    network = (folder / "model.onnx").read_bytes() + more
    told = (
        r"model\.onnx: ONNX Runtime \d.* can't run it \((.*IR version: 99, max.*|Protobuf parsing failed\.)\); install"
    )
    with pytest.raises(BundleError, match=told):
        Classifier.load(with_file(folder, "model.onnx", network), threads=1)


def test_an_empty_network_is_told(folder):
    with pytest.raises(BundleError, match=r"model\.onnx: ONNX Runtime \d.* can't run it"):
        Classifier.load(with_file(folder, "model.onnx", b""), threads=1)


def test_weights_in_another_file_are_refused(folder):
    model = onnx.load(folder / "model.onnx")
    onnx.save(model, folder / "apart.onnx", save_as_external_data=True, location="w.bin", size_threshold=1024)
    network = (folder / "apart.onnx").read_bytes()
    with pytest.raises(BundleError, match=r"model\.onnx: has weights in another file, which no hash covers; save"):
        load_bundle(with_file(folder, "model.onnx", network))


def test_a_tokenizer_that_a_newer_version_wrote_is_told(folder):
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8")) | {"pre_tokenizer": {"type": "Coming"}}
    with pytest.raises(
        BundleError, match=r"bundle/tokenizer\.json: tokenizers \d.* can't read it \(.+\); install newer"
    ):
        Classifier.load(with_file(folder, "tokenizer.json", json.dumps(tokenizer).encode()))


@pytest.mark.parametrize("text", ["[]", '"abc"', "{", "null", "[" * 100_000])
def test_a_manifest_that_is_no_object_is_refused(folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match="copy the bundle again"):
        load_bundle(folder)


def test_what_is_no_bundle_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("hi")
    (tmp_path / "folder" / "manifest.json").mkdir(parents=True)
    for wrong, words in (
        ("file", "is .*file a bundle folder"),
        ("folder", "can't be read"),
        ("nothing", "no such file"),
    ):
        with pytest.raises(BundleError, match=words):
            load_bundle(tmp_path / wrong)
    with pytest.raises(BundleError, match="expected a path, given int 3"):
        load_bundle(3)
    with pytest.raises(BundleError, match="given ''; name a folder, or leave it out for the bundled model"):
        load_bundle("")
    with pytest.raises(BundleError, match=r"given list .{80}$"):
        load_bundle(["a secret"] * 1000)


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b", "circle"])
def test_what_is_no_path_is_refused(tmp_path, name):
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(BundleError, match=r"bundle folder: .* is no path \(.*\); name the folder of a bundle"):
        Classifier.load(f"{tmp_path}/{name}")


@pytest.mark.parametrize("command", [["bundle"], ["score", "data/samples/stream.srt", "-o", "never.jsonl"]])
def test_a_file_that_cannot_be_read_is_named(folder, command):
    """Whoever runs the tests may read everything; but nobody reads the first page of a process's memory."""
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").symlink_to("/proc/self/mem")
    result = CliRunner().invoke(app, [*command, "--model", str(folder)])
    assert isinstance(result.exception, BundleError)
    assert f"{folder / 'model.onnx'}: can't be read (Input/output error); give the" in str(result.exception)


def test_the_command_line_tells_its_version_and_a_wrong_bundle(tmp_path):
    assert CliRunner().invoke(app, ["--version"]).output.startswith("zhenyan ")
    result = CliRunner().invoke(app, ["bundle", "--model", str(tmp_path)])
    assert isinstance(result.exception, BundleError) and "manifest.json: no such file" in str(result.exception)


def test_the_command_line_shows_what_each_threshold_costs(folder):
    thresholds = json.loads((folder / "thresholds.json").read_text("utf-8"))
    result = CliRunner().invoke(app, ["bundle", "--model", str(folder)])
    assert result.exit_code == 0 and max(map(len, result.output.splitlines())) <= 120
    for label, entry in thresholds.items():
        (row,) = [line for line in result.output.splitlines() if f" {label} " in line]
        for name in ("precision", "recall", "review_load"):
            assert f" {entry[name]:.1%} " in row
        assert f" {entry['threshold']:.3f} " in row and f" {entry['chosen_by']} " in row


@pytest.mark.parametrize("run", ["run [v2]", "run [/b]", "[red]run"])
def test_the_command_line_shows_names_in_brackets_as_they_are(folder, run):
    result = CliRunner().invoke(app, ["bundle", "--model", str(changed(folder, training_run=run))])
    assert result.exit_code == 0 and f"training_run: {run}\n" in result.output


def test_the_released_network_names_no_file_of_the_machine_that_exported_it():
    network = (DEFAULT_BUNDLE / "model.onnx").read_bytes()
    assert b"site-packages" not in network and b'File "' not in network
