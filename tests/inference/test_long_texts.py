"""Long texts are read whole and in runs of clauses, so that one violating clause isn't drowned by lawful ones."""

from __future__ import annotations

import numpy as np
import pytest
from zhenyan.inference import windows
from zhenyan.inference.normalise import normalise
from zhenyan.inference.windows import RUN_MARGIN, clause_runs

LAWFUL = (
    "瓶子是玻璃的，路上我们包了三层泡沫，破了包赔，保质期十二个月，一箱六瓶，纸箱上有提手，仓库在城西，上午十点和下午四点各发一车，"
    "退货贴好原来的单子，快递员进不了小区的放门口，电话别写错，",
    "颜色有黑的白的和粉的，今天下单明天发货，新疆西藏要多等三天，收到有磕碰的拍照找客服补发，发票跟着货走，偏远的地方补八块钱运费。"
    "晚上八点以后客服下班，留言第二天回，大件的走物流，要自己去站点提。",
)
CLAIM = "喝完高血压都好了，"


def test_one_violating_clause_among_lawful_ones_is_found(classifier, monkeypatch):
    text = CLAIM.join(LAWFUL)
    lawful, violating = classifier.predict(["".join(LAWFUL), text])
    assert (lawful.labels, violating.labels) == ((), ("food_safety",))
    assert "血压" in violating.evidence[0].text
    monkeypatch.setattr(windows, "LONG", len(text))
    classifier.clear_cache()
    drowned = classifier.predict([text])[0].scores["food_safety"]  # by the mean over all its tokens
    assert violating.scores["food_safety"] > drowned + 0.2
    classifier.clear_cache()


def test_a_run_has_to_be_surer_than_a_whole_text(classifier):
    filler = "今天天气不错大家吃饭了没有，" * 10
    text = normalise(f"{filler}喝这个茶三高就降下来了，{filler}")
    runs = classifier.score([text[start:end].strip() for start, end in clause_runs(text)]).max(0)
    claim = classifier.bundle.label_ids.index("food_safety")
    assert runs[claim] > 0.9
    expected = 1 / (1 + (1 / runs[claim] - 1) * np.exp(RUN_MARGIN))
    assert classifier.score([text])[0, claim] == pytest.approx(expected, abs=1e-4)
