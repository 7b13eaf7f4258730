"""Evidence against a scorer whose reasons are known."""

import numpy as np
import pytest
from zhenyan.inference.evidence import _merge, find_evidence, pieces
from zhenyan.inference.normalise import normalise
from zhenyan.inference.windows import RUN, RUN_MARGIN


def score(texts):
    """Label 0 fires on 降血压, label 1 on 第一."""
    return np.array([[0.9 if "降血压" in t else 0.1, 0.8 if "第一" in t else 0.05] for t in texts])


def test_the_deciding_words_are_found():
    text = "大家早上好，这个茶能降血压的，放心喝，全国第一"
    (found,) = find_evidence([text], [[("food_safety", 0), ("false_propaganda", 1)]], score([text]), score)
    assert {e.label for e in found} == {"food_safety", "false_propaganda"}
    for e in found:
        assert text[e.start : e.end] == e.text
    assert any(set("降血压") & set(e.text) for e in found if e.label == "food_safety")
    assert any("第" in e.text or "一" in e.text for e in found if e.label == "false_propaganda")


def test_no_labels_no_evidence_and_no_pieces_in_punctuation():
    assert find_evidence(["。。。"], [[("x", 0)]], np.array([[0.9]]), lambda t: np.full((len(t), 1), 0.9)) == [()]
    assert pieces("！！，。") == []


@pytest.mark.parametrize(("text", "ends", "cut"), [
    ("我外婆以前小唐人，打针", [1, 3, 5, 6, 7, 8, 9, 10, 11], ["我外婆以前", "小唐人", "打针"]),
    ("喝了我们这个", [2, 4, 6], ["喝了我们", "这个"]), ("好，一个很长的词", [1, 2, 8], ["好", "一个很长的词"]),
    ("大家早上好", [], ["大家早上好"]), ("大家早上好", None, ["大家早上", "好"]),
])  # fmt: skip
def test_pieces_are_of_whole_words_where_these_are_known(text, ends, cut):
    assert [text[start:end] for start, end in pieces(text, ends)] == cut


@pytest.mark.parametrize("word", ["代某谢", "便小秘", "氵台", "xue压"])
@pytest.mark.parametrize("before", ["能", "真的能", "咱这款能", "姐妹们真能"])
def test_no_word_in_disguise_is_cut(before, word):
    """Half of it would be no disguise to the model, and nothing to the reviewer."""
    text = f"{before}{word}的好东西"
    first, last = len(before), len(before) + len(word)
    assert not any(first < end < last for _, end in pieces(text))


def test_traditional_writing_is_cut_as_simplified():
    asked = []

    def words(text):
        asked.append(text)
        return [4]

    find_evidence(["國家級的"], [[("a", 0)]], np.array([[0.9]]), lambda texts: np.full((len(texts), 1), 0.1), words)
    assert asked == ["国家级的"]


def test_pieces_stay_bounded_for_long_texts():
    assert len(pieces("很长的话" * 2000)) <= 96


@pytest.mark.parametrize("length", [150, 300, 5000])
def test_the_work_does_not_grow_with_the_length(length):
    probed = []

    def counted(texts):
        probed.append(sum(map(len, texts)))
        return score(texts)

    filler = "大家早上好，欢迎来到直播间，" * 400
    text = filler[:length] + "这个茶能降血压的，" + filler[:length] + "全国第一"
    found = find_evidence([text, filler[:40]], [[("food_safety", 0), ("false_propaganda", 1)], []],
                          score([text, ""]), counted)  # fmt: skip
    assert {e.label for e in found[0]} == {"food_safety", "false_propaganda"} and found[1] == ()
    assert all(text[e.start : e.end] == e.text for e in found[0])
    assert any(set("降血压") & set(e.text) for e in found[0] if e.label == "food_safety")
    assert sum(probed) < 1.3 * len(text) + 40_000


@pytest.fixture
def as_in_a_longer_clause(monkeypatch):
    """A short clause isn't shown whole: what would be shown of it were it long."""
    monkeypatch.setattr("zhenyan.inference.evidence._SHOWN", 0)


