"""Disguises by writing: code words, placeholders, split and look-alike characters, symbols, scripts, noise."""

from __future__ import annotations

import random
import re
from functools import lru_cache
from pathlib import Path

from zhenyan import inference
from zhenyan.training.evasion.words import rewrite, target_spans

# As real hosts say it; learned from the pairs of the public morph data (words only).
CODE_WORDS = {
    "眼睛": ["心灵之窗", "心灵痔疮", "窗户"], "医生": ["白大褂", "白褂褂", "白挂挂"], "医院": ["某院", "医摩院", "白墙"],
    "糖尿病": ["小糖人", "糖人", "糖友", "小唐人"], "血糖": ["小糖糖", "那个糖", "甜的那个"], "血压": ["压压", "红色压", "那个压"],
    "三高": ["啥啥都高", "高的那个", "三个高"], "血管": ["红色管管", "小管管", "管道"], "血液": ["红色液体", "红液"],
    "药": ["小白片", "小药药", "那个片"], "药店": ["某样某店", "药某店", "绿色十字"], "手术": ["手某素", "开小口", "动刀刀"],
    "便秘": ["便小秘", "小便便", "不通畅"], "肠道": ["小肠肠", "肠小道", "肠某道"], "营养": ["银和氧", "银河养"],
    "预防": ["预抹防", "预谋房", "愈房"], "代谢": ["带某谢", "蛋母蟹", "带谢谢"], "免疫力": ["免某力", "免免力", "抵某力"],
    "副作用": ["父母作用", "副母作用", "那个作用"], "吸收": ["吸某收", "吸和收"], "效果": ["酵母果", "孝和果", "小果果"],
    "色斑": ["斑斑", "脸上的点点"], "黄褐斑": ["黄某斑", "黄什么斑"], "祛斑": ["去某斑", "去什么斑"], "美白": ["白月光", "白白", "美某白"],
    "减肥": ["川衣自由", "身材管理", "减某肥"], "瘦身": ["掉秤", "瘦瘦", "身材自律"], "失眠": ["睡不着觉觉", "入抹棉"], "睡眠": ["睡棉", "睡眠眠"],
    "过敏": ["敏敏", "过某敏"], "关节": ["关某节", "关关节节"], "老花": ["老母花", "花花"], "白内障": ["白某障", "白抹障"],
    "青光眼": ["青某光", "青抹光"], "飞蚊症": ["飞母症", "飞毛症"], "保健食品": ["小蓝帽", "保某件食品"], "感冒": ["阿秋阿秋"],
    "治疗": ["调理", "治某疗", "搞定"], "改善": ["改和善", "改某善"], "元": ["米"], "微信": ["薇信", "绿泡泡", "v"], "怀孕": ["有小宝宝"],
    "癌": ["不好的东西", "大病"], "孕妇": ["孕妈妈"], "国家": ["国某家", "咱妈"], "明星": ["女明猩", "某星"], "第一": ["第幺", "NO1", "地一"],
    "最": ["蕞", "嘴"], "香烟": ["小烟烟", "口粮"], "高仿": ["高f", "a货"], "刷单": ["刷刷", "s单"], "好评": ["好平", "五星"],
}  # fmt: skip
_FILLERS = ("某", "母", "抹", "什么", "小", "毛", "和", "那个")
_PLACEHOLDERS = ("某", "X", "×", "*", "o", "什么")
_SPLIT = dict(
    item.split("=")
    for item in """治=氵台 疗=疒了 病=疒丙 痛=疒甬 癌=疒嵒 症=疒正 糖=米唐 肝=月干 肾=臤月 肺=月市 胖=月半 肥=月巴 脂=月旨 胃=田月 肠=月昜 脑=月凶
    眼=目艮 睛=目青 好=女子 妇=女彐 药=艹约 茶=艹余 最=日取 明=日月 星=日生 林=木木 根=木艮 极=木及 级=纟及 仿=亻方 假=亻叚 低=亻氐 亿=亻乙
    信=亻言 价=亻介 保=亻呆 健=亻建 体=亻本 降=阝夅 防=阝方 除=阝余 院=阝完 流=氵㐬 消=氵肖 活=氵舌 法=氵去 海=氵每 油=氵由 灵=彐火 炎=火火
    烟=火因 燃=火然 秘=禾必 和=禾口 稳=禾急 收=丩攵 效=交攵 救=求攵 功=工力 助=且力 动=云力 加=力口 利=禾刂 别=另刂 刷=尸巾刂 到=至刂
    钱=钅戋 银=钅艮 钙=钅丐 评=讠平 证=讠正 诊=讠㐱 许=讠午 请=讠青 减=冫咸 净=冫争 冻=冫东 快=忄夬 性=忄生 情=忄青 惊=忄京 打=扌丁 抗=扌亢 护=扌户
    抽=扌由 换=扌奂 排=扌非 接=扌妾 返=辶反 还=辶不 进=辶井 选=辶先 通=辶甬 过=辶寸 送=辶关 奖=丬夕大 湿=氵显 疹=疒㐱 斑=王文王 现=王见 珍=王㐱 玩=王元""".split()
)
_LOOKS = {pair[0]: pair[1] for pair in (
    "治冶 未末 己已 痘豆 医区 药约 糖搪 尿尾 病痨 血皿 压庄 胃冒 肝肚 肾坚 睛晴 眠眼 炎淡 癌嵒 斑班 瘦廋 肥巴 减咸 最蕞 第弟 级极 顶项 国囯 家冢 军车 专传 家稼 "
    "院浣 士土 正止 品晶 真填 假暇 原愿 价阶 低底 亏污 刷涮 单弹 评坪 返板 现规 微徽 信倌 奖浆 烟咽 酒洒 免兔 疫役 力刀 毒每 素索 激缴 效郊 果杲 功攻 能熊 保堡 证征 永水 久夂 防仿 预豫"
).split()}  # fmt: skip
_SYMBOLS = "*-.·_/~|+^#"
_EMOJI = "🔥✨❤️🌟💊🌿👍💪🍃🎁✅"
_HAN = re.compile("[\u4e00-\u9fff]")


