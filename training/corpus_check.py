"""`zhenyan data check`: what can be wrong with a corpus, each fault with its file and line."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from zhenyan.inference.normalise import plain_text
from zhenyan.training.duplicates import Shingles
from zhenyan.training.rows import Row, reading_fault
from zhenyan.training.rulings import broken_rulings, rulings_for
from zhenyan.training.schema import Schema
from zhenyan.training.splits import Splits

MAX_NEAR_SHARE = 0.02  # near duplicates an author batch may hold
MAX_GRAM_ROWS = 5  # rows one 8-gram may stand in
# Statutory phrases and wording the law itself requires: free to repeat.
STATUTORY = (
    "不能替代药物治疗疾病", "支持七天无理由退换货", "不支持七天无理由退货", "七日无理由退货", "商品不适用七天无理由退货",
    "保健食品具有增强免疫力的保健功能", "本品具有增强免疫力的保健功能", "有助于增强免疫力", "适宜人群不适宜人群少年儿童孕妇乳母", "易疲劳者不适宜人群少年儿童",
    "本品为普通食品不具有疾病预防治疗功能", "请仔细阅读产品说明书", "在医务人员的指导下", "国家药品监督管理局", "中华人民共和国", "食品生产许可证",
    "医疗器械注册证", "可在国家知识产权局网站官网查询", "国家知识产权局官网查", "实用新型专利号zl2020", "专利号zl2021", "专利号zl2022", "专利号zl2023",
    "批准文号国食健注g2019", "批准文号国食健注g2020", "批准文号国食健注g2021", "批准文号国食健注g2022", "本活动最终解释权归本店所有", "个体差异", "以实物为准",
    "第二类医疗器械注册证编号", "医疗机构执业许可证", "药品广告审查批准文号", "入境货物检验检疫证明", "特殊食品信息查询平台",
    "保健功能有助于维持血脂健康水平", "保健食品不是药物不能代替药物治疗疾病", "实用新型专利zl2020", "实用新型专利zl2021", "实用新型专利zl2022", "实用新型专利zl2023",
    "特殊化妆品注册证", "兽药产品批准文号", "没收违法所得并处罚款", "本店拥有最终解释权", "本店保留最终解释权",
    "侵犯注册商标专用权的商品", "未取得医疗广告审查证明", "动物检疫合格证明", "广告不得含有表示功效安全性的断言或者保证",
    "作引人误解的商业宣传", "帮助其他经营者进行虚假或者引人误解的商业宣传", "抽奖式有奖销售最高奖的金额不得超过五万元", "在相应范围内消除影响", "违背社会良好风尚",
    "功效安全性的断言或者保证不得说明治愈率或者有效率", "不得涉及疾病预防治疗功能", "反不正当竞争法第", "烟草专卖零售许可证", "地理标志专用标志", "有机产品认证证书", "农药登记证号pd20",
    "请在医生或临床营养师指导下使用", "特殊医学用途配方食品", "请按药品说明书或者在药师指导下购买和使用", "在医务人员指导下", "禁忌内容或者注意事项详见说明书", "食品营养素参考摄入",
    "医疗药品医疗器械广告", "适宜人群血脂偏高者", "适宜人群免疫力低下者不适宜人群少年儿童孕妇乳母本品不能代替药物", "保健功能有助于改善睡眠", "改善睡眠的保健功能", "对化学性肝损伤有辅助保护功能",
    "不适用七日无理由退货", "不适用无理由退货", "已取得医疗广告审查证明", "当事人在法定期限内", "国家知识产权局网站查", "国妆特字g202", "本局决定不予立案",
)  # fmt: skip


KINDS = ("violation", "hard", "plain")


@dataclass
class Findings:
    """What the check found: faults fail it, notes don't."""

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)
    empty_splits: list[str] = field(default_factory=list)  # which of validation and test have no row, and its groups
    absent_groups: list[str] = field(default_factory=list)  # of the splits that no row is of, mistyped or not read


