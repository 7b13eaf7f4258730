"""Symbols that are read as words or numbers, and those that are decoration."""

import time

import pytest
from zhenyan.inference.normalise import normalise


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("预售❌退换", "预售不退换"),
        ("清仓处理都❌支持退", "清仓处理都不支持退"),
        ("一经售出🙅退换", "一经售出不退换"),
        ("一经售出🙅🏻\u200d♀️退换", "一经售出不退换"),
        ("大家🙅刷单 🙅返现", "大家不刷单 不返现"),
        ("✗退换 ✕退换", "不退换 不退换"),
        ("都❌管 预定❌退", "都不管 预定不退"),
    ],
)
def test_a_sign_of_prohibition_is_read_as_not(written, plain):
    assert normalise(written) == plain


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("专❌卖 售❌卖 专❌用 定❌做", "专卖 售卖 专用 定做"),
        ("都❌是 都❌能 一定❌能", "都是 都能 一定能"),
        ("太贵了🙅用这个就行", "太贵了用这个就行"),
        ("“✕✕用户都说好”", "“用户都说好”"),
        ("30✕加厚", "30加厚"),
        ("不许这么写🙅", "不许这么写"),
    ],
)
def test_a_sign_within_a_word_or_beside_one_is_none(written, plain):
    assert normalise(written) == plain


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("❌代替药物", "不代替药物"),
        ("本品❌代替药物 ❌治疗疾病", "本品不代替药物 不治疗疾病"),
        ("❌高仿 支持验货", "不高仿 支持验货"),
        ("正品，❌踩雷 ❌智商税", "正品,不踩雷 不智商税"),
        ("❌发票", "不发票"),
        ("🚫🚫🚫代替药物", "不代替药物"),
        ("根❌治 替❌代药物", "根治 替代药物"),
        ("❌专柜价3680❌ ❌原价1999 ❌价", "专柜价3680 原价1999 价"),
    ],
)
def test_a_sign_of_prohibition_where_a_clause_begins(written, plain):
    assert normalise(written) == plain


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("💯%有效 100💯%", "100%有效 100%"),
        ("百分💯正品", "百分百正品"),
        ("🔝级品质 顶🔝级", "顶级品质 顶级"),
        ("香🚬 电子🚬 吸🚬 抽🚬🚬", "香烟 电子烟 吸烟 抽烟"),
        ("🚬批发 外贸🚬批发 香烟🚬批发", "香烟批发 外贸烟批发 香烟批发"),
        ("土🚬丝", "土丝"),
        ("👩\u200d⚕️都给自己囤 👨🏻\u200d⚕️推荐", "医生都给自己囤 医生推荐"),
        ("专家👨\u200d⚕️推荐 医生👩\u200d⚕️说", "专家推荐 医生说"),
        ("三甲🏥同款 医院🏥都在用 🏥张主任", "三甲医院同款 医院都在用 张主任"),
        ("全国排名🥇 全国第一名🥇 🥇品牌", "全国排名第一 全国第一名 品牌"),
        ("再也不用吃💊了 停💊就行", "再也不用吃药了 停药就行"),
        ("好吃💊回购 一天吃💊2粒 吃💊💊了 好用💊回购", "好吃回购 一天吃2粒 吃了 好用回购"),
        ("每天按时吃💊", "每天按时吃"),
        ("打💉伤身 打针💉 别打💉针", "打针伤身 打针 别打针"),
        ("🔥爆款🌿草本💰省🎁送", "爆款草本省送"),
    ],
)
def test_pictographs_that_stand_for_a_word_are_read_once(written, plain):
    assert normalise(written) == plain


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("🌟🌟🌟🌟🌟返现", "五星返现"),
        ("打⭐️⭐️⭐️⭐️⭐️好评返5元", "打五星好评返5元"),
        ("⭐⭐⭐⭐⭐晒图 ⭐⭐⭐⭐⭐截tu", "五星晒图 五星截图"),
        ("👍评返现 给个👍🏻评", "好评返现 给个好评"),
        ("⭐⭐⭐⭐返现 ⭐⭐⭐⭐⭐⭐返现 ⭐⭐⭐⭐⭐新品", "返现 返现 新品"),
        ("⭐⭐⭐⭐⭐返场价 ⭐⭐⭐⭐⭐截止今晚", "返场价 截止今晚"),
        ("五⭐⭐⭐⭐⭐好评 好👍评", "五星好评 好评"),
        ("👍评论区见 质量👍", "评论区见 质量"),
    ],
)
def test_five_stars_and_a_thumb_before_a_review(written, plain):
    assert normalise(written) == plain


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("高🩸压的喝这个 高🩸壓", "高血压的喝这个 高血压"),
        ("降🩸🍬的茶", "降血糖的茶"),
        ("🦀症病人 大闸🦀", "癌症病人 大闸蟹"),
        ("🇨🇳家级品质", "国家级品质"),
        ("⚡️子🚬五十块", "电子烟五十块"),
        ("🐯骨酒 老🐘牙手串 穿⛰️甲", "虎骨酒 老象牙手串 穿山甲"),
        ("🍬尿病 🍭尿病 🦴质疏松 🦴質疏鬆 🦀细胞 🦀細胞", "糖尿病 糖尿病 骨质疏松 骨质疏松 癌细胞 癌细胞"),
        ("🦴质增生 🫁结节 护👁睛", "骨质增生 肺结节 护眼睛"),
    ],
)
def test_a_pictograph_of_a_thing_that_makes_a_word_with_its_neighbour_is_read(written, plain):
    assert normalise(written) == plain


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("牙刷🦷儿童款 刷牙🦷", "牙刷儿童款 刷牙"),
        ("充电⚡快 秒发⚡顺丰 ⚡源头工厂", "充电快 秒发顺丰 源头工厂"),
        (
            "快充⚡手机壳 超级快充⚡线 秒充⚡五分钟 闪充⚡六十瓦 超充⚡",
            "快充手机壳 超级快充线 秒充五分钟 闪充六十瓦 超充",
        ),
        ("糖🍬尿病 癌🦀细胞 🦀细嫩鲜甜", "糖尿病 癌细胞 细嫩鲜甜"),
        ("奶茶🥛杯 国产🇨🇳品牌 血糖仪🩸包邮", "奶茶杯 国产品牌 血糖仪包邮"),
        ("💰草本💰省 糖❤️尿病 必发💰", "草本省 糖尿病 必发"),
        ("今天下单🐟🐟🐟缸灯", "今天下单缸灯"),
        ("🦀 🩸", ""),
    ],
)
def test_a_pictograph_that_decorates_is_dropped(written, plain):
    assert normalise(written) == plain


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("原价→现价", "原价现价"),
        ("100→50 A→B", "100 50 A B"),
        ("199元→99元", "199元99元"),
        ("↓↓↓点击 ▶新品◀ ⏰只剩1小时 ⤵", "点击 新品 只剩1小时"),
        ("1〰5斤", "1 5斤"),
        ("降▪血▫压", "降血压"),
        ("糖○ 没□ ● ◯ ⌘键 ⌀12", "糖○ 没□ ● ◯ ⌘键 ⌀12"),
    ],
)
def test_arrows_and_shapes_are_decoration(written, plain):
    assert normalise(written) == plain


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("原价1️⃣9️⃣9️⃣", "原价199"),
        ("5️⃣⭐好评返5️⃣元", "5星好评返5元"),
        ("🔟天瘦🔟斤", "10天瘦10斤"),
        ("1️⃣号链接 #️⃣1 🅰️⃣标 治*️⃣病", "1号链接 #1 A标 治病"),
        ("1→⃣1 一⃣律不退", "1 1 一律不退"),
        ("1️⃣99元 买2️⃣100元", "1 99元 买2 100元"),
    ],
)
def test_keys_are_what_stands_on_them(written, plain):
    assert normalise(written) == plain


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("到手价29⁹", "到手价29.9"),
        ("99⁹⁰元 2９⁹包邮", "99.90元 29.9包邮"),
        ("¥29⁹ 卖1299⁹", "29.9元 卖1299.9"),
        ("29⁹到手 29⁹拿下 29⁹起", "29.9到手 29.9拿下 29.9起"),
        ("9⁹一件 9⁹一盒 9⁹一瓶 9⁹一包 9⁹一单", "9.9一件 9.9一盒 9.9一瓶 9.9一包 9.9一单"),
        ("10⁹到手 活菌10⁹起 10⁸一瓶", "10.9到手 活菌10^9起 10^8一瓶"),
        ("活菌10⁸CFU 1×10⁷CFU", "活菌10^8CFU 1×10^7CFU"),
        ("只要3粒10⁸个", "只要3粒10^8个"),
        ("BV线2.5²起 1.5²包邮 29.9⁹到手", "BV线2.5^2起 1.5^2包邮 29.9^9到手"),
        ("地板80²起 电线4²一包 含量99¹起 只要29²起", "地板80^2起 电线4^2一包 含量99^1起 只要29.2起"),
        ("30m² 580m³/h", "30m2 580m3/h"),
    ],
)
def test_raised_digits_are_behind_the_point_of_a_price_or_an_exponent(written, plain):
    assert normalise(written) == plain


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("⻝品 ⻛湿 ⻣头 ⻩金 ⻉壳", "食品 风湿 骨头 黄金 贝壳"),
        ("薬効 痩身 囯家 朂好 㝡好 冣好 苐一", "药效 瘦身 国家 最好 最好 最好 第一"),
        ("乾隆年制 乾坤 乾清宮", "乾隆年制 乾坤 乾清宫"),
        ("乾燥 餅乾 擦乾清洗", "干燥 饼干 擦干清洗"),
    ],
)
def test_radicals_and_other_forms_are_read_as_the_usual_characters(written, plain):
    assert normalise(written) == plain


SIGNS = (
    "🩸 🦀 🇨🇳 ⭐ 👍 ⭐⭐⭐⭐⭐返 高🩸压 9⁹起 ❌ ✕ 🙅 🙅🏻♀ 💯 🔝 🚬 🥇 👩\u200d⚕️ 🏥 💊 💉 → ▶ 1️⃣ 🔟 9⁹ ⁹ ⻝ 乾".split()
)


@pytest.mark.parametrize("sign", [*SIGNS, "吃💊 ", "本品❌", "售❌卖", "价9⁹元", "吃💊" + " " * 40, "".join(SIGNS)])
def test_long_rows_of_symbols_are_read_at_once(sign):
    start = time.process_time()
    text = normalise(sign * (200_000 // len(sign)))
    assert normalise(text) == text
    assert time.process_time() - start < 10  # under a second alone
