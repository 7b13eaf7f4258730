"""The report: everything a reviewer needs, nothing that leaves the page, whatever the text holds."""

import colorsys
import json
import re
from dataclasses import replace

import pytest
from markupsafe import escape
from report_helpers import CLAIM, HOSTILE, finding, make_run, many_findings, stream_record
from zhenyan.inference import load_bundle
from zhenyan.inference import report as module
from zhenyan.inference.errors import InputError
from zhenyan.inference.law import citation
from zhenyan.inference.report import Timeline, chinese_place, hue, marked, own_time, when, write_report


@pytest.fixture
def page(tmp_path):
    """The HTML of a run with these findings and streams."""

    def write(findings, streams):
        write_report(make_run(tmp_path, findings, streams), load_bundle(), tmp_path / "report.html")
        return (tmp_path / "report.html").read_text(encoding="utf-8")

    return write


def test_a_finding_shows_all_that_a_reviewer_asks(page):
    found = [finding(1, count=3, context=True)]
    text = page(found, [stream_record("茶叶直播间", found, start=0.0, end=200.0), stream_record("安静", [])])
    label = next(label for label in load_bundle().labels if label.id == "food_safety")
    for part in (f"{CLAIM[:6]}<mark>{CLAIM[6:12]}</mark>", "0:00:05", *citation(label.articles), label.name_zh, label.penalty["basis"],
                 "依据，视事实适用其一", "which applies depends on the facts", "优先核查 ≥ 0.8，需要核查 ≥ 0.5", "0.90 ≥ 0.50", "↑ 前一句", "↓ 后一句", "×3", "two neighbouring lines", "优先核查", "1 streams have no finding"):  # fmt: skip
        assert str(part) in text, part


@pytest.mark.parametrize("name", ["a.pdf", "a", "a.html.gz"])
def test_a_report_is_no_file_of_another_ending(tmp_path, name):
    with pytest.raises(InputError, match=r"but the report is HTML; name it \.html"):
        write_report(make_run(tmp_path, [], []), load_bundle(), tmp_path / name)
    assert not (tmp_path / name).exists()


BASIS = "食品安全法第一百四十条"


def relabelled(bundle, **fields):
    """The bundle with these fields on every label."""
    return replace(bundle, labels=tuple(replace(label, **fields) for label in bundle.labels))


