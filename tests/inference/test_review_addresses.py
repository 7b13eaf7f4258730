"""Pages over HTTP: what was chosen outlives the language and a login, which belongs to the port of its review."""

import html
import re

import pytest
from review_helpers import PASSWORD, Browser, finding, make_site


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """A site that no test changes."""
    return make_site(tmp_path_factory.mktemp("still"))


def address(answer):
    """Path and query of the page that a request ended on."""
    return answer.url.raw_path.decode()


@pytest.mark.parametrize(
    "path", ["/?state=open&label=food_safety&sort=stream&page=2", "/work?label=food_safety&stream=%E8%8C%B6",
             "/finding/f000003", "/numbers", "/nowhere"]
)  # fmt: skip
def test_another_language_leaves_the_reviewer_on_the_page(still, path):
    browser = Browser(still, "ann")
    here = html.unescape(re.search(r'action="/language">.*?name="next" value="([^"]*)"', browser.get(path).text)[1])
    page = browser.submit("/language", language="zh", next=here)
    assert address(page) == path
    assert 'lang="zh-CN"' in page.text


def test_another_language_after_a_form_that_was_refused(still):
    browser = Browser(still, "ann")
    for form, again in (("/account", "/account"), ("/finding/f000001/open/x", "/"), ("/work/9999/decide", "/")):
        refused = browser.submit(form, old="wrong", password="wrong", version="1", verdict="accept")
        assert refused.status_code >= 400
        assert f'name="next" value="{again}"' in refused.text


def test_a_login_leads_to_the_page_asked_for_with_all_that_was_chosen(still):
    browser, path = Browser(still), "/work?label=food_safety&stream=%E8%8C%B6%26"
    form = browser.get(path)
    assert form.url.path == "/login"
    following = html.unescape(re.search(r'name="next" value="([^"]*)">\n', form.text)[1])
    entered = browser.submit("/login", page=address(form), name="ann", password=PASSWORD, next=following)
    assert address(entered) == path


def test_the_login_form_says_that_a_login_ended(tmp_path, clock):
    site, said = make_site(tmp_path, clock=clock), "Your login has ended"
    ann = Browser(site, "ann")
    assert said not in Browser(site).get("/").text
    clock.forward(hours=2)
    assert said in ann.post("/undo", data={"csrf": ""}).text
    assert said not in ann.submit("/login", page="/login", name="ann", password="wrong password").text
    ann.submit("/login", page="/login", name="ann", password=PASSWORD)
    ann.submit("/logout")
    assert said not in ann.get("/login").text


def test_after_a_login_that_ended_under_a_form_one_is_back_at_it(tmp_path, clock):
    site, path = make_site(tmp_path, clock=clock), "/work?label=food_safety&stream=%E8%8C%B6%26"
    ann = Browser(site, "ann")
    for referer, wanted in ((path, path), ("//elsewhere", "/"), ("", "/")):
        clock.forward(hours=2)
        ann.headers["referer"] = f"http://testserver{referer}" if referer else ""
        form = ann.post("/undo", data={"csrf": ""})
        ended = ann.post("/undo", data={"csrf": "", "note": "  "}, headers={"HX-Request": "true"})
        assert (ended.status_code, ended.headers["hx-redirect"]) == (401, address(form))
        following = html.unescape(re.search(r'name="next" value="([^"]*)">\n', form.text)[1])
        entered = ann.submit("/login", page="/login", name="ann", password=PASSWORD, next=following)
        assert address(entered) == wanted


@pytest.mark.parametrize("headers", [{"HX-Request": "true"}, {}])
def test_a_note_that_came_after_the_login_had_ended_is_shown_with_the_way_to_log_in(tmp_path, clock, headers):
    ann = Browser(make_site(tmp_path, clock=clock), "ann", language="zh")
    ann.submit("/start")
    clock.forward(hours=2)
    ann.headers["referer"] = "http://testserver/work?label=food_safety"
    form = {"csrf": "", "verdict": "reject", "note": "竞品 <b>原话</b>"}
    ended = ann.post("/work/1/decide", data=form, headers=headers)
    assert (ended.status_code, "hx-redirect" in ended.headers) == (401, False)
    assert "登录已失效" in ended.text and "竞品 &lt;b&gt;原话&lt;/b&gt;" in ended.text
    assert 'href="/login?next=/work%3Flabel%3Dfood_safety"' in ended.text


