"""Rows, splits, public lines, checks."""

import dataclasses
import json
import re

import pytest
from rich.console import Console
from typer.testing import CliRunner
from zhenyan.inference.errors import ConfigError, InputError
from zhenyan.training import dataset, public
from zhenyan.training.cli import data
from zhenyan.training.config import DataConfig
from zhenyan.training.corpus_check import check_corpus
from zhenyan.training.dataset import targets, weights
from zhenyan.training.reports import print_check
from zhenyan.training.rows import Row, expand, read_all, read_rows, row_from_json, text_key
from zhenyan.training.schema import load_schema
from zhenyan.training.splits import Splits, load_splits


def write(path, *records):
    path.write_text(
        "".join(r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) + "\n" for r in records), "utf-8"
    )
    return path


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"text": ""}\n', "field 'text' must be a non-empty string"),
        ('{"text": "a", "labels": "x"}\n', "field 'labels' must be a list"),
        ('{"text": "a", "channel": "tv"}\n', "live, copy, found 'tv'"),
        ('{"text": "a", "label": ["x"]}\n', "field 'labels' is missing"),
        ('{"text": "a", "labels": null}\n', "field 'labels' must be a list of label ids, found None"),
        ('{"text": "a", "labels": [], "annotated": "x"}\n', "field 'annotated' must be a list of label ids, found 'x'"),
        ('{"text": "a", "labels": [], "annotated": 5}\n', "field 'annotated' must be a list of label ids, found 5"),
        (
            '{"text": "a", "labels": [], "contested": "false"}\n',
            "field 'contested' must be true or false, found 'false'",
        ),
        ('{"text": "a", "labels": [], "pair": ["x"]}\n', "field 'pair' must be a single name"),
        (
            '{"text": "a", "labels": [], "start": "00:01"}\n',
            "field 'start' must be seconds, a number from 0, found '00:01'",
        ),
        ('{"text": "a", "labels": [], "start": 0, "end": -1}\n', "field 'end' must be seconds"),
        (
            '{"text": "a", "labels": [], "start": NaN, "end": true}\n',
            "field 'start' must.*\n.*field 'end' must be seconds",
        ),
        ('{"text": "a", "labels": [], "start": 9.5, "end": 9}\n', "field 'end' must not lie before 'start', 9.5"),
        (
            '{"text": "a", "labels": ["food_safety"], "labels": []}\n',
            "the key 'labels' stands twice in an object; keep one of them",
        ),
        ('{"text": "a", "labels": [], "batch": ["q"], "domain": {}}\n', "field 'batch'.*\n.*field 'domain'"),
        ("{\n", "not JSON"),
        ("[]\n", "expected a JSON object"),
        ("1" * 5000 + "\n", "too many digits"),
        ("[" * 100_000 + "\n", "nested too deeply"),
        ('{"text": "中文", "labels": []}\n'.encode("gbk"), "not UTF-8; save it as UTF-8"),
    ],
)
def test_bad_rows_name_file_and_line(tmp_path, line, words):
    path = write(tmp_path / "a.jsonl", {"text": "好", "labels": []})
    path.write_bytes(path.read_bytes() + (line if isinstance(line, bytes) else line.encode()) + b"{}\n")
    with pytest.raises(InputError, match=words) as error:
        read_rows([path])
    assert "a.jsonl:2" in str(error.value)
    rows, faults = read_all([path])  # the third line is named too
    assert len(rows) == 1 and re.search(words, "\n".join(faults)) and "a.jsonl:3: field 'text'" in "\n".join(faults)


def test_an_id_of_null_is_none_at_all():
    assert [row_from_json({"text": "好", "labels": [], **given}, "f:1").id for given in ({"id": None}, {}, {"id": 0})] == [
        "", "", "0"
    ]  # fmt: skip


