"""Which words carried a decision: spans that lower a label's score most when they are removed, and raise it most by themselves.

Occlusion (Zeiler & Fergus 2014) finds what the label needs, but nothing of a claim made twice; what suffices by itself (DeYoung et al. 2020, ERASER)
finds both. Model-agnostic, needs only scores, offsets are those of the original text.
"""

from __future__ import annotations

import bisect
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from zhenyan.inference.decoration import ORNAMENTS
from zhenyan.inference.normalise import INVISIBLE, REPEATED, SPACED, SPACERS, normalise, simplified
from zhenyan.inference.pinyin import pinyin_in, sounds
from zhenyan.inference.windows import RUN_MARGIN, clause_runs

Score = Callable[[Sequence[str]], np.ndarray]  # texts -> probabilities (texts, labels)
Words = Callable[[str], Sequence[int]]  # text -> places in it, in order, at which words end

_CLAUSE = re.compile(r"[^，。！？；、：,.!?;:\s]+")
# A clause that ends at quotation marks and brackets, too
_QUOTED = re.compile(r"[^，。！？；、：,.!?;:\s“”‘’\"「」『』《》【】（）()\[\]]+")
_SPACE = re.compile(r"\s")
_FURTHER_SPACES = re.compile(r"(?<=\s)\s+")
_NARROW = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}  # as NFKC has them
_DIVIDERS = re.compile(f"[{re.escape(SPACERS)}]+")
# Of a cut text these are read otherwise: at an end, or between fewer characters
_UNSAID = str.maketrans("", "", f"{ORNAMENTS}+、")
_PIECE = 4  # characters in the finest piece that is removed
_MAX_PIECES = 48  # a longer text is cut into coarser pieces, so that the work stays bounded
_WHOLE = 192  # characters up to which a long text is probed as a whole, where it is decided so
_ROUNDING = 1e-3  # log-odds that a score may move by in another batch
_MOST_RUNS = 3  # runs of a long text that are probed for a label, so that the work stays bounded
_COARSEST = 12  # pieces of a part at least, however many parts share what a text may cost
_DISGUISED = 6  # characters on either side of a cut that tell whether it parts a word in disguise
_TIED = 2.5  # pointwise mutual information, in nats, from which two characters are taken for parts of one word
_SHOWN = 12  # characters of a clause up to which it is shown whole: a part of it reads badly
_GAP = 4  # characters between two spans of a longer clause up to which they are shown as one
_KEEP = 0.5  # pieces that matter at least this share of the most important one
# Between two characters of a number, in digits (its point, separators, percent and currency signs, units such as ㎏, raised digits and keys, too)
# or written out (of 没有之一三甲医院, 第一两 it isn't one), or half so (8万), of a word in Latin letters and the number behind it (NO.1, No①), or of an emoji: before a joiner, a skin tone or a flag's tag,
# behind a joiner before a picture, and between the two letters of a flag.
_LATIN = "A-Za-zÀ-ÖØ-öø-ɏＡ-Ｚａ-ｚ"
_MULTIPLES = "十百千万亿"
_NUMERAL = f"零〇一二两三四五六七八九{_MULTIPLES}"
_CIRCLED = "①-⑳❶-❿"
_RAISED = "⁰¹²³⁴-⁹"
_INSIDE = re.compile(
    rf"(?<=[\d{_LATIN}])(?=[\d{_LATIN}])|(?<=[{_NUMERAL}])(?<![之唯第]一)(?=[{_NUMERAL}])|(?<=第一)(?=[{_MULTIPLES}])|(?<=\d)(?=[{_MULTIPLES}])|(?<=[{_MULTIPLES}])(?=\d)"
    r"|(?<=\d)(?=[%％‰]|[.,．]\d|，\d{3}(?!\d))|(?<=\d[.,．])(?=\d)|(?<=\d，)(?=\d{3}(?!\d))"
    rf"|(?<=[{_LATIN}])(?=[{_CIRCLED}]|[.．][\d{_CIRCLED}])|(?<=[{_LATIN}][.．])(?=[\d{_CIRCLED}])"
    rf"|(?<=[¥￥$＄€£])(?=\d)|(?<=\d)(?=[㎎㎏㎜㎝㎞㎡㎖㏄℃{_RAISED}])|(?<=[{_RAISED}])(?=[{_RAISED}])|(?<=\u20e3)(?=\d)"
    r"|(?<=[\s\S])(?=[\u200d\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f])|(?<=\u200d)(?=[\u2190-\u2bff\U0001f000-\U0001faff])"
    r"|(?<=[\U0001f1e6-\U0001f1ff])(?=[\U0001f1e6-\U0001f1ff])"
)


