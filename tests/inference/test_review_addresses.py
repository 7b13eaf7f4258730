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