def _in_daily_use(character: str) -> bool:
    """Whether a character stands in Big5's first plane, the 5,401 in daily use where script is traditional."""
    encoded = character.encode("big5", "ignore")
    return len(encoded) == 2 and 0xA440 <= int.from_bytes(encoded) <= 0xC67E


@lru_cache(maxsize=1)
def _traditional() -> dict[int, str]:
    """Simplified to traditional; where several forms share a simplified one, the one in daily use."""
    table = Path(inference.__file__).with_name("t2s.tsv").read_text(encoding="utf-8")
    forms: dict[int, str] = {}
    for traditional_form, simplified in (line.split("\t") for line in table.splitlines()):
        if _in_daily_use(traditional_form) and not _in_daily_use(simplified):
            forms.setdefault(ord(simplified), traditional_form)
    return forms


def code_word(text: str, rng: random.Random) -> str:
    """Known code words for the words they stand for: 眼睛 -> 心灵之窗; up to three of them."""
    present = [word for word in CODE_WORDS if word in text]
    for word in rng.sample(present, k=min(3, len(present))):
        text = text.replace(word, rng.choice(CODE_WORDS[word]))
    return text if present else placeholder(text, rng)


def placeholder(text: str, rng: random.Random) -> str:
    """A character of each target word replaced by 某 or the like, or one put inside: 血糖 -> 血某, 代谢 -> 代某谢."""
    spans = target_spans(text, rng)
    changed = []
    for start, end in spans:
        word = text[start:end]
        at = rng.randrange(len(word))
        if len(word) > 1 and rng.random() < 0.6:
            at = max(1, at)
            changed.append(word[:at] + rng.choice(_FILLERS) + word[at:])
        else:
            changed.append(word[:at] + rng.choice(_PLACEHOLDERS) + word[at + 1 :])
    return rewrite(text, spans, changed)


