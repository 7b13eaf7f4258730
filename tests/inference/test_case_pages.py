"""`zhenyan evidence`: the cases of all that reviewers accepted, and the page of each on paper."""

import io
import json
import re
import zipfile

import pytest
from review_helpers import HOSTILE, LABELS, Browser, decide, finding, make_bundle, make_run, skip, user
from typer.testing import CliRunner
from zhenyan.inference.bundle import bundle_id, load_bundle, sha256
from zhenyan.inference.case_page import write_page
from zhenyan.inference.cli import app
from zhenyan.inference.errors import BundleError, ConfigError, InputError
from zhenyan.inference.evidence_file import digest, make_case, read_case
from zhenyan.inference.review.marks import mark
from zhenyan.inference.review.undo import undo


@pytest.fixture
def zhenyan(site):
    """`zhenyan evidence` of the site's run with these words."""

    def run(*words):
        words = ["evidence", site.folder.path, "--model", site.bundle.folder, *words]
        return CliRunner().invoke(app, [str(word) for word in words])

    return run


def text_of(page):
    """What a page shows, without markup."""
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]+>", " ", page.read_text(encoding="utf-8"), flags=re.S))


@pytest.fixture
def decided(site):
    """One finding accepted as it is, one under other labels, one rejected, the rest open."""
    decide(site, "f000002", None)
    decide(site, "f000001", ["food_safety", "price_fraud"], "ben", "价格<b>另查")
    decide(site, "f000003", [])
    return site


def test_all_accepted_findings_are_written_each_with_its_page(decided, zhenyan, tmp_path):
    done = zhenyan("--accepted", "-o", tmp_path / "cases" / "week48")
    assert done.exit_code == 0, done.output
    folder = tmp_path / "cases" / "week48"
    names = [f"case-{key}.{ending}" for key in ("f000001", "f000002") for ending in ("html", "json")]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert f"{folder}: 2 cases, 1 accepted as they are, 1 under other labels" in done.output
    for key, who, labels in (("f000001", "ben", ["food_safety", "price_fraud"]), ("f000002", "ann", ["food_safety"])):
        case = read_case(folder / f"case-{key}.json")
        assert (case["finding"]["id"], case["decisions"][0]["who"]) == (key, who)
        assert [label["id"] for label in case["law"]["labels"]] == labels
        assert (
            case["digest"] == digest(case) and f"case-{key}.json: 1 decisions, digest {case['digest']}" in done.output
        )
        alone = zhenyan(key, "-o", tmp_path / "one.json")
        assert alone.exit_code == 0
        one = read_case(tmp_path / "one.json")
        assert {**one, "made": 0, "digest": 0} == {**case, "made": 0, "digest": 0}


def test_lines_that_reviewers_marked_have_no_cases_and_are_counted_apart(decided, zhenyan, tmp_path):
    mark(decided.desk, user(decided, "ann"), "m7-3", finding(7, label="price_fraud"))
    done = zhenyan("--accepted", "-o", tmp_path / "cases")
    told = "2 cases, 1 accepted as they are, 1 under other labels; 1 lines that reviewers marked as missed have none"
    assert (done.exit_code, told in done.output) == (0, True)
    assert len(list((tmp_path / "cases").glob("*.json"))) == 2


def test_a_page_shows_what_a_case_file_needs(decided, zhenyan, tmp_path):
    done = zhenyan("f000001", "-o", tmp_path / "case.json", "--html")
    assert done.exit_code == 0 and f"to print: {tmp_path / 'case.html'}" in done.output
    case, page = read_case(tmp_path / "case.json"), tmp_path / "case.html"
    assert "<mark>第1</mark>句" in page.read_text(encoding="utf-8")
    text = text_of(page)
    for part in (
        "证据单 f000001", "证据文件 case.json", "↑ 前一句", "↓ 后一句", "茶叶直播间", "时间 0:00:05", "结束时间 0:00:09",
        "a.jsonl 第1行", "0.90000 ≥ 0.50000", "模型标注 类别1", "审查决定：已改类", "2026-11-24 17:00:00 ben 改类 类别1、类别2 已改类 价格&lt;b&gt;另查",
        "责任主体 直播间运营者/商家、主播", "审查人（签名） 复核人（签名） 日期", "类别2 · 指导意见第12条", "《食品安全法》第七十一条（视事实适用其一）", "处以罚款。", "zhenyan verify case.json",
        f"证据文件 {case['digest']}", f"输入 a.jsonl {'0' * 64}", decided.bundle.id,
        *(f"模型 {name} {value}" for name, value in decided.bundle.manifest["sha256"].items()),
    ):  # fmt: skip
        assert part in text, part
    assert zhenyan("f000001", "-o", tmp_path / "case.json", "--html").exit_code == 0  # over its own


def test_a_page_says_that_a_text_has_no_time_and_in_which_recording_it_was_heard(tmp_path):
    bundle = load_bundle(make_bundle(tmp_path / "bundle"))
    place = {"file": "一月.jsonl", "place": "line 7 utterance 2", "row": 7, "recording": "茶叶_001.mp4"}
    run = make_run(tmp_path, [finding(1, place=place, times=[place])], bundle.id)
    write_page(make_case(run, bundle, "f000001"), bundle, tmp_path / "case.json")
    assert "时间 无时间码 出处 一月.jsonl 第7行第2句 录像 茶叶_001.mp4 评分" in text_of(tmp_path / "case.html")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("f000003", ("审查决定：已驳回", "无违法类别（合规） 已驳回")),
        ("f000004", ("审查决定：待审查", "尚无审查决定。")),
    ],
)
def test_a_page_says_what_is_rejected_or_open(decided, zhenyan, tmp_path, key, said):
    assert zhenyan(key, "-o", tmp_path / "case.json", "--html").exit_code == 0
    assert all(part in text_of(tmp_path / "case.html") for part in said)


