"""The pages over HTTP: logins, CSRF, roles, headers, deciding with and without HTMX, hostile text."""

import re
from datetime import timedelta

import pytest
from review_helpers import HOSTILE, PASSWORD, PEOPLE, Browser, finding, make_site
from zhenyan.inference.review.listing import find
from zhenyan.inference.review.web.account import local
from zhenyan.inference.review.web.app import create_app


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """A site that no test changes."""
    return make_site(tmp_path_factory.mktemp("still"))


def state(site, key="f000001"):
    return find(site.database, site.run, key)[0].state


def start(browser, **wanted):
    page = browser.submit("/start", **wanted)
    return (
        page,
        re.search(r'action="(/work/\d+)/decide"', page.text)[1],
        re.search(r'"version" value="(\d+)"', page.text)[1],
    )


POSTS = ("/login", "/logout", "/language", "/account", "/start", "/work/1/decide", "/work/1/skip", "/undo",
         "/finding/f000001/open", "/finding/f000001/question", "/stream/1/mark", "/reviewers")  # fmt: skip
OF_LEADS = ("/export", "/log", "/export/rows", "/export/configuration")
PAGES = ("/", "/work", "/numbers", "/account", "/finding/f000001", "/export", "/log", "/reviewers")


def test_every_post_is_in_the_list(site):
    routes = {
        re.sub(r"{\w+}", lambda m: "1" if m[0] in ("{reading}", "{number}") else "f000001", route.path)
        for route in _routes(create_app(site))
        if "POST" in getattr(route, "methods", ())
    }
    assert routes == set(POSTS)


def _routes(app):
    for route in app.routes:
        inner = getattr(route, "original_router", None) or getattr(route, "router", None)
        yield from inner.routes if inner is not None else [route]


@pytest.mark.parametrize("path", POSTS)
def test_no_post_without_ones_own_token(still, path):
    browser, stranger = Browser(still, "adm"), Browser(still, "ann")
    data = {"name": "ann", "password": PASSWORD, "do": "remove", "verdict": "accept", "language": "en"}
    for token in (
        {},
        {"csrf": ""},
        {"csrf": "made up"},
        {"csrf": stranger.token()},
        {"csrf": Browser(still).token("/login")},
    ):
        assert browser.post(path, data=data | token).status_code == 403, token
    assert state(still) == "open"
    assert all(person.active for person in still.accounts.all())


def test_a_token_is_good_for_a_day(site, monkeypatch):
    browser = Browser(site, "ann")
    token = browser.token()
    monkeypatch.setattr("itsdangerous.TimestampSigner.get_timestamp", lambda self: 2_000_000_000)
    assert browser.post("/start", data={"csrf": token}).status_code == 403


