"""The report in a real browser: with ten thousand findings, in both languages, on a phone, on paper."""

from __future__ import annotations

import pytest
from report_helpers import HOSTILE, finding, make_run, stream_record
from zhenyan.inference import load_bundle
from zhenyan.inference.report import write_report

pytestmark = pytest.mark.slow


@pytest.fixture
def page(tmp_path, chromium):
    """A page that shows a report; any message of the browser, and any request but its own, is a failure."""
    found = [finding(n, label="price_fraud" if n % 10 == 0 else "food_safety") for n in range(2, 10_001)]
    found.insert(0, finding(1, text=HOSTILE * 50, evidence=[], count=2))
    path = tmp_path / "report.html"
    streams = [stream_record("茶叶直播间", found, start=0.0, end=50_000.0)]
    write_report(make_run(tmp_path, found, streams), load_bundle(), path)
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
    assert page.locator("#shown").inner_text() == "10000 / 10000"
    page.locator("#label").select_option("price_fraud")
    assert page.locator("#shown").inner_text() == "1000 / 10000" and shown.count() == 1000
    page.locator("#label").select_option("")
    page.locator("#find").fill("f000123")
    assert page.locator("#shown").inner_text() == "1 / 10000"
    shown.locator("summary").click()
    assert shown.get_by_text("前一句").is_visible()


def test_both_languages_and_a_phone(page):
    assert page.get_by_role("heading", name="发现，按风险排序").is_visible()
    page.get_by_role("button", name="English / 中文").press("Enter")
    assert page.get_by_role("heading", name="Findings, riskiest first").is_visible()
    assert not page.get_by_role("heading", name="发现，按风险排序").is_visible()
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_on_paper_the_folded_lines_are_seen(page):
    page.locator("#find").fill("f000002")
    page.emulate_media(media="print")
    assert not page.locator(".tools").is_visible()
    assert page.locator("#f000002 .near").first.is_visible()
