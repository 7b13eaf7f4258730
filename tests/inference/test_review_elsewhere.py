"""Reviews whose database lies outside the run's folder, and runs that come to one without a browser."""

from __future__ import annotations

import csv
import fcntl
import json
import threading

import pytest
from review_helpers import LABELS, PASSWORD, Browser, decide, finding, make_bundle, make_run, make_site, user
from typer.testing import CliRunner
from zhenyan.inference.bundle import load_bundle
from zhenyan.inference.cli import app
from zhenyan.inference.errors import ConfigError, InputError
from zhenyan.inference.review.database import database_url, open_database
from zhenyan.inference.review.exchange import corpus_rows, reviewed
from zhenyan.inference.review.imports import take_annotations
from zhenyan.inference.review.intake import known_run, take_in
from zhenyan.inference.review.labelstudio import Unclear, read_annotations
from zhenyan.inference.review.settings import Settings
from zhenyan.inference.runs.job import begin
from zhenyan.inference.runs.store import REVIEWED, RunFolder


def zhenyan(*words, stdin=""):
    return CliRunner().invoke(app, [str(word) for word in words], input=stdin)


@pytest.fixture
def bundle(tmp_path):
    return load_bundle(make_bundle(tmp_path / "bundle"))


@pytest.fixture
def run(tmp_path, bundle):
    return make_run(tmp_path, [finding(n) for n in range(1, 4)], bundle.id)


def elsewhere(tmp_path, name="elsewhere.db"):
    return open_database(database_url(None, f"sqlite:///{tmp_path}/{name}"))


def test_a_run_reviewed_elsewhere_is_not_scored_anew(tmp_path, run):
    for name in ("a.db", "b.db", "a.db"):
        database = elsewhere(tmp_path, name)
        take_in(database, run, Settings())
        database.close()
    assert (run.path / REVIEWED).read_text(encoding="utf-8").splitlines() == [
        f"sqlite:///{tmp_path}/a.db",
        f"sqlite:///{tmp_path}/b.db",
    ]
    (run.path / "parts").mkdir()
    with pytest.raises(
        InputError, match=rf"{REVIEWED}: this run was taken into sqlite.*a\.db, .*b\.db; decisions.*move the"
    ):
        begin(run, run.manifest, restart=True)
    assert len(list(run.findings())) == 3
    (run.path / REVIEWED).unlink()
    begin(run, run.manifest, restart=True)
    assert not list(run.findings())


def test_the_note_of_a_database_holds_no_password(tmp_path, run, monkeypatch):
    from sqlalchemy.engine import make_url
    from zhenyan.inference.review import intake

    url = "postgresql+psycopg://me:secret@db.example:5433/review?password=secret&sslmode=require"
    intake._note_database(type("Fake", (), {"engine": type("Engine", (), {"url": make_url(url)})})(), run)
    assert (run.path / REVIEWED).read_text(encoding="utf-8") == "postgresql+psycopg://db.example:5433/review\n"


@pytest.mark.parametrize(
    "words", [["review"], ["review-export", "--to", "csv", "-o", "d.csv"], ["review-export", "--to", "labelstudio", "-o", "t.json"],
              ["review-import", "t.json"], ["evidence", "f000001", "-o", "c.json"]]
)  # fmt: skip
def test_findings_that_changed_since_they_were_decided_on_are_no_new_run(site, tmp_path, monkeypatch, words):
    """As when the folder went through a program that writes its lines anew: all would seem undecided."""
    monkeypatch.chdir(tmp_path)
    decide(site, "f000001", None)
    findings, command = site.folder.path / "findings.jsonl", [words[0], site.folder.path, *words[1:]]
    before = findings.read_bytes()
    findings.write_bytes(before.replace(b"\n", b"\r\n"))
    model = [] if words[0] == "review-import" else ["--model", site.bundle.folder]
    refused = zhenyan(*command, *model).exception
    assert isinstance(refused, InputError) and str(refused).startswith(
        f"{findings}: not the findings that were decided on"
    )
    findings.write_bytes(before)
    assert known_run(site.database, site.folder) == site.run


def test_a_review_in_the_folder_needs_no_note(site):
    assert not (site.folder.path / REVIEWED).exists()


def test_no_case_pairs_a_decision_with_another_runs_text(tmp_path):
    site = make_site(tmp_path, database=elsewhere(tmp_path))
    item = site.desk.open(user(site, "ann"), "f000001")
    site.desk.decide(user(site, "ann"), item.reading, item.version, None)
    lea = Browser(site, "lea")
    assert lea.get("/finding/f000001/case.json").json()["finding"]["text"] == finding(1)["text"]
    for changed in (lambda: make_run(tmp_path, [finding(1, "另一句话")], site.bundle.id),
                    lambda: (site.folder.path / "findings.jsonl").unlink()):  # fmt: skip
        changed()
        answer = lea.get("/finding/f000001/case.json")
        assert answer.status_code == 409 and "scored anew since this review began" in answer.text