def test_check_names_every_line_and_refuses_a_file_without_any(tmp_path, root):
    bad = write(tmp_path / "bad.jsonl", "{\n", {"text": "全网第一[/x]", "labels": "[/y]"}, {"text": "好", "labels": []})
    result = CliRunner().invoke(data, ["check", str(bad)], catch_exceptions=False)
    assert result.exit_code == 1 and "2 faults" in result.output and "'[/y]'" in result.output
    for command in ("check", "fix"):
        result = CliRunner().invoke(data, [command, str(write(tmp_path / "empty.jsonl", "\n"))])
        assert isinstance(result.exception, InputError) and re.search(
            "empty.jsonl: no (row|entry)", str(result.exception)
        )
    splits = write(tmp_path / "splits.yaml", "validation: [b99]\ntest: [b01]\n")
    rows = write(tmp_path / "rows.jsonl", {"text": "好", "labels": [], "batch": "b01"})
    result = CliRunner().invoke(data, ["check", str(rows), "--splits", str(splits)], catch_exceptions=False)
    assert result.exit_code == 0 and "no validation rows: no row is of group b99" in result.output


def test_check_finds_what_is_wrong(tmp_path):
    schema, splits = load_schema(), Splits(validation=["v"], test=[])
    same = "这个茶喝完三高就降下来了你们放心喝"
    rows = [
        Row(same, ("food_safety",), id="1", origin="f:1", meta={"batch": "a"}),
        Row(same, (), id="1", origin="f:2", meta={"batch": "a"}),
        Row(same + "啊", ("food_safety",), id="3", origin="f:3", meta={"batch": "v"}),
        Row("别的", ("no_such_label",), id="4", origin="f:4", meta={"batch": "a"}),
        Row("一对", (), id="5", origin="f:5", meta={"batch": "a", "pair": "p"}),
        Row(
            "六六", ("food_safety",), id="6", origin="f:6", annotated=("food_safty", "price_fraud"), meta={"batch": "a"}
        ),
        Row("七七", ("food_safety",), id="7", origin="f:7", meta={"kind": "plain"}),
        Row("零零零", id="12", origin="f:12", meta={"batch": "a", "kind": "hrad"}),
        Row("八八八", id="8", origin="f:8", meta={"batch": "a", "readings": [["food_safety"], ["food_safty"]]}),
        Row("九九九九", id="9", origin="f:9", meta={"batch": "a", "readings": [["food_safety"]]}),
        Row("十十十十十", id="10", origin="f:10", meta={"batch": "a", "readings": ["food_safety", []]}),
        Row("百百百百百百", id="11", origin="f:11", meta={"batch": "a", "readings": [["food_safety"], []]}),
    ]
    found = check_corpus(rows, schema, splits)
    faults = "\n".join(found.faults)
    assert "f:6: unknown label food_safty in `annotated`" in faults
    assert "f:6: label food_safety isn't in `annotated`" in faults
    assert "f:8: unknown label food_safty in `readings`; the schema has false_propaganda" in faults
    for line, found_there in ((9, "[['food_safety']]"), (10, "['food_safety', []]")):
        words = "field 'readings' must be two lists of label ids, one of each reader, found"
        assert f"f:{line}: {words} {found_there}; leave it out if one read" in faults
    assert "f:11" not in faults
    assert "f:7: kind plain is of compliant rows" in faults
    assert "f:12: kind 'hrad' is none of violation, hard, plain" in faults
    assert "f:7: no room, batch, rewriter or source" in "\n".join(found.notes)
    assert "f:2 and f:1: the same text with other labels" in faults
    assert "near duplicates" in faults and "validation" in faults
    assert "f:4: unknown label no_such_label" in faults
    assert "f:2: id 1 already stands at f:1" in faults and "minimal pair p" in faults


