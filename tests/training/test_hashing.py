"""Labelled public lines become records that can be committed, and come back from them."""

import json

import pytest
from typer.testing import CliRunner
from zhenyan.inference.errors import ConfigError, InputError
from zhenyan.training import public
from zhenyan.training.cli import data
from zhenyan.training.hashing import PublicText, existing, hash_rows, line_edits
from zhenyan.training.public import join_labels
from zhenyan.training.rows import row_from_json, text_key

STREAM = "来家人们这个茶呢口感很好。喝完这个茶血压就降下来了啊。"
CELL = "老铁这个膏药贴上就不疼"


@pytest.fixture
def cache(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "streams.jsonl").write_text(
        json.dumps({"text": STREAM, "room": "某某旗舰店"}, ensure_ascii=False) + "\n", "utf-8"
    )
    (folder / "morph.tsv").write_text(f"别的话\t{CELL}\n", "utf-8")
    return folder


def rows(*records):
    return [
        row_from_json({"id": f"m{i}", "labels": [], **record}, f"mine.jsonl:{i}") for i, record in enumerate(records, 1)
    ]


MINE = (
    {"text": "喝完这个茶血压就降下来了啊。", "labels": ["food_safety"], "contested": True, "domain": "tea"},
    {"text": CELL, "labels": ["unreviewed_ad"]},
    {
        "text": "老铁这个坐垫垫上就不凉",
        "labels": [],
        "base": CELL,
        "rewriter": "e01",
        "kind": "hard",
        "channel": "copy",
    },
)


def test_records_hold_no_text_and_join_to_the_same_rows(tmp_path, cache):
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps({"id": f"m{i}", **r}, ensure_ascii=False) + "\n" for i, r in enumerate(MINE)), "utf-8")  # fmt: skip
    arguments = ["hash", str(tmp_path / "mine.jsonl"), "-o", str(tmp_path / "labels.jsonl"), "--cache", str(cache)]
    result = CliRunner().invoke(data, arguments, catch_exceptions=False)
    assert result.exit_code == 0 and "3 records added, 0 stood there before" in result.output
    written = (tmp_path / "labels.jsonl").read_text("utf-8")
    assert not any(part in written for part in ("喝完", "血压", "老铁", "不疼"))
    joined, missing = public.join_labels([str(tmp_path / "labels.jsonl")], cache)
    assert missing == 0 and [(row.text, list(row.labels)) for row in joined] == [(r["text"], r["labels"]) for r in MINE]
    assert [row.group for row in joined] == [f"r-{text_key('某某旗舰店')[:8]}", "morph", "e01"]
    assert [(row.channel, row.meta.get("channel")) for row in joined] == [
        ("live", None),
        ("live", None),
        ("copy", None),
    ]
    assert joined[0].contested and joined[0].meta["domain"] == "tea" and "base" not in joined[2].meta
    again = CliRunner().invoke(data, arguments)
    assert isinstance(again.exception, InputError) and "field 'id' must name this row alone, found 'm0'" in str(
        again.exception
    )
    assert (tmp_path / "labels.jsonl").read_text("utf-8") == written


def test_an_author_batch_is_of_what_was_written_not_of_public_lines(cache):
    (record,) = hash_rows(rows({"text": CELL, "batch": "p1", "domain": "tea"}), PublicText(cache))
    assert "batch" not in record and record["domain"] == "tea"


def test_what_models_said_and_what_holds_text_is_not_committed(cache):
    line = "喝完这个茶血压就降下来了啊。"
    kept = {"domain": "养生茶", "date": "2026-11-29", "chosen_for": "food_safety", "margin": 0.2, "note": "另一家的话"}
    judged = {
        "scores": {"food_safety": 0.98}, "score.food_safety": 0.98, "model": "zhenyan-0123456789ab", "truncated": True,
        "evidence": [{"start": 6, "end": 11, "text": "血压就降下", "label": "food_safety"}],
    }  # fmt: skip
    quoting = {
        "before": "来家人们这个茶呢口感很好。", "after": "", "remark": {"why": ["他说“血压就降下来了”"]}, "other": CELL
    }  # fmt: skip
    (record,) = hash_rows(rows({"text": line, **kept, **judged, **quoting}), PublicText(cache))
    assert kept.items() <= record.items()
    assert set(record) - set(kept) == {"id", "sha256", "doc", "start", "end", "labels", "source", "room"}