def test_reviews_on_two_ports_of_one_machine_keep_their_logins(tmp_path):
    """A browser keeps cookies by host, and each run has its own database."""
    first = Browser(make_site(tmp_path / "a"), "ann", "http://testserver:8080")
    second = Browser(make_site(tmp_path / "b"), base_url="http://testserver:8081")
    second.cookies = first.cookies
    assert address(second.submit("/login", page="/login", name="ben", password=PASSWORD)) == "/"
    first.cookies = second.cookies
    for browser, name in ((first, "ann"), (second, "ben")):
        assert f'<a href="/account">{name}</a>' in browser.get("/").text


def test_a_browser_that_keeps_no_cookie_is_told_so(tmp_path):
    """Such as one that opens by http what was started with --https; to load the form again would never help."""
    browser = Browser(make_site(tmp_path, https=True))
    answer = browser.submit("/login", page="/login", name="ann", password=PASSWORD)
    assert answer.status_code == 403
    assert "sent no cookie" in answer.text and "https" in answer.text


@pytest.mark.parametrize("host", ["[::1]", "testserver:", "testserver:x", "testserver:999999"])
def test_an_odd_host_gets_pages(still, host):
    answer = Browser(still).get("/login", headers={"host": host})
    assert answer.status_code == 200


@pytest.mark.parametrize("name", ["茶叶\n直播间", "茶叶\r\n直播间", "茶叶\r直播间"])
def test_a_stream_whose_name_has_a_line_break_can_be_chosen(tmp_path, name):
    """A browser sends each line break of a form's value as CR LF."""
    ann = Browser(make_site(tmp_path, [finding(1), finding(2, stream=name)]), "ann")
    listed = ann.get("/").text.partition('id="stream"')[2].partition("</select>")[0]
    options = (html.unescape(value) for value in re.findall(r'value="([^"]+)"', listed))
    (other,) = set(options) - {"茶叶直播间"}
    chosen = re.sub(r"\r\n?|\n", "\r\n", other)
    page = ann.get("/", params={"stream": chosen, "state": "all"})
    assert re.findall(r'<a href="/finding/(\w+)"', page.text) == ["f000002"]
    assert "f000002" in ann.submit("/start", stream=chosen).text


def test_a_decision_that_was_refused_leaves_the_choice_of_label_and_stream(tmp_path):
    records = [finding(1), finding(2, label="price_fraud"), finding(3, label="price_fraud", stream='茶"叶&')]
    ann = Browser(make_site(tmp_path, records), "ann")
    chosen = {"label": "price_fraud", "stream": '茶"叶&', "sort": "stream"}
    page = ann.submit("/start", **chosen).text
    number = re.search(r"/work/(\d+)/decide", page)[1]
    refused = ann.submit(f"/work/{number}/decide", hx=True, verdict="accept", version="99", key="f000003", **chosen)
    assert refused.status_code == 409
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', refused.text)
    again = ann.post("/start", data={name: html.unescape(value) for name, value in fields})
    assert "f000003" in again.text and dict(again.url.params) == chosen


def test_a_lead_whose_decision_was_refused_goes_on_settling(still):
    lea = Browser(still, "lea")
    refused = lea.submit("/work/9999/decide", hx=True, verdict="accept", version="1", settle="1")
    assert (refused.status_code, 'name="settle" value="1"' in refused.text) == (409, True)


def test_a_page_that_the_queue_no_longer_has_leads_to_its_last(tmp_path):
    """As after deciding what stood on it and going back."""
    ann = Browser(make_site(tmp_path, [finding(number) for number in range(1, 61)]), "ann")
    beyond = ann.get("/?label=food_safety&page=3").text
    assert "No findings here" not in beyond
    last = ann.get(html.unescape(re.search(r'<p class="empty">.*?href="([^"]*)"', beyond)[1]))
    assert (last.text.count('href="/finding/'), last.url.params["label"]) == (10, "food_safety")
    assert "No findings here" in ann.get("/?label=price_fraud&page=3").text


def test_what_was_chosen_is_named_where_it_is_used_up(tmp_path):
    """Other findings wait: that nothing is left holds of the choice alone."""
    ann = Browser(make_site(tmp_path, [finding(1), finding(2, label="price_fraud")]), "ann")
    number = re.search(r"/work/(\d+)/decide", ann.submit("/start", label="price_fraud").text)[1]
    form = {"verdict": "accept", "version": "1", "key": "f000002", "label": "price_fraud"}
    done = ann.submit(f"/work/{number}/decide", hx=True, **form).text
    assert "Nothing left for you of what you chose" in done and "<span>price fraud</span>" in done
    assert "Nothing left for you" not in ann.get("/work").text