def found_for(text, *needed):
    """The evidence for a label that fires where all of `needed` stand in the text."""

    def fires(texts):
        return np.array([[0.9 if all(words in t for words in needed) else 0.1] for t in texts])

    (found,) = find_evidence([text], [[("label", 0)]], fires([text]), fires)
    assert all(text[e.start : e.end] == e.text for e in found)
    return [(e.start, e.end) for e in found]


@pytest.mark.usefixtures("as_in_a_longer_clause")
@pytest.mark.parametrize(("text", "needed", "spans"), [
    ("仅需19.9元", ["9元"], [(2, 7)]), ("仅需19.9元", ["仅需"], [(0, 6)]), ("到手1,299.50元整", ["50元"], [(2, 12)]),
    ("投资回报率稳定8%起", ["稳定8"], [(4, 9)]), ("含量达到９９．５％以上", ["以上"], [(4, 11)]),
    ("维生素DHA的油亮", ["HA的"], [(3, 8)]), ("里面有Omega3的油", ["的油"], [(3, 11)]), ("含Protéine多多", ["ine"], [(1, 11)]),
    ("A1B2C3D4E5F6", ["A1", "E5"], [(0, 12)]), ("第1.第二点，好2，3个", ["3个"], [(10, 12)]), ("原价一千二百八十今天六十九", ["百八"], [(2, 8)]), ("专柜３，９９９元", ["专柜"], [(0, 7)]), ("今天到手只要3万5千元整啦", ["3万"], [(4, 10)]), ("投资抽8万元钱", ["元钱"], [(3, 7)]), ("能降血压的茶真好", ["降血"], [(0, 4)]),
    ("没有之一三甲医院的主任都推荐", ["之一"], [(0, 4)]), ("全网第一三甲医院主任都推荐", ["全网"], [(0, 4)]), ("排到第一百二十名开外", ["排到"], [(0, 7)]),
    ("a" * 30_000 + "，降血压", ["a" * 29_999], [(0, 30_000)]),
])  # fmt: skip
def test_no_number_and_no_latin_word_is_cut(text, needed, spans):
    assert found_for(text, *needed) == spans


@pytest.mark.parametrize(("text", "needed", "evidence"), [
    ("大家早上好，这个茶能降血压的，放心喝", "降", "这个茶能降血压的"), ("大家早上好 这个茶能降血压的 放心喝", "放心", "放心喝"), ("是一二三四五六七八九十个", "五", "是一二三四五六七八九十个"),
    ("这个真的是一二三四五六七八九十个", "真", "这个真的"),
    ("导购称该款助听器“全国销量第一”的说法", "销", "“全国销量第一"), ("主播说【喝了三天血糖正常】（打针的都停了）大家快拍", "三", "喝了三天血糖正常"),
    ("这款茶降血压——大家放心喝——喝三天就好", "血", "这款茶降血压"),
    ("一种名叫“糖友茶”的", "友", "一种名叫“糖友茶”的"),
])  # fmt: skip
def test_a_short_clause_is_shown_whole(text, needed, evidence):
    (span,) = found_for(text, needed)
    assert text[slice(*span)] == evidence


def test_what_little_stands_between_two_words_of_a_long_clause_is_shown_but_not_what_stands_between_clauses():
    text = "外面卖的那种是打过农药的茶渣子谁喝都会中毒的"
    assert found_for(text, "外面", "农药") == [(0, 12)]
    assert len(found_for("外面卖的那种便宜货我跟你讲都是，打过农药的茶渣子谁喝都会中毒的", "外面", "农药")) == 2


@pytest.mark.usefixtures("as_in_a_longer_clause")
@pytest.mark.parametrize(("text", "needed", "evidence"), [
    ("红血丝湿疹激素脸的宝宝抹它", "湿", "红血丝湿疹"), ("红血丝湿疹激素脸的宝宝抹它", "激", "激素脸的"), ("学完记忆力翻五倍", "忆", "学完记忆力"),
    ("腰突的颈椎不好的睡这个", "颈", "腰突的颈椎"), ("紅血絲濕疹激素臉的寶寶抹它", "濕", "紅血絲濕疹"),
])  # fmt: skip
def test_no_word_is_cut(text, needed, evidence):
    (span,) = found_for(text, needed)
    assert text[slice(*span)] == evidence


