"""The report in a real browser: with ten thousand findings, in both languages, on a phone, on paper."""

from __future__ import annotations

import pytest
from contrast import POOR_CONTRAST
from report_helpers import HOSTILE, finding, make_run, many_findings, stream_record
from zhenyan.inference import load_bundle, report
from zhenyan.inference.law import citation
from zhenyan.inference.report import write_report

pytestmark = pytest.mark.slow


def write(folder, found):
    """The path of a report of these findings, all of one stream."""
    streams = [stream_record("茶叶直播间", found, start=0.0, end=50_000.0)]
    write_report(make_run(folder, found, streams), load_bundle(), folder / "report.html")
    return folder / "report.html"


@pytest.fixture
def page(tmp_path, chromium):
    """A page that shows a report; any message of the browser, and any request but its own, is a failure."""
    path = write(tmp_path, [finding(1, text=HOSTILE * 50, evidence=[], count=2), *many_findings(10_000)[1:]])
    page, said = chromium.new_page(viewport={"width": 1200, "height": 900}), []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if request.url != path.as_uri() else None)
    page.goto(path.as_uri())
    yield page
    assert said == [] and page.title() == "真言 zhenyan · 审查报告 Report"
    page.close()


def test_a_reviewer_finds_their_way(page):
    shown = page.locator("article:visible")
    assert page.locator("#shown").inner_text() == "显示 10,000 项，共 10,000 项"
    page.locator("#label").select_option("price_fraud")
    assert page.locator("#shown").inner_text() == "显示 1,000 项，共 1,000 项" and shown.count() == 1000
    page.locator("#label").select_option("")
    page.locator("#find").fill("f000123")
    assert page.locator("#shown").inner_text() == "显示 1 项，共 10,000 项"
    shown.locator("summary").click()
    assert shown.get_by_text("前一句").is_visible()
    page.locator("#find").fill(" F000123 ")
    assert page.locator("#shown").inner_text() == "显示 1 项，共 10,000 项"


def test_the_law_stands_in_the_cards_near_the_window_and_is_searched_for_all(page):
    label = next(label for label in load_bundle().labels if label.id == "price_fraud")
    assert 0 < page.locator("article dl").count() < 1000
    page.locator("#f009990").scroll_into_view_if_needed()
    page.locator("#f009990 dl").get_by_text(citation(label.articles)[0]).first.wait_for()
    page.locator("#find").fill(citation(label.articles)[0])
    assert page.locator("#shown").inner_text() == "显示 1,000 项，共 10,000 项"


def test_the_status_tells_how_many_of_a_heading_are_left_out(tmp_path, chromium, monkeypatch):
    monkeypatch.setattr(report, "MAX_FINDINGS", 40)
    page = chromium.new_page()
    page.goto(
        write(tmp_path, [finding(n, label="food_safety" if n <= 60 else "price_fraud") for n in range(1, 91)]).as_uri()
    )
    page.get_by_role("button", name="English / 中文").click()
    assert page.locator("#shown").inner_text() == "40 of 90 shown"
    page.locator("#label").select_option("price_fraud")
    assert page.get_by_role("status").inner_text() == "10 of 30 shown" and page.locator("article:visible").count() == 10
    page.locator("svg g[data-label=price_fraud]").last.dispatch_event("click")  # a mark of a finding left out
    assert page.locator("#label").input_value() == "price_fraud" and page.url.endswith("report.html")
    page.close()


def test_without_script_a_card_leads_to_its_law(tmp_path, chromium):
    page = chromium.new_page(java_script_enabled=False)
    page.goto(write(tmp_path, many_findings(20)).as_uri())
    law = page.locator("#law-price_fraud")
    assert not law.is_visible()
    page.locator("#f000020 > a").click()
    law.wait_for(state="visible")
    page.close()


def test_both_languages_and_a_phone(page):
    assert page.get_by_role("heading", name="发现，按风险排序").is_visible()
    page.get_by_role("button", name="English / 中文").press("Enter")
    assert page.get_by_role("heading", name="Findings, riskiest first").is_visible()
    assert not page.get_by_role("heading", name="发现，按风险排序").is_visible()
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_mark_of_the_timeline_leads_to_a_card_that_the_filter_hides(page):
    mark = page.locator('svg a[href="#f000005"]')
    assert mark.get_attribute("tabindex") == "-1"
    for _ in range(2):  # the second time the address names the card already
        page.locator("#label").select_option("price_fraud")
        assert not page.locator("#f000005").is_visible()
        mark.dispatch_event("click")
        page.locator("#f000005").wait_for(state="visible")
        assert page.locator("#label").input_value() == ""
        assert page.locator("#shown").inner_text() == "显示 10,000 项，共 10,000 项"
    page.locator("#find").fill("f000123")
    page.evaluate("location.hash = '#f000007'")
    page.locator("#f000007").wait_for(state="visible")
    bar = page.locator(".tools").bounding_box()
    page.wait_for_function(
        "y => document.querySelector('#f000007 > a').getBoundingClientRect().top >= y", arg=bar["height"]
    )
    assert page.locator("#label option").first.inner_text() == "全部 all"


@pytest.mark.parametrize("width", [390, 640, 844, 1200])
def test_a_mark_leads_to_a_card_that_the_bar_leaves_free(tmp_path, chromium, width):
    page = chromium.new_page(viewport={"width": width, "height": 800})
    page.goto(write(tmp_path, many_findings(60)).as_uri())
    for card in ("f000040", "f000005"):
        page.locator(f'svg a[href="#{card}"]').dispatch_event("click")
        page.wait_for_function("hash => location.hash === hash", arg=f"#{card}")
        page.wait_for_timeout(200)
        bar, top = page.locator(".tools").bounding_box(), page.locator(f"#{card}").bounding_box()["y"]
        assert bar["y"] + bar["height"] <= top < 400
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground_in_both_colour_schemes(tmp_path, chromium, scheme):
    labels = [label.id for label in load_bundle().labels]
    found = [finding(n, label=label, stream=f"s{n % 3}") for n, label in enumerate(labels, 1)]
    streams = [stream_record(f"s{n}", found[n - 1 :: 3]) | {"verdict": verdict}
               for n, verdict in enumerate(("high", "medium", "low"))]  # fmt: skip
    write_report(make_run(tmp_path, found, streams), load_bundle(), tmp_path / "report.html")
    page = chromium.new_page(color_scheme=scheme)
    page.goto((tmp_path / "report.html").as_uri())
    page.locator("details > summary.bar").first.click()
    assert page.locator("article > a").count() == len(labels) and page.locator("[class^=verdict]").count() == 3
    assert page.evaluate(POOR_CONTRAST) == []
    page.close()


def test_on_paper_the_folded_lines_are_seen(page):
    page.locator("#find").fill("f000002")
    page.emulate_media(media="print")
    assert not page.locator(".tools").is_visible()
    assert page.locator("#f000002 details p").first.is_visible()
    assert page.locator("#law-food_safety").is_visible()
