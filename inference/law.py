"""The law behind a label as pages show it, in Chinese and in English, with what is known of each text."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

Bilingual = tuple[str, str]  # in Chinese, in English
_LAWS, _ARTICLES = 3, 2  # how many laws a line names, and how many articles of each
_MARKS = {
    "case": ("仅见于案例", "seen applied only"), "no": ("未核实", "not verified"),
    "check": ("引用前请核对", "check before citing"),
}  # fmt: skip


def citation(articles: Iterable[Mapping[str, Any]]) -> Bilingual:
    """All articles in one line, law by law, each with its marks: which of them applies, the facts decide."""
    laws = _by_law(articles)
    chinese = ("、".join(one["article"] + marks(one)[0] for one in cited) for cited in laws.values())
    english = ("、".join(one["article"] + marks(one)[1] for one in cited) for cited in laws.values())
    names = [_names(law) for law in laws]
    return (
        "；".join(name[0] + said for name, said in zip(names, chinese, strict=True)),
        "; ".join(name[1] + said for name, said in zip(names, english, strict=True)),
    )


def section(numbers: str) -> Bilingual:
    """Where a label stands in the Guiding Opinions (国市监广〔2020〕175号): "3, 9" as each language lists them."""
    return f"指导意见第{numbers.replace(', ', '、')}条", f"Guiding Opinions, section {numbers}"


def foremost(articles: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What of the articles fits in a line: the first of each law, two at most, of the first laws, three at most.

    Those of a label's ordinary case stand first in the label schema.
    """
    return [article for cited in itertools.islice(_by_law(articles).values(), _LAWS) for article in cited[:_ARTICLES]]


def _by_law(articles: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The articles of each law, both in the order in which they are first named."""
    laws: dict[str, list[Mapping[str, Any]]] = {}
    for article in articles:
        laws.setdefault(article["law"], []).append(article)
    return laws


def says(article: Mapping[str, Any]) -> Bilingual:
    """The paraphrase of an article; bundles that are older than `says_zh` have it in English only."""
    english = article.get("says") or ""
    return article.get("says_zh") or english, english


def penalty(stated: Mapping[str, Any]) -> Bilingual:
    """The penalty's articles with their marks, and what they state; old bundles have no `states_zh` and no `basis_en`."""
    basis, english = stated["basis"], stated.get("basis_en")
    known = marks(stated)
    chinese = f"：{stated['states_zh']}" if stated.get("states_zh") else ""
    return (
        f"{basis.replace('; ', '；')}{known[0]}{chinese}",
        f"{f'{english} ({basis})' if english else basis}{known[1]}: {stated['states']}",
    )


def marks(cited: Mapping[str, Any]) -> Bilingual:
    """In brackets, what to know before citing; empty where the text itself was read and nothing says that it has changed since."""
    known = [mark for mark in (cited.get("verified"), "check" if cited.get("check") else "") if mark in _MARKS]
    chinese, english = ([_MARKS[mark][language] for mark in known] for language in (0, 1))
    return (f"（{'，'.join(chinese)}）", f" ({', '.join(english)})") if known else ("", "")


def _names(law: str) -> Bilingual:
    """ "广告法 [Advertising Law]" as it is cited; the Chinese name is the official one and stands in both."""
    name, _, english = law.partition(" [")
    return f"《{name}》", f"{english.rstrip(']')} 《{name}》".lstrip()
