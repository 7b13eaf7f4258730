"""Pinyin is read as characters where something ties them; brands, sizes and English stay."""

import time

import pytest
from zhenyan.inference.normalise import normalise
from zhenyan.inference.pinyin import sounds, spelled, without_pinyin


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("这个茶可以zhiliao高xue压", "这个茶可以治疗高血压"),
        ("喝了能jiangxueya降xue糖", "喝了能降血压降血糖"),
        ("gao xue ya he le jiu hao", "高血压喝了就好"),
        ("zhe kuan cha he le neng jiang xue ya hai neng zhi hao tang niao bing", "这款茶喝了能降血压还能治好糖尿病"),
        ("quan网zui低 di一", "全网最低 第一"),
        ("加我Weixin", "加我微信"),
        ("ZHILIAO高血压", "治疗高血压"),
        ("zhì liáo高血压", "治疗高血压"),
        ("lǜ色食品", "绿色食品"),
        ("kang癌", "抗癌"),
        ("不tui不换", "不退不换"),
    ],
)
def test_pinyin_is_read(written, plain):
    assert without_pinyin(written) == plain


@pytest.mark.parametrize(
    "written", ["降*xue*压", "降 xue 压", "降xue压", "降x\u200bue压", "降ｘｕｅ压", "降🔥xue🔥压", "jiang xue ya"]
)
def test_pinyin_is_read_behind_other_disguises(written):
    assert normalise(written) == "降血压"


@pytest.mark.parametrize(
    "text",
    [
        "mini冰箱",
        "nice的宝贝",
        "OK的 AA制 VIP会员",
        "vc片 dha藻油 bb霜 xl码",
        "app下载 pvc材质 led灯",
        "this is a good product",
        "hello大家 line me baby",
        "Nike的 穿nike bose音响 lulu",
        "like name data change bite",
        "男men款 long款 sun帽",
        "iPhone 手机 TF卡",
        "a9货 b5精华 2shi",
        "TA说 FU袋",
    ],
)
def test_other_letters_stay(text):
    assert normalise(text) == text


def test_letters_that_could_be_anything_stay():
    assert spelled("yi") is None  # nothing beside it says which
    assert spelled("xue", "降", "压") == "血" and spelled("xue", "同", "们") == "学"
    assert spelled("q") is None and spelled("strength") is None


def test_each_pair_is_of_known_characters_and_each_syllable_of_letters():
    known = sounds()
    assert len(known.ties) > 30_000 and len(known.syllables) > 390 and len(known.foreign) > 100
    assert all(len(pair) == 2 and set(pair) <= known.alone.keys() for pair in known.ties)
    assert all(syllable.isascii() and syllable.islower() and 1 < len(syllable) <= 6 for syllable in known.syllables)
    assert all(set(characters) <= known.alone.keys() for characters in known.syllables.values())


@pytest.mark.parametrize("text", ["妈" + "*ma" * 3000, "ma*" * 3000 + "妈", "妈ma" * 3000])
def test_runs_do_not_wait_for_one_another(text):
    start = time.perf_counter()
    once = normalise(text)
    assert normalise(once) == once
    assert time.perf_counter() - start < 10  # a tenth of a second alone


def test_a_page_of_letters_is_read_to_its_end_in_seconds():
    text = "。".join(
        f"{first}{second}{third}shi"
        for first in ("ji", "xi", "fu")
        for second in ("zhi", "yu", "wu")
        for third in ("li", "qi")
    )
    long = "。".join(
        [
            *(text.replace("shi", last) for last in ("shi", "jing", "yan", "hao", "duo", "xin")),
            *["good"] * 500,
            "降xue压",
        ]
    )
    start = time.perf_counter()
    assert normalise(long).endswith("降血压")
    assert time.perf_counter() - start < 10  # a quarter of a second alone
