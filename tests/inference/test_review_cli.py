"""The review commands: people, exports, imports, evidence, and messages for mistakes."""

import codecs
import json
import socket
import subprocess
import sys

import pytest
from review_helpers import PASSWORD, decide, finding, make_bundle, make_run, make_site, user
from typer.testing import CliRunner
from zhenyan.inference.bundle import load_bundle, sha256
from zhenyan.inference.cli import app
from zhenyan.inference.cli.review import _accounts
from zhenyan.inference.errors import BundleError, ConfigError, InputError, ZhenyanError
from zhenyan.inference.evidence_file import read_case
from zhenyan.inference.review.accounts import check_password
from zhenyan.inference.review.errors import AccountError
from zhenyan.inference.review.kinds import ENDINGS


def zhenyan(*words, stdin=""):
    return CliRunner().invoke(app, [str(word) for word in words], input=stdin)


@pytest.fixture
def site(tmp_path):
    site = make_site(tmp_path)
    item = site.desk.open(user(site, "ann"), "f000001")
    site.desk.decide(user(site, "ann"), item.reading, item.version, None)
    site.database.close()
    return site


@pytest.mark.parametrize("stdin", ["pass word of twelve\r\n", "\ufeffpass word of twelve\n", "pass word of twelve"])
def test_a_password_is_read_without_what_a_file_of_windows_has_around_it(tmp_path, stdin):
    run = make_run(tmp_path, [finding(1)], "test-1").path
    assert zhenyan("reviewers", "add", "王", "--run", run, "--password-stdin", stdin=stdin).exit_code == 0
    with _accounts(run, None) as accounts:
        assert accounts.verify("王", "pass word of twelve") is not None


def test_people_come_change_and_go(tmp_path):
    run = make_run(tmp_path, [finding(1)], "test-1").path
    assert (
        zhenyan("reviewers", "add", "王", "--role", "lead", "--run", run, "--password-stdin", stdin=PASSWORD).exit_code
        == 0
    )
    assert zhenyan("reviewers", "role", "王", "admin", "--run", run).exit_code == 0
    assert (
        zhenyan("reviewers", "password", "王", "--run", run, "--password-stdin", stdin="another password\n").exit_code
        == 0
    )
    assert zhenyan("reviewers", "list", "--run", run).output.startswith("王  admin  ")
    for words in (["remove", "王"], ["role", "王", "lead"]):
        assert "'王' is the only admin; make another one first" in str(
            zhenyan("reviewers", *words, "--run", run).exception
        )
    added = ("reviewers", "add", "李", "--role", "admin", "--run", run, "--password-stdin")
    assert zhenyan(*added, stdin=PASSWORD).exit_code == 0
    assert zhenyan("reviewers", "remove", "王", "--run", run).exit_code == 0
    assert zhenyan("reviewers", "list", "--run", run).output.strip().endswith("removed")


def test_who_was_removed_is_not_changed_but_can_be_added_again(site):
    run = ("--run", site.folder.path)
    assert zhenyan("reviewers", "remove", "lea", *run).exit_code == 0
    for words in (["password", "lea", "--password-stdin"], ["role", "lea", "lead"], ["remove", "lea"]):
        refused = zhenyan("reviewers", *words, *run, stdin=PASSWORD).exception
        assert isinstance(refused, AccountError), words
        assert str(refused).startswith("reviewer 'lea' was removed; add them again (`zhenyan reviewers add`)")
    assert zhenyan("reviewers", "add", "lea", *run, "--password-stdin", stdin=PASSWORD).exit_code == 0
    assert zhenyan("reviewers", "role", "lea", "lead", *run).exit_code == 0