def test_an_export_needs_no_server_before_it(tmp_path, bundle, run):
    result = zhenyan(
        "review-export", run.path, "--to", "labelstudio", "-o", tmp_path / "t.json", "--model", bundle.folder
    )
    assert result.exit_code == 0, result.exception
    assert len(json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))) == 3


@pytest.mark.parametrize("others", ["", "sqlite:///{folder}/other.db"])
def test_decisions_of_a_review_that_there_is_not_replace_no_export(tmp_path, bundle, run, others):
    """As when a nightly job is started without the team's database."""
    written = tmp_path / "decided.jsonl"
    written.write_text("{}\n")
    if others:
        elsewhere(tmp_path, "other.db").close()
    place = ("--database", others.format(folder=tmp_path)) if others else ()
    result = zhenyan("review-export", run.path, "-o", written, "--model", bundle.folder, *place)
    assert result.exit_code and "no " in str(result.exception) and "review" in str(result.exception)
    assert written.read_text() == "{}\n" and not run.path.joinpath(REVIEWED).exists()


@pytest.mark.parametrize("own", [True, False])
def test_an_export_from_a_database_without_the_run_names_the_one_with_its_decisions(tmp_path, own):
    site = make_site(tmp_path, database=None if own else elsewhere(tmp_path))
    decide(site, "f000001", None)
    site.database.close()
    elsewhere(tmp_path, "other.db").close()
    words = ("review-export", site.folder.path, "-o", tmp_path / "d.csv", "--to", "csv", "--model", site.bundle.folder)
    refused = zhenyan(*words, "--database", f"sqlite:///{tmp_path}/other.db").exception
    assert isinstance(refused, ConfigError) and f"reviewed in {site.database.engine.url}" in str(refused)
    assert "not in the --database given" in str(refused) and not (tmp_path / "d.csv").exists()


@pytest.mark.parametrize("decided", [True, False])
@pytest.mark.parametrize("command", [
    ("review", "RUN", "--model", "BUNDLE"), ("review-import", "RUN", "none.json"),
    ("review-export", "RUN", "--model", "BUNDLE", "-o", "tasks.json", "--to", "labelstudio"),
])  # fmt: skip
def test_a_review_that_begins_anew_in_another_database_says_so_once(tmp_path, monkeypatch, command, decided):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "none.json").write_text("[]", encoding="utf-8")
    monkeypatch.setattr("zhenyan.inference.review.web.server.serve", lambda *_: None)
    site, other = make_site(tmp_path), f"sqlite:///{tmp_path}/other.db"
    if decided:
        decide(site, "f000001", None)
    site.database.close()
    given = {"RUN": site.folder.path, "BUNDLE": site.bundle.folder}
    told = [zhenyan(*(given.get(word, word) for word in command), "--database", other).output for _ in range(2)]
    assert ["begins without those decisions" in each for each in told] == [decided, False]


def test_an_import_needs_no_server_before_it(tmp_path, bundle, run):
    database = elsewhere(tmp_path)
    digest = take_in(database, run, Settings()).digest
    database.close()
    path = tmp_path / "min.json"
    path.write_text(json.dumps([{"finding": "f000001", "run": digest, "annotator": 4, "labels": "price_fraud"}]))
    (run.path / REVIEWED).unlink()
    assert "1 decisions" in zhenyan("review-import", run.path, path).output
    assert RunFolder.existing(run.path).path.joinpath("review.db").exists()


@pytest.mark.parametrize("words", [
    ("review-export", "RUN", "-o", "FOLDER/a.json", "--to", "labelstudio"), ("review-export", "RUN", "-o", "FOLDER/a.csv", "--to", "csv"),
    ("review-import", "RUN", "FOLDER/a.json"), ("review", "RUN"), ("reviewers", "list", "--run", "RUN"),
    ("evidence", "RUN", "f000001", "-o", "FOLDER/c.json"),
])  # fmt: skip
def test_a_run_reviewed_elsewhere_is_not_taken_for_one_without_decisions(tmp_path, run, words):
    database = elsewhere(tmp_path)
    take_in(database, run, Settings())
    database.close()
    result = zhenyan(*(word.replace("RUN", str(run.path)).replace("FOLDER", str(tmp_path)) for word in words))
    assert isinstance(result.exception, ConfigError)
    assert "elsewhere.db; name the database that is meant with --database" in str(result.exception)
    assert not (run.path / "review.db").exists()


@pytest.mark.parametrize("words", [
    ("review-import", "RUN", "FOLDER/a.json"), ("review-export", "RUN", "-o", "FOLDER/a.json", "--to", "labelstudio"),
])  # fmt: skip
def test_a_run_that_is_scored_anew_is_not_taken_in(tmp_path, run, words):
    with run.out_of_review():
        result = zhenyan(*(word.replace("RUN", str(run.path)).replace("FOLDER", str(tmp_path)) for word in words))
    assert isinstance(result.exception, InputError)
    assert "is being scored anew; wait for it, then repeat the command" in str(result.exception)
    assert not (run.path / "review.db").exists()


