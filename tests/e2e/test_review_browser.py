"""Reviewing in a real browser, against the command's own server, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from contrast import POOR_CONTRAST
from review_helpers import HOSTILE, PASSWORD, PEOPLE, finding, make_bundle, make_run
from zhenyan.inference.bundle import load_bundle
from zhenyan.inference.review.accounts import Accounts
from zhenyan.inference.review.database import database_url, open_database

pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.slow

_COMMAND = [sys.executable, "-c", "from zhenyan.inference.cli import main; main()"]


@dataclass
class Server:
    """A running `zhenyan review`."""

    address: str
    folder: Path
    where: list[str]
    complaints: list[str] = field(default_factory=list)

    def zhenyan(self, *words: str) -> str:
        """Run a command on the same run and database; returns what it prints to either stream."""
        result = subprocess.run([*_COMMAND, *words], capture_output=True, text=True, cwd=self.folder, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout + result.stderr

    def rows(self) -> dict[str, list[str]]:
        """Labels of exported rows by finding."""
        self.zhenyan("review-export", "out.jsonl.run", "-o", "rows.jsonl", "--model", "bundle", *self.where)
        lines = (self.folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()
        return {row["findings"][0]: row["labels"] for row in map(json.loads, lines)}


def run_server(folder: Path, records: list[dict], url: str | None, *options: str) -> Iterator[Server]:
    """Add the people, start the server on a free port, stop it afterwards; it must not have complained."""
    bundle = load_bundle(make_bundle(folder / "bundle"))
    run = make_run(folder, records, bundle.id)
    where = ["--database", url] if url else []
    server = Server("", folder, where)
    database = open_database(database_url(run, url))
    for name, role in PEOPLE.items():
        Accounts(database).add(name, role, PASSWORD)
    database.close()
    command = [*_COMMAND, "review", "out.jsonl.run", "--model", "bundle", "--port", "0", *where, *options]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with (folder / "log").open("w") as log, subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
    ) as process:  # fmt: skip
        server.address = process.stdout.readline().split()[-1]
        try:
            yield server
        finally:
            process.terminate()
    assert "Traceback" not in (folder / "log").read_text()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request):
    """None for SQLite in the run's folder, else a PostgreSQL URL."""
    return request.getfixturevalue("postgres_url") if request.param == "postgresql" else None


@pytest.fixture
def server(tmp_path, url):
    yield from run_server(tmp_path, [finding(n) for n in range(1, 9)], url)


@pytest.fixture
def enter(chromium):
    """Log in as someone in a browser of their own; whatever a page complains of fails the test."""
    contexts, complaints = [], []

    def log_in(server: Server, name: str, **options):
        context = chromium.new_context(**({"locale": "en-US", "viewport": {"width": 1200, "height": 800}} | options))
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("console", lambda m: complaints.append(m.text) if "Content Security Policy" in m.text else None)
        page.goto(f"{server.address}/login")
        page.fill("#name", name)
        page.fill("#password", PASSWORD)
        page.press("#password", "Enter")
        page.wait_for_url(f"{server.address}/")
        return page

    yield log_in
    for context in contexts:
        context.close()
    assert complaints == []


def shown(page) -> str:
    """The finding on the page."""
    return re.search(r"f\d{6}", page.locator("article p.meta").nth(1).inner_text())[0]


def begin(page) -> str:
    page.keyboard.press("s")
    page.wait_for_selector("#relabel", state="attached")
    # A key pressed before the page's script has run is lost.
    page.wait_for_function("document.readyState === 'complete'")
    return shown(page)


def press(page, key: str) -> str:
    """Press a deciding key, wait for the next finding; returns what the page says of the last."""
    page.evaluate("document.getElementById('said').textContent = ''")
    page.keyboard.press(key)
    page.wait_for_function("() => document.getElementById('said').textContent !== ''")
    return page.locator("#said").text_content().strip()