def test_a_password_in_another_encoding_is_refused():
    given = "真言密码12345678".encode("gbk").decode("utf-8", "surrogateescape")  # as a terminal in GBK sends it
    with pytest.raises(AccountError, match="holds bytes that aren't UTF-8"):
        check_password(given)


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        (["reviewers", "list"], ConfigError, "--run or a database with --database"),
        (["reviewers", "remove", "nobody", "--run", "RUN"], ConfigError, "no reviewer 'nobody'; there are adm, ann"),
        (["reviewers", "add", "x", "--run", "RUN"], ConfigError, "--password-stdin"),
        (
            ["reviewers", "add", "x", "--run", "RUN", "--role", "boss", "--password-stdin"],
            ConfigError,
            "reviewer, lead, admin",
        ),
        (["reviewers", "list", "--run", "NOWHERE"], InputError, "no scoring run here"),
        (["review", "RUN", "--model", "NOWHERE"], BundleError, "no such file"),
        (["review", "RUN", "--model", "BUNDLE", "--host", "203.0.113.1"], ConfigError, "cannot listen on 203.0.113.1"),
        (["review", "RUN", "--model", "BUNDLE", "--host", "203.0.113.1"], ConfigError, "of this machine with --host"),
        (["review", "RUN", "--model", "BUNDLE", "--host", "no.invalid"], ConfigError, "of this machine with --host"),
        (["review", "RUN", "--model", "BUNDLE", "--host", "é" * 80], ConfigError, "not a host name"),
        (["review", "RUN", "--model", "BUNDLE", "--proxy", "proxy.example"], ConfigError, "--proxy proxy.example: "),
        (["review", "RUN", "--model", "BUNDLE", "--proxy", "10.0.0.5,10.0.0.0/99"], ConfigError, "such as 10.0.0.5"),
        (["review", "RUN", "--model", "BUNDLE", "--proxy", "10.0.0.5, *"], ConfigError, "--proxy *: "),
        (["review", "RUN", "--model", "BUNDLE", "--proxy", "10.0.0.5, *"], ConfigError, "or * alone"),
        (["review", "RUN", "--model", "BUNDLE", "--proxy", "10.0.0.1,, x"], ConfigError, "--proxy x: "),
        (["review", "RUN", "--model", "BUNDLE", "--proxy", " , "], ConfigError, "such as 10.0.0.5"),
        (
            ["review", "RUN", "--model", "BUNDLE", "--proxy", "10.0.0.1,", "--host", "203.0.113.1"],
            ConfigError,
            "cannot listen on 203.0.113.1",
        ),
        (["review", "RUN", "--model", "BUNDLE", "--host", "localhost:80"], ConfigError, "the port goes into --port"),
        (
            ["review-export", "RUN", "--to", "xml", "-o", "x.xml", "--model", "BUNDLE"],
            ConfigError,
            "rows, labelstudio, csv, xlsx",
        ),
        (["review-import", "RUN", "NOWHERE"], InputError, "no such file"),
        (["evidence", "RUN", "f9", "-o", "x.json", "--model", "BUNDLE"], InputError, "no finding 'f9'"),
        (["verify", "NOWHERE"], InputError, "no such file"),
    ],
)
def test_mistakes_are_named(site, tmp_path, words, kind, said):
    places = {"RUN": site.folder.path, "BUNDLE": tmp_path / "bundle", "NOWHERE": tmp_path / "nowhere"}
    result = zhenyan(*(places.get(word, word) for word in words), stdin=PASSWORD)
    assert isinstance(result.exception, kind)
    assert isinstance(result.exception, ZhenyanError)
    assert said in str(result.exception)


def test_a_port_that_is_taken_is_said(site, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = zhenyan("review", site.folder.path, "--model", tmp_path / "bundle", "--port", port)
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception) == f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another --port"


def test_exports_imports_and_evidence(site, tmp_path):
    run, model = site.folder.path, tmp_path / "bundle"
    result = zhenyan("review-export", run, "-o", tmp_path / "rows.jsonl", "--model", model)
    assert (result.exit_code, "1 rows" in result.output) == (0, True)
    result = zhenyan("review-export", run, "--to", "labelstudio", "-o", tmp_path / "t.json", "--model", model)
    assert "t.config.xml" in result.output
    assert "0 decisions, 0 skips, 1 known" in zhenyan("review-import", run, tmp_path / "t.json").output
    result = zhenyan("evidence", run, "f000001", "-o", tmp_path / "case.json", "--model", model)
    assert "1 decisions" in result.output
    assert json.loads((tmp_path / "case.json").read_text(encoding="utf-8"))["decisions"][0]["who"] == "ann"