def check_corpus(written: Sequence[Row], schema: Schema, splits: Splits, public: Sequence[Row] = ()) -> Findings:
    """All checks on written rows; of public lines repeats are notes at most: hosts repeat themselves and each other."""
    found, rows = Findings(), [*written, *public]
    for row in rows:
        if unknown := [label for label in row.labels if label not in schema.ids]:
            found.faults.append(
                f"{row.origin}: unknown label {', '.join(unknown)}; the schema has {', '.join(schema.ids)}"
            )
        found.faults += [f"{row.origin}: {fault}" for fault in contradictions(row, schema)]
        if not row.group:
            found.notes.append(f"{row.origin}: no room, batch, rewriter or source, so no split can hold it out")
    filled = {splits.of(row) for row in rows}
    found.empty_splits += [splits.lacking(name) for name in ("validation", "test") if name not in filled]
    groups = {name for row in rows for name in (row.group, row.writer)}
    found.absent_groups += [name for name in (*splits.validation, *splits.test) if name not in groups]
    found.faults += _repeated_ids(rows)
    texts = [plain_text(row.text) for row in rows]  # once for all checks: it takes longest
    _duplicates(rows, texts, len(written), splits, found)
    _pairs(rows, found)
    rulings = rulings_for(schema)
    found.notes += [f"{row.origin}: {reason}" for row in rows for reason in broken_rulings(row, rulings)]
    _grams(written, texts[: len(written)], found)
    found.counts = count(rows, schema, splits) | found.counts
    return found


def contradictions(row: Row, schema: Schema) -> Iterator[str]:
    """Where a row's labels and what is said about them don't fit."""
    if len(set(row.labels)) != len(row.labels):
        yield f"a label stands twice: {', '.join(row.labels)}"
    if unknown := [label for label in row.annotated or () if label not in schema.ids]:
        yield f"unknown label {', '.join(unknown)} in `annotated`; the schema has {', '.join(schema.ids)}"
    if fault := reading_fault(row, schema.ids):
        yield fault
    if row.annotated is not None and (unseen := [label for label in row.labels if label not in row.annotated]):
        yield f"label {', '.join(unseen)} isn't in `annotated`, so it counts for nothing; add it there or take it out here"
    kind = row.meta.get("kind")
    if kind is not None and kind not in KINDS:
        yield f"kind {kind!r} is none of {', '.join(KINDS)}, so the row counts as none of them; write one, or take it out"
    if row.labels and kind in ("plain", "hard"):
        yield f"kind {kind} is of compliant rows, but the row carries {', '.join(row.labels)}; write kind violation"
    # A label that was not looked for may be the one: the parts of a split, until a person has chosen.
    looked_for = row.annotated is None or set(row.annotated).issuperset(schema.ids)
    if not row.labels and looked_for and kind == "violation":
        yield "kind violation is of rows with a label, but the row carries none; add its label, or write kind hard"


def _repeated_ids(rows: Iterable[Row]) -> list[str]:
    seen: dict[str, Row] = {}
    faults = []
    for row in rows:
        if row.id and row.id in seen:
            faults.append(f"{row.origin}: id {row.id} already stands at {seen[row.id].origin}")
        seen.setdefault(row.id, row)
    return faults


def _duplicates(rows: Sequence[Row], texts: Sequence[str], written: int, splits: Splits, found: Findings) -> None:
    """Exact duplicates are faults; near ones across splits or with other labels too; a batch may hold a few.

    Of public lines, those behind the first `written` rows, they are notes, and the same text with the same labels is nothing.
    What stands many times is compared with its first row only.
    """
    index, indexed = Shingles(), list[tuple[Row, str]]()
    near: Counter[str] = Counter()
    firsts: dict[tuple[str, frozenset[str], str], Row] = {}
    times = Counter(texts)
    for number, (row, text) in enumerate(zip(rows, texts, strict=True)):
        same = firsts.setdefault((text, frozenset(row.labels), splits.of(row)), row)
        if same is not row:
            if not _paired(row, same):
                found.faults += [f"{row.origin} and {same.origin}: the same text"] if number < written else []
                near[row.group] += 1
            continue
        indexed.append((row, text))
        for other, likeness in index.add(text):
            first, first_text = indexed[other]
            if _paired(row, first):
                continue
            where = f"{row.origin} and {first.origin}"
            faults = found.faults if number < written else found.notes
            apart = "" if set(first.labels) == set(row.labels) else " with other labels"
            if first_text == text:
                # Of written rows every repeat is told by itself, of public ones only that there are more.
                others = times[text] - 2 if number >= written else 0
                more = f"; {others:,} more rows have this text" if others else ""
                faults += [f"{where}: the same text{apart}{more}"] if apart or number < written else []
            elif splits.of(first) != splits.of(row):
                faults.append(f"{where}: near duplicates ({likeness:.2f}) in {splits.of(first)} and {splits.of(row)}")
            elif apart:
                found.notes.append(f"{where}: near duplicates ({likeness:.2f}){apart}")
            near[row.group] += 1
    sizes = Counter(row.group for row in rows)
    authors = {row.group for row in rows if "batch" in row.meta}
    for group, pairs in near.items():
        if group in authors and pairs > MAX_NEAR_SHARE * sizes[group]:
            found.faults.append(f"batch {group}: {pairs} near duplicates in {sizes[group]} lines, more than 2 percent")