@pytest.mark.parametrize(("text", "needed", "spans"), [
    ("全国NO.1品牌", ["NO"], [(0, 6)]), ("全国NO.1品牌", ["品牌"], [(2, 8)]), ("行业Ｎｏ．１，好", ["行业"], [(0, 6)]), ("销量No①，好", ["销量"], [(0, 5)]),
    ("专柜卖$299，好", ["专柜卖"], [(0, 7)]), ("只卖¥299，好", ["29"], [(0, 6)]), ("一周瘦5㎏，好", ["一周"], [(0, 5)]),
    ("今天卖99⁹⁰", ["今天"], [(0, 7)]), ("今天卖1️⃣9️⃣，好", ["今天"], [(0, 9)]),
    ("全国NO.品牌", ["NO"], [(0, 4)]), ("我要$，好", ["我要"], [(0, 3)]),
])  # fmt: skip
def test_a_number_is_shown_with_what_belongs_to_it(text, needed, spans):
    assert found_for(text, *needed) == spans


@pytest.mark.parametrize(("text", "cut"), [
    ("喝了能 jiang xue ya 还能喝", ["喝了能", "jiang xue ya", "还能喝"]), ("tang niao bing 都能喝", ["tang niao bing", "都能喝"]),
    ("g a o x u e y a 喝了就好", ["g a o x u e y a", "喝了就好"]), ("shua dan 一单五块", ["shua dan", "一单五块"]),
    ("ｇａｏ\u3000ｘｕｅ\u3000ｙａ 喝了", ["ｇａｏ\u3000ｘｕｅ\u3000ｙａ", "喝了"]), ("SK II 面霜", ["SK", "II", "面霜"]),
    ("gao xue ya，tang niao bing", ["gao xue ya", "tang niao bing"]),
])  # fmt: skip
def test_pinyin_with_spaces_is_one_piece(text, cut):
    assert [text[start:end] for start, end in pieces(text)] == cut


def test_pieces_of_pinyin_stay_bounded():
    text = "这个茶能 zhi liao tang niao bing 喝了就好，" * 200
    cut = pieces(text)
    assert 1 < len(cut) <= 96 and max(end - start for start, end in cut) < 250
    assert len(pieces("zhe kuan cha he le neng jiang xue ya hai neng zhi hao tang niao bing " * 3)) > 1


@pytest.mark.usefixtures("as_in_a_longer_clause")
@pytest.mark.parametrize(("text", "needed", "spans"), [
    ("我们家👨‍👩‍👧喝了的", ["喝了"], [(3, 10)]), ("我们家👨‍👩‍👧喝了的", ["我们家"], [(0, 8)]), ("‍👧喝了", ["喝了"], [(0, 4)]),
    ("有没有👍🏽喝了", ["喝了"], [(3, 7)]), ("有没有👍🏽喝了", ["有没有"], [(0, 5)]), ("喝了没❤️有没有", ["喝了没"], [(0, 5)]),
    ("喝了没1️⃣有没有", ["喝了没"], [(0, 6)]), ("喝了没🇨🇳有没有", ["有没有"], [(3, 8)]), ("喝了没🏴󠁧󠁢󠁥󠁮󠁧󠁿有没有", ["喝了没"], [(0, 10)]),
    ("喝了没e\u0301有没有", ["喝了没"], [(0, 5)]), ("喝了全网\u200d第一", ["喝了全网"], [(0, 5)]),
    ("喝了全网\u200d第一", ["第一"], [(5, 7)]),
])  # fmt: skip
def test_no_emoji_and_no_character_with_a_mark_is_cut(text, needed, spans):
    assert found_for(text, *needed) == spans


@pytest.mark.usefixtures("as_in_a_longer_clause")
@pytest.mark.parametrize(("needed", "spans"), [("便秘", "便便秘秘"), ("调理", "调理理"), ("益生菌", "益益生生菌菌")])
def test_what_a_recogniser_doubled_is_shown_with_all_that_stands_there(needed, spans):
    text = "来来看看这个益益生生菌菌调理理一下啊便便秘秘就就好多了"
    (span,) = found_doubled(text, needed)
    assert spans in text[slice(*span)] and text[span[1] : span[1] + 1] != text[span[1] - 1]


