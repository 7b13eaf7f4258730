"""Where running speech is cut into utterances, and which times they have."""

import json
import time

import pytest
from zhenyan.inference.io import Options, read_items
from zhenyan.inference.io.items import Item
from zhenyan.inference.io.splitting import split_items
from zhenyan.inference.io.utterances import MAX_CHARS, MIN_CHARS, split_utterances

LONG = "喝这个茶三高就降下来了啊啊啊。"  # MIN_CHARS letters
SHORT = "喝这个茶三高就降下来了啊啊。"


def parts(text):
    return [text[start:end] for start, end in split_utterances(text)]


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("好。行。喝这个茶三高就降下来了啊啊。嗯。", [(0, 20)]),  # short ones join the next, the last one before
        (LONG + LONG, [(0, 15), (15, 30)]),
        (SHORT + SHORT + SHORT, [(0, 42)]),
        (LONG + "嗯。", [(0, 17)]),
        (f" {LONG}  {LONG}\n", [(1, 16), (18, 33)]),
        ("嗯。", [(0, 2)]),
        ("。。 ", []),
        ("", []),
    ],
)
def test_short_sentences_are_joined(text, spans):
    assert MIN_CHARS == 14 and split_utterances(text) == spans


@pytest.mark.parametrize(
    ("pauses", "length", "cuts"),
    [
        ((20, 90, 150), 200, [150, 200]),  # at the last pause that is near enough
        ((20, 90), 200, [90, 200]),
        ((20, 80), 200, [160, 200]),  # none in the second half: where it is full
        ((81,), 200, [81, 200]),
        ((160,), 200, [160, 200]),
        ((), 160, [160]),
        ((), 321, [160, 320, 321]),
        ((150, 300), 400, [150, 300, 400]),
    ],
)
def test_a_long_sentence_is_cut_at_its_pauses(pauses, length, cuts):
    letters = ["说"] * length
    for at in pauses:
        letters[at - 1] = "，"
    assert MAX_CHARS == 160
    assert split_utterances("".join(letters)) == list(zip([0, *cuts], cuts, strict=False))


def test_a_full_stop_of_ascii_ends_sentences_only_where_it_stands_between_words():
    price = "今天这个茶大家放心拍明天就发货9.9元一盒。"  # long enough to end at the 9
    assert parts(price + price) == [price, price]
    spoken = "今天这个茶大家放心拍明天就发货."
    assert parts(spoken + spoken) == [spoken, spoken]


def test_a_row_without_an_end_is_cut_without_times(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"file": "a.mp4", "start": 0.0, "text": LONG * 12}), encoding="utf-8")
    items = list(read_items(str(path), Options(split=True)))
    assert [(i.text, i.record["text_offset"], i.record.get("end")) for i in items] == [
        (LONG, n * len(LONG), None) for n in range(12)
    ]


@pytest.mark.parametrize("split", [None, False, True])
def test_a_long_row_of_a_table_stays_one_and_of_a_recording_in_json_is_cut_with_a_note(tmp_path, split):
    said = LONG * 12
    (tmp_path / "a.csv").write_text(f"id,text,video\n1,{said},a.mp4\n2,短,b.mp4\n", encoding="utf-8")
    rows = [{"id": 1, "text": said, "video": "a.mp4"}, {"id": 2, "text": "短", "video": "b.mp4"}]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    notes = []
    found = {
        name: [int(i.record["id"]) for i in read_items(str(tmp_path / name), Options(split=split, notes=notes))]
        for name in ("a.csv", "a.jsonl")
    }
    cut, whole = [1] * 12 + [2], [1, 2]
    assert found == {"a.csv": cut if split else whole, "a.jsonl": whole if split is False else cut}
    assert (
        notes == [] if split is not None else len(notes) == 1 and "a.jsonl: 1 rows of running speech" in str(notes[0])
    )


def spoken(text):
    """A row of running speech with a time for each of its characters."""
    record = {"file": "a.mp4", "text": text, "start": 0.0, "end": float(len(text))}
    return Item(record, "segment 1", tuple((float(at), at + 0.5) for at, c in enumerate(text) if c.isalpha()))


def test_each_utterance_has_the_times_of_its_own_words():
    items = list(split_items([spoken(f"。 {LONG * 12}")], "a.json", Options(), asr=True))
    assert [(i.record["start"], i.record["end"]) for i in items] == [
        (2.0 + n * len(LONG), 2.0 + n * len(LONG) + MIN_CHARS - 0.5) for n in range(12)
    ]


def longer(work, chars):
    """How many times as long `work` takes for `chars` characters as for a tenth of them."""

    def seconds(chars):
        took = []
        for _ in range(3):
            began = time.process_time()
            work(chars)
            took.append(time.process_time() - began)
        return min(took)

    return seconds(chars) / seconds(chars // 10)


@pytest.mark.parametrize(("piece", "chars"), [("。 ", 20_000), ("♪。", 20_000), ("说", 4_000_000)])
def test_ten_times_the_text_takes_about_ten_times_as_long(piece, chars):
    """It took a hundred times as long."""
    assert longer(lambda chars: split_utterances(piece * (chars // len(piece))), chars) < 40


def test_ten_times_the_words_take_about_ten_times_as_long():
    items = {chars: spoken(LONG * (chars // len(LONG))) for chars in (4_500, 45_000)}
    assert longer(lambda chars: list(split_items([items[chars]], "a.json", Options(), asr=True)), 45_000) < 40