def test_check_reads_labels_by_hash_and_takes_repeats_of_hosts_for_what_they_are(tmp_path):
    """Hosts repeat themselves: only other labels for one text are worth a look. Written rows may not."""
    claim, lawful = "这个茶喝完三高就降下来了你们放心喝", "咱们家今天九块九包邮喜欢的去拍一下"

    def record(number: int, text: str, labels: list[str], **more: str) -> dict:
        key = text_key(text)
        return {
            "id": f"h{number}",
            "sha256": key,
            "doc": key,
            "start": 0,
            "end": len(text),
            "labels": labels,
            "room": "r-1",
        } | more

    (tmp_path / "cache").mkdir()
    write(tmp_path / "cache/streams.jsonl", {"text": claim}, {"text": lawful})
    hashed = write(
        tmp_path / "hashed.jsonl", record(1, claim, ["food_safety"]), record(2, claim, []), record(3, lawful, []),
        record(4, lawful, []), record(5, lawful, [], pair="p"), record(6, "没有取到的一行", []),
    )  # fmt: skip
    written = write(tmp_path / "written.jsonl", {"id": "w", "text": "一斤三十八", "labels": [], "batch": "b01"})
    splits = write(tmp_path / "splits.yaml", "validation: [b99]\ntest: [b98]\n")
    options = ["--cache", str(tmp_path / "cache"), "--splits", str(splits), "--notes"]
    result = CliRunner().invoke(data, ["check", str(hashed), str(written), *options], catch_exceptions=False)
    told = result.output.replace(f"{tmp_path}/", "")
    assert result.exit_code == 1 and "\n6 rows in 1 batch and 1 room: " in told and "1 faults, 1 rows" in told
    assert "look hashed.jsonl:2 and hashed.jsonl:1: the same text with other labels" in told
    assert told.startswith("1 public lines are not in cache and are left out; `zhenyan data fetch` brings them")
    assert "fault hashed.jsonl:5: minimal pair p needs" in told


def test_a_held_out_text_is_not_trained_on_wherever_it_stands(tmp_path, root):
    rows = [{"text": text, "labels": [], "batch": batch} for batch, text in (("b01", "好"), ("b01", "九块九，包邮！"), ("b02", "九块九，包邮！"))]  # fmt: skip
    config = DataConfig(
        written=[str(write(tmp_path / "rows.jsonl", *rows))], public_labels=[], public_cache=tmp_path / "cache",
        public_sources=root / "data/public.yaml",
        splits=write(tmp_path / "splits.yaml", "validation: [b02]\ntest: []\n"),
    )  # fmt: skip
    corpus = dataset.load_corpus(config, load_schema())
    assert [row.text for row in corpus.train] == ["好"] and [row.group for row in corpus.validation] == ["b02"]


def test_labels_join_public_text_by_hash(tmp_path):
    text = "第一句话在这里。第二句说能降血压。"
    write(tmp_path / "streams.jsonl", {"text": text, "room": "x"})
    line = text[8:]
    record = {"id": "1", "sha256": text_key(line), "doc": text_key(text), "start": 8, "end": len(text), "labels": ["food_safety"],
              "source": "streams", "room": "r-1"}  # fmt: skip
    labels = write(tmp_path / "labels" / "l.jsonl", record) if (tmp_path / "labels").mkdir() is None else None
    rows, missing = public.join_labels([str(labels)], tmp_path)
    assert missing == 0 and rows[0].text == line and rows[0].group == "r-1"
    write(labels, {**record, "sha256": text_key("other")})
    with pytest.raises(InputError, match="don't hash"):
        public.join_labels([str(labels)], tmp_path)
    write(labels, {**record, "doc": text_key("absent")})
    assert public.join_labels([str(labels)], tmp_path) == ([], 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"doc": ...}, "not labels by hash; written rows belong in data.written"),
        ({"start": ...}, "field 'start' must be a number of characters, found None"),
        ({"labels": ...}, "field 'labels' must be a list of label ids, found None"),
        ({"id": 7}, "field 'id' must be text, found 7"),
        ({"annotated": "food_safety"}, "field 'annotated' must be a list of label ids"),
        ({"contested": "no"}, "field 'contested' must be true or false"),
    ],
)
def test_bad_labels_by_hash_name_file_and_line(tmp_path, change, words):
    (tmp_path / "cache").mkdir()
    write(tmp_path / "cache/streams.jsonl", {"text": "降血压"})
    key = text_key("降血压")
    record = {"id": "1", "sha256": key, "doc": key, "start": 0, "end": 3, "labels": []} | change
    labels = write(tmp_path / "l.jsonl", {name: value for name, value in record.items() if value is not ...})
    with pytest.raises(InputError, match=words) as error:
        public.join_labels([str(labels)], tmp_path / "cache")
    assert "l.jsonl:1" in str(error.value)


