"""The evidence file of a case: what is in it, and what `verify` notices."""

import json
import os
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from review_helpers import finding, make_bundle, make_run, make_site, user
from typer.testing import CliRunner
from zhenyan.inference.bundle import DEFAULT_BUNDLE, bundle_id, load_bundle
from zhenyan.inference.cli import app
from zhenyan.inference.cli import case as case_module
from zhenyan.inference.errors import BundleError, ConfigError, InputError
from zhenyan.inference.evidence_file import digest, make_case, read_case, text_digest, verify, write_case
from zhenyan.inference.review.database import database_url, open_database
from zhenyan.inference.review.intake import take_in
from zhenyan.inference.review.settings import Settings
from zhenyan.inference.runs.inputs import describe_inputs
from zhenyan.inference.runs.store import REVIEWED, RunFolder

TEXT = "喝了这个茶三高就降下来了"


class Stub:
    """A classifier that gives one score; the checks around the model are what is tested."""

    def __init__(self, bundle, score=0.9):
        self.bundle, self.given = bundle, score

    def clear_cache(self):
        pass

    def score(self, texts):
        return np.full((len(texts), len(self.bundle.labels)), self.given, dtype=np.float32)


@pytest.fixture
def bundle(tmp_path):
    return load_bundle(make_bundle(tmp_path / "bundle"))


@pytest.fixture
def run(tmp_path, bundle):
    return make_run(tmp_path, [finding(1, TEXT)], bundle.id)


@pytest.fixture
def case(run, bundle):
    return make_case(run, bundle, "f000001", [{"who": "ann", "action": "accept"}])


def differing(case, classifier, notes=False):
    return [check.name for check in verify(case, classifier) if not check.same and check.note is notes]


def resealed(case):
    return case | {"digest": digest(case)}


def zhenyan(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_case_has_all_that_is_needed(case, bundle):
    assert case["finding"]["text"] == TEXT
    assert {"score", "threshold", "times", "before", "after", "evidence", "place"} <= set(case["finding"])
    assert case["law"]["labels"][0]["articles"][0]["article"] == "第七十一条"
    assert case["law"]["labels"][0]["citation_zh"] == "《食品安全法》第七十一条"
    assert {"zhenyan", "bundle", "normaliser", "onnxruntime", "tokenizers"} <= set(case["versions"])
    assert case["sha256"]["bundle"] == bundle.manifest["sha256"]
    assert {"text", "findings.jsonl", "manifest.json", "inputs"} <= set(case["sha256"])
    assert case["decisions"] == [{"who": "ann", "action": "accept"}]


def test_the_same_everywhere_is_the_same(case, bundle, tmp_path):
    write_case(case, tmp_path / "case.json")
    assert differing(read_case(tmp_path / "case.json"), Stub(bundle)) == []
    assert differing(case, Stub(bundle), notes=True) == ["input a.jsonl"]


@pytest.mark.parametrize(("score", "same"), [(0.90001, True), (0.90003, False), (0.4, False)])
def test_the_score_must_be_the_same_to_five_decimals(case, bundle, score, same):
    assert ("score" not in differing(case, Stub(bundle, score))) is same


def test_the_threshold_is_the_one_the_run_decided_by(run, bundle):
    asked = {"runtime": "onnxruntime", "min_score": 0.8, "labels": ["food_safety"], "context": False}
    (run.path / "manifest.json").write_text(json.dumps(run.manifest | {"options": asked}), encoding="utf-8")
    case = make_case(run, bundle, "f000001")
    assert case["options"] == {"min_score": 0.8, "thresholds": None, "labels": ["food_safety"], "context": False}
    assert (case["finding"]["threshold"], differing(case, Stub(bundle))) == (0.8, [])
    assert differing(case, Stub(bundle, 0.7)) == ["score", "at or above the threshold"]


def test_cases_made_before_options_were_written_down(case, bundle):
    old = {name: value for name, value in case.items() if name != "options"}
    assert differing(resealed(old), Stub(bundle)) == []


def test_cases_of_before_the_law_was_that_of_the_labels_that_stand(case, bundle, tmp_path):
    label = bundle.labels[1]
    law = {"name_zh": label.name_zh, "name_en": label.name_en, "section": label.section,
           "articles": list(label.articles), "penalty": dict(label.penalty)}  # fmt: skip
    write_case(resealed(case | {"law": law}), tmp_path / "case.json")
    assert differing(read_case(tmp_path / "case.json"), Stub(bundle)) == []


def test_the_law_is_dated_and_of_the_labels_that_stand(run, bundle):
    labels = tuple(replace(label, law_as_of="November 2026", law_as_of_zh="2026年11月") for label in bundle.labels)
    law = make_case(run, replace(bundle, labels=labels), "f000001", standing=["price_fraud"])["law"]
    assert (law["as_of"], law["as_of_zh"]) == ("November 2026", "2026年11月")
    assert ([label["id"] for label in law["labels"]], law["model"]["id"]) == (["price_fraud"], "food_safety")


def test_a_flipped_decision_is_said(case, bundle):
    assert differing(case, Stub(bundle, 0.4)) == ["score", "at or above the threshold"]


def test_an_altered_case_is_noticed(case, bundle):
    altered = json.loads(json.dumps(case))
    altered["finding"]["text"] += "！"
    assert differing(altered, Stub(bundle)) == ["digest of the case", "sha256 of the text"]
    assert differing(resealed(altered), Stub(bundle)) == ["sha256 of the text"]
    altered = json.loads(json.dumps(case))
    altered["finding"]["evidence"][0]["text"] = "别的"
    assert differing(resealed(altered), Stub(bundle)) == ["evidence"]
    altered = json.loads(json.dumps(case))
    altered["decisions"][0]["who"] = "ben"
    assert differing(altered, Stub(bundle)) == ["digest of the case"]


def test_another_model_is_named_file_by_file(case, bundle, tmp_path):
    folder = make_bundle(tmp_path / "other")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "model.onnx").write_text("another")
    import hashlib

    manifest["sha256"]["model.onnx"] = hashlib.sha256(b"another").hexdigest()
    manifest["bundle_id"] = bundle_id(manifest["name"], manifest["sha256"])
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert differing(case, Stub(load_bundle(folder))) == ["bundle", "sha256 of model.onnx"]


