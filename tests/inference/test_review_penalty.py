"""The law on a finding's page, in the language shown; old bundles lack some of it."""

from dataclasses import replace

import pytest
from review_helpers import Browser, finding, make_site, user
from zhenyan.inference.review.web.site import Site

BASIS, STATES = "食品安全法第一百四十条", "A fine."


def tell(site: Site, **fields) -> None:
    """Put these fields on every label of the site's bundle."""
    site.bundle = replace(site.bundle, labels=tuple(replace(label, **fields) for label in site.bundle.labels))
    site.__dict__.pop("labels", None)


@pytest.mark.parametrize(
    ("language", "more", "stated"),
    [("zh", {"states_zh": "处以罚款。"}, f"{BASIS}：处以罚款。"), ("en", {"states_zh": "处以罚款。"}, f"{BASIS}: A fine."),
     ("zh", {}, BASIS), ("en", {}, f"{BASIS}: A fine."),
     ("en", {"basis_en": "Food Safety Law 140"}, f"Food Safety Law 140 ({BASIS}): A fine."),
     ("zh", {"basis": f"{BASIS}; 广告法第五十五条"}, f"{BASIS}；广告法第五十五条"),
     ("zh", {"verified": "case", "check": True}, f"{BASIS}（仅见于案例，引用前请核对）")],
)  # fmt: skip
def test_the_penalty_is_stated_in_the_language_shown(site, language, more, stated):
    tell(site, penalty={"basis": BASIS, "states": STATES} | more)
    page = Browser(site, "ann", language=language).get("/finding/f000001").text
    assert f"<dd>{stated}</dd>" in page


NEW = {
    "law_as_of": "November 2026", "law_as_of_zh": "2026年11月", "definition_zh": "它是什么。",
    "articles": ({"law": "价格法 [Price Law]", "article": "第十四条", "says": "It says.", "says_zh": "条文如是说。",
                  "verified": "text", "check": True},),
}  # fmt: skip


@pytest.mark.parametrize(
    ("language", "fields", "said", "unsaid"),
    [
        ("zh", NEW, ("截至2026年11月", "它是什么。", "《价格法》第十四条（引用前请核对）：条文如是说。", "视事实适用其一", "广告代言人"),
         ("It says", "What it is", "Price Law")),
        ("en", NEW, ("as of November 2026", "What it is.", "Price Law 《价格法》第十四条 (check before citing): It says.",
                     "which applies depends on the facts", "endorser"), ("条文如是说", "它是什么")),
        ("zh", {}, ("What it is.", "《食品安全法》第七十一条：It says."), ("截至", "引用前")),
        ("en", {}, ("What it is.", "Food Safety Law 《食品安全法》第七十一条: It says."), ("as of", "check before")),
    ],
)  # fmt: skip
def test_articles_and_definition_are_in_the_language_shown(site, language, fields, said, unsaid):
    tell(site, **fields, responsible=("host", "endorser"))
    page = Browser(site, "ann", language=language).get("/finding/f000001").text
    assert [part for part in said if part not in page] == []
    assert [part for part in unsaid if part in page] == []


@pytest.mark.parametrize(
    ("language", "shown"), [("zh", "指导意见第3、9、13条"), ("en", "Guiding Opinions, section 3, 9, 13")]
)
def test_sections_of_the_guiding_opinions_are_in_the_language_shown(site, language, shown):
    tell(site, section="3, 9, 13")
    assert shown in Browser(site, "ann", language=language).get("/finding/f000001").text


@pytest.mark.parametrize(("language", "shown"), [("zh", "第18行"), ("en", "line 18")])
def test_a_place_without_time_code_is_in_the_language_shown(tmp_path, language, shown):
    place = {"place": "line 18"}
    site = make_site(tmp_path, [finding(1, times=[place], place={"file": "a.jsonl", **place})])
    assert f"<span>{shown}</span>" in Browser(site, "ann", language=language).get("/finding/f000001").text


def test_a_finding_is_shown_with_the_time_of_its_text(tmp_path):
    first, own = {"place": "cue 1", "start": 5.0}, {"place": "cue 9", "start": 600.0}
    site = make_site(tmp_path, [finding(1, count=2, place={"file": "a.srt", **own}, times=[first, own])])
    ann = Browser(site, "ann")
    assert "<span>0:10:00</span>" in ann.get("/finding/f000001").text
    assert '<span class="meta">0:10:00</span>' in ann.get("/").text


def decide(site: Site, labels: list[str]) -> tuple[str, dict]:
    """Decide on the first finding; its page and the law of its evidence file, for a lead."""
    item = site.desk.open(user(site, "ann"), "f000001")
    site.desk.decide(user(site, "ann"), item.reading, item.version, labels)
    lea = Browser(site, "lea")
    return lea.get("/finding/f000001").text, lea.get("/finding/f000001/case.json").json()["law"]


def test_after_a_relabel_page_and_evidence_file_give_the_law_of_the_labels_that_stand(site):
    page, law = decide(site, ["price_fraud", "false_propaganda"])
    assert ('id="law-price_fraud"' in page, 'id="law-false_propaganda"' in page, 'id="law-food_safety"' in page) == (
        True,
        True,
        False,
    )
    assert "The model&#39;s label: food safety" in page
    assert [label["id"] for label in law["labels"]] == ["false_propaganda", "price_fraud"]
    assert (law["model"]["id"], law["labels"][0]["articles"][0]["article"]) == ("food_safety", "第七十一条")


def test_a_rejected_finding_has_no_law_that_stands(site):
    page, law = decide(site, [])
    assert "The model&#39;s label: food safety · no label (compliant)" in page
    assert (law["labels"], law["model"]["id"]) == ([], "food_safety")


def test_decisions_say_their_time_with_its_zone(site):
    page, _ = decide(site, ["food_safety"])
    assert '<time datetime="2026-11-24T09:00:00+00:00">2026-11-24 17:00 UTC+8</time>' in page
