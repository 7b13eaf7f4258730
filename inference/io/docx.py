"""Reader of Word documents (.docx), as 飞书妙记, 通义听悟, 讯飞听见 and 腾讯会议 export transcripts."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from zhenyan.inference.errors import InputError, MissingExtra
from zhenyan.inference.io.documents import stream_name
from zhenyan.inference.io.items import Item, Options, Reject
from zhenyan.inference.io.opening import OLE, open_seekable
from zhenyan.inference.io.transcripts import Line, running_text

if TYPE_CHECKING:
    from docx.oxml.xmlchemy import BaseOxmlElement

_WHOLE = 64 << 20  # bytes of all parts, which are read into memory whatever they are called
_MARKUP = {
    "w": "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    "mc": "http://schemas.openxmlformats.org/markup-compatibility/2006",
}
# What isn't said, or not here: a second writing of a text box, what was moved away, the readings above characters
_LEFT_OUT = ("mc:Fallback", "w:moveFrom", "w:rt")
_WORDS = ("w:t", "w:br", "w:cr", "w:tab", "w:ptab", "w:noBreakHyphen")


def read_docx(path: str, options: Options) -> Iterator[Item | Reject]:
    """One utterance a line of a paragraph, in order, as `read_txt` has those of lines; InputError without python-docx."""
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
            lines = list(_lines(_body(raw, path)))
        except broken as error:
            raise InputError(f"{path}: not a readable .docx ({error}); get it again, or save it as .txt") from None
    yield from running_text(lines, path, stream_name(path), options)


def _body(raw: BinaryIO, path: str) -> BaseOxmlElement:
    """The document's body, without what is left out."""
    try:
        import docx
        from lxml import etree
    except ImportError:
        raise InputError(f"{path}: {MissingExtra('python-docx', 'docx')}, or save the document as .txt") from None
    if raw.read(len(OLE)) == OLE:
        raise InputError(f"{path}: is an old .doc, or has a password: save it as .docx or .txt without a password")
    raw.seek(0)
    _check_size(raw, path)
    body = docx.Document(raw).element.body
    etree.strip_elements(body, *map(_tag, _LEFT_OUT), with_tail=False)
    return body


def _check_size(raw: BinaryIO, path: str) -> None:
    size = sum(part.file_size for part in zipfile.ZipFile(raw).infolist())
    raw.seek(0)
    if size > _WHOLE:
        raise InputError(
            f"{path}: its texts unpack to {size >> 20:,} MiB with its pictures, over {_WHOLE >> 20}; save it as .txt"
        )


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


def _text(paragraph: BaseOxmlElement) -> str:
    """Its own words, without those of the paragraphs inside it, such as a text box's."""
    own, run = _tag("w:p"), _tag("w:r")
    words = (node for node in paragraph.iter(*map(_tag, _WORDS)) if node.getparent().tag == run)
    return "".join(str(node) for node in words if next(node.iterancestors(own)) is paragraph)