def test_other_versions_are_notes(case, bundle):
    old = resealed(case | {"versions": case["versions"] | {"zhenyan": "0.0.1", "tokenizers": "0.1"}})
    assert differing(old, Stub(bundle)) == []
    assert differing(old, Stub(bundle), notes=True) == ["zhenyan", "tokenizers", "input a.jsonl"]


def test_a_label_the_bundle_lacks(case, bundle):
    other = json.loads(json.dumps(case))
    other["finding"]["label"] = "something"
    assert differing(resealed(other), Stub(bundle)) == ["label"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not a JSON file"),
        ("[" * 100_000, "not a JSON file"),
        ("[]", "no case file of format 1, found 'list'"),
        ('{"format": 7}', "found 7"),
        ('{"format": 1}', "field 'finding' is missing"),
        ('{"format": 1, "finding": {"text": 3}, "law": {}, "versions": {}, "sha256": {}, "decisions": [], "digest": ""}',
         "finding: field 'text'"),
        ('{"format": 1, "finding": {"text": "", "label": "", "score": 1' + 400 * "0" + '}, "law": {}, "versions": {}, "sha256": {}, '
         '"decisions": [], "digest": ""}', "finding: field 'score' is missing or no float"),
    ],
)  # fmt: skip
def test_files_that_are_no_case(tmp_path, content, said):
    path = tmp_path / "case.json"
    path.write_text(content)
    with pytest.raises(InputError, match=said):
        read_case(path)
    with pytest.raises(InputError, match="no such file"):
        read_case(tmp_path / "none.json")


def test_an_altered_case_never_ends_in_a_traceback(case, bundle):
    odd = json.loads(json.dumps(case))
    odd["finding"]["evidence"] = [3, {"start": "a", "end": None, "text": 1}]
    odd["sha256"] = {"bundle": 3, "inputs": []}
    assert "digest of the case" in differing(odd, Stub(bundle))