def test_reviewing_by_keyboard_alone(server, enter):
    page = enter(server, "ann")
    assert begin(page) == "f000001"
    assert page.locator("blockquote mark").inner_text() == "第1"
    assert press(page, "a") == "f000001 accepted"
    page.wait_for_selector("text=f000002")
    assert page.evaluate("document.activeElement.id") == "title"
    assert press(page, "r") == "f000002 rejected"
    page.wait_for_selector("text=f000003")
    page.keyboard.press("l")
    page.keyboard.press("3")
    page.keyboard.press("1")
    assert press(page, "Enter") == "f000003 relabelled"
    page.wait_for_selector("text=f000004")
    assert press(page, "n") == "f000004 skipped"
    page.wait_for_selector("text=f000005")
    assert press(page, "u") == "f000004 taken back"
    page.wait_for_selector("article >> text=f000004")
    for key in ("l", "1", "Escape", "l"):
        page.keyboard.press(key)
    assert page.locator("#relabel input:checked").count() == 0  # what was given up isn't chosen the next time
    page.keyboard.press("Escape")
    assert page.locator("#relabel").is_hidden()
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("a")
    page.keyboard.press("Escape")
    assert (page.locator("#help").is_visible(), shown(page)) == (False, "f000004")
    expected = {"f000001": ["food_safety"], "f000002": [], "f000003": ["false_propaganda", "price_fraud"]}
    assert server.rows() == expected


@pytest.mark.parametrize(
    ("focus", "left"),
    [("[data-key=n]", "skipped"), ("[data-key=r]", "rejected"), ("button[value=relabel]", "relabelled")],
)
def test_enter_while_relabelling_belongs_to_the_button_that_has_the_focus(alone, enter, focus, left):
    page = enter(alone, "ann")
    begin(page)
    page.keyboard.press("l")
    page.keyboard.press("3")
    page.focus(focus)
    assert press(page, "Enter") == f"f000001 {left}"


def test_enter_on_a_fold_while_relabelling_decides_nothing(alone, enter):
    page = enter(alone, "ann")
    begin(page)
    page.keyboard.press("l")
    page.keyboard.press("3")
    page.focus("aside summary")
    page.keyboard.press("Enter")
    assert page.locator("aside details").first.get_attribute("open") is not None
    assert (shown(page), alone.rows()) == ("f000001", {})


def test_two_reviewers_at_once(server, enter):
    pages = {name: enter(server, name) for name in ("ann", "ben")}
    held = {name: begin(page) for name, page in pages.items()}
    assert held == {"ann": "f000001", "ben": "f000002"}
    seen: list[str] = []
    for _ in range(4):
        for page in pages.values():
            seen.append(shown(page))
            press(page, "a")
            page.wait_for_function("key => !document.querySelector('article')?.innerText.includes(key)", arg=seen[-1])
    assert sorted(seen) == [f"f{n:06d}" for n in range(1, 9)]
    assert len(server.rows()) == 8
    assert all("Nothing left for you" in page.locator("#work").inner_text() for page in pages.values())


def test_a_decision_on_a_page_left_open_is_refused_and_said(server, enter):
    page = enter(server, "ann")
    begin(page)
    other = page.context.new_page()
    other.goto(f"{server.address}/work")
    press(other, "r")
    with page.expect_response(lambda response: response.status == 409):
        page.keyboard.press("a")
    page.wait_for_selector("text=not kept")
    assert server.rows() == {"f000001": []}


def test_undo_and_the_log(server, enter):
    page = enter(server, "lea")
    begin(page)
    press(page, "a")
    page.wait_for_selector("article >> text=f000002")
    press(page, "u")
    page.wait_for_selector("article >> text=f000001")
    press(page, "r")
    page.goto(f"{server.address}/log")
    actions = page.locator("tbody tr td:nth-child(4)").all_inner_texts()
    assert [re.sub(r" #\d+", "", action) for action in actions[:3]] == ["reject", "undo", "accept"]
    assert server.rows() == {"f000001": []}


