"""Which words get disguised: those a seller fears, else any two neighbouring characters."""

from __future__ import annotations

import random
import re
from functools import lru_cache

# Diseases, organs, effects, authorities, absolutes and dealings that hosts are seen to disguise.
SENSITIVE = """
高血压 高血糖 高血脂 三高 糖尿病 血压 血糖 血脂 血管 血栓 脑梗 中风 心脏 心梗 支架 搭桥 癌症 肿瘤 癌 结节 囊肿 肝 脂肪肝 肾 肾虚 肺 肺炎 咳嗽 哮喘 鼻炎 咽炎
颈椎 腰椎 腰间盘 关节炎 关节 滑膜 骨质疏松 风湿 痛风 尿酸 疼痛 便秘 肠道 肠胃 胃病 胃炎 幽门 失眠 睡眠 头晕 头痛 抑郁 焦虑 免疫力 抵抗力 过敏 湿疹 皮炎 炎症 发炎 妇科 宫寒 卵巢
前列腺 白内障 青光眼 飞蚊症 老花 近视 散光 视力 眼睛 牙周 牙龈 口臭 脱发 白发 斑 黄褐斑 色斑 雀斑 痘痘 皱纹 美白 祛斑 淡斑 抗皱 减肥 瘦身 燃脂 掉秤 代谢 排毒 毒素 抗氧化 抗糖 抗衰
治疗 治愈 根治 治 疗效 痊愈 康复 缓解 改善 预防 修复 再生 见效 效果 功效 作用 副作用 疗程 吃药 药 药店 处方 手术 医生 医院 专家 主任 教授 院士 中医 国家 药监局 军队 央视 明星 代言
第一 最好 顶级 极品 唯一 国家级 保证 百分之百 绝对 永久 终身 零差评 销量 专利 正品 原单 代工厂 同厂 高仿 复刻 假货 产地 进口 有机 原价 亏本 成本价 全网最低 刷单 好评 返现 微信 转账
激素 添加剂 保健品 保健食品 中药 偏方 祖传 秘方 神药 特效 香烟 电子烟 活检 干细胞 量子 太赫兹 收益 稳赚 保本 包过 中奖
""".split()

_HAN_PAIR = re.compile("[\u4e00-\u9fff]{2,}")


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    return re.compile("|".join(sorted(map(re.escape, SENSITIVE), key=len, reverse=True)))


def target_spans(text: str, rng: random.Random, limit: int = 2) -> list[tuple[int, int]]:
    """Up to `limit` spans [start, end) to disguise, in order of position."""
    spans = [match.span() for match in _pattern().finditer(text)]
    if not spans:
        runs = [match.span() for match in _HAN_PAIR.finditer(text)]
        if not runs:
            return []
        start, end = rng.choice(runs)
        at = rng.randrange(start, end - 1)
        spans = [(at, at + 2)]
    return sorted(rng.sample(spans, k=min(limit, len(spans))))


def rewrite(text: str, spans: list[tuple[int, int]], change: list[str]) -> str:
    """`text` with span number i replaced by change[i]."""
    out, at = [], 0
    for number, (start, end) in enumerate(spans):
        out += [text[at:start], change[number]]
        at = end
    return "".join([*out, text[at:]])
