"""The pages over HTTP: what they show of texts, progress and other runs, and what they refuse who may not."""

import html
import re

import pytest
from review_helpers import PASSWORD, Browser, decide, disputed, finding, make_site, user
from sqlalchemy.exc import OperationalError
from zhenyan.inference.review.desk import Wanted
from zhenyan.inference.review.errors import LoginLocked, LoginRefused
from zhenyan.inference.review.listing import find
from zhenyan.inference.review.web.site import excerpt

COPY = {"file": "copy.txt", "place": "line 7", "row": 7}


def test_the_queue_says_where_a_text_without_a_time_stands_as_its_own_page_does(tmp_path):
    ann = Browser(make_site(tmp_path, [finding(1, place=COPY, times=[COPY]), finding(2)]), "ann")
    queue = ann.get("/?sort=stream").text
    told = re.findall(r'<br><span class="meta">([^<]*)</span></td>', queue)
    assert told == ["line 7 copy.txt", "0:00:10"]
    for key, time in zip(("f000001", "f000002"), told, strict=True):
        assert f"<span>{time}</span>" in ann.get(f"/finding/{key}").text


def test_the_progress_counts_what_was_decided(tmp_path):
    site = make_site(tmp_path, second_share=1.0)
    disputed(site)
    for name in ("ann", "ben"):
        decide(site, "f000002", [], name)
    decide(site, "f000003", None)  # its second reading is still to come
    assert '<progress id="done" max="6" value="1">' in Browser(site, "ann").get("/").text


@pytest.mark.parametrize("step", ["decide", "skip"])
def test_a_reading_in_anothers_hands_is_refused(site, step):
    item = site.desk.claim(user(site, "ann"), Wanted())
    form = {"verdict": "reject", "version": str(item.version), "key": item.finding.key}
    answer = Browser(site, "ben").submit(f"/work/{item.reading}/{step}", **form)
    assert (answer.status_code, "another reviewer has it" in answer.text) == (409, True)
    assert find(site.database, site.run, "f000001")[0].state == "open"
    assert site.desk.current(user(site, "ann")) == item


def test_of_two_leads_who_question_a_decision_the_later_one_reads_that_it_is_to_be_settled(site):
    decide(site, "f000001", None)
    lea = Browser(site, "lea", language="zh")
    said = [lea.submit(f"/finding/{key}/question").text for key in ("f000001", "f000001", "f000002")]
    assert [("f000001：已待组长裁定" in text, "f000002：尚未作出决定" in text) for text in said] == [
        (False, False), (True, False), (False, True),
    ]  # fmt: skip


@pytest.mark.parametrize("step", ["decide", "skip"])
def test_who_is_no_lead_any_more_settles_nothing(tmp_path, step):
    site = make_site(tmp_path, second_share=1.0)
    item = disputed(site)
    site.accounts.set_role("lea", "reviewer")
    form = {"verdict": "accept", "version": str(item.version), "key": "f000001", "settle": "1"}
    answer = Browser(site, "lea").submit(f"/work/{item.reading}/{step}", **form)
    assert (answer.status_code, "a lead is to settle it" in answer.text) == (409, True)
    assert find(site.database, site.run, "f000001")[0].state == "disputed"


def test_a_verdict_that_there_is_not_decides_nothing(site, ann):
    item = site.desk.claim(user(site, "ann"), Wanted())
    for verdict in ("", "maybe"):
        form = {"verdict": verdict, "version": str(item.version), "labels": ["price_fraud"]}
        assert ann.submit(f"/work/{item.reading}/decide", **form).status_code == 400
    assert find(site.database, site.run, "f000001")[0].state == "open"


def test_what_is_held_in_one_run_is_not_shown_in_another(tmp_path, site):
    other = make_site(tmp_path / "other", [finding(1, "另一句")], site.database)
    item = site.desk.claim(user(site, "ann"), Wanted())
    assert other.desk.current(user(other, "ann")) is None
    page = Browser(other, "ann").get("/work").text
    assert "三高" not in page and f"/work/{item.reading}/decide" not in page
    assert f"/work/{item.reading}/decide" in Browser(site, "ann").get("/work").text


def test_admins_do_not_change_their_own_role(site):
    adm = Browser(site, "adm")
    site.accounts.set_role("lea", "admin")  # so that one would be left
    assert adm.submit("/reviewers", do="role", name="adm", role="reviewer").status_code == 403
    assert user(site, "adm").role == "admin"


def test_chinese_pages_name_roles_in_chinese(site):
    adm = Browser(site, "adm", language="zh")
    assert adm.submit("/reviewers", do="role", name="ben", role="lead").status_code == 200
    refused = Browser(site, "ann", language="zh").get("/log").text
    assert "此操作需要角色“组长”，您的角色为“审查员”" in refused
    unknown = adm.submit("/reviewers", do="role", name="ben", role="boss").text
    assert "可用角色为 审查员、组长、管理员" in unknown
    entry = re.search(r"更改角色</td>.*", adm.get("/log").text)[0]
    assert re.findall(r"<td>([^<]*)</td>", entry)[-2:] == ["审查员", "ben 组长"]


@pytest.mark.parametrize(
    ("path", "said"),
    [("/finding/f999999", "f999999：本次运行中没有该发现"), ("/finding/f999999/case.json", "f999999：本次运行中没有该发现"),
     ("/stream/99", "99：本次运行中没有该直播间"), ("/export/docx", "docx：没有这种导出，可导出 rows、")],
)  # fmt: skip
def test_chinese_pages_say_what_there_is_not(site, path, said):
    answer = Browser(site, "lea", language="zh").get(path)
    assert (answer.status_code, said in answer.text) == (404, True)