@pytest.mark.parametrize(
    ("validation", "files", "words"),
    [
        ("[b99, b98]", ["rows.jsonl"], "no validation rows: no row is of group b99, b98 .*splits.yaml"),
        ("[b01]", ["rows.jsonl"], "no training rows outside the held-out groups"),
        ("[]", [], "no training rows"),
    ],
)
def test_training_without_rows_is_refused(tmp_path, root, validation, files, words):
    write(tmp_path / "rows.jsonl", {"text": "好", "labels": [], "batch": "b01"})
    config = DataConfig(
        written=[str(tmp_path / name) for name in files], public_labels=[], public_cache=tmp_path / "cache",
        public_sources=root / "data/public.yaml",
        splits=write(tmp_path / "splits.yaml", f"validation: {validation}\ntest: []\n"),
    )  # fmt: skip
    with pytest.raises(ConfigError, match=words):
        dataset.load_corpus(config, load_schema())
    assert dataset.load_corpus(config, load_schema(), needed=()).test == []


def test_a_rewritten_line_is_joined_by_its_edits(tmp_path):
    text = "前面的话。这个茶喝完血压就降了。"
    write(tmp_path / "streams.jsonl", {"text": text})
    rewritten = "这个膏药贴完腰就不疼了。"
    record = {"id": "c1", "sha256": text_key(rewritten), "doc": text_key(text), "start": 5, "end": len(text),
              "edits": [[2, 4, "膏药贴"], [4, 7, "完腰"], [7, 9, "就不疼"]], "labels": ["unreviewed_ad"],
              "source": "streams", "rewriter": "c01"}  # fmt: skip
    (tmp_path / "labels").mkdir()
    labels = write(tmp_path / "labels" / "l.jsonl", record)
    (row,), _ = public.join_labels([str(labels)], tmp_path)
    assert (row.text, row.group, dataset.origin(row)) == (rewritten, "c01", "moved")
    write(labels, {**record, "edits": record["edits"][1:]})
    with pytest.raises(InputError, match="don't hash"):
        public.join_labels([str(labels)], tmp_path)
    for wrong in ([[2, 4]], [["2", 4, "x"]], [[4, 7, "x"], [2, 4, "y"]], [[0, 99, "x"]], {"2": "x"}, 5):
        write(labels, {**record, "edits": wrong})
        with pytest.raises(InputError, match=r"l\.jsonl:1: field 'edits' must be a list of"):
            public.join_labels([str(labels)], tmp_path)


def test_fetch_from_a_copy_checks_digests(tmp_path):
    (tmp_path / "copy").mkdir()
    write(tmp_path / "copy" / "a.tsv", "好\t0\n")
    good = public.Source(name="a.tsv", local="a.tsv", url="http://127.0.0.1:9/a", sha256=None)
    bad = good.model_copy(update={"name": "b.tsv", "sha256": "0" * 64})
    absent = good.model_copy(update={"name": "c.tsv", "local": "c.tsv"})
    report = public.fetch(tmp_path / "cache", tmp_path / "copy", [good, bad, absent], lambda _: None)
    assert report.fetched == ["a.tsv"] and list((tmp_path / "cache").iterdir()) == [tmp_path / "cache" / "a.tsv"]
    assert "expected 0000" in report.missing["b.tsv"] and "--from" in report.missing["c.tsv"]
    offline = public.fetch(tmp_path / "cache", None, [good.model_copy(update={"name": "d.tsv"})], lambda _: None)
    assert "--from FOLDER" in offline.missing["d.tsv"]