@pytest.mark.parametrize("kind", ["rows", "labelstudio", "csv", "xlsx"])
def test_an_export_is_written_over_its_own_earlier_one_alone(site, tmp_path, kind):
    path = tmp_path / f"decisions{ENDINGS[kind]}"
    words = ["review-export", site.folder.path, "--to", kind, "-o", path, "--model", tmp_path / "bundle"]
    path.write_bytes(b"something else")
    refused = zhenyan(*words).exception
    assert isinstance(refused, InputError) and "isn't as this run wrote it" in str(refused)
    assert path.read_bytes() == b"something else"
    path.write_bytes(b"")  # as `mktemp` leaves it
    assert zhenyan(*words).exit_code == 0
    exported = path.read_bytes()
    decide(site, "f000002", None)
    assert zhenyan(*words).exit_code == 0 and path.read_bytes() != exported
    path.write_bytes(path.read_bytes() + b"remark")
    assert isinstance(zhenyan(*words).exception, InputError) and path.read_bytes().endswith(b"remark")


@pytest.mark.parametrize("name", ["tasks.jsonl", "notes.json"])
def test_a_refused_export_begins_no_review(tmp_path, name):
    bundle = load_bundle(make_bundle(tmp_path / "bundle"))
    run = make_run(tmp_path, [finding(1)], bundle.id).path
    (tmp_path / "notes.json").write_bytes(b"something else")
    words = ["review-export", run, "--to", "labelstudio", "-o", tmp_path / name, "--model", bundle.folder]
    assert isinstance(zhenyan(*words).exception, ZhenyanError)
    assert not (run / "review.db").exists()


@pytest.mark.parametrize("target", ["out.jsonl", "out.jsonl.run/findings.jsonl", "out.jsonl.run/new.jsonl"])
@pytest.mark.parametrize("words", [["review-export", "RUN"], ["evidence", "RUN", "f000001"]])
def test_no_export_destroys_its_run(site, tmp_path, words, target):
    run, findings = site.folder.path, (site.folder.path / "findings.jsonl").read_bytes()
    (tmp_path / "out.jsonl").write_text("rows", encoding="utf-8")
    words = [run if word == "RUN" else word for word in words]
    result = zhenyan(*words, "-o", tmp_path / "x" / ".." / target, "--model", tmp_path / "bundle")
    assert "belongs to the run" in str(result.exception)
    assert (tmp_path / "out.jsonl").read_text(encoding="utf-8") == "rows"
    assert (run / "findings.jsonl").read_bytes() == findings


@pytest.mark.parametrize("words", [["review-export", "RUN", "--to", "labelstudio"], ["evidence", "RUN", "f000001"]])
def test_no_export_destroys_what_its_run_scored(site, tmp_path, words):
    """The files a finding is of are its proof; they are known by what is in them, for a run may name them from elsewhere."""
    manifest, source = site.folder.path / "manifest.json", tmp_path / "speech.json"
    source.write_text('[{"text": "喝了这个茶"}]', encoding="utf-8")
    inputs = [{"path": "elsewhere/speech.json", "sha256": sha256(source)}]
    manifest.write_text(json.dumps(json.loads(manifest.read_text("utf-8")) | {"inputs": inputs}), encoding="utf-8")
    words = [site.folder.path if word == "RUN" else word for word in words]
    result = zhenyan(*words, "-o", source, "--model", tmp_path / "bundle")
    assert isinstance(result.exception, InputError) and "choose another output" in str(result.exception)
    assert source.read_text(encoding="utf-8") == '[{"text": "喝了这个茶"}]'
    result = zhenyan(*words, "-o", tmp_path / "new.json", "--model", tmp_path / "bundle")
    assert result.exception is None