def _paired(one: Row, other: Row) -> bool:
    """Whether two rows are sides of one minimal pair."""
    return bool(one.meta.get("pair")) and str(one.meta["pair"]) == str(other.meta.get("pair"))


def _pairs(rows: Iterable[Row], found: Findings) -> None:
    """A violation without a label is one here: it waits for the part of a split label, or is a fault told elsewhere."""
    sides: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if pair := row.meta.get("pair"):
            sides[str(pair)].append(row)
    for pair, members in sides.items():
        violating = [bool(row.labels) or row.meta.get("kind") == "violation" for row in members]
        if sorted(violating) != [False, True]:
            found.faults.append(
                f"{members[0].origin}: minimal pair {pair} needs one violating and one compliant side; where its difference "
                "is no violation any more, take `pair` out of both rows"
            )
    found.counts["minimal_pairs"] = len(sides)


def _grams(rows: Sequence[Row], texts: Sequence[str], found: Findings) -> None:
    """The most repeated 8-grams, and distinct-n; a pair counts once."""
    holders = _holders(texts, [str(row.meta.get("pair") or number) for number, row in enumerate(rows)])
    repeated = sorted(((n, gram) for gram, n in holders.items() if n > 3 and not _statutory(gram)), reverse=True)
    found.faults += [
        f"8-gram {g!r} stands in {n} lines, more than {MAX_GRAM_ROWS}" for n, g in repeated if n > MAX_GRAM_ROWS
    ]
    found.counts["most_repeated_8_grams"] = repeated[:10]
    found.counts["distinct_n"] = {f"distinct-{n}": round(_distinct(texts, n), 4) for n in (1, 2, 3)}


def _distinct(texts: Sequence[str], size: int) -> float:
    """How many different n-grams of `size` characters there are for each that stands in a text (Li et al. 2016, distinct-n)."""
    distinct = {text[i : i + size] for text in texts for i in range(len(text) - size + 1)}
    return len(distinct) / max(sum(max(len(text) - size + 1, 0) for text in texts), 1)


def _holders(texts: Sequence[str], owners: Sequence[str]) -> dict[str, int]:
    """How many owners' texts hold each 8-gram that more than one's do."""
    first: dict[str, str] = {}
    others: dict[str, set[str]] = defaultdict(set)  # most stand in one text, and a set for each of them takes longest
    for text, owner in zip(texts, owners, strict=True):
        grams = {text[i : i + 8] for i in range(len(text) - 7)}
        fresh = grams.difference(first)
        for gram in grams - fresh:
            if first[gram] != owner:
                others[gram].add(owner)
        first.update(dict.fromkeys(fresh, owner))
    return {gram: 1 + len(more) for gram, more in others.items()}


def _statutory(gram: str) -> bool:
    return any(gram in phrase or phrase in gram for phrase in STATUTORY)


def count(rows: Sequence[Row], schema: Schema, splits: Splits) -> dict[str, Any]:
    """Rows by split, channel and kind; positives by label and split."""
    violating = [row for row in rows if row.labels]
    return {
        "rows": len(rows),
        "splits": dict(Counter(splits.of(row) for row in rows)),
        "channels": dict(Counter(row.channel for row in rows)),
        "domains": len({row.meta.get("domain") for row in rows if row.meta.get("domain")}),
        # A writer's rows may name rooms of theirs; lines of public files without rooms are known by the file.
        "batches": len({row.writer for row in rows if row.writer}),
        "rooms": len({str(row.meta["room"]) for row in rows if row.meta.get("room")}),
        "sources": len({row.group for row in rows if row.group and not row.writer and not row.meta.get("room")}),
        "compliant": sum(row.compliant for row in rows),
        "waiting": sum(not row.labels and not row.compliant for row in rows),
        "hard": sum(row.meta.get("kind") == "hard" for row in rows),
        "multi_label": sum(len(row.labels) > 1 for row in violating),
        "violating": len(violating),
        "labels": {
            label: dict(Counter(splits.of(row) for row in violating if label in row.labels)) for label in schema.ids
        },
    }
