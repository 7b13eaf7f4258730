"""Each article that a label cites has the article that punishes its breach in the label's penalty, and both languages agree."""

import re

import pytest
from zhenyan.training.schema import load_schema

AUCL, LIVE, FOOD, PRICE = "反不正当竞争法", "直播电商监督管理办法", "食品安全法", "价格违法行为行政处罚规定"
REVIEW = "药品、医疗器械、保健食品、特殊医学用途配方食品广告审查管理暂行办法"
RIGHTS = "侵害消费者权益行为处罚办法"
# Law and article, or paragraph or item of it, to the articles that punish a breach, as read in the copies of LEGAL_BASIS.
PUNISHED = {
    "广告法": {9: 57, 11: 59, 12: 59, 13: 59, 15: 57, 16: 58, 17: 58, 18: 58, 20: 57, 21: 58, 22: 57, 24: 58, 25: 58, 27: 58,
             28: 55, 37: 57, 38: (58, 61), 46: 58},
    AUCL: {7: 23, 9: 25, 11: 27, 12: 28, 13: 29},
    FOOD: {34: (123, 124, 125), "第三十四条第六项": 124, 35: 122, 71: 125, 73: 140, 78: 125, 79: 140, 97: 125},
    "食品安全法实施条例": {38: (FOOD, 125)},  # by its article 68
    "产品质量法": {37: 53, 38: 53, 39: 50},
    "农产品质量安全法": {42: 74},
    "价格法": {14: 40},
    "明码标价和禁止价格欺诈规定": {16: (PRICE, 7), 17: (PRICE, 7), 19: (PRICE, 7)},  # by its article 23
    "商标法": {57: 60},
    "专利法": {68: 68},
    "专利法实施细则": {101: ("专利法", 68)},
    "电子商务法": {17: (AUCL, 25), 39: 81},  # 17 by its article 85
    "消费者权益保护法": {25: 56},
    RIGHTS: {"第六条第五项": (PRICE, 7), 9: ("消费者权益保护法", 56), 12: 15},  # 6 and 9 by its article 14
    "合同行政监督管理办法": {7: 18, 8: 18},
    LIVE: {29: 59, 32: (PRICE, 7), "第三十三条第二项": ("产品质量法", 50), "第三十三条第三项": 61, 34: (AUCL, 25),
           36: (AUCL, 28), 44: (AUCL, 25)},  # by its articles 60 to 62
    REVIEW: {2: ("广告法", 58), 11: ("广告法", 58)},  # by its articles 26 and 27
}  # fmt: skip
OTHERWISE = {  # has no fine of its own, refers to whatever other law there is, or was not read for its penalty
    ("消费者权益保护法", "第二十六条"), ("消费者权益保护法", "第五十五条"), ("消费者权益保护法", "第五十六条"),
    ("电子商务法", "第十三条"), ("电子商务法", "第十四条"), ("药品管理法", "第九十条"), ("药品管理法", "第六十一条"),
    ("化妆品监督管理条例", "第四十三条"), ("互联网广告管理办法", "第六条"), ("国旗法", "第二十条"),
    ("野生动物保护法", "第二十八条、第三十二条、第三十三条"), ("英雄烈士保护法", "第二十二条"),
    ("消费者权益保护法实施条例", "第十九条"), ("规范促销行为暂行规定", "第十三条第一款"),
    ("网络反不正当竞争暂行规定", "第九条第一款第四项"), (LIVE, "第三十五条"),
}  # fmt: skip
DIGITS = "零一二三四五六七八九"


def number(chinese):
    """二十七 as 27, up to 199."""
    hundreds, _, rest = chinese.rpartition("百")
    tens, ten, ones = rest.lstrip("零").rpartition("十")
    return 100 * bool(hundreds) + 10 * (DIGITS.index(tens or "一") if ten else 0) + DIGITS.index(ones or "零")


def spans(found):
    """The numbers of pairs of first and last, which may be empty."""
    return [n for first, last in found for n in range(int(first), int(last or first) + 1)]


def basis(penalty):
    """Law and number of each article of a penalty."""
    for part in penalty.basis.split("; "):
        found = [(number(a), number(b) if b else 0) for a, b in re.findall(r"第([^条第]+)条(?:至第([^条]+)条)?", part)]
        yield from ((part[: part.index("第")], n) for n in spans(found))