def test_two_databases_that_take_a_run_in_at_once_are_both_noted(tmp_path, run):
    """Here the other one is at it, and hasn't written its line yet."""
    database = elsewhere(tmp_path)
    with (run.path / REVIEWED).open("a+b") as notes:
        fcntl.flock(notes, fcntl.LOCK_EX)
        second = threading.Thread(target=take_in, args=(database, run, Settings()))
        second.start()
        second.join(0.5)
        notes.write(b"sqlite:////other.db")  # as an editor may leave it, without its end
    second.join()
    database.close()
    assert run.reviewed_in == ["sqlite:////other.db", f"sqlite:///{tmp_path}/elsewhere.db"]


def test_tasks_with_labels_that_their_configuration_lacks_are_refused(tmp_path, bundle):
    run = make_run(tmp_path, [finding(1, label="my_new_label")], "other-1")
    manifest = json.loads((run.path / "manifest.json").read_text(encoding="utf-8"))
    manifest["thresholds"]["my_new_label"] = 0.5
    (run.path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    words = ("review-export", run.path, "--to", "labelstudio", "-o", tmp_path / "t.json", "--model", bundle.folder)
    assert "has no label my_new_label; name the run's own bundle with --model" in str(zhenyan(*words).exception)
    assert not (tmp_path / "t.json").exists()


def test_label_studios_csv_comes_in_like_json_min(site, tmp_path):
    path, digest = tmp_path / "export.csv", site.run.digest
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["annotator", "created_at", "finding", "id", "labels", "lead_time", "run", "text"])
        writer.writerow(["4", "2026-11-24T10:00:00Z", "f000001", "1", "price_fraud", "7.5", digest, '两行\n"引号"'])
        both = json.dumps({"choices": ["price_fraud", "food_safety"]})
        writer.writerow(["zhou@example.org", "2026-11-24T10:00:00Z", "f000002", "2", both, "3", digest, "x"])
        writer.writerow(["4", "2026-11-24T10:00:00Z", "f000003", "3", "", "1.0", digest, "x"])
    unclear = Unclear()
    done = take_annotations(site.desk, LABELS, read_annotations(path, site.run, unclear))
    assert (done.decisions, done.reviewers, unclear.rows) == (2, ["label-studio:4", "zhou@example.org"], 1)
    got = list(reviewed(site.database, site.run))
    assert [one.labels for one in got[:3]] == [("price_fraud",), ("food_safety", "price_fraud"), None]


@pytest.mark.parametrize(("channel", "start", "want"), [
    ("copy", 5.0, "copy"), ("live", None, "live"), (None, 5.0, "live"), (None, None, "copy"),
])  # fmt: skip
def test_the_channel_is_guessed_only_where_the_row_names_none(tmp_path, channel, start, want):
    place = (
        {"file": "a", "place": "line 7"}
        | ({"start": start} if start else {})
        | ({"channel": channel} if channel else {})
    )
    times = [{"place": "line 1", "start": 1.0}]  # of an earlier, weaker repeat
    site = make_site(tmp_path, [finding(1, place=place, times=times)])
    item = site.desk.open(user(site, "ann"), "f000001")
    site.desk.decide(user(site, "ann"), item.reading, item.version, None)
    (row,) = corpus_rows(site.run, reviewed(site.database, site.run))
    assert (row["channel"], row.get("start")) == (want, start)


def test_one_sqlite_file_serves_run_after_run(tmp_path, bundle, monkeypatch):
    url, opened = f"sqlite:///{tmp_path}/shared/team.db", []
    (tmp_path / "shared").mkdir()
    added = zhenyan("reviewers", "add", "ann", "--database", url, "--password-stdin", stdin=PASSWORD)
    assert added.exit_code == 0, added.exception

    def serve(site, *_):
        browser = Browser(site, "ann")
        opened.append(browser.submit("/start").text)
        decide(site, "f000001", None)

    monkeypatch.setattr("zhenyan.inference.review.web.server.serve", serve)
    for name in ("one", "two"):
        run = make_run(tmp_path / name, [finding(1), finding(2, f"{name}的另一句")], bundle.id).path
        for words in (["review"], ["review-export", "-o", tmp_path / f"{name}.csv", "--to", "csv"]):
            done = zhenyan(words[0], run, *words[1:], "--model", bundle.folder, "--database", url)
            assert done.exit_code == 0, done.exception
        assert not (run / "review.db").exists()
        with (tmp_path / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
            first, second = csv.DictReader(file)
        assert (first["决定"], second["决定"], second["原话"]) == ("已接受", "待审查", f"{name}的另一句")
    # The second run shows what was decided in the first.
    assert ["none yet" in page for page in opened] == [True, False]
