"""Notes, one decision on all with the same words, and marking a missed line, in a real browser."""

from __future__ import annotations

import json
import shutil

import pytest
from review_helpers import PASSWORD, finding
from test_review_browser import POOR_CONTRAST, begin, enter, press, run_server, shown  # noqa: F401
from zhenyan.inference.io.jsonlines import dump_line

pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.slow

NOTE = "价格另查 a r l n u"
PHONE = {"viewport": {"width": 390, "height": 600}}
SEEN = "(({top, bottom}) => top >= 0 && bottom <= innerHeight)(document.querySelector('#said.fault').getBoundingClientRect())"
WORDS = "#work .note label:has(input)"


@pytest.fixture
def server(tmp_path):
    records = [finding(1), finding(2), finding(3), *(finding(n, "同一句话") for n in (4, 5, 6))]
    yield from run_server(tmp_path, records, None)


def notes(server):
    """The notes of the exported rows by their first finding."""
    server.zhenyan("review-export", "out.jsonl.run", "-o", "rows.jsonl", "--model", "bundle", *server.where)
    rows = map(json.loads, (server.folder / "rows.jsonl").read_text(encoding="utf-8").splitlines())
    return {row["findings"][0]: row.get("notes") for row in rows}


def test_a_note_is_typed_without_pressing_what_the_keys_press(server, enter):  # noqa: F811
    page = enter(server, "ann")
    begin(page)
    page.keyboard.press("m")
    assert page.evaluate("document.activeElement.id") == "note"
    page.keyboard.type(NOTE)
    page.keyboard.press("Enter")
    page.keyboard.type("?")
    assert (shown(page), page.locator("#help").is_visible()) == ("f000001", False)
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "title"
    assert press(page, "a") == "f000001 accepted"
    page.wait_for_selector("article >> text=f000002")
    assert page.input_value("#note") == ""
    page.keyboard.press("m")
    page.keyboard.type("改类")
    page.keyboard.press("Escape")
    for key in ("l", "1", "Escape", "l", "3"):
        page.keyboard.press(key)
    assert press(page, "Enter") == "f000002 relabelled"
    page.wait_for_selector("article >> text=f000003")
    page.fill("#note", "passed over")
    page.focus("#title")
    assert press(page, "n") == "f000003 skipped"
    assert notes(server) == {"f000001": [f"{NOTE}\n?"], "f000002": ["改类"]}


def test_one_decision_on_all_with_the_same_words(server, enter):  # noqa: F811
    page = enter(server, "ann")
    begin(page)
    for _ in range(3):
        assert page.locator(WORDS).count() == 0
        key = shown(page)
        press(page, "a")
        page.wait_for_function("key => !document.querySelector('article')?.innerText.includes(key)", arg=key)
    assert "also the 2 others with these words" in page.locator(WORDS).inner_text()
    page.keyboard.press("w")
    assert press(page, "r") == "f000004 + 2 rejected"
    page.wait_for_selector("text=Nothing left for you")
    assert press(page, "u") == "f000006 taken back" or shown(page) in ("f000004", "f000005")


@pytest.mark.parametrize("width", [1200, 360])
def test_without_scripts_every_verdict_takes_the_note(server, chromium, width):
    context = chromium.new_context(java_script_enabled=False, locale="en-US", viewport={"width": width, "height": 800})
    page = context.new_page()
    page.goto(f"{server.address}/login")
    page.fill("#name", "ann")
    page.fill("#password", PASSWORD)
    page.press("#password", "Enter")
    page.click("text=Start reviewing")
    page.focus("#relabel input >> nth=0")
    page.keyboard.press("Enter")  # confirms that nothing is chosen, and presses none of the other buttons
    page.wait_for_selector("text=choose at least one label")
    assert shown(page) == "f000001"
    for key, button in (("f000001", "accept"), ("f000002", "reject"), ("f000003", "relabel")):
        assert shown(page) == key
        page.fill("#note", button)
        if button == "relabel":
            page.check("#relabel input >> nth=2")
        page.click(f"button[value={button}]")
    assert notes(server) == {"f000001": ["accept"], "f000002": ["reject"], "f000003": ["relabel"]}
    page.click("[data-key=u]")
    assert shown(page) == "f000003"
    context.close()


