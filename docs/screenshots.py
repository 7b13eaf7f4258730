"""Takes the pictures in docs/images: the report and the review page, drawn by a real Chromium from the sample stream.

    python docs/screenshots.py

Chromium prints what it shows on the screen, and mutool (package mupdf-tools) turns that into SVG: sharp at every size, and
text that git can compare. Needs the extras review and dev, a Chromium and fonts for Chinese.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ZHENYAN = [sys.executable, "-c", "from zhenyan.inference.cli import main; main()"]
PASSWORD = "correct horse battery"
WIDTH = 1000  # CSS pixels
ONLY_FINDINGS = """
document.querySelector("header").remove();
for (let one; (one = document.querySelector(".tools").previousElementSibling); ) one.remove();
"""


def capture(page: Any, target: Path, height: int) -> None:
    """Write the top `height` pixels of what `page` shows to an SVG file."""
    page.emulate_media(media="screen")
    with tempfile.TemporaryDirectory() as scratch:
        printed = Path(scratch) / "page.pdf"
        page.pdf(path=str(printed), width=f"{WIDTH}px", height=f"{height}px", print_background=True, page_ranges="1")
        subprocess.run(
            ["mutool", "draw", "-q", "-F", "svg", "-o", f"{scratch}/page%d.svg", str(printed)],
            check=True, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        target.parent.mkdir(exist_ok=True)
        target.write_text((Path(scratch) / "page1.svg").read_text(encoding="utf-8"), encoding="utf-8")


def score(folder: Path) -> Path:
    """Score the samples; the run's output, beside which the report lies as out.html."""
    output = folder / "out.jsonl"
    command = ["score", str(ROOT / "data/samples"), "-o", str(output), "--text-column", "文案"]
    subprocess.run([*ZHENYAN, *command, "--report", str(output.with_suffix(".html"))], check=True, capture_output=True)
    return output


@contextmanager
def review(output: Path, people: tuple[str, ...]) -> Iterator[str]:
    """The address of a review page of this run, where `people` may log in."""
    for name in people:
        command = ["reviewers", "add", name, "--role", "lead", "--run", str(output), "--password-stdin"]
        subprocess.run([*ZHENYAN, *command], input=PASSWORD, text=True, check=True, capture_output=True)
    command = [*ZHENYAN, "review", str(output), "--port", "0"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def log_in(page: Any, address: str, name: str) -> None:
    """Log in and start reviewing."""
    page.goto(f"{address}/login")
    page.fill("#name", name)
    page.fill("#password", PASSWORD)
    page.press("#password", "Enter")
    page.wait_for_url(f"{address}/")
    page.keyboard.press("s")
    page.wait_for_selector("#relabel", state="attached")


def decide(page: Any, keys: str) -> None:
    """Press deciding keys, each on the finding that the one before brought."""
    for key in keys:
        page.evaluate("document.getElementById('said').textContent = ''")
        page.keyboard.press(key)
        page.wait_for_function("() => document.getElementById('said').textContent !== ''")


def main() -> None:
    """Take every picture anew."""
    from playwright.sync_api import sync_playwright

    browser_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser_path is None or shutil.which("mutool") is None:
        sys.exit("needs Chromium and mutool; on Debian: apt-get install chromium fonts-noto-cjk mupdf-tools")
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        output = score(Path(scratch))
        page = browser.new_page(viewport={"width": WIDTH, "height": 1000})
        page.goto(output.with_suffix(".html").as_uri())
        capture(page, IMAGES / "report.svg", 1000)
        page.evaluate(ONLY_FINDINGS)
        page.locator("article summary").first.click()
        page.wait_for_selector("article dl")
        capture(page, IMAGES / "findings.svg", 900)
        with review(output, ("李敏",)) as address:
            page = browser.new_page(viewport={"width": WIDTH, "height": 1000}, locale="zh-CN")
            log_in(page, address, "李敏")
            decide(page, "aaraaraa")
            page.wait_for_timeout(300)
            capture(page, IMAGES / "review.svg", 620)
        browser.close()


if __name__ == "__main__":
    main()
