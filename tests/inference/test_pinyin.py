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


@pytest.mark.parametrize("text", [
    "Shanghai牌", "Beijing烤鸭", "产自Hunan的", "Chengdu火锅", "Fujian白茶", "Qingdao啤酒", "Jilin人参", "Haier冰箱", "鸿星Erke", "Weibo同款",
    "bilibili直播", "Muji风", "Jiuyang豆浆机", "Wuling车", "Dabao面霜", "Hafu大学", "metadata文件", "cuda显卡", "luminance值", "basename是",
    "mixin类", "yuzu香", "mojibake了", "rebalance后",
])  # fmt: skip
def test_places_brands_and_terms_stay(text):
    assert normalise(text) == text


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("yi生推荐 yisheng推荐 医sheng", "医生推荐 医生推荐 医生"),
        ("yi生菌 口腔益sheng菌", "益生菌 口腔益生菌"),
        ("电子yan水果味 电子yan是", "电子烟水果味 电子烟是"),
        ("看fu科 皮fu科 康fu科", "看妇科 皮肤科 康复科"),
        ("治tong风 膝盖不tong了", "治痛风 膝盖不痛了"),
        ("xiangya手串 老人gutong 咽喉fayan 关节fa炎", "象牙手串 老人骨痛 咽喉发炎 关节发炎"),
        ("公li医院 替yi岛素 护shi长", "公立医院 替胰岛素 护士长"),
    ],
)
def test_letters_that_make_a_longer_word_with_what_touches_them_are_read_as_it(written, plain):
    assert normalise(written) == plain


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("淘宝代yun营 代yun费 代yun输", "淘宝代运营 代运费 代运输"),
        ("新闻发yan人", "新闻发言人"),
        (
            "与众不tong 各不tong 不tong颜色 跟去年的面料不tong了 源头不tong",
            "与众不同 各不同 不同颜色 跟去年的面料不同了 源头不同",
        ),
        ("快递包guo，baoguo到了", "快递包裹,包裹到了"),
        ("有shi力 提高shi力再给福利", "有实力 提高实力再给福利"),
        ("透气tongfeng 网眼tongfeng鞋 透气tong风 tong风口", "透气通风 网眼通风鞋 透气通风 通风口"),
        ("yisheng平安，fuke，jiejie", "一生平安,复刻,姐"),
    ],
)
def test_ordinary_words_that_sound_like_hidden_ones_stay_ordinary(written, plain):
    assert normalise(written) == plain


def test_a_factory_of_strength_has_no_eyesight():
    assert "视力" not in normalise("源头shili工厂")


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("降xue压 关jie灵活 xue生", "降血压 关节灵活 学生"),
        ("食yan 精华yan白", "食盐 精华yan白"),
        ("学xi 通guo", "学习 通过"),
    ],
)
def test_other_letters_are_read_as_pairs_say(written, plain):
    assert normalise(written) == plain


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("https://m.taobao.com/shangpin/xiangqing", "https://m.taobao.com/shangpin/xiangqing"),
        ("m.taobao.com/shangpin/xiangqing", "m.taobao.com/shangpin/xiangqing"),
        ("看https://zhiliao.com/tangniaobing，zhiliao高血压", "看https://zhiliao.com/tangniaobing,治疗高血压"),
        ("关注weibo@小王", "关注weibo@小王"),
        ("关注lingling@小王 @zhiliao", "关注lingling@小王 @zhiliao"),
        ("zhiliao@163.com", "zhiliao@163.com"),
        ("加我weixin lingling_88", "加我微信 lingling_88"),
        ("加weixin:abc_123", "加微信:abc_123"),
        ("zhiliao tangniaobing www.taobao.com", "治疗糖尿病 www.taobao.com"),
        ("zhiliao.tangniaobing 降xueya/xuetang", "治疗.糖尿病 降血压/血糖"),
        ("功效:zhiliao tangniaobing. 高血压.zhiliao", "功效:治疗糖尿病. 高血压.治疗"),
        ("1.zhiliao，2.yufang，B.yufang", "1.治疗,2.预防,B.预防"),
        ("降@xue@压 降_xue_压", "降@血@压 降血压"),
    ],
)
def test_addresses_and_account_names_stay(written, plain):
    assert normalise(written) == plain


@pytest.mark.parametrize("unit", ["a.", "zhi.", "zhiliao/", "@", "_", "https://", "a@", "ab_", "w.zhiliao,"])
def test_long_rows_of_marks_are_read_at_once(unit):
    start = time.process_time()
    normalise(unit * (200_000 // len(unit)))
    assert time.process_time() - start < 10  # under a second alone


def test_words_in_front_of_a_code_are_read_once():
    """The code ended each run that began with one of them: 50,000 took twelve seconds."""
    start = time.process_time()
    assert normalise("a " * 50_000 + "a1") == "a " * 50_000 + "a1"
    assert time.process_time() - start < 6  # a tenth of a second alone


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


@pytest.mark.parametrize("text", ["妈" + "*ma" * 3000, "ma*" * 3000 + "妈", "妈ma" * 3000, "yi生" * 3000])
def test_runs_do_not_wait_for_one_another(text):
    start = time.process_time()
    once = normalise(text)
    assert normalise(once) == once
    assert time.process_time() - start < 10  # a tenth of a second alone


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
    start = time.process_time()
    assert normalise(long).endswith("降血压")
    assert time.process_time() - start < 10  # a quarter of a second alone