def test_a_proxys_own_answer_leaves_the_finding_and_its_note(server, enter):  # noqa: F811
    """As while the review is started again behind it."""
    page, answer = enter(server, "ann", locale="zh-CN", **PHONE), {"status": 502, "body": "<h1>502 Bad Gateway</h1>"}
    page.route("**/work/*/decide", lambda route: route.fulfill(content_type="text/html", **answer), times=1)
    begin(page)
    page.fill("#note", NOTE)
    page.focus("#title")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    assert press(page, "a") == "无法连接：未保存，请重试。"
    assert (shown(page), page.input_value("#note"), page.evaluate(SEEN)) == ("f000001", NOTE, True)
    assert press(page, "a") == "f000001 已接受"
    assert notes(server) == {"f000001": [NOTE]}


def test_a_double_click_sends_a_form_once(server, enter):  # noqa: F811
    """Else the answer is that of the second: a finding that was questioned can't be, a name that was added is in use."""
    page, sent = enter(server, "lea"), []
    page.route("**/question", lambda route: (sent.append(route.request.url), route.fulfill(status=204)))
    begin(page)
    press(page, "a")
    page.goto(f"{server.address}/finding/f000001")
    box = page.locator("text=Question it").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    for click in (1, 2):
        page.mouse.down(click_count=click)
        page.mouse.up(click_count=click)
        page.wait_for_timeout(300)
    assert sent == [f"{server.address}/finding/f000001/question"]


@pytest.fixture
def spoken(tmp_path):
    """A run with its parts: forty lines of one stream, of which the fifth is a hit."""
    said = {"stream": "茶叶直播间", "scores": dict.fromkeys(("food_safety", "price_fraud"), 0.1), "evidence": []}
    rows = [{"text": f"第{n}句", "start": 5.0 * n, "labels": ["food_safety"] * (n == 5), **said} for n in range(1, 41)]
    lines = [
        {"kind": "hit" if row["labels"] else "row", "file": 0, "place": f"line {n}", "row": row}
        for n, row in enumerate(rows, 1)
    ]
    part = {"kind": "part", "rows": 40, "streams": [{"file": 0, "stream": "茶叶直播间", "lines": 40, "hits": 1}]}
    stream = {"stream": "茶叶直播间", "verdict": "high", "risk": 0.9, "findings": 1, "labels": {}, "lines": 40, "hits": 1,
              "first": 1, "last": 40}  # fmt: skip
    folder = tmp_path / "out.jsonl.run"
    (folder / "parts").mkdir(parents=True)
    (folder / "parts" / "000000.jsonl").write_bytes(b"".join(map(dump_line, [*lines, part])))
    (folder / "streams.jsonl").write_bytes(dump_line(stream))
    place = {"file": "a.jsonl", "place": "line 5", "row": 5, "start": 25.0}
    yield from run_server(tmp_path, [finding(1, "第5句", place=place, times=[place])], None)
    shutil.rmtree(folder / "parts")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
def test_a_missed_line_is_marked_on_the_transcript(spoken, enter, width, scheme):  # noqa: F811
    page = enter(spoken, "ann", viewport={"width": width, "height": 800}, color_scheme=scheme)
    begin(page)
    page.click("text=Transcript")
    assert page.locator("#row-5").get_attribute("aria-current") == "true"
    page.click("#row-8 summary")
    page.select_option("#row-8 select", "price_fraud")
    page.click("#row-8 button")
    page.wait_for_selector("#row-8 >> text=marked by a reviewer")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(POOR_CONTRAST) == []
    page.click("#row-8 a")
    page.wait_for_selector("text=the model missed it")
    assert spoken.rows() == {"m8-3": ["price_fraud"]}


LINES = """[...document.querySelectorAll(".wide td.word")].map(cell => {
    const words = document.createRange();
    words.selectNodeContents(cell);
    return new Set([...words.getClientRects()].map(line => line.top)).size;
})"""


def test_who_did_what_is_not_broken_into_characters_beside_a_long_note(server, enter):  # noqa: F811
    page = enter(server, "lea", locale="zh-CN")
    begin(page)
    page.fill("#note", "该句以央视背书，提请核实授权文件。" * 5)
    page.focus("#title")
    press(page, "a")
    for path in ("finding/f000001", "log"):
        page.goto(f"{server.address}/{path}")
        found = page.evaluate(LINES)
        assert found and set(found) == {1}, path