@pytest.mark.parametrize(
    "words", [["evidence", "RUN", "f000001", "-o", "x.json"], ["review-export", "RUN", "-o", "x.jsonl"]]
)
def test_a_run_that_has_not_finished_is_said(site, words):
    (site.folder.path / "summary.json").unlink()
    result = zhenyan(*(site.folder.path if word == "RUN" else word for word in words))
    assert isinstance(result.exception, InputError)
    assert "hasn't finished; repeat its command" in str(result.exception)


def test_a_folder_with_a_chinese_name_is_told_as_it_is(tmp_path):
    (tmp_path / "直播 一").mkdir()
    run = make_run(tmp_path / "直播 一", [finding(1)], "test-1").path
    assert f"{run}/review.db: no such review database" in str(zhenyan("reviewers", "list", "--run", run).exception)


@pytest.mark.parametrize("words", [["list"], ["remove", "王"], ["role", "王", "lead"]])
def test_asking_for_reviewers_makes_no_database(tmp_path, words):
    run = make_run(tmp_path, [finding(1)], "test-1").path
    result = zhenyan("reviewers", *words, "--run", run)
    assert isinstance(result.exception, ConfigError)
    assert "no such review database; `zhenyan reviewers add`" in str(result.exception)
    assert not (run / "review.db").exists()


def test_evidence_where_reviewers_are_but_no_review(tmp_path):
    bundle = load_bundle(make_bundle(tmp_path / "bundle"))
    run = make_run(tmp_path, [finding(1)], bundle.id).path
    zhenyan("reviewers", "add", "王", "--run", run, "--password-stdin", stdin=PASSWORD)
    result = zhenyan("evidence", run, "f000001", "-o", tmp_path / "c.json", "--model", bundle.folder)
    assert (result.exit_code, "0 decisions" in result.output) == (0, True)


def test_evidence_without_a_review(tmp_path):
    bundle = load_bundle(make_bundle(tmp_path / "bundle"))
    run = make_run(tmp_path, [finding(1)], bundle.id).path
    assert (
        "0 decisions" in zhenyan("evidence", run, "f000001", "-o", tmp_path / "c.json", "--model", bundle.folder).output
    )
    assert not (run / "review.db").exists()
    (tmp_path / "bom.json").write_bytes(codecs.BOM_UTF8 + (tmp_path / "c.json").read_bytes())  # as some editors save it
    assert read_case(tmp_path / "bom.json") == read_case(tmp_path / "c.json")


def test_the_base_install_makes_evidence_without_the_review_extra(tmp_path):
    """Nothing of the extra is imported on the way."""
    bundle = load_bundle(make_bundle(tmp_path / "bundle"))
    run = make_run(tmp_path, [finding(1)], bundle.id).path
    code = (
        "import sys\n"
        "for name in ('sqlalchemy', 'alembic', 'fastapi', 'uvicorn', 'argon2', 'itsdangerous', 'psycopg'): sys.modules[name] = None\n"
        "from zhenyan.inference.cli import app, ZhenyanError\n"
        f"try: app(['evidence', {str(run)!r}, 'f000001', '-o', {str(tmp_path / 'c.json')!r}, '--model', {str(bundle.folder)!r}])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"try: app(['reviewers', 'list', '--run', {str(run)!r}])\n"
        "except ZhenyanError as error: print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install '.[review]'" in result.stdout, result.stderr
    assert (tmp_path / "c.json").exists()


@pytest.mark.parametrize("package", ["argon2", "itsdangerous", "python_multipart"])
def test_a_package_that_only_the_review_extra_brings_is_named(command, tmp_path, monkeypatch, package):
    """MLflow brings SQLAlchemy, Alembic and FastAPI."""
    run = make_run(tmp_path, [finding(1)], load_bundle().id).path
    monkeypatch.setitem(sys.modules, package, None)
    for asked in (
        ("review", run),
        ("reviewers", "list", "--run", run),
        ("review-export", run, "-o", tmp_path / "rows.jsonl"),
    ):
        code, told = command(*map(str, asked))
        assert code == 2 and f"this needs {package}, which is not installed" in told and "'.[review]'" in told