def test_a_page_tells_steps_apart_that_leave_a_finding_open(site, zhenyan, tmp_path):
    decide(site, "f000001", None)
    undo(site.desk, user(site, "ann"))
    skip(site, "f000001")
    assert zhenyan("f000001", "-o", tmp_path / "case.json", "--html").exit_code == 0
    text = text_of(tmp_path / "case.html")
    for step in ("ann 接受 类别1 已接受", "ann 撤销 – 待审查", "ann 跳过 – 待审查"):
        assert step in text, step


def test_a_lead_takes_the_page_to_sign_with_its_file_from_the_review(decided):
    lea = Browser(decided, "lea", language="zh")
    assert 'href="/finding/f000001/case.zip" download>下载证据单（可打印）</a>' in lea.get("/finding/f000001").text
    answer = lea.get("/finding/f000001/case.zip")
    assert 'filename="case-f000001.zip"' in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as both:
        assert sorted(both.namelist()) == ["case-f000001.html", "case-f000001.json"]
        case, page = json.loads(both.read("case-f000001.json")), both.read("case-f000001.html").decode()
    assert case["digest"] == digest(case) and f"<code>{case['digest']}</code>" in page and "价格&lt;b&gt;另查" in page
    assert "zhenyan verify case-f000001.json" in page
    assert Browser(decided, "ann").get("/finding/f000001/case.zip").status_code == 403


def test_nothing_of_a_text_runs_and_lone_surrogates_are_no_fault(tmp_path):
    bundle = load_bundle(make_bundle(tmp_path / "bundle"))
    hostile = f"\ud800{HOSTILE}"
    run = make_run(tmp_path, [finding(1, hostile, stream=hostile, before=[hostile])], bundle.id)
    write_page(make_case(run, bundle, "f000001"), bundle, tmp_path / "case.json")
    page = (tmp_path / "case.html").read_text(encoding="utf-8")
    assert "<script" not in page and "<img" not in page and "\u202e" not in page
    assert not re.search(r"(?:src|href)=\"|url\(|@import|https?:", page)


def test_without_an_accepted_finding_there_are_no_cases(site, zhenyan, tmp_path):
    done = zhenyan("--accepted", "-o", tmp_path / "cases")
    assert (done.exit_code, list((tmp_path / "cases").iterdir())) == (0, []) and "0 cases" in done.output


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        (["-o", "x.json"], ConfigError, "name one finding, such as f000001, or take all that were accepted"),
        (["f000001", "--accepted", "-o", "cases"], ConfigError, "name one finding, such as f000001, or take all"),
        (["--accepted", "-o", "full"], InputError, "full: isn't empty; name a new folder"),
        (["--accepted", "-o", "."], InputError, ".: isn't empty; name a new folder"),
        (["--accepted", "-o", "full/note.html"], InputError, "File exists; name a folder that can be written"),
        (["--accepted", "-o", "out.jsonl.run/cases"], InputError, "belongs to the run"),
        (
            ["f000001", "--html", "-o", "full/note.json"],
            InputError,
            "but it is another file; give the case file another",
        ),
        (["f000001", "-o", "full/note.html"], InputError, "is there already, and is no case file; name another file"),
        (["f000001", "--html", "-o", "full/mine.json"], InputError, "is no case file; name another file"),
        (["f000001", "--html", "-o", "x.html"], InputError, "but it is another file; give the case file another name"),
    ],
)
def test_cases_that_cannot_be_written(decided, zhenyan, tmp_path, monkeypatch, words, kind, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.html").write_text("<p>mine", encoding="utf-8")
    (tmp_path / "full" / "mine.json").write_text('{"finding": "mine"}', encoding="utf-8")
    before = sorted(tmp_path.rglob("*.html")) + sorted(tmp_path.rglob("*.json"))
    refused = zhenyan(*words).exception
    assert isinstance(refused, kind) and said in str(refused)
    assert sorted(tmp_path.rglob("*.html")) + sorted(tmp_path.rglob("*.json")) == before
    assert (tmp_path / "full" / "note.html").read_text(encoding="utf-8") == "<p>mine"
    assert (tmp_path / "full" / "mine.json").read_text(encoding="utf-8") == '{"finding": "mine"}'


def test_another_bundle_leaves_no_folder_behind(decided, zhenyan, tmp_path):
    other = make_bundle(tmp_path / "other")
    thresholds = {key: {"threshold": 0.7} for key in LABELS}
    (other / "thresholds.json").write_text(json.dumps(thresholds), encoding="utf-8")
    manifest = json.loads((other / "manifest.json").read_text("utf-8"))
    manifest["sha256"]["thresholds.json"] = sha256(other / "thresholds.json")
    manifest["bundle_id"] = bundle_id("test", manifest["sha256"])
    (other / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    refused = zhenyan("--accepted", "-o", tmp_path / "cases", "--model", other).exception
    assert isinstance(refused, BundleError) and "name the run's with --model" in str(refused)
    assert not (tmp_path / "cases").exists()


def test_a_run_that_was_never_reviewed_has_no_accepted_findings(tmp_path):
    bundle = load_bundle(make_bundle(tmp_path / "bundle"))
    run = make_run(tmp_path, [finding(1)], bundle.id).path
    words = ["evidence", run, "--accepted", "-o", tmp_path / "cases", "--model", bundle.folder]
    refused = CliRunner().invoke(app, [str(word) for word in words]).exception
    assert isinstance(refused, InputError) and "no review of this run in the database" in str(refused)
    assert not (tmp_path / "cases").exists() and not (run / "review.db").exists()
