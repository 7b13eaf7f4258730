"""Reader of Word documents (.docx), as 飞书妙记, 通义听悟, 讯飞听见 and 腾讯会议 export transcripts."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from zhenyan.inference.errors import MissingExtra
from zhenyan.inference.io import faults
from zhenyan.inference.io.documents import stream_name
from zhenyan.inference.io.faults import fault
from zhenyan.inference.io.items import Item, Options, Reject
from zhenyan.inference.io.note_kinds import COMMENTS
from zhenyan.inference.io.opening import OLE, open_seekable
from zhenyan.inference.io.transcripts import Line, running_text
from zhenyan.inference.io.word_tables import timed_rows

if TYPE_CHECKING:
    from docx.document import Document
    from docx.opc.part import Part
    from docx.oxml.xmlchemy import BaseOxmlElement

_WHOLE = 64 << 20  # bytes of all parts, which are read into memory whatever they are called
_MARKUP = {
    "w": "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    "mc": "http://schemas.openxmlformats.org/markup-compatibility/2006",
}
# What isn't said, or not here: a second writing of a text box, what was moved away, the readings above characters
_LEFT_OUT = ("mc:Fallback", "w:moveFrom", "w:rt")
_WORDS = ("w:t", "w:br", "w:cr", "w:tab", "w:ptab", "w:noBreakHyphen")
_NOTES, _AROUND = ("footnote", "endnote"), ("header", "footer")  # of a part each note, and a part, is one place
_PAGE = re.compile(r"(?:[\W\d_]|[第共总總页頁]|page|of)*", re.IGNORECASE)  # a header that only counts pages


def read_docx(path: str, options: Options) -> Iterator[Item | Reject]:
    """One utterance a line of a paragraph, in order, as `read_txt` has those of lines; InputError without python-docx.

    Tables that are transcripts come after it, then notes, headers and footers, without times; of comments a note says that there are some.
    """
    # What python-docx and lxml make of damage: no zip, a part that isn't there, XML that isn't (a SyntaxError)
    broken = (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        LookupError,
        ValueError,
        SyntaxError,
        AttributeError,
        RuntimeError,
        TypeError,  # lxml's, of a document without a body
    )
    with open_seekable(path, options) as raw:
        try:
            document = _document(raw, path)
            body = _read(document.element).body
            tables = _timed_tables(body, path, options)
            lines, beside = list(_lines(body)), list(_beside(document.part))
            commented = any(True for _ in _elements(document.part, "comment"))
        except broken as error:
            raise fault(path, faults.NO_DOCX.of(error=str(error))) from None
    if commented:
        options.notes.append(COMMENTS.of(path))
    yield from running_text(lines, path, stream_name(path), options)
    yield from tables
    for place, text in beside:
        yield Item({"text": text, "stream": stream_name(path)}, place)


def _document(raw: BinaryIO, path: str) -> Document:
    """The document; InputError where it is none, is too large, or can't be read here."""
    try:
        import docx
    except ImportError:
        raise fault(path, faults.NO_READER.of(error=str(MissingExtra("python-docx", "docx")))) from None
    if raw.read(len(OLE)) == OLE:
        raise fault(path, faults.OLD_WORD)
    raw.seek(0)
    _check_size(raw, path)
    return docx.Document(raw)


def _read(element: Any) -> Any:
    """The element without what is left out."""
    from lxml import etree

    etree.strip_elements(element, *map(_tag, _LEFT_OUT), with_tail=False)
    return element


def _check_size(raw: BinaryIO, path: str) -> None:
    size = sum(part.file_size for part in zipfile.ZipFile(raw).infolist())
    raw.seek(0)
    if size > _WHOLE:
        raise fault(path, faults.LARGE_DOCX.of(size=size >> 20, most=_WHOLE >> 20))


def _tag(name: str) -> str:
    """The name with its namespace, as lxml has it."""
    space, _, local = name.partition(":")
    return f"{{{_MARKUP[space]}}}{local}"


def _lines(body: BaseOxmlElement) -> Iterator[Line]:
    """Each line that isn't blank, of every paragraph wherever it lies: in a control, a cell, a text box, an insertion.

    Places count paragraphs outside tables, and tables, also those within others, with their rows, from 1.
    """
    paragraph, table, row = map(_tag, ("w:p", "w:tbl", "w:tr"))
    places: dict[Any, str] = {}  # of tables and rows
    counts: Counter[Any] = Counter()  # of paragraphs, tables, and of each table's rows
    for node in body.iter(paragraph, table, row):
        around = next(node.iterancestors(table, row), None)
        if node.tag == row:
            counts[around] += 1
            places[node] = f"{places.get(around, 'no table')} row {counts[around]}"
        elif node.tag == table:
            counts[table] += 1
            places[node] = f"table {counts[table]}"
        else:
            counts[paragraph] += around is None
            place = places.get(around, f"paragraph {counts[paragraph]}")
            yield from ((place, line.strip()) for line in _text(node).splitlines() if line.strip())


def _timed_tables(body: BaseOxmlElement, path: str, options: Options) -> list[Item | Reject]:
    """The rows of tables that are transcripts, which are emptied: their cells are no lines."""
    found: list[Item | Reject] = []
    for number, table in enumerate(list(body.iter(_tag("w:tbl"))), 1):
        if next(table.iterancestors(_tag("w:tbl")), None) is None and len(list(table.iter(_tag("w:tbl")))) == 1:
            items = timed_rows([_cells(row) for row in table.iter(_tag("w:tr"))], number, path, options)
            found += items
            if items:
                table.clear()
    return found


def _cells(row: BaseOxmlElement) -> list[str]:
    paragraph = _tag("w:p")
    return ["\n".join(map(_text, cell.iter(paragraph))).strip() for cell in row.iter(_tag("w:tc"))]


def _beside(part: Part) -> Iterator[Line]:
    """Each line of notes, headers and footers, each text once: Word keeps a header for every section and odd pages."""
    seen: set[str] = set()
    for kind in (*_NOTES, *_AROUND):
        number = 0
        for element in _elements(part, kind):
            texts = [line.strip() for node in element.iter(_tag("w:p")) for line in _text(node).splitlines()]
            said = [text for text in texts if not (_PAGE.fullmatch(text) if kind in _AROUND else not text)]
            number += bool(said)
            new = [text for text in dict.fromkeys(said) if text not in seen]
            seen.update(new)
            yield from ((f"{kind} {number}", text) for text in new)


def _elements(part: Part, kind: str) -> Iterator[Any]:
    """The notes or comments of a document, without the lines that Word draws above notes; its headers or footers."""
    from docx.oxml import parse_xml

    for related in part.rels.values():
        name = related.reltype.rpartition("/")[2]
        if related.is_external or name not in (kind, f"{kind}s"):
            continue
        whole = _read(parse_xml(related.target_part.blob))
        if name == kind:
            yield whole
        else:
            yield from (one for one in whole.iter(_tag(f"w:{kind}")) if one.get(_tag("w:type"), "normal") == "normal")


def _text(paragraph: BaseOxmlElement) -> str:
    """Its own words, without those of the paragraphs inside it, such as a text box's."""
    own, run = _tag("w:p"), _tag("w:r")
    words = (node for node in paragraph.iter(*map(_tag, _WORDS)) if node.getparent().tag == run)
    return "".join(str(node) for node in words if next(node.iterancestors(own)) is paragraph)