@pytest.mark.parametrize("path", PAGES)
def test_pages_need_a_login(still, path):
    answer = Browser(still).get(path, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login")


def test_htmx_is_sent_to_the_login_when_the_login_ended(site, ann, clock):
    token = ann.token()
    clock.forward(hours=2)
    for answer, there in (
        (ann.post("/undo", data={"csrf": token}, headers={"HX-Request": "true"}), "/login"),
        (ann.get("/work", headers={"HX-Request": "true"}), "/login?next=/work"),
    ):
        assert (answer.status_code, answer.headers["hx-redirect"]) == (401, there)
    assert ann.submit("/login", page="/login", name="ann", password=PASSWORD).url.path == "/"


@pytest.mark.parametrize(("path", "role"), [(path, "lead") for path in OF_LEADS] + [("/reviewers", "admin")])
def test_pages_of_leads_and_admins_are_closed_to_lower_roles(still, path, role):
    ranks = ["reviewer", "lead", "admin"]
    for name, has in PEOPLE.items():
        expected = 200 if ranks.index(has) >= ranks.index(role) else 403
        assert Browser(still, name).get(path).status_code == expected, name


def test_a_role_that_was_taken_away_is_gone_at_once(site):
    lea = Browser(site, "lea")
    assert lea.get("/log").status_code == 200
    site.accounts.set_role("lea", "reviewer")
    assert lea.get("/log").status_code == 403


def test_wrong_passwords_are_refused_then_locked_out(site):
    browser = Browser(site)
    answers = [browser.submit("/login", page="/login", name="ann", password="wrong wrong") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert "wrong name or password" in answers[0].text
    assert browser.submit("/login", page="/login", name="ann", password=PASSWORD).status_code == 429


def test_an_unknown_name_is_answered_like_a_wrong_password(site):
    browser = Browser(site)
    texts = [re.search(r'role="alert">([^<]+)', browser.submit("/login", page="/login", name=name, password="x" * 12).text)[1]
             for name in ("ann", "nobody", "' OR 1=1 --")]  # fmt: skip
    assert len(set(texts)) == 1


def test_an_address_that_tries_many_names_is_locked_out(tmp_path):
    site = make_site(tmp_path, address_failures=3, lockout=timedelta(minutes=5))
    browser = Browser(site)
    answers = [
        browser.submit("/login", page="/login", name=f"n{n}", password="wrong wrong").status_code for n in range(4)
    ]
    assert answers == [401, 401, 401, 429]


@pytest.mark.parametrize(
    ("scheme", "cookie", "secure"), [("http", "zhenyan", False), ("https", "__Host-zhenyan", True)]
)
def test_the_login_cookie_is_secure_over_https_and_never_for_scripts(site, scheme, cookie, secure):
    browser = Browser(site, base_url=f"{scheme}://testserver")
    answer = browser.post("/login", data={"csrf": browser.token("/login"), "name": "ann", "password": PASSWORD},
                          follow_redirects=False)  # fmt: skip
    (given,) = [value for value in answer.headers.get_list("set-cookie") if value.startswith(f"{cookie}=")]
    assert "HttpOnly" in given
    assert "samesite=strict" in given.lower()
    assert ("Secure" in given) is secure
    assert ("strict-transport-security" in answer.headers) is secure


def test_https_behind_a_proxy(tmp_path):
    site = make_site(tmp_path, https=True)
    answer = Browser(site).get("/login")
    assert "__Host-zhenyan-visitor" in answer.headers["set-cookie"]
    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("path", [*PAGES, "/login", "/nowhere", "/static/review.js", "/work/x/decide"])
def test_headers_confine_every_answer(still, path):
    answer = Browser(still, "adm").get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    if not path.startswith("/static"):
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("path", [*PAGES, "/login"])
def test_pages_are_well_made(still, path, language):
    """Landmarks, a title, one h1, a label for every field, no inline script, style or handler."""
    browser = Browser(still, None if path == "/login" else "adm", language=language)
    if path == "/work":
        start(browser)
    answer = browser.get(path)
    html = answer.text
    assert answer.status_code == 200
    assert f'<html lang="{"zh-CN" if language == "zh" else "en"}"' in html
    assert html.count("<main") == html.count("<h1") == html.count("<header") == 1
    assert re.search(r"<title>[^<·]+·", html)
    assert not re.search(r"<script(?! src=)|\son\w+=|\sstyle=", html)
    labelled = set(re.findall(r'<label for="([\w-]+)"', html))
    for tag in re.findall(r"<(?:input|select|textarea)\b[^>]*>", html):
        if 'type="hidden"' not in tag and 'type="checkbox"' not in tag:
            name = re.search(r'id="([\w-]+)"', tag)
            assert "aria-label" in tag or (name and name[1] in labelled), tag
    assert not re.search(r"<button[^>]*>\s*</button>", html)


def test_the_language_is_remembered(site):
    browser = Browser(site, language="fr,en;q=0.5")
    assert "Log in" in browser.get("/login").text
    page = browser.submit("/language", page="/login", language="zh", next="/login")
    assert "登录" in page.text
    assert browser.submit("/language", page="/login", language="xx", next="/login").status_code == 200


@pytest.mark.parametrize(
    ("target", "expected"),
    [("/log", "/log"), ("//evil.example", "/"), ("/\\evil.example", "/"), ("https://evil.example", "/"),
     ("/a\r\nX: y", "/"), ("", "/")],
)  # fmt: skip
def test_a_login_leads_only_to_this_site(target, expected):
    assert local(target) == expected


def test_deciding_without_htmx(site, ann):
    page, action, version = start(ann)
    assert all(
        part in page.text
        for part in ("<mark>", "前一句", "后一句", "《食品安全法》第七十一条", "食品安全法第一百四十条")
    )
    page = ann.submit(f"{action}/decide", verdict="accept", version=version)
    assert state(site) == "accepted"
    assert "f000002" in page.text
    page = ann.submit("/undo")
    assert state(site) == "open"
    assert "f000001" in page.text


def test_deciding_with_htmx_gives_the_next_part(site, ann):
    _, action, version = start(ann)
    part = ann.submit(f"{action}/decide", hx=True, verdict="reject", version=version, key="f000001")
    assert part.text.lstrip().startswith('<div id="work"')
    assert "f000001 rejected" in part.text
    assert "f000002" in part.text
    part = ann.submit("/undo", hx=True)
    assert "f000001 taken back" in part.text


def test_relabelling(site, ann):
    _, action, version = start(ann)
    refused = ann.submit(f"{action}/decide", hx=True, verdict="relabel", version=version)
    assert refused.status_code == 400
    assert "choose at least one label" in refused.text
    unknown = ann.submit(f"{action}/decide", hx=True, verdict="relabel", version=version, labels=["no_such_label"])
    assert unknown.status_code == 400
    ann.submit(f"{action}/decide", verdict="relabel", version=version, labels=["price_fraud", "false_propaganda"])
    row, _ = find(site.database, site.run, "f000001")
    assert (row.state, row.labels) == ("relabelled", ["false_propaganda", "price_fraud"])


def test_a_skipped_finding_makes_room_for_the_next(site, ann):
    _, action, version = start(ann)
    page = ann.submit(f"{action}/skip", version=version, key="f000001", hx=True)
    assert "f000001 skipped" in page.text
    assert "f000002" in page.text


def test_a_stale_page_is_told_so(site, ann):
    _, action, _ = start(ann)
    for hx in (True, False):
        answer = ann.submit(f"{action}/decide", hx=hx, verdict="accept", version="0")
        assert answer.status_code == 409
        assert "not kept" in answer.text
    assert state(site) == "open"
    assert ann.submit("/undo").status_code == 409


def test_the_choice_of_label_and_stream_is_kept_from_one_to_the_next(tmp_path):
    site = make_site(
        tmp_path, [finding(1), finding(2, label="price_fraud"), finding(3), finding(4, label="price_fraud")]
    )
    ann = Browser(site, "ann")
    page, action, version = start(ann, label="price_fraud")
    assert "f000002" in page.text
    page = ann.submit(f"{action}/decide", verdict="accept", version=version, label="price_fraud")
    assert "f000004" in page.text


def test_the_queue_filters_and_turns_pages(tmp_path):
    records = [finding(n, label="price_fraud" if n % 2 else "food_safety", stream=f"s{n % 3}") for n in range(1, 121)]
    ann = Browser(make_site(tmp_path, records), "ann")
    page = ann.get("/").text
    assert page.count('<a href="/finding/') == 50
    assert "1 / 3" in page
    assert "f000120" in ann.get("/?page=3").text
    assert ann.get("/?label=price_fraud&stream=s1").text.count('<a href="/finding/') == 20
    assert "No findings here" in ann.get("/?state=accepted").text
    for odd in ("page=-1", "page=x", "page=99999999999", "state=%00", "sort=;drop", "label=%27"):
        assert ann.get(f"/?{odd}").status_code == 200


def test_logging_out_gives_back_what_was_held(site, ann):
    start(ann)
    ann.submit("/logout")
    assert ann.get("/", follow_redirects=False).status_code == 303
    page, _, _ = start(Browser(site, "ben"))
    assert "f000001" in page.text


def test_opening_one_finding_and_looking_at_its_history(site, ann):
    page = ann.submit("/finding/f000004/open")
    assert "f000004" in page.text
    ben = Browser(site, "ben")
    assert ben.submit("/finding/f000004/open").status_code == 409
    assert ben.get("/finding/f999999").status_code == 404
    action, version = (re.search(p, page.text)[1] for p in (r'action="(/work/\d+)/decide"', r'"version" value="(\d+)"'))
    ann.submit(f"{action}/decide", verdict="accept", version=version)
    assert "History" in ben.get("/finding/f000004").text


def test_second_readings_are_blind(tmp_path):
    site = make_site(tmp_path, second_share=1.0)
    ann, ben = Browser(site, "ann"), Browser(site, "ben")
    _, action, version = start(ann)
    ann.submit(f"{action}/decide", verdict="reject", version=version)
    seen = ben.get("/finding/f000001").text + start(ben)[0].text
    assert "f000001" in seen
    assert not any(word in seen for word in (">ann<", "History", "compliant)"))
    assert "History" in Browser(site, "lea").get("/finding/f000001").text


def test_a_dispute_from_the_queue(tmp_path):
    site = make_site(tmp_path, second_share=1.0)
    for name, verdict in (("ann", "reject"), ("ben", "accept")):
        browser = Browser(site, name)
        _, action, version = start(browser)
        browser.submit(f"{action}/decide", verdict=verdict, version=version)
    assert state(site) == "disputed"
    lea = Browser(site, "lea")
    assert "Settle disputes" in lea.get("/?state=disputed").text
    page, action, version = start(lea, settle="1")
    assert all(name in page.text for name in ("<b>ann</b>", "<b>ben</b>"))
    lea.submit(f"{action}/decide", verdict="accept", version=version)
    assert state(site) == "accepted"
    lea.submit("/finding/f000001/question")
    assert state(site) == "disputed"


def test_numbers_show_reviewers_only_their_own_pace(site, ann):
    ben = Browser(site, "ben")
    for browser in (ann, ben):
        _, action, version = start(browser)
        browser.submit(f"{action}/decide", verdict="accept", version=version)
    page = ann.get("/numbers").text
    assert 'scope="row">ann<' in page
    assert 'scope="row">ben<' not in page
    assert all(f'scope="row">{name}<' in Browser(site, "lea").get("/numbers").text for name in ("ann", "ben"))


def test_admins_manage_reviewers(site):
    adm = Browser(site, "adm")
    adm.submit("/reviewers", do="add", name="新人", role="lead", password="long enough 1")
    assert {p.name: p.role for p in site.accounts.all()}["新人"] == "lead"
    adm.submit("/reviewers", do="role", name="新人", role="reviewer")
    adm.submit("/reviewers", do="password", name="新人", password="other enough 2")
    assert site.accounts.verify("新人", "other enough 2")
    adm.submit("/reviewers", do="remove", name="新人")
    assert site.accounts.verify("新人", "other enough 2") is None
    refusals = [({"do": "add", "name": "ann", "role": "lead", "password": PASSWORD}, "already"),
                ({"do": "add", "name": "x", "role": "boss", "password": PASSWORD}, "unknown"),
                ({"do": "add", "name": "y", "role": "lead", "password": "short"}, "10 to 256"),
                ({"do": "password", "name": "新人", "password": PASSWORD}, "was removed; add them again"),
                ({"do": "role", "name": "nobody", "role": "lead"}, "no reviewer")]  # fmt: skip
    for form, said in refusals:
        answer = adm.submit("/reviewers", **form)
        assert (answer.status_code, said in answer.text) == (400, True), form
    assert adm.submit("/reviewers", do="remove", name="adm").status_code == 403
    assert adm.submit("/reviewers", do="explode", name="ann").status_code == 400
    assert "add reviewer" in adm.get("/log").text


def test_changing_ones_password_ends_the_other_logins(site, ann):
    other = Browser(site, "ann")
    assert ann.submit("/account", old="wrong wrong", password="a new password").status_code == 400
    assert ann.submit("/account", old=PASSWORD, password="short").status_code == 400
    assert "Changed" in ann.submit("/account", old=PASSWORD, password="a new password").text
    assert ann.get("/").status_code == 200
    assert other.get("/", follow_redirects=False).status_code == 303


def test_hostile_text_is_shown_harmless(tmp_path):
    evidence = [{"start": 60_000, "end": 60_004, "text": HOSTILE[60_000:60_004], "label": "food_safety"}]
    site = make_site(
        tmp_path, [finding(1, HOSTILE, evidence=evidence, stream='"><script>', before=["<b>"], after=["\u202e"])]
    )
    adm = Browser(site, "adm")
    page, action, version = start(adm)
    for html in (page.text, adm.get("/").text, adm.get("/finding/f000001").text):
        assert "<script>" not in html
        assert "<img" not in html
        assert not any(odd in html for odd in ("\u202e", "\x00"))
    assert "&lt;script&gt;" in page.text
    assert "<mark>" in page.text
    adm.submit(f"{action}/decide", verdict="accept", version=version)
    assert adm.get("/log").status_code == adm.get("/numbers").status_code == 200


def test_forms_that_are_too_large_are_refused(site, ann):
    assert ann.post("/start", data={"csrf": ann.token(), "label": "x" * 300_000}).status_code == 413
    assert ann.post("/start", content=b"&".join(b"a=1" for _ in range(500)), headers={
        "content-type": "application/x-www-form-urlencoded"}).status_code in (400, 403)  # fmt: skip


def test_an_error_of_ours_tells_nothing(site, ann, monkeypatch):
    monkeypatch.setattr("zhenyan.inference.review.numbers.precision", lambda *_: 1 / 0)
    answer = ann.get("/numbers")
    assert answer.status_code == 500
    assert "internal error" in answer.text
    assert "ZeroDivision" not in answer.text