def found_doubled(text, needed):
    """The evidence for a label that fires where `needed` is read."""

    def fires(texts):
        return np.array([[0.9 if needed in normalise(t) else 0.1] for t in texts])

    (found,) = find_evidence([text], [[("label", 0)]], fires([text]), fires)
    return [(e.start, e.end) for e in found]


def test_a_number_on_the_edge_of_the_run_that_is_probed_is_shown_whole():
    text = "始" + "好来" * 22 + "价99888元" + "好来" * 150
    assert found_for(text, "始", "价9") == [(0, 4), (44, 51)]


def test_of_a_long_text_the_runs_that_carry_the_label_are_probed():
    """Without a piece other clauses would come to stand in a run. A text that has a label as a whole is probed whole,
    not one whose runs scored a little otherwise in another batch."""
    asked = []

    def score(texts):
        asked.extend(texts)
        return np.array([[0.9 if "降血压" in text else 0.1] for text in texts])

    filler = "大家早上好，欢迎来到直播间，" * 5
    text = filler + "这个茶能降血压的，" + filler
    by_run, moved = (np.array([[0.9 / (0.9 + 0.1 * np.exp(RUN_MARGIN - more))]]) for more in (0, 5e-4))
    for given, longest in ((by_run, RUN), (moved, RUN), (score([text]), len(text) - 1)):
        asked.clear()
        (found,) = find_evidence([text], [[("food_safety", 0)]], given, score)
        assert [one.text for one in found] == ["这个茶能降血压的"]
        assert longest - 4 < max(map(len, asked)) <= longest


@pytest.mark.parametrize(("drops", "spans"), [
    ([1, 0.6, 0.55], [(0, 8), (9, 13)]), ([1, 0.4, 0.1], [(0, 4)]), ([1, 0.5, 0.49], [(0, 8)]),
    ([-1, -0.2, -0.5], [(4, 8)]), ([0, 0, -1], [(0, 4)]), ([0.1, 0, 1], [(9, 13)]),
])  # fmt: skip
def test_pieces_that_matter_half_as_much_as_the_best_are_kept_and_neighbours_joined(drops, spans):
    assert _merge([(0, 4), (4, 8), (9, 13)], np.array(drops)) == spans


def test_evidence_stands_in_the_order_of_the_text():
    text = "全国第一，早上好，这个茶能降血压的"
    (found,) = find_evidence([text], [[("food_safety", 0), ("false_propaganda", 1)]], score([text]), score)
    assert (found[0].label, found[-1].label) == ("false_propaganda", "food_safety")
    assert [e.start for e in found] == sorted(e.start for e in found)


def test_a_claim_made_twice_is_found_though_neither_is_needed():
    text = "这款茶饮可以治疗高血压大家都爱喝，也治疗高血脂"

    def score(texts):
        return np.array([[0.95 if "治疗" in each else 0.03] for each in texts])

    (found,) = find_evidence([text], [[("a", 0)]], score([text]), score)
    assert sum("治疗" in one.text for one in found) == 2
    assert sum(len(one.text) for one in found) < len(text) / 2


def test_two_places_of_a_long_text_are_found_once_each():
    filler = "大家早上好，欢迎来到直播间，" * 12
    text = "全国第一，" + filler + "这个茶能降血压的，" + filler + "全国第一"
    (found,) = find_evidence([text], [[("false_propaganda", 1)]], score([text]), score)
    assert [(one.start, text[one.start : one.end]) for one in found] == [(0, "全国第一"), (len(text) - 4, "全国第一")]


def test_many_labels_in_many_places_of_a_long_text():
    """Each of 60 labels is decided by another place, so that 60 parts share what a text may cost."""
    text = "".join(f"第{chr(0x5000 + n)}处。" + "大家早上好，欢迎来到直播间，" * 14 for n in range(60))

    def score(texts):
        return np.array([[0.9 if chr(0x5000 + n) in each else 0.01 for n in range(60)] for each in texts])

    labels = [(f"l{n}", n) for n in range(60)]
    (found,) = find_evidence([text], [labels], score([text]), score)
    assert {one.label for one in found if chr(0x5000 + int(one.label[1:])) in one.text} == {
        label for label, _ in labels
    }