def test_exports_from_the_page_and_back(server, enter, tmp_path):
    page = enter(server, "lea")
    begin(page)
    press(page, "a")
    page.goto(f"{server.address}/export")
    files = {}
    assert "1 rows now." in page.locator("main").inner_text() or "现可导出 1 行。" in page.locator("main").inner_text()
    for kind in ("rows", "csv", "labelstudio", "configuration"):
        with page.expect_download() as started:
            page.click(f'a[href="/export/{kind}"]')
        files[kind] = tmp_path / started.value.suggested_filename
        started.value.save_as(files[kind])
    assert json.loads(files["rows"].read_text(encoding="utf-8"))["labels"] == ["food_safety"]
    assert '<Choice value="food_safety"' in files["configuration"].read_text(encoding="utf-8")
    tasks = json.loads(files["labelstudio"].read_text(encoding="utf-8"))
    tasks[3]["annotations"] = [{"result": [], "was_cancelled": False, "completed_by": 1}]
    files["labelstudio"].write_text(json.dumps(tasks), encoding="utf-8")
    said = server.zhenyan("review-import", "out.jsonl.run", str(files["labelstudio"]), *server.where)
    assert "1 decisions, 0 skips, 1 known already" in said
    assert server.rows() == {"f000001": ["food_safety"], "f000004": []}


@pytest.fixture
def alone(tmp_path):
    """A server on SQLite with awkward findings, for what doesn't depend on the database."""
    span = {"start": 70_000, "end": 70_004, "text": HOSTILE[70_000:70_004], "label": "food_safety"}
    records = [
        finding(1, HOSTILE, stream="\"><script>alert(1)</script>", evidence=[span], before=["\u202e倒"], after=["<b>x</b>"]),
        finding(2, "W" * 3000, count=3),
        finding(3, "喝了这个茶三高就降下来了"),
    ]  # fmt: skip
    yield from run_server(tmp_path, records, None)