def reduplicate(text: str, rng: random.Random) -> str:
    """Baby-talk doubling with a swallowed syllable: 过敏 -> 敏敏, 红血丝 -> 红丝丝."""
    spans = target_spans(text, rng)
    words = [text[start:end] for start, end in spans]
    return rewrite(text, spans, [w[:-2] + w[-1] * 2 if len(w) > 1 else w * 2 for w in words])


def _each_character(text: str, rng: random.Random, table: dict[str, str]) -> str:
    spans = target_spans(text, rng, limit=3)
    words = ["".join(table.get(c, c) for c in text[start:end]) for start, end in spans]
    changed = rewrite(text, spans, words)
    if changed != text:
        return changed
    places = [i for i, c in enumerate(text) if c in table]
    for at in sorted(rng.sample(places, k=min(2, len(places))), reverse=True):
        text = text[:at] + table[text[at]] + text[at + 1 :]
    return text


def split_character(text: str, rng: random.Random) -> str:
    """Characters written as their parts: 治疗 -> 氵台疒了."""
    return _each_character(text, rng, _SPLIT)


def look_alike(text: str, rng: random.Random) -> str:
    """Characters replaced by others that look like them: 治 -> 冶, 最 -> 蕞."""
    return _each_character(text, rng, _LOOKS)


def _interpose(text: str, rng: random.Random, marks: str | list[str]) -> str:
    spans = target_spans(text, rng, limit=3)
    mark = rng.choice(marks)
    return rewrite(text, spans, [mark.join(text[start:end]) if end - start > 1 else text[start:end] + mark
                                 for start, end in spans])  # fmt: skip


def symbols(text: str, rng: random.Random) -> str:
    """A symbol between the characters of target words: 高*血*压."""
    return _interpose(text, rng, _SYMBOLS)


def emoji(text: str, rng: random.Random) -> str:
    """An emoji between the characters of target words: 减🔥肥."""
    return _interpose(text, rng, [e for e in _EMOJI if e != "\ufe0f"])


def spaces(text: str, rng: random.Random) -> str:
    """Spaces or invisible characters between the characters of target words."""
    return _interpose(text, rng, [" ", "\u200b", "\u2060"])


def traditional(text: str, rng: random.Random) -> str:
    """The whole line in traditional characters."""
    return text.translate(_traditional())


def full_width(text: str, rng: random.Random) -> str:
    """ASCII in full width; circled digits for some digits."""
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)
    return re.sub(
        "[１-９]", lambda m: chr(0x2460 + ord(m.group()) - ord("１")) if rng.random() < 0.3 else m.group(), wide
    )


def drop(text: str, rng: random.Random) -> str:
    """Each Han character not heard with a chance of one in fifteen; a text of which nothing would be left stays whole."""
    return "".join(c for c in text if not (_HAN.match(c) and rng.random() < 1 / 15)) or text


def repeat(text: str, rng: random.Random) -> str:
    """Stammering: some runs of one to three characters said twice."""
    out, at = [], 0
    while at < len(text):
        size = rng.randint(1, 3)
        run = text[at : at + size]
        out.append(run * 2 if rng.random() < 1 / 8 and _HAN.match(run) else run)
        at += size
    return "".join(out)


_SAID = ("呃", "啊", "那个", "就是说", "然后呢", "对吧", "是不是", "嗯", "这个", "咱们", "来", "哈", "好不好", "你看")


def fillers(text: str, rng: random.Random) -> str:
    """Hesitations put between words, about one in ten characters, and commas where a breath might be."""
    out = []
    for character in text:
        out.append(character)
        if _HAN.match(character) and rng.random() < 0.08:
            out.append(rng.choice(_SAID) + ("，" if rng.random() < 0.3 else ""))
    return "".join(out)


def cut(text: str, rng: random.Random) -> str:
    """The line cut as recognisers cut: up to four characters gone at one end."""
    size = rng.randint(1, 4)
    if len(text) < 16:
        return text
    return text[size:] if rng.random() < 0.5 else text[:-size]