def test_a_rewritten_line_keeps_no_field_with_the_public_one(cache):
    (_, _, moved) = MINE
    record = {**moved, "note": f"从“{CELL}”改来", "domain": "垫"}
    (record,) = hash_rows(rows(record), PublicText(cache))
    assert "note" not in record and record["domain"] == "垫" and record["kind"] == "hard"


def test_more_rows_are_added_to_a_label_file(tmp_path, cache):
    labels = tmp_path / "labels.jsonl"
    for number, text in enumerate((STREAM, CELL)):
        (tmp_path / "mine.jsonl").write_text(
            json.dumps({"id": str(number), "text": text, "labels": []}, ensure_ascii=False), "utf-8"
        )
        CliRunner().invoke(data, ["hash", str(tmp_path / "mine.jsonl"), "-o", str(labels), "--cache", str(cache)], catch_exceptions=False)  # fmt: skip
    assert [row.text for row in public.join_labels([str(labels)], cache)[0]] == [STREAM, CELL]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"text": "自己写的一句话"}, "mine.jsonl:1: field 'text' is no public line: '自己写的一句话'"),
        ({"text": "新句", "base": "没有这句", "rewriter": "e"}, "field 'base' is no public line"),
        ({"text": "新句", "base": 7, "rewriter": "e"}, "field 'base' is no public line: '7'"),
        ({"text": "新句", "base": CELL}, "needs a field 'rewriter'"),
        ({"text": CELL, "id": ""}, "field 'id' must name this row alone, found ''"),
        ({"text": STREAM[-5:] + "\x00" + CELL}, "is no public line"),
    ],
)
def test_what_is_no_public_line_is_refused(cache, record, words):
    with pytest.raises(InputError, match=r"mine\.jsonl:1") as error:
        list(hash_rows(rows(record), PublicText(cache)))
    assert words in str(error.value)


def test_every_row_that_is_no_public_line_is_named(cache):
    given = rows({"text": "自己写的一句话"}, {"text": CELL}, {"text": "又一句"}, {"text": STREAM, "id": "m2"})
    with pytest.raises(InputError) as error:
        list(hash_rows(given, PublicText(cache)))
    assert [line.split(": ")[0] for line in str(error.value).splitlines()] == [f"mine.jsonl:{n}" for n in (1, 3, 4)]


def test_of_many_rows_that_are_no_public_lines_the_first_are_named(cache):
    with pytest.raises(InputError) as error:
        list(hash_rows(rows(*({"text": f"自己写的第{n}句"} for n in range(9))), PublicText(cache)))
    *named, more = str(error.value).splitlines()
    assert [line.split(": ")[0] for line in named] == [f"mine.jsonl:{n}" for n in range(1, 6)] and more == "and 4 more"


def test_lines_of_rooms_for_measuring_are_refused_unless_another_room_said_them(cache):
    gold = {"text": CELL + "现在下单的宝贝送两盒", "room": "量具间", "gold_room": True}
    (cache / "a.jsonl").write_text(json.dumps(gold, ensure_ascii=False) + "\n", "utf-8")  # read before the others
    public_text = PublicText(cache)
    (record,) = hash_rows(rows({"text": CELL}), public_text)
    assert record["source"] == "morph" and "room" not in record
    with pytest.raises(
        InputError, match=r"mine\.jsonl:1: '现在下单的宝贝送两盒' stands only in r-\w{8}, a room kept for measuring"
    ):
        list(hash_rows(rows({"text": "现在下单的宝贝送两盒"}), public_text))