@pytest.mark.parametrize(
    ("penalty", "shown"),
    [
        ({"states_zh": "处以罚款。"}, f'<span lang="zh">{BASIS}：处以罚款。</span><span lang="en">{BASIS}: A fine.</span></dd>'),
        ({}, f'<span lang="zh">{BASIS}</span><span lang="en">{BASIS}: A fine.</span></dd>'),  # of before `states_zh`
        ({"basis_en": "Food Safety Law 140", "verified": "case", "states_zh": "处以罚款。"},
         f'<span lang="zh">{BASIS}（仅见于案例）：处以罚款。</span>'
         f'<span lang="en">Food Safety Law 140 ({BASIS}) (seen applied only): A fine.</span></dd>'),
    ],
)  # fmt: skip
def test_the_penalty_is_stated_in_the_language_shown(tmp_path, penalty, shown):
    bundle, found = load_bundle(), [finding(1)]
    bundle = relabelled(bundle, penalty={"basis": BASIS, "states": "A fine.", **penalty})
    write_report(make_run(tmp_path, found, [stream_record("茶叶直播间", found)]), bundle, tmp_path / "report.html")
    assert shown in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_all_laws_are_cited_with_the_date_and_what_to_know_before_citing(tmp_path):
    articles = (
        {
            "law": "价格法 [Price Law]",
            "article": "第十四条第四项",
            "says": "It says.",
            "verified": "text",
            "check": True,
        },
        {"law": "电子商务法 [E-commerce Law]", "article": "第十七条", "says": "It says.", "verified": "case"},
    )
    dated = {"law_as_of": "November 2026", "law_as_of_zh": "2026年11月"}
    bundle, found = relabelled(load_bundle(), articles=articles, **dated), [finding(1)]
    write_report(make_run(tmp_path, found, [stream_record("茶叶直播间", found)]), bundle, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert (
        text.count('<span lang="zh">法律依据截至2026年11月。</span><span lang="en">Law as of November 2026.</span>')
        == 1
    )
    assert (
        '<span lang="zh">《价格法》第十四条第四项（引用前请核对）；《电子商务法》第十七条（仅见于案例）</span>' in text
    )
    assert ('<span lang="en">Price Law 《价格法》第十四条第四项 (check before citing); '
            "E-commerce Law 《电子商务法》第十七条 (seen applied only)</span>") in text  # fmt: skip


def contrast(one, other):
    """The ratio of two colours' luminance as WCAG defines it; colours are three numbers from 0 to 1."""
    shares = [[x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in colour] for colour in (one, other)]
    low, high = sorted(0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in shares)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("count", [1, 4, 14, 15, 37])
def test_white_on_the_colour_of_a_label_can_be_read(count):
    for place in range(count):
        degrees, saturation, lightness = (float(n) for n in re.findall(r"[\d.]+", hue(place, count)))
        colour = colorsys.hls_to_rgb(degrees / 360, lightness / 100, saturation / 100)
        assert contrast(colour, (1, 1, 1)) >= 4.5, hue(place, count)


def test_a_bundle_of_before_the_law_was_dated_shows_what_it_has(tmp_path):
    old = relabelled(load_bundle(), law_as_of="", law_as_of_zh="", definition_zh="")
    found = [finding(1)]
    write_report(make_run(tmp_path, found, [stream_record("茶叶直播间", found)]), old, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Law as of" not in text and citation(old.labels[3].articles)[0] in text


def test_it_needs_no_network_and_runs_nothing_of_the_text(page):
    found = [finding(1, stream=HOSTILE, text=HOSTILE, evidence=[], before=[HOSTILE])]
    text = page(found, [stream_record(HOSTILE, found, start=0.0, end=9.0)])
    assert not re.search(r"(?:src|href)=\"(?!#)|url\(|@import|https?:", text.replace("&lt;img src=x", ""))
    assert "<img" not in text and "<script>document" not in text and "\u202e" not in text
    assert text.count("<script") == 1


def test_a_stream_without_time_codes_is_drawn_by_lines(page):
    time = {"place": "line 3 utterance 2", "row": 20, "recording": "某店_003.mp4"}
    found = [finding(1, times=[time], place={"file": "a.jsonl", **time})]
    text = page(found, [stream_record("茶叶直播间", found, first=1, last=39)])
    assert 'x="497.5"' in text and "第 39 行（无时间码）" in text
    assert "第3行第2句" in text and "某店_003.mp4" in text


def test_timelines_hold_so_many_marks(monkeypatch):
    monkeypatch.setattr(module, "MAX_MARKS", 3)
    line = Timeline.of({"start": 10.0, "end": 20.0, "first": 1, "last": 9})
    line.add(finding(1, times=[{"start": float(at)} for at in (5, 10, 15, 20, 25)]), 0)
    assert [mark["x"] for mark in line.marks] == [0.0, 0.0, 497.5]


def test_ten_thousand_findings_and_more_streams_than_are_shown(page, monkeypatch):
    monkeypatch.setattr(module, "MAX_FINDINGS", 9_000)
    monkeypatch.setattr(module, "MAX_STREAMS", 5)
    found = [finding(n, stream=f"s{n % 7}") for n in range(1, 10_001)]
    text = page(found, [stream_record(f"s{n}", found[n::7]) for n in range(7)])
    assert text.count("<article") == 9_000 and "1,000 more findings" in text
    assert text.count('<section class="stream">') == 5 and "2 more streams" in text


def test_streams_without_a_finding_are_counted_not_shown(page, monkeypatch):
    monkeypatch.setattr(module, "MAX_STREAMS", 1)
    found = [finding(1, stream="有话")]
    quiet = [stream_record(f"安静{n}", [], start=0.0, end=9.0) for n in range(2)]
    text = page(found, [quiet[0], stream_record("有话", found, start=0.0, end=9.0), quiet[1]])
    assert re.findall(r'<section class="stream">\s*<strong>(.*?)</strong>', text) == ["有话"]
    assert "安静" not in text and "2 streams have no finding" in text and "1 / 3" in text
    assert "more streams with findings" not in text


def test_headings_come_by_their_findings_and_are_coloured_by_the_bundle(page):
    """The most findings first, of as many the riskiest; a label's colour is its own whatever was found."""
    given = ("public_order", "food_safety", "price_fraud", "food_safety")
    found = [finding(n, label=label) for n, label in enumerate(given, 1)]
    text = page(found, [stream_record("茶叶直播间", found, start=0.0, end=50.0)])
    ordered = ["food_safety", "public_order", "price_fraud"]
    assert re.findall(r'<details data-label="(\w+)">', text) == ordered
    assert re.findall(r'<option value="(\w+)" data-found', text) == ordered
    ids = load_bundle().label_ids
    colours = re.findall(r'^\[data-label="(\w+)"\] \{ --hue:(.+) \}$', text, re.MULTILINE)
    assert colours == [(label, hue(place, len(ids))) for place, label in enumerate(ids)]
    assert len({colour for _, colour in colours}) == len(ids)


def test_no_heading_is_crowded_out_by_riskier_ones(page, monkeypatch):
    monkeypatch.setattr(module, "MAX_FINDINGS", 20)
    found = [finding(n, label="food_safety" if n <= 60 else "price_fraud") for n in range(1, 91)]
    text = page(found, [stream_record("茶叶直播间", found, start=0.0, end=500.0)])
    shown = re.findall(r'<article id="f0*(\d+)" data-label="(\w+)"', text)
    assert [int(number) for number, _ in shown] == [*range(1, 16), *range(61, 66)]  # a quarter of the room at least
    assert '<option value="" data-found="90">' in text and '<option value="price_fraud" data-found="30">' in text
    names = {label.id: label.name_en for label in load_bundle().labels}
    assert "70 more findings" in text
    assert f"{names['food_safety']}</span> 45 · " in text and f"{names['price_fraud']}</span> 25</p>" in text
    links = set(re.findall(r'<a href="#(f\d+)" tabindex', text))
    assert links == {f"f{int(number):06d}" for number, _ in shown}  # no mark leads nowhere
    assert text.count("未列出 not listed") == 70 and text.count("<rect") == 90


@pytest.mark.parametrize(
    ("labels", "room", "shown"),
    [
        ("aab", 3, "yyy"),
        ("", 3, ""),
        ("aaaaaaab", 4, "yyynnnny"),  # one at least of each heading, the riskiest fill the rest
        ("aaaabbbb", 4, "yyynynnn"),
        ("abababab", 1, "ynnnnnnn"),
    ],
)
def test_which_findings_are_shown(labels, room, shown):
    assert "".join("ny"[one] for one in module.chosen(labels, room)) == shown


def test_a_stream_with_start_times_only_has_a_timeline(tmp_path, score):
    source = tmp_path / "a.jsonl"
    rows = [{"text": "喝完这个茶三高就降下来了 药都停了", "start": at, "stream": "s"} for at in (0, 600, 3600)]
    source.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    folder = score(source, tmp_path / "out.jsonl", part_rows=2)
    (stream,) = folder.streams()
    assert (stream["start"], stream["end"]) == (0, 3600)
    write_report(folder, load_bundle(), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert sorted({float(x) for x in re.findall(r'<rect x="([\d.]+)"', text)}) == [0.0, 165.8, 995.0]


def test_ten_thousand_findings_are_a_few_megabytes_with_each_law_once(page):
    found = many_findings(10_000)
    text = page(found, [stream_record("茶叶直播间", found, start=0.0, end=50_000.0)])
    assert text.count("<article") == 10_000 and len(text.encode()) < 4_500_000
    labels = {label.id: label for label in load_bundle().labels}
    for label in (labels["food_safety"], labels["price_fraud"]):
        assert text.count(f'<dd><span lang="zh">{citation(label.articles)[0]}</span>') == 1
        assert text.count(str(escape(label.penalty["states"]))) == 1
        assert text.count(f'id="law-{label.id}"') == 1


def test_evidence_is_marked_once_and_control_characters_are_seen():
    spans = [{"start": 2, "end": 4}, {"start": 0, "end": 3}]
    assert marked("ab<d\u202ef", spans) == "<mark>ab&lt;</mark>d\ufffdf"
    family = "👨\u200d👩\u200d👧 ❤\ufe0f\u200d🔥 全网\u3000第一\xa0没有"
    assert marked(family, []) == family  # spaces of any width, emoji that are joined
    assert marked("全\u200d网", []) == "全\ufffd网"


def test_times_and_places_are_said_in_both_languages():
    timed = {"place": "line 1", "start": 65.0, "recording": "店\u202e.mp4"}
    assert when([timed, {"place": "cue 2"}]) == ("0:01:05 店\ufffd.mp4, 第2段", "0:01:05 店\ufffd.mp4, cue 2")


def test_a_finding_is_shown_with_the_time_of_its_text(page):
    """Said at 5 s, more plainly at 600 s in another file: text and place are of the second."""
    first = {"file": "a.srt", "place": "cue 1", "start": 5.0}
    own = {"file": "b.srt", "place": "cue 9", "start": 600.0}
    found = [finding(1, count=2, place=own, times=[first, own])]
    shown = page(found, [stream_record("茶叶直播间", found, start=0.0, end=900.0)])
    assert "<small>f000001 · 茶叶直播间 · 0:10:00 b.srt · " in shown
    assert "<p>0:00:05 a.srt, 0:10:00 b.srt</p>" in shown
    assert own_time(finding(1)) == ("0:00:05", "0:00:05")  # one file needs no naming


def test_a_finding_in_a_room_of_several_files_is_shown_with_its_file(tmp_path, score):
    for day in ("周一", "周二"):
        (tmp_path / f"{day}.csv").write_text(f"直播间,话术\n养生堂,喝完这个茶{day}三高就降下来了\n", encoding="utf-8")
    folder = score([str(tmp_path / f"{day}.csv") for day in ("周一", "周二")], tmp_path / "out.jsonl")
    assert {own_time(one) for one in folder.findings()} == {
        (f"第2行 {tmp_path / day}.csv", f"line 2 {tmp_path / day}.csv") for day in ("周一", "周二")
    }


def test_places_in_chinese():
    assert [chinese_place(place) for place in ("paragraph 3", "table 1 row 2")] == ["第3段", "表1 第2行"]
    assert chinese_place("line 3 utterance 2 + line 4 utterance 1") == "第3行第2句 + 第4行第1句"


def test_a_stream_names_all_its_headings(page):
    ids = load_bundle().label_ids[:7]
    found = [finding(n, label=label) for n, label in enumerate(ids, 1)]
    text = page(found, [stream_record("茶叶直播间", found, labels=dict.fromkeys(ids, 1))])
    (named,) = re.findall(r'<section class="stream">.*?</section>', text, re.DOTALL)
    labels = {label.id: label for label in load_bundle().labels}
    assert [name for name in ids if f">{labels[name].name_zh}</span>" not in named] == []


def test_rows_of_a_stream_without_time_codes_are_said_to_be_of_the_output(page):
    time = {"place": "line 2", "row": 84}
    found = [finding(1, stream="a.csv", place={"file": "a.csv", **time}, times=[time])]
    text = page(found, [stream_record("a.csv", found, first=84, last=85)])
    for said in (
        "输出第 84 行",
        "row 84 of the output",
        "输出第 85 行（无时间码）",
        "<title>输出第 84 行 output row 84 ",
    ):
        assert said in text, said
    assert 'f000001 · a.csv · <span lang="zh">第2行</span>' in text  # the file's own


def summed(folder, **more):
    """The run's summary has these fields."""
    path = folder.path / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | more), encoding="utf-8")
    return folder


def test_lost_files_are_named_and_counted_apart_from_rows(tmp_path):
    told = {"reason": "not a <readable> .docx", "reason_zh": "不是<可读取的>文档"}
    named = [{"file": f"坏{n}.docx"} | told for n in range(19)] + [{"file": "旧.docx", "reason": told["reason"]}]
    folder = summed(make_run(tmp_path, [], []), rejects=1008, lost={"files": 23, "named": named})
    write_report(folder, load_bundle(), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<b>23</b><span lang="zh">个文件无法评分</span>' in text
    assert '<b>985</b><span lang="zh">条无法评分</span>' in text
    colon = '<span lang="zh">：</span><span lang="en">: </span>'
    both = '<span lang="zh">不是&lt;可读取的&gt;文档</span><span lang="en">not a &lt;readable&gt; .docx</span></p>'
    assert text.count(f".docx{colon}{both}") == 19
    assert f"旧.docx{colon}not a &lt;readable&gt; .docx</p>" in text  # of a run of before reasons were Chinese
    assert "另有 3 个文件未能读取。" in text and "out.jsonl.run/rejects.jsonl" in text


@pytest.mark.parametrize(("rejects", "said"), [(1, True), (0, False)])
def test_a_run_of_before_lost_files_were_told_still_has_its_report(tmp_path, rejects, said):
    folder = summed(make_run(tmp_path, [], []), rejects=rejects)
    write_report(folder, load_bundle(), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert ("条无法评分" in text, "rejects.jsonl" in text, "个文件无法评分" in text) == (said, said, False)


def test_notes_headers_and_footers_in_chinese():
    given = ("footnote 2", "endnote 1", "header 1", "footer 3")
    assert [chinese_place(place) for place in given] == ["脚注2", "尾注1", "页眉1", "页脚3"]
