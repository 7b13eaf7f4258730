"""Word documents: transcripts as tools export them, copy in paragraphs and tables, and what isn't one."""

import io
import sys
import zipfile

import pytest
from zhenyan.inference.errors import InputError
from zhenyan.inference.io import Options, docx, read_items, resolve_inputs

ONE, TWO = "我糖尿病三年了血糖老是高", "喝这个牛初乳奶粉一个月就好了"


def document(*paragraphs, tables=()):
    """Bytes of a .docx of these paragraphs, then tables of these rows."""
    import docx as word

    made, out = word.Document(), io.BytesIO()
    for paragraph in paragraphs:
        made.add_paragraph(paragraph)
    for cells in tables:
        table = made.add_table(len(cells), len(cells[0]))
        for at, row in enumerate(cells):
            for column, text in enumerate(row):
                table.cell(at, column).text = text
    made.save(out)
    return out.getvalue()


def read(path, data, **options):
    path.write_bytes(data)
    asked = Options(**options)
    return list(read_items(str(path), asked)), [*map(str, asked.notes)]


def test_a_transcript_has_times_and_speakers(tmp_path):
    data = document("养生堂直播", "说话人 1 00:00:05", f"{ONE}\n", "", "说话人 2 00:00:25\n" + TWO)
    items, (note,) = read(tmp_path / "妙记.docx", data)
    assert [(i.place, i.record) for i in items] == [
        ("paragraph 3", {"text": ONE, "start": 5.0, "speaker": "说话人 1", "stream": "妙记"}),
        ("paragraph 5", {"text": TWO, "start": 25.0, "speaker": "说话人 2", "stream": "妙记"}),
    ]
    assert ": before the first time: 1 line, from paragraph 1 '养生堂直播' on; not scored" in note


def test_copy_is_read_in_order_with_the_cells_of_tables(tmp_path):
    items, notes = read(tmp_path / "a.docx", document(ONE, tables=[[("品名", "牛初乳"), ("", TWO)]]))
    assert [(i.place, i.text) for i in items] == [
        ("paragraph 1", ONE), ("table 1 row 1", "品名"), ("table 1 row 1", "牛初乳"), ("table 1 row 2", TWO)
    ]  # fmt: skip
    assert notes == []


def test_a_transcript_in_a_table_has_its_times(tmp_path):
    rows = [("时间", "主播", "话术"), ("00:00:05", "李敏", ONE), ("00:00:25", "李敏", TWO), ("", "", "")]
    data = document("直播记录", tables=[[("品名", "牛初乳")], rows])
    items, notes = read(tmp_path / "a.docx", data)
    assert [(i.place, i.text, i.record.get("start"), i.record["stream"]) for i in items] == [
        ("paragraph 1", "直播记录", None, "a"), ("table 1 row 1", "品名", None, "a"), ("table 1 row 1", "牛初乳", None, "a"),
        ("table 2 row 2", ONE, 5.0, "李敏"), ("table 2 row 3", TWO, 25.0, "李敏"),
    ]  # fmt: skip
    assert notes == []


def test_a_form_in_a_table_is_read_cell_by_cell(tmp_path):
    rows = [("时间", "11月24日", "内容", ONE), ("地点", "杭州", "备注", TWO)]
    items, notes = read(tmp_path / "a.docx", document(tables=[rows]))
    assert [i.text for i in items] == [*rows[0], *rows[1]] and notes == []


def test_a_merged_cell_is_told_once(tmp_path):
    import docx as word

    made = word.Document()
    table = made.add_table(2, 2)
    table.cell(0, 0).merge(table.cell(1, 1)).text = ONE
    made.save(str(tmp_path / "a.docx"))
    assert [i.text for i in read_items(str(tmp_path / "a.docx"), Options())] == [ONE]


SPACES = (
    b' xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    b' xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
)
TABLE = "<w:tbl><w:tr><w:tc>{}</w:tc></w:tr></w:tbl>"
MERGED = TABLE.format("<w:tcPr><w:vMerge/></w:tcPr><w:p><w:r><w:t>一</w:t></w:r></w:p>")