def test_cases_that_cannot_be_made(run, bundle, tmp_path):
    with pytest.raises(InputError, match="no finding 'f9'"):
        make_case(run, bundle, "f9")
    odd = make_run(tmp_path / "odd", [finding(1, label="no_such")], bundle.id)
    with pytest.raises(InputError, match=r"findings\.jsonl line 1: damaged, 'no_such' is no label.*--restart"):
        make_case(odd, bundle, "f000001")
    other = make_run(tmp_path / "other", [finding(1, TEXT)], "other-1")
    with pytest.raises(BundleError, match="--model"):
        make_case(other, bundle, "f000001")


def test_text_that_is_no_utf8(bundle, tmp_path):
    made = make_case(make_run(tmp_path / "odd", [finding(1, "坏\ud800\x00字")], bundle.id), bundle, "f000001")
    write_case(made, tmp_path / "case.json")
    assert differing(read_case(tmp_path / "case.json"), Stub(bundle)) == []


def test_a_case_names_the_files_of_its_finding_only(bundle, tmp_path):
    times = [{"place": "line 1", "file": name} for name in ("a.jsonl", "b.jsonl")]
    run = make_run(tmp_path, [finding(1, TEXT), finding(2, TEXT, times=times)], bundle.id)
    inputs = [{"path": f"{letter}.jsonl", "sha256": letter * 64} for letter in "abcdef"]
    (run.path / "manifest.json").write_text(json.dumps(run.manifest | {"inputs": inputs}), encoding="utf-8")
    for key, letters in (("f000001", "a"), ("f000002", "ab")):
        case = make_case(run, bundle, key)
        assert case["sha256"]["inputs"] == {f"{letter}.jsonl": letter * 64 for letter in letters}
        assert differing(case, Stub(bundle), notes=True) == [f"input {letter}.jsonl" for letter in letters]


def test_cases_that_name_every_input_of_the_run_are_checked_for_those_of_the_finding(case, bundle, tmp_path):
    (tmp_path / "other.jsonl").write_text("")
    digests = case["sha256"] | {"inputs": {"a.jsonl": "0" * 64, str(tmp_path / "other.jsonl"): "0" * 64}}
    write_case(resealed(case | {"sha256": digests}), tmp_path / "case.json")
    checks = verify(read_case(tmp_path / "case.json"), Stub(bundle))
    assert [check.name for check in checks if check.name.startswith("input")] == ["input a.jsonl"]
    assert all(check.same or check.note for check in checks)


def test_verify_shows_what_differs_and_counts_the_rest(case, bundle, tmp_path, monkeypatch):
    write_case(case, tmp_path / "case.json")
    for score, code, verdict in ((0.9, 0, "the same, score 0.90000"), (0.4, 1, "differs")):
        loaded = type("Loaded", (), {"load": staticmethod(lambda *_, score=score, **__: Stub(bundle, score))})
        monkeypatch.setattr(case_module, "Classifier", loaded)
        done = zhenyan("verify", tmp_path / "case.json")
        assert (done.exit_code, done.stderr) == (code, f"{tmp_path / 'case.json'}: {verdict}\n")
        same = sum(check.same for check in verify(case, Stub(bundle, score)))
        assert done.stdout.splitlines()[-1] == f"{same} of {same + 1 + 2 * code} checks agree"
        assert "input a.jsonl" in done.stdout and "score" in done.stdout and "sha256 of the text" not in done.stdout


@pytest.fixture
def noted(bundle, tmp_path, monkeypatch):
    """What `verify` notes here of the inputs of a case, an archive and a file named in GBK among them."""
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("归档 一.zip", "w") as out:
        out.writestr("直播.srt", "一")
    (tmp_path / os.fsdecode("话术.txt".encode("gbk"))).write_text("二", encoding="utf-8")
    (tmp_path / "no.zip").write_text("no archive", encoding="utf-8")
    os.mkfifo("pipe")

    def note(*described):
        times = [{"place": "line 1", "file": item["path"]} for item in described]
        run = make_run(tmp_path, [finding(1, TEXT, times=times)], bundle.id)
        (run.path / "manifest.json").write_text(json.dumps(run.manifest | {"inputs": described}), encoding="utf-8")
        checks = verify(make_case(run, bundle, "f000001"), Stub(bundle))
        return [check for check in checks if check.name.startswith("input")]

    return note