PUBLISHED = "repository/asr/video_asr.json"
RECORDS = [
    {"plat_name": "某播", "chanel_name": room, "file_name": f"{room}.mp4", "asr_result_para": text, "status": "done"}
    for room, text in (("甲间", "拍一发三"), ("量具间", "现在下单送两盒"), ("甲间", ""))
]


def stream_source(root):
    """The committed source of the transcripts, served from another place, another room for measuring."""
    (committed,) = (source for source in public.load_sources(root / "data/public.yaml") if source.records)
    address = "http://127.0.0.1:9/owner/repository/commit/asr/video_asr.json"
    return committed.model_copy(update={"url": address, "measuring": frozenset({public.room_name("量具间")})})


def test_transcripts_are_kept_a_line_each_as_published_and_rooms_for_measuring_are_marked(root, tmp_path):
    source = stream_source(root)
    (tmp_path / "clones/repository/asr").mkdir(parents=True)
    write(tmp_path / "clones" / PUBLISHED, json.dumps(RECORDS, ensure_ascii=False, indent=2))
    for copy in (tmp_path / "clones", tmp_path / "clones/repository"):
        report = public.fetch(tmp_path / "cache", copy, [source], lambda _: None)
        assert report.fetched == ["streams.jsonl"]
        kept = [json.loads(line) for line in (tmp_path / "cache/streams.jsonl").read_text("utf-8").splitlines()]
        assert kept[1] == {
            "text": "现在下单送两盒",
            "room": "量具间",
            "platform": "某播",
            "file": "量具间.mp4",
            "gold_room": True,
        }
        read = list(public.documents(tmp_path / "cache/streams.jsonl"))
        assert [(text, measuring) for text, _, measuring in read] == [
            ("拍一发三", False), ("现在下单送两盒", True), ("", False)
        ]  # fmt: skip
    lines = tmp_path / "ours"
    (lines / "asr").mkdir(parents=True)
    write(lines / source.local, json.dumps({"text": "拍一发三", "room": "甲间", "gold_room": False}) + "\n")
    assert public.fetch(tmp_path / "cache", lines, [source], lambda _: None).fetched == ["streams.jsonl"]
    assert (tmp_path / "cache/streams.jsonl").read_bytes() == (lines / source.local).read_bytes()


@pytest.mark.parametrize("text", ["[", "[1]", '[{"text": "好"}]'])
def test_transcripts_published_in_another_shape_are_refused(root, tmp_path, text):
    (tmp_path / "repository/asr").mkdir(parents=True)
    write(tmp_path / PUBLISHED, text)
    report = public.fetch(tmp_path / "cache", tmp_path, [stream_source(root)], lambda _: None)
    assert "expected a JSON list of records with asr_result_para" in report.missing["streams.jsonl"]
    assert not list((tmp_path / "cache").iterdir())


def test_a_copy_without_the_file_names_every_place(root, tmp_path):
    report = public.fetch(tmp_path / "cache", tmp_path, [stream_source(root)], lambda _: None)
    assert "asr/streams.jsonl or asr/video_asr.json or repository/asr/video_asr.json" in report.missing["streams.jsonl"]


@pytest.mark.parametrize("text", ["", "- a", "sources: []", "files: 3", "files: [{name: a}]"])
def test_a_list_of_sources_that_is_none_is_named(tmp_path, text):
    with pytest.raises(InputError, match=r"s\.yaml: .*files"):
        public.load_sources(write(tmp_path / "s.yaml", text))


