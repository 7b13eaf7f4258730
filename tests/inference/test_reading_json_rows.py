"""JSON whose objects hold a text of their own: headings above rows, columns asked for, and streams as in JSON lines."""

import json

import pytest
from zhenyan.inference.errors import InputError
from zhenyan.inference.io import Options, Reject, read_items

LINE, OTHER = "全网销量第一 没有之一", "喝了我们这个现在针都停了"
ROWS = [{"text": LINE, "start": 1, "end": 3}, {"text": OTHER, "start": 4, "end": 6}]


def given(path, value):
    lines = path.suffix == ".jsonl"
    rows = "\n".join(json.dumps(row, ensure_ascii=False) for row in value) if lines else json.dumps(value)
    path.write_text(rows, encoding="utf-8")
    return str(path)


def texts(path, options=None):
    return [i.reason if isinstance(i, Reject) else i.text for i in read_items(path, options or Options())]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("title", {"room": "养生堂直播间", "title": "秋季养生专场", "subtitles": ROWS}),
        ("title", {"title": "秋季养生专场", "data": ROWS}),
        ("标题", [{"标题": "专场", "info": {"id": 1}, "rows": {"lines": ROWS}}]),
        ("content", {"content": "说明", "list": ROWS}),
        ("内容", {"内容": "说明", "标题": "专场", "list": ROWS}),
        ("title", {"title": "专场", "tags": ["秋"], "result": {"segments": ROWS}}),
        ("content", {"content": "说明", "list": [{"话术": LINE}, {"话术": OTHER}]}),
    ],
)
def test_a_heading_hides_no_row_below_it(tmp_path, name, value):
    options = Options()
    path = given(tmp_path / "a.json", value)
    assert texts(path, options) == [LINE, OTHER]
    assert [*map(str, options.notes)] == [
        f"{path}: the text is read from the rows inside, not from {name} above them; name another with --text-column"
    ]


@pytest.mark.parametrize(
    "value",
    [
        {"text": "success", "code": 0, "data": ROWS},
        {"text": "success", "data": [{"content": LINE}, {"评论内容": OTHER}]},
        {"文案": "success", "评论": [{"内容": LINE, "文案": LINE}, {"文案": OTHER}]},
        [{"sentence": "success", "children": [{"sentence": LINE}, {"sentence": OTHER}]}],
    ],
)
def test_a_text_of_its_own_hides_no_rows_with_other_texts(tmp_path, value):
    assert texts(given(tmp_path / "a.json", value)) == ["success", LINE, OTHER]


@pytest.mark.parametrize("piece", [LINE, "销量第一没有之一", "销量第一，没有"])
def test_pieces_of_a_text_are_no_rows_beside_it(tmp_path, piece):
    assert texts(given(tmp_path / "a.json", [{"text": LINE, "entities": [{"text": piece, "start": 2}]}])) == [LINE]


@pytest.mark.parametrize("title", [LINE, "甲"])
def test_a_heading_hides_no_row_whose_title_repeats_its_text(tmp_path, title):
    value = {"content": "今日直播", "items": [{"title": title, "text": LINE}]}
    assert texts(given(tmp_path / "a.json", value)) == [LINE]


def test_rows_below_a_heading_keep_their_times_and_room(tmp_path):
    path = given(tmp_path / "a.json", {"room": "养生堂直播间", "title": "专场", "subtitles": ROWS})
    assert [item.record for item in read_items(path, Options())] == [row | {"stream": "养生堂直播间"} for row in ROWS]


def test_an_empty_title_hides_no_row_and_needs_no_note(tmp_path):
    options = Options()
    assert texts(given(tmp_path / "a.json", {"title": " ", "subtitles": ROWS}), options) == [LINE, OTHER]
    assert not options.notes


@pytest.mark.parametrize(
    "value",
    [
        {"text": LINE, "words": [{"text": "全网"}, {"text": "销量第一"}]},
        {"content": LINE, "words": [{"text": "全网"}, {"text": "销量第一"}]},
        {"content": LINE, "goods": [{"title": "某茶"}]},
        {"title": LINE, "id": 1, "tags": ["秋"], "rows": [], "subtitles": [{"text": None}]},
        {"transcript": LINE, "title": "专场", "list": ROWS},
    ],
)
def test_a_text_of_its_own_is_kept_where_what_is_inside_says_no_more(tmp_path, value):
    options = Options()
    assert texts(given(tmp_path / "a.json", [value]), options) == [LINE]
    assert not any("rows inside" in note for note in map(str, options.notes))


@pytest.mark.parametrize("name", ["title", "content"])
def test_texts_of_one_name_above_each_other_are_all_read(tmp_path, name):
    value = [{name: LINE, "skus": [{name: "红色"}, {name: "绿色"}]}]
    assert texts(given(tmp_path / "a.json", value)) == [LINE, "红色", "绿色"]


def test_the_text_that_was_asked_for_is_read_whatever_is_inside(tmp_path):
    path = given(tmp_path / "a.json", {"title": "秋季养生专场", "subtitles": ROWS})
    assert texts(path, Options(text_column="title")) == ["秋季养生专场"]