def breach(law, article):
    """Law and number of the articles that punish a breach; None where none is known of."""
    rule = PUNISHED.get(law, {})
    by = rule.get(article) or rule.get(number(re.match("第([^条]+)条", article)[1]))
    if by is None:
        return None
    other = isinstance(by, tuple) and isinstance(by[0], str)
    return [by] if other else [(law, n) for n in (by if isinstance(by, tuple) else (by,))]


@pytest.fixture(scope="module")
def labels(root):
    return {label.id: label for label in load_schema(root / "configs/labels.yaml").labels}


def test_numbers_of_articles():
    read = ("七", "十", "十二", "二十", "六十八", "一百", "一百零一", "一百一十", "一百四十八")
    assert [number(chinese) for chinese in read] == [7, 10, 12, 20, 68, 100, 101, 110, 148]


def test_the_penalty_of_every_article_is_in_the_basis(labels):
    for label in labels.values():
        stands = set(basis(label.penalty))
        for one in label.articles:
            law = one.law.split(" [")[0]
            punished = breach(law, one.article)
            if (law, one.article) in OTHERWISE:
                assert punished is None, one
            else:
                assert punished, f"{label.id}: say in PUNISHED or OTHERWISE what punishes {law}{one.article}"
                assert set(punished) <= stands, f"{label.id}: {law}{one.article}"


def test_the_basis_is_the_same_in_both_languages(labels):
    for label in labels.values():
        english = spans(re.findall(r"(\d+)(?: to (\d+))?", label.penalty.basis_en))
        assert [n for _, n in basis(label.penalty)] == english, label.id


def test_amounts_are_stated_but_for_sales_under_laws_that_were_not_read(labels):
    assert [label.id for label in labels.values() if "未核实" in label.penalty.states_zh] == ["prohibited_goods"]


@pytest.mark.parametrize(("label", "chinese", "english"), [
    ("illegal_endorsement", "第五十八条：处广告费用1倍以上3倍以下罚款，或者10万元以上20万元以下罚款",
     "Advertising Law 58: 1 to 3 times the advertising fee, or 100,000 to 200,000 yuan"),
    ("food_safety", "价款10倍或者损失3倍的赔偿金，最低1000元", "ten times the price or three times the loss, 1,000 yuan at least"),
    ("food_safety", "第一百二十二条（无许可；小作坊、食品摊贩依照地方规定，第一百二十七条）",
     "122 (no licence; small workshops and stalls by provincial rules, 127)"),
    ("counterfeit_origin", "农产品质量安全法第七十四条：没收违法所得，处5000元以上5万元以下罚款",
     "Law on the Quality and Safety of Agricultural Products 74: gains confiscated, 5,000 to 50,000 yuan"),
    ("commercial_disparagement", "广告法第五十九条：处10万元以下罚款", "Advertising Law 59: up to 100,000 yuan"),
    ("ip_infringement", "广告法第五十九条：处10万元以下罚款", "Advertising Law 59: up to 100,000 yuan"),
    ("false_propaganda", "广告法第五十九条：处10万元以下罚款", "Advertising Law 59: up to 100,000 yuan"),
    ("consumer_rights", "合同行政监督管理办法第十八条，给予警告，可以并处10万元以下罚款",
     "Measures on Contracts 18: a warning and up to 100,000 yuan"),
])  # fmt: skip
def test_what_a_penalty_states(labels, label, chinese, english):
    penalty = labels[label].penalty
    assert chinese in penalty.states_zh and english in penalty.states


def test_wherever_a_false_advertisement_is_fined_serious_cases_are_too(labels):
    fined = {one.id: one.penalty for one in labels.values() if ("广告法", 55) in basis(one.penalty)}
    assert set(fined) >= {"false_propaganda", "counterfeit_origin", "food_safety", "substandard_goods"}
    for label, penalty in fined.items():
        assert "广告费用5倍以上10倍以下罚款，或者100万元以上200万元以下罚款" in penalty.states_zh, label
        assert "serious cases 5 to 10 times, or 1 to 2 million yuan" in penalty.states, label


def test_the_military_song_is_among_the_emblems(labels):
    said = [one for label in labels.values() for one in label.articles if one.article == "第九条第一项"]
    assert len(said) == 2 and all("军旗、军歌、军徽" in one.says_zh and "song" in one.says for one in said)