def test_short_clauses_of_several_places_are_all_probed():
    filler = "好，来，" * 46
    text = filler + "降血压" + "，" + filler + filler + "降血压"
    (found,) = find_evidence([text], [[("food_safety", 0)]], score([text]), score)
    assert sum("降血压" in one.text for one in found) == 2


@pytest.mark.parametrize("divider", [" ", ".", "/", "–"])
def test_evidence_of_characters_set_one_by_one_is_words(divider):
    """The model reads them as one; a piece is no single character, and ends with no divider."""
    text = "今天下单 " + divider.join("三甲医院推荐")
    assert [text[start:end] for start, end in pieces(text)][1].startswith(divider.join("三甲"))

    def score(texts):
        return np.array([[0.9 if "甲" in each else 0.1] for each in texts])

    ((found,),) = find_evidence([text], [[("a", 0)]], np.array([[0.9]]), score)
    assert "甲" in found.text and len(found.text) > 1 and found.text[0] != divider != found.text[-1]
    assert text[found.start : found.end] == found.text


SPACES = [" ", "  ", " " * 10, "\u3000", "\u3000\u3000", "\u00a0", "\t", "\n", "\r\n", "\u200b", "\u200b \u200b"]


@pytest.mark.parametrize("divider", SPACES)
@pytest.mark.parametrize(("before", "word", "after"), [
    ("我们家，", "全网第一", "，，二号链接两盒装"), ("喝完，", "高血压", "，就好了"), ("", "全网第一", ""),
    ("今天下单 ", "三甲医院推荐", " 大家放心"),
])  # fmt: skip
def test_words_set_apart_by_any_space_are_marked_whole(divider, before, word, after):
    """As the model reads them; each half says nothing."""
    text = before + divider.join(word) + after

    def fires(texts):
        return np.array([[0.9 if word in normalise(each) else 0.1] for each in texts])

    def words(read):
        return [*range(1, read.index(word) + 1), *range(read.index(word) + len(word), len(read) + 1)]

    ((found,),) = find_evidence([text], [[("a", 0)]], fires([text]), fires, words)
    assert (found.start, found.text) == (len(before), divider.join(word))


@pytest.mark.usefixtures("as_in_a_longer_clause")
@pytest.mark.parametrize(("text", "needed", "spans"), [
    ("原 价 一 千 二 百 八 十 今 天", "百八", [(4, 15)]), ("原\u3000价\u3000三\u3000百\u3000八", "原价", [(0, 9)]), ("仅需19\u200b9元", "9元", [(2, 7)]),
])  # fmt: skip
def test_no_number_is_cut_that_is_set_character_by_character(text, needed, spans):
    def fires(texts):
        return np.array([[0.9 if needed in normalise(each) else 0.1] for each in texts])

    (found,) = find_evidence([text], [[("a", 0)]], fires([text]), fires)
    assert [(each.start, each.end) for each in found] == spans


@pytest.mark.parametrize("divider", [*SPACES, "-"])
def test_a_line_set_character_by_character_is_cut_as_without_spaces(divider):
    line, ends = "喝了我们这个血糖都降下来了", [2, 4, 6, 8, 9, 12, 13]

    def bare(text):
        return [text[start:end].replace(divider, "") for start, end in pieces(text, ends)]

    assert bare(divider.join(line)) == bare(line) == ["喝了我们", "这个血糖", "都降下来", "了"]


@pytest.mark.parametrize("divider", [" ", "\u3000", "-"])
def test_what_is_left_of_characters_set_one_by_one_is_read_as_they_were(divider):
    probed = []

    def counted(texts):
        probed.extend(map(normalise, texts))
        return np.full((len(texts), 1), 0.1)

    find_evidence([divider.join("喝了我们这个")], [[("a", 0)]], np.array([[0.9]]), counted)
    assert probed == ["这个", "喝了我们", "喝了我们", "这个"]