def outline(path, **options):
    return [(i.text, i.record.get("start"), i.record.get("stream")) for i in read_items(path, Options(**options))]


def test_a_column_asked_for_may_stand_above_the_rows_or_in_some_of_them(tmp_path):
    value = [{"room_no": room, "lines": [{"text": text, "start": 1}]} for room, text in (("A", LINE), ("B", OTHER))]
    path = given(tmp_path / "nest.json", value)
    assert outline(path, stream_column="room_no") == [(LINE, 1.0, "A"), (OTHER, 1.0, "B")]
    path = given(tmp_path / "flat.json", [{"room_no": "A", "text": LINE, "start": 1}, {"text": OTHER, "start": 4}])
    assert outline(path, stream_column="room_no") == [(LINE, 1.0, "A"), (OTHER, 4.0, "flat")]
    path = given(tmp_path / "times.json", [{"text": LINE, "bt": 1, "et": 2}, {"text": OTHER}])
    assert outline(path, start_column="bt", end_column="et") == [(LINE, 1.0, "times"), (OTHER, None, "times")]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_column_asked_for_that_no_object_has_is_named(tmp_path, name):
    path = given(tmp_path / name, [{"text": LINE}, {"text": OTHER, "room_no": "A"}])
    with pytest.raises(InputError, match=r"no column 'btt' \(--start-column\); its columns are text, room_no"):
        outline(path, start_column="btt", stream_column="room_no")


def test_recognisers_segments_need_no_column_that_was_asked_for(tmp_path):
    assert outline(given(tmp_path / "a.json", {"segments": ROWS}), start_column="bt") == [
        (LINE, 1.0, "a"),
        (OTHER, 4.0, "a"),
    ]


@pytest.mark.parametrize("column", ["video", "file", "recording", "room_name", "直播间"])
def test_the_same_rows_have_the_same_streams_as_in_json_lines(tmp_path, column):
    rows = [{column: "BV1aa", "start": 1, "text": LINE}, {column: "BV1bb", "start": 2, "text": OTHER}]
    found = [outline(given(tmp_path / name, rows)) for name in ("vid.json", "vid.jsonl")]
    assert found[0] == found[1] == [(LINE, 1.0, "BV1aa"), (OTHER, 2.0, "BV1bb")]


def test_a_recording_is_no_room_where_one_is_named_and_a_stream_of_its_own_is_kept_aside(tmp_path):
    path = given(tmp_path / "a.json", {"某店": [{"video": "BV1aa", "text": LINE}]})
    assert outline(path) == [(LINE, None, "某店")]
    value = {"room_no": "A", "lines": [{"text": LINE, "stream": "旧"}]}
    (item,) = read_items(given(tmp_path / "a.json", value), Options(stream_column="room_no"))
    assert item.record == {"text": LINE, "input.stream": "旧", "stream": "A"}


@pytest.mark.parametrize(("name", "options"), [("room", {}), ("room_no", {"stream_column": "room_no"})])
def test_no_key_of_an_object_that_names_its_room_is_another(tmp_path, name, options):
    value = {name: "A", "lines": [{"text": LINE, "file": "x.mp4"}], "copy": [{"text": OTHER}]}
    assert outline(given(tmp_path / "a.json", value), **options) == [(LINE, None, "A"), (OTHER, None, "A")]


def test_a_row_that_repeats_a_key_is_rejected(tmp_path):
    """Of two texts the first was hidden by the second, and nobody was told."""
    twice = f'{{"text": "{LINE}", "text": "{OTHER}"}}'
    (tmp_path / "a.jsonl").write_text(f'{twice}\n{{"text": "{OTHER}"}}\n', encoding="utf-8")
    reject, item = read_items(str(tmp_path / "a.jsonl"), Options())
    assert reject == Reject("line 1", "the key 'text' stands twice in an object; keep one of them", twice)
    assert item.text == OTHER


@pytest.mark.parametrize(
    "content",
    [
        f'{{"segments": [{{"start": 1, "end": 2, "text": "{LINE}", "text": "{OTHER}"}}]}}',
        json.dumps({"data": f'[{{"text": "{LINE}", "text": "{OTHER}"}}]'}),
        json.dumps({"lattice": [{"json_1best": '{"text": 1, "text": 2}'}]}),
    ],
)
def test_a_recognisers_file_that_repeats_a_key_is_refused(tmp_path, content):
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.json: the key 'text' stands twice in an object; keep one of them"):
        list(read_items(str(tmp_path / "a.json"), Options()))


def test_a_text_that_is_json_and_repeats_a_key_is_read_as_it_is(tmp_path):
    said = f'{{"text": "{LINE}", "text": "{OTHER}"}}'
    assert texts(given(tmp_path / "a.jsonl", [{"text": said}])) == [said]


@pytest.mark.parametrize("value", [True, False])
def test_a_truth_value_is_no_text(tmp_path, value):
    (reject,) = read_items(given(tmp_path / "a.jsonl", [{"text": value}]), Options())
    assert reject == Reject("line 1", "column 'text' holds bool, expected text", str(value))
