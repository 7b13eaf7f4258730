"""The penalty on a finding's page, in the language shown; bundles of before `states_zh` have no Chinese."""

from dataclasses import replace

import pytest
from review_helpers import Browser

BASIS, STATES = "食品安全法第一百四十条", "A fine."


@pytest.mark.parametrize(
    ("language", "more", "stated"),
    [("zh", {"states_zh": "处以罚款。"}, "：处以罚款。"), ("en", {"states_zh": "处以罚款。"}, ": A fine."),
     ("zh", {}, ""), ("en", {}, ": A fine.")],
)  # fmt: skip
def test_the_penalty_is_stated_in_the_language_shown(site, language, more, stated):
    penalty = {"basis": BASIS, "states": STATES} | more
    site.bundle = replace(site.bundle, labels=tuple(replace(label, penalty=penalty) for label in site.bundle.labels))
    page = Browser(site, "ann", language=language).get("/finding/f000001").text
    assert f"<dd>{BASIS}{stated}</dd>" in page