def test_a_line_is_of_its_room_though_another_file_publishes_it_without_one(cache):
    line = "喝完这个茶血压就降下来了啊。"
    (cache / "morph.tsv").write_text(f"{line}\t{CELL}\n", "utf-8")  # read before the transcripts
    (record,) = hash_rows(rows({"text": line}), PublicText(cache))
    assert (record["source"], record["room"]) == ("streams", f"r-{text_key('某某旗舰店')[:8]}")


def test_an_empty_cache_says_how_to_fill_it(tmp_path):
    with pytest.raises(ConfigError, match="zhenyan data fetch"):
        PublicText(tmp_path)


def test_labels_are_not_added_to_a_file_of_texts(tmp_path, cache):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(json.dumps({"id": "m1", "text": CELL, "labels": []}, ensure_ascii=False) + "\n", "utf-8")
    before = corpus.read_bytes()
    result = CliRunner().invoke(data, ["hash", str(corpus), "-o", str(corpus), "--cache", str(cache)])
    assert isinstance(result.exception, InputError) and "other than labels by hash" in str(result.exception)
    assert corpus.read_bytes() == before


def test_every_fault_of_a_label_file_is_told_where_they_are_asked_for(tmp_path, cache):
    good, other = hash_rows(rows({"text": CELL}, MINE[0]), PublicText(cache))
    lines = [json.dumps(good | {"labels": "food_safety"}), "{", json.dumps(good), json.dumps(other | {"start": "x"})]
    (tmp_path / "labels.jsonl").write_text("\n".join(lines), "utf-8")
    faults = []
    joined, missing = join_labels([str(tmp_path / "labels.jsonl")], cache, faults=faults)
    assert ([row.text for row in joined], missing) == ([CELL], 0)
    assert [fault.split(": ")[0].rpartition(":")[2] for fault in faults] == ["1", "2", "4"]


@pytest.mark.parametrize("line", ["[1]", "7", '{"text": "好", "labels": []}'])
def test_a_label_file_that_holds_something_else_further_down_is_named(tmp_path, cache, line):
    (record,) = hash_rows(rows({"text": CELL}), PublicText(cache))
    (tmp_path / "labels.jsonl").write_text(f"{json.dumps(record)}\n{line}\n", "utf-8")
    with pytest.raises(InputError, match=r"labels\.jsonl:2: holds something other than labels by hash; give --output"):
        existing(tmp_path / "labels.jsonl")


def test_a_folder_is_no_output(tmp_path, cache):
    mine = tmp_path / "mine.jsonl"
    mine.write_text(json.dumps({"id": "m1", "text": CELL, "labels": []}, ensure_ascii=False), "utf-8")
    result = CliRunner().invoke(data, ["hash", str(mine), "-o", str(tmp_path), "--cache", str(cache)])
    assert isinstance(result.exception, InputError) and "is a folder; give --output a file" in str(result.exception)


@pytest.mark.parametrize("text", ["", CELL, "全新的话", "老铁啊这个膏药贴上", "疼不就上贴药膏个这铁老"])
def test_edits_make_the_text_again(text):
    assert public.apply_edits(CELL, line_edits(CELL, text)) == text


def test_labels_that_contradict_each_other_are_not_committed(tmp_path, cache):
    mine, labels = tmp_path / "mine.jsonl", tmp_path / "labels.jsonl"
    wrong = {
        "id": "m1",
        "text": CELL,
        "labels": ["food_safety", "food_safety"],
        "annotated": ["price_fraud"],
        "kind": "hard",
    }
    mine.write_text(json.dumps(wrong, ensure_ascii=False), "utf-8")
    result = CliRunner().invoke(data, ["hash", str(mine), "-o", str(labels), "--cache", str(cache)])
    assert isinstance(result.exception, InputError) and not labels.exists()
    for words in ("mine.jsonl:1: a label stands twice", "isn't in `annotated`", "kind hard is of compliant rows"):
        assert words in str(result.exception)
