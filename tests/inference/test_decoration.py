"""What decorates a text, letters that look like others, tones as digits, signs in a list: what the model reads of them."""

import time

import pytest
from zhenyan.inference.normalise import normalise


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("治̶疗̶糖̶尿̶病̶", "治疗糖尿病"), ("最̲好̲的茶", "最好的茶"), ("医⃝生⃝推荐", "医生推荐"), ("根҉治҉", "根治"), ("降ั血ั压", "降血压"), ("降༴血ཱ压", "降༴血压"),
        ("原价1̶9̶9̶今天99", "原价199今天99"), ("s̶a̶l̶e̶", "sale"), ("café", "café"), ("สวัสดีครับ", "สวัสดีครับ"),
        ("か\u3099んばれ", "がんばれ"), ("नमस्ते", "नमस्ते"), ("降\u2800血\u2800压", "降血压"), ("降\U0001d173血压", "降血压"),
    ],
)  # fmt: skip
def test_marks_stay_where_a_script_is_written_with_them(written, plain):
    assert normalise(written) == plain


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("新茶到了[爱心]", "新茶到了"), ("［捂脸］卖完了[笑哭R]", "卖完了"), ("减[玫瑰]肥", "减肥"), ("[规格]两盒装[自营]", "[规格]两盒装[自营]"),
        ("新茶到了(≧▽≦)", "新茶到了"), ("(◕‿◕)好吃", "好吃"), ("卖完了╮(╯▽╰)╭", "卖完了"), ("好开心（´∀｀）", "好开心"), ("小熊ʕ•ᴥ•ʔ来了", "小熊来了"),
        ("加热到(50°~60°)", "加热到(50°~60°)"), ("净重(500g)", "净重(500g)"), ("（含税）", "(含税)"), ("尺寸(±2°)", "尺寸(±2°)"), ("冷藏(2°~8°)", "冷藏(2°~8°)"), ("(A・B・C)三款", "(A・B・C)三款"), ("(ビタミン・ミネラル)", "(ビタミン・ミネラル)"), ("(3>2>1)", "(3>2>1)"), ("好(^_^)", "好"), ("好(・ω・)", "好"), ("(°)", "(°)"),
        ("——新茶到了——", "新茶到了"), ("༺新茶༻", "新茶"), ("●新茶到了 ●两盒", "新茶到了 ●两盒"), ("—5°C储存", "—5°C储存"), ("——", "——"), ("*不含税", "*不含税"),
        ("××公司", "××公司"), ("~新茶到了~~", "新茶到了"), ("~5°C以下", "~5°C以下"), ("好茶®到货™[图片]", "好茶到货"), ("~(￣▽￣)~到货", "到货"),
    ],
)  # fmt: skip
def test_stickers_faces_and_ornaments_say_nothing(written, plain):
    assert normalise(written) == plain == normalise(plain)


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("糖nіао病", "糖尿病"), ("糖nі̶а̶о̶病", "糖尿病"), ("「с」货", "c货"), ("gао血уа", "高血压"), ("хіаng烟рі发", "香烟批发"), ("加ᴠx", "加vx"), ("降xue压ɡ", "降血压g"),
        ("лофт地毯", "лофт地毯"), ("αβ胶", "αβ胶"), ("5μg", "5μg"), ("ΑΒ两款", "ΑΒ两款"), ("спасибо大家", "спасибо大家"), ("只卖с货", "只卖c货"),
        ("検験报告", "检验报告"), ("🈵199減30", "满199减30"), ("気血両虚", "气血两虚"),
    ],
)  # fmt: skip
def test_letters_and_characters_that_look_like_others(written, plain):
    assert normalise(written) == plain == normalise(plain)


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("zhi4 liao2三高", "治疗三高"), ("gao1xue4ya1能降", "高血压能降"), ("抗ai2zheng4", "抗癌症"), ("降xue4压", "降血压"),
        ("B12和A4纸", "B12和A4纸"), ("iPhone15 pro2", "iPhone15 pro2"), ("a1 b2 c3", "a1 b2 c3"), ("wifi6路由器", "wifi6路由器"), ("P2P平台", "P2P平台"),
        ("型号li3dong4x5", "型号li3dong4x5"),
    ],
)  # fmt: skip
def test_tones_as_digits_are_left_out_where_there_is_pinyin(written, plain):
    assert normalise(written) == plain == normalise(plain)


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("新茶到了！今天九块九！！", "新茶到了,今天九块九,"), ("真的吗？！真的!?", "真的吗?真的?"), ("‼️上新", "上新"),
        ("【现货】新茶【包邮】", "现货 新茶 包邮"), ("【治】【疗】【癌】", "治疗癌"), ("高「血」压『新品』", "高血压新品"),
        ("主机+电池+充电线", "主机、电池、充电线"), ("有意+微信聊", "有意+微信聊"), ("治+疗+癌", "治疗癌"), ("1+1装", "1+1装"),
        ("原价¥1999现价¥ 99.9/盒", "原价1999元现价99.9元/盒"), ("￥1,299起", "1,299元起"), ("¥1,299元 ¥3.5万 ¥5k ¥2亿 ¥10 万 ¥1.5折 ¥1,29", "¥1,299元 ¥3.5万 ¥5k ¥2亿 ¥10 万 ¥1.5折 ¥1,29"), ("血" + "!" * 9 + "?压", "血?压"),
    ],
)  # fmt: skip
def test_copy_is_read_as_it_would_be_said(written, plain):
    assert normalise(written) == plain == normalise(plain)


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("❌勾兑 ❌香精 纯粮酿造", "不勾兑 无香精 纯粮酿造"), ("🚫证🚫标签🚫添加的奶枣", "无证无标签无添加的奶枣"), ("❌假货 ❌二手", "不假货 不二手"),
        ("🚫请勿倒置 🚫请勿暴晒", "请勿倒置 请勿暴晒"), ("❌专柜价3680 ❌原价999", "专柜价3680 原价999"), ("根❌治 ❌包好", "根治 包好"), ("❌勾兑", "勾兑"),
        ("①99元 ②199元", "1 99元 2 199元"), ("①99元②199元", "1 99元2 199元"), ("原价①⑨9元", "原价199元"), ("¥①99", "199元"), ("❶3盒装", "1 3盒装"), ("⒈5斤装 ⒉3斤装", "1. 5斤装 2. 3斤装"),
        ("每次1½勺", "每次1 1⁄2勺"), ("七~十天发货", "七到十天发货"), ("一~九~九", "一九九"), ("减~肥", "减肥"), ("满199➖30", "满199减30"),
        ("要发🎫另加", "要发票另加"), ("🦶气喷一次", "脚气喷一次"), ("失😴的姐妹", "失眠的姐妹"), ("晚安😴", "晚安"), ("类🌬️湿", "类风湿"), ("1:1复🔪", "1:1复刻"),
        ("❤️脏不好", "心脏不好"), ("爱❤️你们", "爱你们"), ("白大🥼推荐", "白大褂推荐"), ("加大🧥上新", "加大上新"),
    ],
)  # fmt: skip
def test_signs_in_a_list_numbers_side_by_side_and_things(written, plain):
    assert normalise(written) == plain == normalise(plain)


@pytest.mark.parametrize("text", ["血" + "!" * 20_000 + "血", "!?" * 10_000, "x" + " —" * 9_000 + "y", "—" * 20_000 + "5", "(≧" * 10_000, "zhi4 " * 4_000,
                                  "❌勾兑 " * 4_000, "a\u0336" * 10_000, "а" * 20_000, "¥1," * 6_000], ids=lambda text: text[:3])  # fmt: skip
def test_the_longest_texts_take_no_time(text):
    started = time.process_time()
    normalise(text)
    assert time.process_time() - started < 2