@dataclass(frozen=True)
class Evidence:
    """Characters [start, end) of the original text that carried `label`."""

    start: int
    end: int
    text: str
    label: str


@dataclass(frozen=True)
class _Part:
    """A text or part of one, from character `base` on, to be probed for `labels`."""

    owner: int
    base: int
    text: str
    labels: Sequence[tuple[str, int]]
    given: np.ndarray


def pieces(text: str, ends: Sequence[int] | None = None, most: int = _MAX_PIECES) -> list[tuple[int, int]]:
    """Cut `text` at punctuation, then into runs of a few characters; spans in order, gaps are punctuation.

    It is cut as it is read (`_closed_up`): 全 网 第 一 no other than 全网第一. `ends`: the places in what is read, in order, at which words end; a
    run is one of whole words then. `most`: about how many runs there may be.
    """
    read, places = _closed_up(text)
    clauses = [match.span() for match in _CLAUSE.finditer(read)]
    length = sum(end - start for start, end in clauses)
    size = max(_PIECE, -(-length // most))
    cuts = range(len(read) + 1) if ends is None else ends
    spans = []
    for start, end in clauses:
        while (cut := _next_end(read, cuts, start + size, end)) is not None:
            spans.append((start, cut))
            start = cut
        spans.append((start, end))
    last = {end for _, end in clauses}  # what isn't read between two pieces of a clause goes with the one before
    spans = _with_pinyin_whole(read, spans)[: 2 * _MAX_PIECES]
    return [(places[start], places[end - 1] + 1 if end in last else places[end]) for start, end in spans]


def _with_pinyin_whole(read: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, those joined that share pinyin which is read as one: gao xue ya is a word, not three."""
    stretches = [(start, end) for start, end, _ in pinyin_in(read.translate(_NARROW))]
    joined: list[tuple[int, int]] = []
    at = 0
    for start, end in spans:
        while at < len(stretches) and stretches[at][1] <= start:
            at += 1
        if joined and at < len(stretches) and stretches[at][0] < joined[-1][1]:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _closed_up(text: str) -> tuple[str, Sequence[int]]:
    """What is read of `text`, and where each character of that stands in it.

    Left out are invisible characters, all but one of several spaces, what stands between characters set one by one (高 血 压, 高-血-压), and
    what only repeats the character before it (益益菌菌).
    """
    read, places = _without(text, range(len(text)), INVISIBLE.finditer(text))
    read, places = _without(_SPACE.sub(" ", read), places, _FURTHER_SPACES.finditer(read))
    between = (gap for run in SPACED.finditer(read) for gap in _DIVIDERS.finditer(read, *run.span()))
    read, places = _without(read, places, between)
    return _without(read, places, REPEATED.finditer(read))


def _without(text: str, places: Sequence[int], found: Iterable[re.Match[str]]) -> tuple[str, Sequence[int]]:
    """`text` and the places of its characters without what was found in it."""
    gaps = [match.span() for match in found]
    if not gaps:  # nearly always so
        return text, places
    kept = list(zip([0, *(end for _, end in gaps)], [*(start for start, _ in gaps), len(text)], strict=True))
    return "".join(text[start:end] for start, end in kept), [at for start, end in kept for at in places[start:end]]


def _next_end(text: str, places: Sequence[int], first: int, end: int) -> int | None:
    """The first of the places from `first` on, and before `end`, at which `text` can be cut; None where there is none."""
    for at in range(bisect.bisect_left(places, first), len(places)):
        if places[at] >= end:
            return None
        if not _cuts_word(text, places[at]):
            return places[at]
    return None


def _cuts_word(text: str, at: int) -> bool:
    """Whether a cut there would part what is read as one word: 湿|疹, 代某|谢, 氵|台, 降x|ue压. Spaces, dashes and + don't count."""
    tie = sounds().ties.get(simplified(text[at - 1 : at + 1]), 0)
    if tie >= _TIED and not _INSIDE.match(text, at):  # numbers are made whole at the end
        return True
    before, after = text[max(0, at - _DISGUISED) : at], text[at : at + _DISGUISED]
    parted, whole = normalise(before) + normalise(after), normalise(before + after)
    return parted.translate(_UNSAID) != whole.translate(_UNSAID)


def find_evidence(
    texts: Sequence[str],
    decided: Sequence[Sequence[tuple[str, int]]],
    given: np.ndarray,
    score: Score,
    words: Words | None = None,
) -> list[tuple[Evidence, ...]]:
    """Evidence for each text, by position.

    `decided`: for each text its labels with their columns in the scores; `given`: the texts' probabilities,
    (texts, labels); `words`: where a text's words end, so that none is cut. The runs of all long texts are scored in one
    call, then all probes of all texts, whose number does not grow with a text's length.
    """
    parts = _parts(texts, decided, given, score)
    of_text = Counter(part.owner for part in parts)
    spans = [
        pieces(
            part.text,
            words(simplified(_closed_up(part.text)[0])) if words else None,
            max(_COARSEST, _MAX_PIECES // of_text[part.owner]),
        )
        for part in parts
    ]
    probes = [probe for part, cut in zip(parts, spans, strict=True) for probe in _probes(part.text, cut)]
    logits = _logit(score(probes)) if probes else np.zeros((0, given.shape[1]))
    found: dict[tuple[int, str], list[tuple[int, int]]] = defaultdict(list)
    at = 0
    for part, cut in zip(parts, spans, strict=True):
        weights = _weights(_logit(part.given), logits[at : at + 2 * len(cut)]) if cut else np.zeros((0, 0))
        at += 2 * len(cut)
        for label, column in part.labels if cut else ():
            merged = _merge(cut, weights[:, column])
            found[part.owner, label] += [(part.base + start, part.base + end) for start, end in merged]
    return [_evidence(text, {label: found[i, label] for label, _ in labels if found[i, label]})
            for i, (text, labels) in enumerate(zip(texts, decided, strict=True))]  # fmt: skip


def _probes(text: str, cut: Sequence[tuple[int, int]]) -> list[str]:
    """What is read of the text without each piece, then each piece alone.

    Closed up: of 全 网 第 一 two characters are too few to be read as one.
    """
    read, places = _closed_up(text)
    spans = _in_read(places, cut)
    return [*(read[:start] + read[end:] for start, end in spans), *(read[start:end] for start, end in spans)]


def _weights(given: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """What each piece matters to each label, (pieces, labels), 0 to 2: what is lost without it and what it says alone.

    `given`: the text's logits (labels,); `logits`: those of its probes, (2 pieces, labels). Each half is a share of the most that any piece
    loses or says.
    """
    without, alone = np.split(logits, 2)
    halves = np.maximum(given - without, 0), alone - alone.min(axis=0)
    return np.sum([half / np.maximum(half.max(axis=0), 1e-6) for half in halves], axis=0)


def _behind_repeats(text: str, end: int) -> int:
    """`end`, or where what only repeats the character before it ends: 便便秘秘 is shown whole."""
    repeats = REPEATED.match(text, end)
    return repeats.end() if repeats else end


def _evidence(text: str, found: Mapping[str, Sequence[tuple[int, int]]]) -> tuple[Evidence, ...]:
    """Evidence in order; spans of one label that meet, as those of two parts of a long text may, are one."""
    read, places = _closed_up(text)
    each = []
    for label, spans in found.items():
        shown = _readable(read, _in_read(places, joined(sorted(spans))))
        whole = _whole_words(read, shown)  # 三 百 八 十 is a number as it is read
        written = _trimmed(text, [(places[start], _behind_repeats(text, places[end - 1] + 1)) for start, end in whole])
        each += [Evidence(start, end, text[start:end], label) for start, end in _whole_words(text, written)]
    return tuple(sorted(each, key=lambda e: (e.start, e.end, e.label)))


def _readable(read: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order: of a short clause that one touches all, of a longer one what little stands between two as well."""
    clauses = [[match.span() for match in pattern.finditer(read)] for pattern in (_CLAUSE, _QUOTED)]
    ends = [[end for _, end in each] for each in clauses]
    wide: list[tuple[int, int]] = []
    for start, end in spans:
        touched = [
            each[bisect.bisect_right(at, start) : bisect.bisect_left(at, end) + 1]
            for each, at in zip(clauses, ends, strict=True)
        ]
        short = [clause for each in touched for clause in each if clause[1] - clause[0] <= _SHOWN and clause[0] < end]
        start, end = min([start, *(first for first, _ in short)]), max([end, *(last for _, last in short)])
        if wide and _CLAUSE.fullmatch(read, wide[-1][1], start) and start - wide[-1][1] <= _GAP:
            start = wide[-1][1]
        wide.append((start, end))
    return joined(wide)


def _in_read(places: Sequence[int], spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans of a text in what is read of it, whose characters stand at `places` of the text."""
    return [(bisect.bisect_left(places, start), bisect.bisect_left(places, end)) for start, end in spans]


def _whole_words(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, widened so that none cuts a number, a word in Latin letters or an emoji; those that meet then are joined."""
    wide: list[tuple[int, int]] = []
    for start, end in spans:
        if wide and end <= wide[-1][1]:
            continue  # within the word before; a run of letters may be as long as the text
        while _is_inside(text, start) and not (wide and start <= wide[-1][1]):
            start -= 1
        while _is_inside(text, end):
            end += 1
        wide.append((start, end))
    return joined(wide)


def _is_inside(text: str, at: int) -> bool:
    """Whether a place is inside a number, a word in Latin letters or an emoji, or before a mark on a character: an accent, U+FE0F."""
    return bool(_INSIDE.match(text, at)) or (0 < at < len(text) and unicodedata.category(text[at])[0] == "M")


def _trimmed(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans without what stands between single characters (SPACERS) at their ends, where anything else is in them."""
    trimmed = []
    for start, end in spans:
        words = text[start:end]
        left, kept = len(words) - len(words.lstrip(SPACERS)), len(words.strip(SPACERS))
        trimmed.append((start + left, start + left + kept) if kept else (start, end))
    return trimmed


def joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, those that touch or overlap as one."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _parts(
    texts: Sequence[str], decided: Sequence[Sequence[tuple[str, int]]], given: np.ndarray, score: Score
) -> list[_Part]:
    """What to probe: short texts whole, so too longer ones up to _WHOLE for labels that no run gives them; else the runs that carry a label most."""
    runs: dict[int, list[tuple[int, int]]] = {i: spans for i, text in enumerate(texts) if (spans := _runs(text))}
    parts = [_Part(i, 0, text, decided[i], given[i]) for i, text in enumerate(texts) if i not in runs]
    if not runs:
        return parts
    alone = iter(score([texts[i][start:end] for i, spans in runs.items() for start, end in spans]))
    for owner, spans in runs.items():
        text, scores = texts[owner], np.array([next(alone) for _ in spans])
        by_span = dict(zip(spans, scores, strict=True)) | {(0, len(text)): given[owner]}
        probed: dict[tuple[int, int], list[tuple[str, int]]] = defaultdict(list)
        for label, column in decided[owner]:
            whole = len(text) <= _WHOLE and _decides_whole(given[owner, column], scores[:, column])
            for span in [(0, len(text))] if whole else [spans[row] for row in _strongest(scores[:, column])]:
                probed[span].append((label, column))
        parts += [
            _Part(owner, start, text[start:end], labels, by_span[start, end]) for (start, end), labels in probed.items()
        ]
    return parts


def _decides_whole(given: np.floating, runs: np.ndarray) -> bool:
    """Whether no run gives a text its probability, as `windows.readings_of` has them read."""
    return bool(_logit(runs).max() - RUN_MARGIN < _logit(given) - _ROUNDING)


def _runs(text: str) -> list[tuple[int, int]]:
    """Where the runs of a text stand that is long as it is read: 全 网 第 一 is four characters."""
    read, places = _closed_up(text)
    return [(places[start], places[end - 1] + 1) for start, end in clause_runs(read)]


def _strongest(scores: np.ndarray) -> list[int]:
    """The row that scores highest, and up to two more that reach half of it."""
    ranked = np.argsort(-scores, kind="stable")[:_MOST_RUNS].tolist()
    return [row for row in ranked if scores[row] >= scores[ranked[0]] / 2]


def _logit(probabilities: np.ndarray | np.floating) -> np.ndarray:
    p = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def _merge(spans: Sequence[tuple[int, int]], weights: np.ndarray) -> list[tuple[int, int]]:
    """Spans that matter, neighbours joined; the most important one when none does."""
    best = float(weights.max())
    keep = [span for span, weight in zip(spans, weights, strict=True) if weight >= _KEEP * best and weight > 0]
    return joined(keep or [spans[int(weights.argmax())]])
