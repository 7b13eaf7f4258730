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


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("zhiliao tangniaobing VIP", "治疗糖尿病 VIP"),
        ("VIP zhiliao tangniaobing", "VIP 治疗糖尿病"),
        ("zhiliao tangniaobing Q10", "治疗糖尿病 Q10"),
        ("yitian jiangxueya APP", "一天降血压 APP"),
        ("yitian jiangxueya mask", "一天降血压 mask"),
        ("yitian jiangxueya B12", "一天降血压 B12"),
        ("B12 yitian jiangxueya VC", "B12 一天降血压 VC"),
        ("collagen yi tian jiang xue ya like", "collagen 一天降血压 like"),
        ("NMN kang shuailao NAD", "NMN 抗衰老 NAD"),
        ("ZHILIAO TANGNIAOBING VIP", "治疗糖尿病 VIP"),
        ("ZHILIAO gao xue ya", "治疗 高血压"),
        ("Zhiliao tangniaobing", "治疗糖尿病"),
        ("iPhone weixiu", "iPhone 维修"),
        ("快zhiliao VIP", "快治疗 VIP"),
    ],
)
def test_pinyin_is_read_beside_other_words_and_codes(written, plain):
    assert normalise(written) == plain


@pytest.mark.parametrize(
    "text",
    [
        "Pure Whey Protein",
        "Omega 3 fish oil",
        "SK-II",
        "Made in China",
        "Made in China B12",
        "Shanghai fan",
        "Lao Gan Ma",
        "HUAWEI Mate",
        "long pants",
        "you can buy",
        "he can make men sing",
        "women's shoes",
        "Women Fashion Show",
        "can an error be raised",
        "you make time for men",
        "BUY NOW MAN CAN",
        "and an FIR filter",
        "it was made by hand in a fine old mine",
        "small mixin for a fan",
    ],
)
@pytest.mark.parametrize("beside", ["", " VIP", " Q10", "，降压"])
def test_english_stays_beside_codes(text, beside):
    assert normalise(text + beside) == (text + beside).replace("，", ",")


def test_words_in_front_of_a_code_are_read_once():
    """The code ended each run that began with one of them: 50,000 took twelve seconds."""
    start = time.perf_counter()
    assert normalise("a " * 50_000 + "a1") == "a " * 50_000 + "a1"
    assert time.perf_counter() - start < 6  # a tenth of a second alone


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