@pytest.mark.parametrize("width", [1200, 360])
def test_hostile_text_is_shown_harmless(alone, enter, width):
    page = enter(alone, "adm", viewport={"width": width, "height": 800})
    title = page.title()
    assert begin(page) == "f000001"
    text = page.locator("blockquote").inner_text()
    assert "\u202e" not in page.content()
    assert page.locator("#work script, #work img").count() == 0
    assert (len(text) < 700, page.locator("blockquote mark").count()) == (True, 1)
    page.click("text=the whole line")
    assert "<script>document.title='taken'</script>" in page.locator(".whole").inner_text()
    for path in ("/work", "/", "/finding/f000001", "/finding/f000002", "/log", "/numbers", "/reviewers"):
        page.goto(alone.address + path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert "taken" not in page.title()
    assert "taken" not in title


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_of_every_page_stands_out_in_both_colour_schemes(alone, enter, scheme):
    """WCAG 1.4.3: 4.5 to 1 for all text, in both colour schemes."""
    page = enter(alone, "adm", color_scheme=scheme)
    begin(page)
    page.keyboard.press("l")
    assert page.evaluate(POOR_CONTRAST) == []
    page.keyboard.press("Escape")
    press(page, "a")
    for path in ("/?state=all", "/finding/f000001", "/numbers", "/log", "/export", "/reviewers", "/account"):
        page.goto(alone.address + path)
        assert page.evaluate(POOR_CONTRAST) == [], path


def test_every_control_is_reached_by_tab_and_shows_its_focus(alone, enter):
    page = enter(alone, "adm")
    begin(page)
    page.keyboard.press("Home")
    reached, unmarked = set(), []
    for _ in range(60):
        page.keyboard.press("Tab")
        name, marked = page.evaluate(
            "() => { const e = document.activeElement, s = getComputedStyle(e);"
            " return [e.dataset.key || e.getAttribute('href') || e.tagName, s.outlineStyle !== 'none']; }"
        )
        reached.add(name)
        if not marked:
            unmarked.append(name)
    assert {"#main", "/", "/numbers", "/account", "a", "r", "l", "n", "u", "?", "SUMMARY"} <= reached
    assert set(unmarked) <= {"BODY"}


def test_without_javascript(alone, enter):
    page = enter(alone, "ann", java_script_enabled=False)
    page.click("text=Start reviewing")
    assert page.locator("#relabel").is_visible()
    page.click("button[value=reject]")
    assert shown(page) == "f000002"
    page.check("input[value=price_fraud]")
    page.click("button[value=relabel]")
    assert shown(page) == "f000003"
    page.click("text=Undo")
    assert shown(page) == "f000002"


def test_on_a_phone_in_chinese(alone, enter):
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    page = enter(alone, "ann", locale="zh-CN", timezone_id="America/New_York", **phone)
    page.tap("text=开始审查")
    page.wait_for_selector("#relabel", state="attached")
    lease = page.locator("time").first
    until = datetime.fromisoformat(lease.get_attribute("datetime")).astimezone(timezone(timedelta(hours=8)))
    assert lease.inner_text() == f"北京时间 {until:%Y-%m-%d %H:%M}"  # Beijing's wherever one is
    for key in ("a", "r", "l", "n", "u"):
        box = page.locator(f"[data-key={key}]").bounding_box()
        assert box["height"] >= 44
        assert box["x"] + box["width"] <= 390
        assert box["y"] + box["height"] <= 844
    page.tap("[data-key=a]")
    page.wait_for_selector("text=f000001 已接受")
    assert shown(page) == "f000002"


def test_two_quick_presses_decide_once(alone, enter):
    """The second press comes while the first is on its way: it must not decide on a line that nobody has seen."""
    page = enter(alone, "ann")
    begin(page)
    page.evaluate("() => { const b = document.querySelector('[data-key=a]'); b.click(); b.click(); }")
    page.wait_for_selector("article >> text=f000002")
    page.wait_for_timeout(300)
    assert shown(page) == "f000002"
    assert alone.rows() == {"f000001": ["food_safety"]}


def test_a_double_tap_decides_once(alone, enter):
    """The second tap may come when the next finding is there, on a phone under the same button: nobody has seen it yet."""
    page = enter(alone, "ann", viewport={"width": 390, "height": 844}, is_mobile=True)
    begin(page)
    box = page.locator("[data-key=a]").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    for click in (1, 2):
        page.mouse.down(click_count=click)
        page.mouse.up(click_count=click)
        page.wait_for_selector("#done >> text=f000001")
    page.wait_for_timeout(300)
    assert shown(page) == "f000002"
    assert alone.rows() == {"f000001": ["food_safety"]}
    page.locator("[data-key=a]").click()
    page.wait_for_selector("#done >> text=f000002")


def test_a_server_that_is_gone_is_said(tmp_path, enter):
    started = run_server(tmp_path, [finding(1), finding(2)], None)
    server = next(started)
    page = enter(server, "ann")
    begin(page)
    with pytest.raises(StopIteration):
        next(started)
    page.keyboard.press("a")
    page.wait_for_selector("text=No connection: not kept")
    assert shown(page) == "f000001"


def test_once_the_connection_is_back_the_fault_is_gone(alone, enter):
    page = enter(alone, "ann")
    page.route(
        "**/work/*/decide", lambda route: route.abort(), times=1
    )  # first: a loaded page may yet send past a route
    begin(page)
    page.keyboard.press("a")
    page.wait_for_selector("#said.fault")
    assert press(page, "a") == "f000001 accepted"
    assert page.locator("#said").get_attribute("class") == "offscreen"


def test_on_paper_stand_the_run_the_bundle_and_the_whole_line(alone, enter):
    page = enter(alone, "ann")
    page.goto(f"{alone.address}/finding/f000002")
    page.emulate_media(media="print")
    assert page.locator("footer").is_visible() and "nothing here judges a case" in page.locator("footer").inner_text()
    assert page.locator(".whole").evaluate("e => e.checkVisibility() && e.scrollHeight <= e.clientHeight")