def test_inputs_that_are_here_are_found_as_the_run_found_them(noted):
    archived, named = noted(*describe_inputs(["zip://直播.srt::归档 一.zip", "话术.txt"]))
    assert (archived.same, archived.case) == (True, text_digest("一"))
    assert (named.same, named.case) == (True, text_digest("二"))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("zip://别的.srt::归档 一.zip", "not here"),
        ("zip://直播.srt::归档 二.zip", "not here"),
        ("pipe", "not here"),
        ("a\0b", "not here"),
        ("长" * 300, "not readable here: File name too long"),
        ("zip://a.srt::no.zip", "not readable here: zip://a.srt::no.zip: File is not a zip file"),
        ("s3://bucket/a.srt", "elsewhere, not fetched"),
        ("zip://a.srt::https://host.example/a.zip", "elsewhere, not fetched"),
        ("https://host.example/a.srt::归档 一.zip", "elsewhere, not fetched"),
    ],
)
def test_inputs_that_are_not_here_are_not_looked_for_elsewhere(noted, monkeypatch, path, said):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("an address of the case was called"))
    (note,) = noted({"path": path, "sha256": "0" * 64})
    assert note.note and not note.same and str(note.here).startswith(said)


@pytest.fixture
def elsewhere(tmp_path, run):
    """The URL of a database that the run was taken into."""
    url = f"sqlite:///{tmp_path}/team.db"
    database = open_database(database_url(None, url), make=True)
    take_in(database, run, Settings())
    database.close()
    return url


def test_no_case_says_undecided_of_a_run_that_was_reviewed_elsewhere(run, bundle, elsewhere, tmp_path):
    words = ("evidence", run.path, "f000001", "-o", tmp_path / "case.json", "--model", bundle.folder)
    for here in (False, True):
        if here:
            open_database(database_url(run, None), make=True).close()
        refused = zhenyan(*words).exception
        assert isinstance(refused, ConfigError)
        assert f"{REVIEWED}: this run was reviewed in {elsewhere}" in str(refused) and "with --database" in str(refused)
        assert (f"sqlite:///{run.path}/review.db" in str(refused)) is here
    other = f"sqlite:///{tmp_path}/other.db"
    open_database(database_url(None, other), make=True).close()
    refused = zhenyan(*words, "--database", other).exception
    assert isinstance(refused, ConfigError) and f"{elsewhere}, sqlite" in str(refused)
    assert "not in the --database given" in str(refused) and not (tmp_path / "case.json").exists()
    assert zhenyan(*words, "--database", elsewhere).exit_code == 0


