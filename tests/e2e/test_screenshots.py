"""The pictures of the docs: what the browser shows becomes SVG, and those that are kept are such pictures."""

from __future__ import annotations

import html
import importlib.util
import re
import shutil
import unicodedata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def words(drawn: str) -> str:
    """The characters that an SVG draws; fonts share a glyph between a character and the radical that looks like it."""
    return unicodedata.normalize("NFKC", html.unescape("".join(re.findall(r'<use data-text="([^"]+)"', drawn))))


@pytest.mark.slow
def test_a_page_becomes_a_picture(chromium, tmp_path):
    if shutil.which("mutool") is None:
        pytest.skip("no mutool: install the package mupdf-tools")
    spec = importlib.util.spec_from_file_location("screenshots", ROOT / "docs" / "screenshots.py")
    screenshots = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(screenshots)
    page = chromium.new_page()
    page.set_content("<p>真言真言<p style='margin-top:500px'>below")
    screenshots.capture(page, tmp_path / "images" / "page.svg", 300)
    assert words((tmp_path / "images" / "page.svg").read_text(encoding="utf-8")) == "真言真言"
    page.close()


@pytest.mark.parametrize("name", ["report", "findings", "review"])
def test_kept_pictures_show_the_sample_stream(name):
    shown = words((ROOT / "docs" / "images" / f"{name}.svg").read_text(encoding="utf-8"))
    assert {"report": "直播与文案审查报告", "findings": "责任主体", "review": "法律依据"}[name] in shown