def test_a_cache_that_is_a_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"--cache .*: File exists; give a folder"):
        public.fetch(write(tmp_path / "file", "x"), None, [])
    with pytest.raises(InputError, match=r"a\.tsv: not UTF-8"):
        (tmp_path / "a.tsv").write_bytes("好".encode("gbk"))
        list(public.documents(tmp_path / "a.tsv"))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", '{"a": ["好"', r"a\.json: not JSON that can be read \(.*\); fetch it again"),
        ("a.json", "[" * 5000, r"a\.json: not JSON that can be read \(.*\); fetch it again"),
        ("a.json", "1" * 5000, r"a\.json: not JSON that can be read \(.*\); fetch it again"),
        ("a.jsonl", '{"text": "好"}\n["好"]\n', r"a\.jsonl:2: expected a JSON object, found list; fetch it again"),
    ],
)
def test_damaged_public_files_are_named(tmp_path, name, text, words):
    with pytest.raises(InputError, match=words):
        list(public.documents(write(tmp_path / name, text)))


def test_a_file_with_brackets_in_its_name_is_a_file(tmp_path):
    path = write(tmp_path / "a[1].jsonl", {"text": "好", "labels": []})
    assert expand(path) == expand([str(path)]) == [path]
    other = write(tmp_path / "a1.jsonl", {"text": "好", "labels": []})
    assert expand(path) == [path] and expand(tmp_path / "a[12].jsonl") == [other]


def test_unannotated_labels_are_masked():
    rows = [Row("a", ("x",), annotated=("x",)), Row("b", ())]
    truth, mask = targets(rows, ["x", "y"])
    assert truth.tolist() == [[1, 0], [0, 0]] and mask.tolist() == [[1, 0], [1, 1]]


def test_rows_weigh_what_the_configuration_says():
    written = {"batch": "b01"}
    rows = [
        Row("real", meta={"room": "r1"}), Row("plain", meta=written | {"kind": "plain"}),
        Row("hard", meta=written | {"kind": "hard"}), Row("violation", ("x",), meta=written | {"pair": "p1"}),
        Row("its lawful half", contested=True, meta=written | {"pair": "p1"}),
        Row("waits for a part of a split", annotated=("y",), meta=written | {"pair": "p2", "kind": "violation"}),
        Row("read by nobody", annotated=(), meta=written | {"pair": "p3"}),
    ]  # fmt: skip
    config = DataConfig(contested_weight=0.5, written_weight=2.0, hard_weight=3.0)
    assert weights(rows, config) == [1.0, 2.0, 6.0, 2.0, 3.0, 2.0, 2.0]


def test_splits_must_not_overlap(tmp_path):
    with pytest.raises(ConfigError, match="both validation and test: a"):
        load_splits(write(tmp_path / "s.yaml", "validation: [a]\ntest: [a]\n"))
    assert Splits(validation=["a"], test=["b"]).of(dataclasses.replace(Row("t"), meta={"room": "b"})) == "test"


def test_rows_whose_labels_wait_for_a_person_are_not_counted_as_compliant():
    """After a split, and of `zhenyan data sample`."""
    rows = [
        Row("喝了这个茶", origin="f:1", annotated=("price_fraud",), meta={"batch": "a", "kind": "violation"}),
        Row("两盒装今天发", origin="f:2", annotated=(), meta={"batch": "a"}),
        Row("棉拖鞋包邮到家", origin="f:3", annotated=("price_fraud",), meta={"batch": "a"}),
        Row("贴上膏药就不疼", ("food_safety",), origin="f:4", meta={"batch": "a"}),
    ]
    found = check_corpus(rows, load_schema(), Splits(validation=["v"], test=[]))
    assert [found.counts[name] for name in ("compliant", "waiting", "violating")] == [1, 2, 1]
    console = Console(width=300, record=True)
    print_check(found, console, notes=False)
    assert "1 compliant (0 hard), 1 violating (0 with several labels), 2 whose labels wait" in console.export_text()