def test_no_case_says_undecided_of_a_run_that_was_reviewed_in_its_folder(tmp_path, monkeypatch):
    """As when a team's database is named by the environment, and this run was reviewed without it."""
    site, other = make_site(tmp_path), f"sqlite:///{tmp_path}/other.db"
    open_database(database_url(None, other), make=True).close()
    monkeypatch.setenv("ZHENYAN_DATABASE", other)
    words = ("evidence", site.folder.path, "f000001", "-o", tmp_path / "case.json", "--model", site.bundle.folder)
    assert zhenyan(*words).exit_code == 0  # nothing is decided anywhere
    item = site.desk.open(user(site, "ann"), "f000001")
    site.desk.decide(user(site, "ann"), item.reading, item.version, None)
    refused, own = zhenyan(*words).exception, f"sqlite:///{site.folder.path}/review.db"
    assert isinstance(refused, ConfigError)
    assert str(refused).startswith(f"{site.folder.path}: this run was reviewed in {own}, not in the --database given")
    assert zhenyan(*words, "--database", own).exit_code == 0
    assert read_case(tmp_path / "case.json")["decisions"][-1]["action"] == "accept"
    site.database.close()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("findings.jsonl", '{"id": "f000001"', r"findings\.jsonl line 1: can't be read"),
        ("findings.jsonl", "[" * 100_000, r"findings\.jsonl line 1: can't be read"),
        ("findings.jsonl", "3", r"findings\.jsonl line 1: damaged, 3 is no object"),
        ("findings.jsonl", '{"id": "f000001"}', r"findings\.jsonl line 1: damaged, field 'stream' is None"),
        ("findings.jsonl", {"times": []}, r"findings\.jsonl line 1: damaged, field 'times' is empty"),
        ("findings.jsonl", {"times": [{}]}, r"findings\.jsonl line 1: times: damaged, field 'place' is None"),
        ("findings.jsonl", {"place": {}}, r"findings\.jsonl line 1: place: damaged, field 'place' is None"),
        ("findings.jsonl", {"times": [{"place": "line 1", "start": "2"}]}, r"times: damaged, field 'start' is '2'"),
        ("findings.jsonl", {"label": "no_such"}, r"line 1: damaged, 'no_such' is no label of the run's bundle"),
        ("findings.jsonl", {"evidence": [{"start": 1}]}, r"line 1: evidence: damaged, field 'end' is None"),
        ("manifest.json", '{"inputs": []}', r"manifest\.json: damaged, field 'bundle' is None"),
        ("manifest.json", "{", r"manifest\.json: can't be read"),
        ("summary.json", '{"rows": 1}', r"summary\.json: damaged, field 'hits' is None"),
    ],
)
@pytest.mark.parametrize(
    "words", [("evidence", "RUN", "f000001"), ("review-export", "RUN", "--to", "labelstudio")], ids=lambda w: w[0]
)
def test_damaged_files_of_a_run_are_named(run, bundle, tmp_path, words, name, content, said):
    damaged = content if isinstance(content, str) else json.dumps(finding(1, TEXT) | content)
    (run.path / name).write_text(damaged, encoding="utf-8")
    output = tmp_path / ("case.json" if words[0] == "evidence" else "tasks.json")
    words = (run.path if word == "RUN" else word for word in words)
    refused = zhenyan(*words, "-o", output, "--model", bundle.folder).exception
    assert isinstance(refused, InputError) and "score anew with --restart" in str(refused)
    assert re.search(said, str(refused)), refused


def test_damaged_inputs_of_a_manifest_are_named(run):
    (run.path / "manifest.json").write_text(json.dumps(run.manifest | {"inputs": [{}]}), encoding="utf-8")
    with pytest.raises(InputError, match=r"manifest\.json: input 1: damaged, field 'path' is None.*--restart"):
        _ = run.manifest


def test_a_run_is_found_from_within_and_odd_names_are_no_runs(run, tmp_path, monkeypatch):
    monkeypatch.chdir(run.path)
    assert RunFolder.existing(Path(".")).path == run.path.resolve()  # its name stands in the review and in messages
    monkeypatch.chdir(tmp_path)
    for name in (".", "/", "..", "x" * 300, "a\0b"):
        with pytest.raises(InputError, match=r"no scoring run here; `zhenyan score|File name too long; name a run's"):
            RunFolder.existing(Path(name))
    for name, output in (
        ("week.csv", "week.csv"),
        ("week.csv.run", "week.csv"),
        ("reports", "out.jsonl"),
        ("..", "out.jsonl"),
    ):
        with pytest.raises(InputError, match=f"INPUT -o {output}` makes one"):
            RunFolder.existing(Path(name))
    for name in (".", "/"):
        with pytest.raises(InputError, match="is a folder; name a file"):
            run.keep_from(Path(name))


@pytest.mark.skipif(not (DEFAULT_BUNDLE / "manifest.json").exists(), reason="no bundled model here")
def test_the_bundled_model_gives_the_score_of_its_run_again(tmp_path, classifier):
    from zhenyan.inference.runs import Job, RunOptions, run_job
    from zhenyan.inference.runs.job import local_engine

    lines = [TEXT, "今天二号链接拍两盒", "这款产品可以治疗高血压，三天见效", "全网最低价，仅此一天", "大家晚上好"]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in lines), encoding="utf-8")
    job = Job([str(tmp_path / "in.jsonl")], tmp_path / "out.jsonl", RunOptions())
    folder = run_job(job, classifier.bundle, local_engine(classifier, True))
    ids = [record["id"] for record in folder.findings()]
    assert ids
    for key in ids:
        case = make_case(folder, classifier.bundle, key)
        assert differing(case, classifier) == []
