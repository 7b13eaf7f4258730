"""Disguises that need no learning."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zhenyan.inference import broken
from zhenyan.inference import normalise as normaliser
from zhenyan.inference.normalise import normalise


@pytest.mark.parametrize(
    ("disguised", "plain"),
    [
        ("治*疗糖❤️尿病", "治疗糖尿病"),
        ("糖 尿 病 人能喝", "糖尿病 人能喝"),
        ("治-疗-高.血.压", "治疗高血压"),
        ("這款產品能治療濕疹", "这款产品能治疗湿疹"),
        ("ＡＢＣ１２３", "ABC123"),
        ("降\u200b血\u2060糖", "降血糖"),
        ("降🔥血🔥压，好", "降血压,好"),
        ("a\ud800b\0c", "abc"),
        ("\u202e压血降\u202c", "压血降"),
        ("治\U000e0041病", "治病"),
        ("降\U0001f929血", "降血"),
        ("降\u180b血", "降血"),
        ("\u3400*\u3401", "\u3400\u3401"),
        ("大 中 小", "大中小"),
        ("氵台疒了米唐尿疒丙", "治疗糖尿病"),
        ("纟且艹氵各", "组落"),
        ("氵*台疒🔥丙", "治病"),
        ("疒了 氵台 礻申", "疗治神"),
        ("亻 言 我", "信我"),
        ("返还:辶反辶不不辶", "返还:返还"),
        ("原价❶❾❾❾今天❾❾元", "原价1999今天99元"),
        ("🅰货找ⓥ信", "A货找v信"),
        ("一经售出❌退换 🚫负责", "一经售出不退换 不负责"),
        ("咱家❌卖高仿", "咱家不卖高仿"),
        ("失❌眠 使❌用", "失眠 使用"),
        ("打五⭐返两块 3★好评", "打五星返两块 3星好评"),
        ("满15★包邮★", "满15包邮"),
        ("全网🥇 🥇新品", "全网第一 新品"),
        ("💯有效 给💯分", "百分百有效 给分"),
        ("➕V信", "加V信"),
        ("🔥🔥🔥绘本一套十本🔥🔥🔥🔥", "绘本一套十本"),
        ("满100🔥200 🔥 减30", "满100 200 减30"),
        ("高–血–压 糖・尿・病", "高血压 糖尿病"),
        ("国.家.级品质 根-治-腰间盘", "国家级品质 根治腰间盘"),
        ("学.信.网可查 乳.腺.疙.瘩就软", "学信网可查 乳腺疙瘩就软"),
        ("代某谢变慢，预抹防血某栓", "代谢变慢,预防血栓"),
        ("便小秘 吸和收 打什么嗝", "便秘 吸收 打嗝"),
        ("打什什什么么么嗝", "打嗝"),
        ("减什么肥的效果 减什么肥的功小效 淡什么斑 健什么康", "减肥的效果 减肥的功效 淡斑 健康"),
        ("减什么肥的茶 溶什么脂针 抗什么癌药", "减肥的茶 溶脂针 抗癌药"),
        ("血什么糖 治什么疗 保什么护 祛什么斑的功效", "血糖 治疗 保护 祛斑的功效"),
        ("更好的吸和收 点个小关小注", "更好的吸收 点个小关注"),
        ("全网蕞低价 蕞终解释权", "全网最低价 最终解释权"),
    ],
)
def test_disguises_are_undone(disguised, plain):
    assert normalise(disguised) == plain


@pytest.mark.parametrize(
    "text",
    [
        "秋冬新款 加绒 卫衣",
        "女子专用 日月同辉 三月干什么",
        "粗跟防水台 红景天口服液 门口那些猪肉干 换毛季",
        "某某店 某天 张某和李某",
        "吃什么药 一小块 妹和妹 大小不一",
        "减什么肥啊 抽什么奖 今天不抽奖 降什么压 祛什么斑",
        "包什么邮运费自理 免什么费都要钱的 护什么肤呀 还养什么胃 消什么费啊穷 丰什么胸",
        "减什么肥的都是骗人 祛什么斑的人",
        "糖和尿不湿 孕妇和哺乳期 项目和标准 密码和验证码 儿童和孕妇",
        "一波小福利 通过小程序退回 光疗小仪器",
        "维C+钙",
        "12.5-13.0kg",
        "3.8节 V1.2.3版 www.a.com",
        "最.好的面膜 白.黑色",
        "好 来 看下 对 嗯 就是这个",
        "红/黄/蓝色 铁+锌+硒元素",
        "柴、米、油盐 好,来,那我们",
        "A/B两款",
        "铁+锌+硒元素",
        "第一, 第二",
        "尺码 大 小",
        "女子日月木禾口",
        "月半前到货",
        "质量好——价格低",
    ],
)
def test_ordinary_writing_stays(text):
    assert normalise(text) == text


@pytest.mark.parametrize(
    ("heard", "plain"),
    [
        ("益益菌菌失失多了了", "益菌失多了"),
        ("可可以以增增增加，拜拜", "可以增加,拜"),
        ("返返还还两百块块", "返还两百块"),
        ("便便秘秘🔥", "便秘"),
    ],
)
def test_a_character_that_was_heard_several_times_is_read_once(heard, plain):
    assert normalise(heard) == plain


@pytest.mark.parametrize(
    "text",
    [
        "九十九九十九",
        "一百百分之百",
        "亿亿万万",
        "我奶奶喝奶",
        "太太给两两",
        "某某店",
        "1133元",
        "AA制",
        "ははは",
        "好，好",
        "幺幺零",
        "拼多多",
        "壹佰佰",
    ],
)
def test_doubled_numerals_and_words_that_are_something_else_alone_stay(text):
    assert normalise(text) == text.replace("，", ",")


BITS = (*"代谢某母小和氵台疒了女子衣袋压吸收高减肥医生返🔥* ❌1\u20e3⁹💯→吃💊🩸⭐.@/", "什么", "xue", "yi")


@given(st.one_of(st.text(max_size=200), st.lists(st.sampled_from(BITS), max_size=60).map("".join)))
def test_normalising_again_changes_nothing(text):
    once = normalise(text)
    assert normalise(once) == once


@pytest.mark.parametrize("text", ["代衣某", "糖和尿不湿", "某小和", "代某xie小", "氵某台", "国.家.级品", "国.家"])
def test_a_long_row_of_what_might_be_broken_words_is_read_at_once(text):
    """Each must not wait for the one behind it: a row of thousands ended in a RecursionError, after minutes."""
    began = time.process_time()
    normalise(text * 3000 + "袋")
    assert time.process_time() - began < 5


def without_a_layer(text):
    """Without the fillers that stand there, all judged before one is taken out."""

    def kept(found):
        right, behind = text[found.end()], text[found.end() + 1 : found.end() + 2]
        return "" if broken._is_filler(text[found.start() - 1], found.group(), right, behind) else found.group()

    return broken._FILLED.sub(kept, text)


@given(st.lists(st.sampled_from([*broken._FILLERS, *"什么代谢便秘吸收打嗝减肥孕妇哺乳"]), max_size=30).map("".join))
def test_fillers_inside_fillers_are_gone_as_if_layer_by_layer(text):
    peeled, before = without_a_layer(text), text
    while peeled != before:
        peeled, before = without_a_layer(peeled), peeled
    assert broken.whole(text) == peeled
    assert normalise(text) == normalise(peeled)


def steps(text, monkeypatch):
    """Characters that are read and places that are judged until nothing changes any more."""
    taken, is_filler, whole = [], broken._is_filler, broken.whole
    monkeypatch.setattr(broken, "_is_filler", lambda *around: taken.append(1) or is_filler(*around))
    monkeypatch.setattr(normaliser, "whole", lambda text: taken.append(len(text)) or whole(text))
    assert normalise(text) == "什么"
    monkeypatch.undo()
    return sum(taken)


def test_twice_as_many_fillers_inside_one_another_are_twice_the_work(monkeypatch):
    """All of the text was read again for each layer: 6,000 took six seconds."""
    few, many = (steps("什" * layers + "么" * layers, monkeypatch) for layers in (500, 1000))
    assert few < many <= 2.1 * few


def test_thousands_of_fillers_inside_one_another_are_read_at_once():
    began = time.process_time()
    assert normalise("什" * 20_000 + "么" * 20_000) == "什么"
    assert time.process_time() - began < 10  # a sixth of a second alone


def test_nested_stickers_take_time_by_their_length():
    def seconds(layers):
        began = time.process_time()
        normalise("[爱" * layers + "爱心]" * layers)
        return time.process_time() - began

    assert min(seconds(800) for _ in range(3)) < 6 * min(seconds(200) for _ in range(3))