@pytest.mark.parametrize(("hx", "page"), [(False, "无法完成"), (True, '<div id="work"')])
def test_a_form_that_is_too_large_is_refused_on_a_page_with_which_one_goes_on(site, hx, page):
    ann = Browser(site, "ann", language="zh")
    answer = ann.submit("/start", hx=hx, label="类" * 30_000)  # nine bytes each
    assert (answer.status_code, "提交的内容超过 200,000 字节" in answer.text, page in answer.text) == (413, True, True)
    assert answer.headers["x-frame-options"] == "DENY"
    token = re.search(r'name="csrf" value="([^"]+)"', answer.text)[1]
    assert ann.post("/start", data={"csrf": token}).status_code == 200


def test_chinese_pages_say_that_a_run_cannot_be_read_and_what_ails_it(site):
    (site.folder.path / "streams.jsonl").write_text("{", encoding="utf-8")
    answer = Browser(site, "ann", language="zh").get("/stream/1").text
    assert "无法读取本次运行的文件，请联系管理员检查运行文件夹：" in answer and "streams.jsonl" in answer


@pytest.mark.parametrize("hx", [False, True])
def test_a_database_that_cannot_be_reached_is_said_and_the_way_back_leads_on(site, monkeypatch, hx):
    ann = Browser(site, "ann", language="zh")
    form, headers = {"csrf": ann.token(), "verdict": "accept", "note": "竞品"}, {"HX-Request": "true"} if hx else {}
    with monkeypatch.context() as down:
        lost = OperationalError("SELECT", {}, Exception("connection refused"))
        down.setattr(type(site.logins), "who", lambda *_: (_ for _ in ()).throw(lost))
        answer = ann.post("/work/1/decide", data=form, headers=headers)
    assert (answer.status_code, "无法连接审查数据库" in answer.text, "竞品" in answer.text) == (503, True, True)
    assert ann.get("/work" if hx else "/").status_code == 200
    assert ('action="/start"' in answer.text, 'href="/work"' in answer.text) == (False, hx)


def test_what_the_command_line_did_is_named_in_the_language_of_the_log(site):
    for language, who in (("zh", "（命令行）"), ("en", "(command line)")):
        assert f">{who}</td>" in Browser(site, "lea", language=language).get("/log").text


def test_of_a_long_line_only_the_evidence_in_its_excerpt_is_marked():
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 2000)))
    shown = str(excerpt(text, [{"start": at, "end": at + 4, "label": "food_safety"} for at in (1000, 1900)]))
    assert re.findall(r"<mark[^>]*>([^<]*)</mark>", shown) == [text[1000:1004]]
    assert re.sub(r"<[^>]*>", "", shown) == f"…{text[800:1400]}…"


class Recorder:
    """A password hasher that tells which hashes it was given, none of which is right."""

    def __init__(self, hasher):
        self.hasher, self.given = hasher, []

    def hash(self, password):
        return self.hasher.hash(password)

    def verify(self, hashed, password):
        self.given.append(hashed)
        return self.hasher.verify(hashed, password)


def test_an_unknown_name_takes_as_much_time_as_a_known_one(site):
    """Else who asks could tell the names that there are."""
    site.accounts.remove("ben")
    site.accounts.hasher = recorder = Recorder(site.accounts.hasher)
    for name in ("ann", "nobody", "ben"):
        assert site.accounts.verify(name, "wrong wrong") is None
    known, *others = recorder.given
    assert len(others) == 2 and known not in others and all(one.startswith("$argon2") for one in others)


def test_an_office_behind_one_address_is_not_locked_out_by_its_own_logins(tmp_path):
    site = make_site(tmp_path, address_failures=3)
    for _ in range(2):
        for name in ("ann", "ben", "lea", "adm"):
            assert site.logins.enter(name, PASSWORD, "10.0.0.1")
    for name, fault in (
        ("n1", LoginRefused),
        ("n2", LoginRefused),
        ("ann", None),
        ("n3", LoginRefused),
        ("n4", LoginLocked),
    ):
        if fault is None:  # doesn't wipe what was counted before it
            assert site.logins.enter(name, PASSWORD, "10.0.0.1")
        else:
            with pytest.raises(fault):
                site.logins.enter(name, "wrong wrong", "10.0.0.1")


def test_pages_in_chinese_have_its_marks_and_its_clock(tmp_path):
    site = make_site(tmp_path)
    decide(site, "f000001", ["price_fraud"], note="另案处理")
    lea = Browser(site, "lea", language="zh")
    for key in ("f000001", "f000002"):
        lea.submit(f"/finding/{key}/open")
    pages = [lea.get(f"/{name}").text for name in ("", "work", "finding/f000001", "finding/f000002", "numbers", "log")]
    text = "\n".join(re.sub(r"<[^>]+>", "", page) for page in pages)
    assert re.findall(r".*\w\s*:\s.*", text) == [] and "UTC" not in text
    assert "模型标注：类别1" in text and re.search(r"ann：类别2 北京时间 2\d{3}-\d\d-\d\d \d\d:\d\d", text)
    assert "The model's label: " in re.sub(
        r"<[^>]+>", "", html.unescape(Browser(site, "lea").get("/finding/f000001").text)
    )