def holding(body):
    """Bytes of a .docx whose body holds this XML."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(document())) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name in source.namelist():
            part = f"<w:document%s>{body}</w:document>".encode() % SPACES
            made.writestr(name, part if name == "word/document.xml" else source.read(name))
    return out.getvalue()


def run(text):
    return f"<w:r><w:t>{text}</w:t></w:r>"


def paragraph(*inside):
    return f"<w:p>{''.join(inside)}</w:p>"


def box(text):
    """A text box, which Word writes twice: as it is now, and for old versions."""
    content = f"<w:txbxContent>{paragraph(run(text))}</w:txbxContent>"
    old = f"<w:pict>{content}</w:pict>"
    return f"<w:r><mc:AlternateContent><mc:Choice><w:drawing>{content}</w:drawing></mc:Choice><mc:Fallback>{old}</mc:Fallback></mc:AlternateContent></w:r>"


def control(inside):
    return f"<w:sdt><w:sdtPr/><w:sdtContent>{inside}</w:sdtContent></w:sdt>"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (control(paragraph(run("一"))) + paragraph(run("二")), [("paragraph 1", "一"), ("paragraph 2", "二")]),
        (paragraph(run("一"), control(run("二")), run("三")), [("paragraph 1", "一二三")]),
        (paragraph(run("一"), f"<w:ins>{run('二')}</w:ins>", "<w:del><w:r><w:delText>三</w:delText></w:r></w:del>"), [("paragraph 1", "一二")]),
        (paragraph(f"<w:moveFrom>{run('一')}</w:moveFrom>", run("二")) + paragraph(f"<w:moveTo>{run('一')}</w:moveTo>"), [("paragraph 1", "二"), ("paragraph 2", "一")]),
        (paragraph(f"<w:smartTag>{run('一')}</w:smartTag>", f"<w:hyperlink>{run('二')}</w:hyperlink>"), [("paragraph 1", "一二")]),
        (paragraph(run("一"), box("三"), run("二")) + paragraph(run("四")), [("paragraph 1", "一二"), ("paragraph 2", "三"), ("paragraph 3", "四")]),
        (paragraph(f"<w:r><w:ruby><w:rt>{run('yī')}</w:rt><w:rubyBase>{run('一')}</w:rubyBase></w:ruby></w:r>", run("二")), [("paragraph 1", "一二")]),
        (paragraph("<w:pPr><w:tabs><w:tab/></w:tabs></w:pPr>", "<w:r><w:t>一</w:t><w:tab/><w:t>二</w:t><w:br/><w:t>三</w:t><w:br w:type='page'/></w:r>"), [("paragraph 1", "一\t二"), ("paragraph 1", "三")]),
        (TABLE.format(paragraph(run("一")) + TABLE.format(paragraph(run("二"))) + paragraph(run("三"))) + TABLE.format(control(paragraph(run("四")))),
         [("table 1 row 1", "一"), ("table 2 row 1", "二"), ("table 1 row 1", "三"), ("table 3 row 1", "四")]),
        (MERGED, [("table 1 row 1", "一")]),
    ],
)  # fmt: skip
def test_words_are_read_wherever_word_keeps_them(tmp_path, body, said):
    items, _ = read(tmp_path / "a.docx", holding(f"<w:body>{body}</w:body>"))
    assert [(i.place, i.text) for i in items] == said


def test_a_cell_merged_over_many_rows_is_read_in_no_time(tmp_path):
    rows = 3000
    merged = '<w:tc><w:tcPr><w:vMerge w:val="{}"/></w:tcPr><w:p>{}</w:p></w:tc><w:tc>{}</w:tc>'
    table = "".join(
        f"<w:tr>{merged.format('continue' if n else 'restart', '' if n else run(ONE), paragraph(run(f'{TWO}{n}')))}</w:tr>"
        for n in range(rows)
    )
    items, _ = read(tmp_path / "a.docx", holding(f"<w:body><w:tbl>{table}</w:tbl></w:body>"))
    assert [i.text for i in items] == [ONE, *(f"{TWO}{n}" for n in range(rows))]
    assert items[-1].place == f"table 1 row {rows}"


def test_a_long_paragraph_is_cut(tmp_path):
    items, _ = read(tmp_path / "a.docx", document(f"{TWO}。" * 20))
    assert [i.text for i in items] == [f"{TWO}。"] * 20


def test_without_python_docx_the_extra_is_named(tmp_path, monkeypatch):
    data = document(ONE)
    monkeypatch.setitem(sys.modules, "docx", None)
    with pytest.raises(
        InputError, match=r"a\.docx: this needs python-docx.*pip install '\.\[docx\]', or save .* as \.txt"
    ):
        read(tmp_path / "a.docx", data)


def damaged():
    """Bytes that are no Word document, and what is said of them."""
    whole, other = document(ONE), io.BytesIO()
    with zipfile.ZipFile(other, "w") as out:
        out.writestr("a.txt", ONE)
    broken = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as source, zipfile.ZipFile(broken, "w") as out:
        for name in source.namelist():
            out.writestr(name, b"<w:document" if name == "word/document.xml" else source.read(name))
    unread = r"not a readable \.docx .*; get it again, or save it as \.txt"
    return [
        (b"", unread), (ONE.encode(), unread), (whole[:-200], unread), (other.getvalue(), unread),
        (broken.getvalue(), unread), (holding(""), unread), (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(512), "an old .doc, or has a password"),
    ]  # fmt: skip


@pytest.mark.parametrize(("data", "said"), damaged())
def test_what_is_no_word_document_is_named(tmp_path, data, said):
    with pytest.raises(InputError, match=rf"a\.docx: .*{said}"):
        read(tmp_path / "a.docx", data)


def test_one_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(docx, "_WHOLE", 1000)
    with pytest.raises(InputError, match=r"a\.docx: its texts unpack to .*; save it as \.txt"):
        read(tmp_path / "a.docx", document(ONE))


def test_a_part_counts_whatever_it_is_called(tmp_path):
    out = io.BytesIO(document(ONE))
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as made:
        made.writestr("word/media/a.bin", bytes(65 << 20))
    with pytest.raises(InputError, match=r"unpack to 6\d MiB with its pictures, over 64; save it as \.txt"):
        read(tmp_path / "a.docx", out.getvalue())


def test_what_fails_while_lines_are_read_is_told_of_no_damaged_file(tmp_path, monkeypatch):
    def broken(lines, *_):
        raise ValueError(f"of {len(list(lines))} line")

    monkeypatch.setattr(docx, "running_text", broken)
    with pytest.raises(ValueError, match="of 1 line"):
        read(tmp_path / "a.docx", document(ONE))


def test_a_folders_documents_are_read(tmp_path):
    (tmp_path / "a.docx").write_bytes(document(ONE))
    (tmp_path / "~$a.docx").write_bytes(b"x")
    assert resolve_inputs([str(tmp_path)]) == [str(tmp_path / "a.docx")]


KINDS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
WORDPROCESSING = "application/vnd.openxmlformats-officedocument.wordprocessingml."


def with_part(data, kind, inside):
    """Bytes of the .docx with footnotes, endnotes or comments that hold this XML."""
    from docx import Document
    from docx.opc.packuri import PackURI
    from docx.opc.part import Part

    made, out = Document(io.BytesIO(data)), io.BytesIO()
    content = f"<w:{kind}%s>{inside}</w:{kind}>".encode() % SPACES
    part = Part(PackURI(f"/word/{kind}.xml"), f"{WORDPROCESSING}{kind}+xml", content, made.part.package)
    made.part.relate_to(part, KINDS + kind)
    made.save(out)
    return out.getvalue()


def note(kind, number, inside, more=""):
    return f'<w:{kind} w:id="{number}"{more}>{inside}</w:{kind}>'


@pytest.mark.parametrize("kind", ["footnote", "endnote"])
def test_notes_are_lines_at_the_end(tmp_path, kind):
    line = note(kind, -1, paragraph(run("线")), ' w:type="separator"')
    notes = [
        note(kind, n, paragraph(f"<w:r><w:{kind}Ref/></w:r>", run(text)))
        for n, text in enumerate((TWO, " ", TWO, "三"), 1)
    ]
    items, told = read(tmp_path / "a.docx", with_part(document(ONE), f"{kind}s", line + "".join(notes)))
    assert [(i.place, i.text) for i in items] == [("paragraph 1", ONE), (f"{kind} 1", TWO), (f"{kind} 3", "三")]
    assert told == [] and {i.record["stream"] for i in items} == {"a"}


def test_headers_and_footers_are_read_once_without_page_numbers(tmp_path):
    import docx as word

    made = word.Document(io.BytesIO(document(ONE)))
    for at, section in enumerate((made.sections[0], made.add_section(), made.add_section())):
        section.header.is_linked_to_previous = section.footer.is_linked_to_previous = False
        section.header.paragraphs[0].text = TWO
        section.footer.paragraphs[0].text = (f"第 {at + 1} 页 共 3 页", "- 2 -", "Page 3 of 3")[at]
        section.footer.add_paragraph("" if at else "全网最低价 第1名")
    made.save(str(tmp_path / "a.docx"))
    found = [(i.place, i.text) for i in read_items(str(tmp_path / "a.docx"), Options())]
    assert found == [("paragraph 1", ONE), ("header 1", TWO), ("footer 1", "全网最低价 第1名")]


def test_what_stands_beside_a_transcript_has_none_of_its_times(tmp_path):
    data = document("说话人 1 00:00:05", ONE, "说话人 2 00:00:25", TWO)
    notes = note("footnote", 1, paragraph(run("治百病")))
    items, _ = read(tmp_path / "妙记.docx", with_part(data, "footnotes", notes))
    assert [(i.place, i.record.get("start")) for i in items] == [
        ("paragraph 2", 5.0), ("paragraph 4", 25.0), ("footnote 1", None)
    ]  # fmt: skip
    assert items[2].record == {"text": "治百病", "stream": "妙记"}


@pytest.mark.parametrize("some", [True, False])
def test_comments_are_not_read_which_a_note_says(tmp_path, some):
    inside = note("comment", 0, paragraph(run("这句要删掉"))) if some else ""
    items, told = read(tmp_path / "a.docx", with_part(document(ONE), "comments", inside))
    assert [i.text for i in items] == [ONE]
    assert [one.partition(": ")[2].partition(",")[0] for one in told] == ["its comments aren't read"] * some
