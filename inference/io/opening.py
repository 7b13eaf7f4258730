"""Opening local, remote and compressed files as bytes or as text of a detected encoding."""

from __future__ import annotations

import codecs
import errno
import io
import os
import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TextIO, cast

from zhenyan.inference.errors import InputError, Unavailable
from zhenyan.inference.io import faults
from zhenyan.inference.io.faults import fault
from zhenyan.inference.io.items import Damage, Meter, Options
from zhenyan.inference.io.names import local_file, real_path
from zhenyan.inference.io.note_kinds import READ_AS, READ_AS_ASKED
from zhenyan.inference.io.notes import Words

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
_ARCHIVES = ("zip", "tar", "libarchive")  # schemes whose filesystems are one file
_LOCAL = ("file://", "local://")
_SAMPLE = 1 << 20
_UNPACKED = 1 << 30  # bytes
_KEPT = 0.9  # of the bytes beyond ASCII, in characters of three: damaged UTF-8 has that many, other encodings few
_BY_CHANCE = 0.3  # of them: GB 18030 has fewer, a file of both encodings more
_FEWER = 0.1  # of what is lost as UTF-8: damaged text loses less in the encoding that it was written in
_WIDE = re.compile("[\u0800-\ud7ff\ue000-\U0010ffff]")
_ASCII = bytes(range(128))
_MARKS = b"\t\n\r ,"
_BIG5 = ("cp950", "big5hkscs")  # Windows', and with Hong Kong's characters
_PAIR = re.compile(rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]")
_PAIRS = 1 << 16  # bytes in which they are counted
_FEWEST = 8  # of them, below which a file might be either
# What is usual in each: Big5's signs and frequent characters; GB 2312's signs and letters, frequent characters, GBK's dashes.
_USUAL_BIG5 = re.compile(rb"[\xa1-\xc6]")
_USUAL_GB = re.compile(rb"[\xa1-\xa9\xb0-\xd7][\xa1-\xfe]|\xa8[\x40-\x95]")
_MORE_USUAL = 0.35  # of all pairs: takes none of 140,000 lines of GB 18030 for Big5, and knows 99 of 100 lines of Big5
_USUAL = ("utf-8", "utf-8-sig")
LOST = "\ufffd"  # what stands for bytes that the encoding can't hold
ZIP, OLE = b"PK\x03\x04", bytes.fromhex("d0cf11e0a1b11ae1")  # what begins .xlsx; .xls and encrypted workbooks
_NO_TEXTS = {ZIP: faults.ZIPPED, OLE: faults.OLD_OFFICE, b"\x1f\x8b": faults.GZIPPED, b"%PDF-": faults.PDF}
# UTF-32's begins with UTF-16's, so it is looked for first.
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


def is_remote(path: str) -> bool:
    """Whether a path is an address for fsspec, such as s3://bucket/file."""
    return "://" in path


def filesystem(address: str) -> tuple[Any, str]:
    """The fsspec filesystem of an address, and the path in it; InputError when there is none that can be used."""
    import fsspec

    member, _, archive = address.partition("::")
    scheme, is_address, _ = member.partition("://")
    try:
        if archive and is_address and scheme in _ARCHIVES:
            system = _archive(f"{scheme}://::{archive}")
            return system, system._strip_protocol(member)
        return fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise InputError(f"{address}: {error}; is the fsspec filesystem for this address installed?") from None
    except Exception as error:  # every filesystem has errors of its own
        reason = str(error) or type(error).__name__
        raise InputError(f"{address}: {reason}; check that the address is whole, and what it names") from None


class _LastArchive(threading.local):
    """The archive opened last, each thread's own: two that read from one would move each other's place in it."""

    version: object = None
    system: Any = None


_last = _LastArchive()


def _archive(address: str) -> Any:
    """The filesystem of an archive, kept for its next member: to open it reads the list of all."""
    import fsspec

    outer, _, file = address.rpartition("::")
    path = _on_this_machine(file)
    version = _version(path) if path else _remote_version(file)
    if version is None:
        return fsspec.core.url_to_fs(address)[0]
    if _last.version != (address, version):
        _last.version = _last.system = None  # it is closed when its last file is let go
        _last.system = fsspec.core.url_to_fs(f"{outer}::{path or file}")[0]
        _last.version = address, version
    return _last.system


def _on_this_machine(file: str) -> str | None:
    """The path of an archive, which may be written with file:// or ~; None where it lies elsewhere."""
    from fsspec.implementations.local import LocalFileSystem

    if is_remote(file) and not file.startswith(_LOCAL):
        return None
    return real_path(cast(str, LocalFileSystem._strip_protocol(file)))


def _version(path: str) -> object:
    """What changes when another file is put in an archive's place; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:  # whoever opens it says what is wrong
        return None
    return path, found.st_ino, found.st_size, found.st_mtime_ns


def _remote_version(file: str) -> object:
    """The same for a file elsewhere, by what its filesystem says of it now (size, time, checksum)."""
    import fsspec

    system, path = fsspec.core.url_to_fs(file)
    try:
        system.invalidate_cache()
        return system.info(path)
    except (OSError, NotImplementedError):  # not every one says it
        return None


def is_in_archive(address: str) -> bool:
    """Whether an address names an archive's members."""
    member, _, archive = address.partition("::")
    return bool(archive) and member.partition("://")[0] in _ARCHIVES


def repeated_members(system: Any, names: Iterable[str]) -> Iterator[Words]:
    """Says which of these members a zip holds more than once, for nobody can name but the last; none for other systems."""
    listed = system.zip.infolist() if hasattr(system, "zip") else ()
    known = set(names)
    counts = Counter(one.filename for one in listed if one.filename in known)
    for name, count in counts.items():
        if count > 1:
            yield Words(f"{count} members are called {name}", f"{count} 个文件同名 {name}")


def inner_address(path: str) -> str:
    """The part of a chained address, such as zip://talk.srt::s3://bucket/a.zip, that names the file; else the path."""
    return next((part for part in path.split("::") if "://" in part), path) if is_remote(path) else path


def plain_suffix(path: str) -> str:
    """The ending that tells the format: ".srt" for talk.srt.gz."""
    name = inner_address(path).rsplit("/", 1)[-1].lower()
    for ending in COMPRESSIONS:
        name = name.removesuffix(ending)
    return "." + name.rsplit(".", 1)[-1] if "." in name else ""


@contextmanager
def open_bytes(path: str, options: Options) -> Iterator[BinaryIO]:
    """The decompressed bytes of a file; InputError names the path when it can't be read, Unavailable: at present."""
    name = inner_address(path).lower()
    compression = next((kind for ending, kind in COMPRESSIONS.items() if name.endswith(ending)), None)
    try:
        with open_raw(path) as source, io.BufferedReader(_Readable(source, options.meter, path)) as raw:
            if compression is None:
                yield raw
            else:
                with _decompressed(path, raw, compression) as plain:
                    yield plain
    except OSError as error:
        raise fault(path, faults.SYSTEM.of(error=error.strerror or str(error))) from None


@contextmanager
def _decompressed(path: str, raw: BinaryIO, compression: str) -> Iterator[BinaryIO]:
    import pyarrow

    try:
        yield cast(BinaryIO, pyarrow.CompressedInputStream(pyarrow.PythonFile(raw, "r"), compression))
    except (pyarrow.ArrowException, OSError) as error:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None):
            raise  # the machine's or the disk's, not the decompressor's
        raise fault(path, faults.COMPRESSION.of(kind=compression, error=str(error))) from None


@contextmanager
def open_raw(path: str) -> Iterator[BinaryIO]:
    """The file's bytes as they lie there; Unavailable when it can't be opened."""
    # Its filesystem is held as long as the file: that of an archive closes the archive when it is let go.
    system, name = filesystem(path) if is_remote(path) else (None, path)
    with _opened(system, name, path) as file:
        yield file


def _opened(system: Any | None, name: str, path: str) -> BinaryIO:
    try:
        return open(local_file(name), "rb") if system is None else cast(BinaryIO, system.open(name, "rb"))
    except PermissionError as error:  # that won't pass
        raise fault(path, faults.SYSTEM.of(error=error.strerror or str(error))) from None
    except (OSError, KeyError) as error:  # KeyError: fsspec before 2026.7, for a member that a zip lacks
        if isinstance(error, KeyError) and not hasattr(system, "zip"):
            raise _damaged(path, error) from None
        if is_in_archive(path) and inner_address(path).partition("://")[2].startswith("/"):
            raise fault(path, faults.NAMED_FROM_ROOT) from None
        lacks = error if isinstance(error, OSError) else FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        raise Unavailable(*fault(path, faults.SYSTEM.of(error=lacks.strerror or str(lacks))).both) from lacks
    except Exception as error:  # an archive's
        if system is None:
            raise
        raise _damaged(path, error) from None


def _damaged(path: str, error: Exception) -> InputError:
    return fault(path, faults.ARCHIVE.of(error=str(error) or type(error).__name__))


@contextmanager
def open_seekable(path: str, options: Options) -> Iterator[BinaryIO]:
    """The bytes of a file that is read from its end; a compressed one is unpacked in memory, InputError over 1 GiB."""
    with open_bytes(path, options) as raw:
        if raw.seekable():
            yield raw
            return
        unpacked = raw.read(_UNPACKED + 1)
        if len(unpacked) > _UNPACKED:
            raise fault(path, faults.UNPACKED)
        yield cast(BinaryIO, io.BytesIO(unpacked))


def detect_encoding(sample: bytes, complete: bool) -> str:
    """utf-8, utf-8-sig, utf-16 (or -le, -be), Big5's or gb18030: the first that can have written `sample`, else utf-8.

    `complete` tells that the sample is the whole file; else its last, perhaps cut, character is not held against it.
    UTF-8 with some damaged bytes is still UTF-8: gb18030 could read it, as other characters. Another encoding may be
    damaged too, where UTF-8 would lose far more.
    """
    for mark, name in _BOMS:
        if sample.startswith(mark):
            return name
    without_nul = sample.count(0) < len(sample) / 4
    if without_nul and _can_be("utf-8", sample, complete):
        return "utf-8"
    kept, others = 3 * len(_WIDE.findall(_marked(sample, complete))), len(sample.translate(None, _ASCII))
    most = _FEWER * _lost("utf-8", sample, complete) if kept <= _BY_CHANCE * others else 0
    if 0 in sample and (wide := _utf16(sample)) and _lost(wide, sample, complete) <= most:
        return wide
    if kept >= _KEPT * others:
        return "utf-8"
    for names in (_BIG5, ("gb18030",)) if _looks_like_big5(sample) else (("gb18030",),):
        lost = {name: _lost(name, sample, complete) for name in names}
        if lost[name := min(lost, key=lost.__getitem__)] <= most:  # the first of two that lose none
            return name
    return "utf-8"


def _looks_like_big5(sample: bytes) -> bool:
    """Whether far more of the characters are usual ones of Big5 than of GB 18030, which can hold nearly every pair of bytes."""
    pairs = _PAIR.findall(sample, 0, _PAIRS)
    more = sum(map(bool, map(_USUAL_BIG5.match, pairs))) - sum(map(bool, map(_USUAL_GB.match, pairs)))
    return len(pairs) >= _FEWEST and more >= _MORE_USUAL * len(pairs)


def _can_be(name: str, sample: bytes, complete: bool) -> bool:
    try:
        codecs.getincrementaldecoder(name)().decode(sample, final=complete)
        return True
    except UnicodeDecodeError:
        return False


def _lost(name: str, sample: bytes, complete: bool) -> int:
    """How many characters of the sample come through as U+FFFD."""
    return codecs.getincrementaldecoder(name)("replace").decode(sample, final=complete).count(LOST)


def _utf16(sample: bytes) -> str | None:
    """The UTF-16 in which most line ends, spaces and commas stand at whole characters, if there are any."""
    low, high = sample[::2], sample[1::2]
    found = {
        name: sum(mark in _MARKS and zero == 0 for mark, zero in zip(*halves, strict=False))
        for name, halves in (("utf-16-le", (low, high)), ("utf-16-be", (high, low)))
    }
    name = max(found, key=found.__getitem__)
    marks = sum(map(sample.count, _MARKS))
    return name if found[name] and 2 * found[name] > marks else None


def _marked(sample: bytes, complete: bool) -> str:
    """The sample as UTF-8 text, with a lone surrogate for each byte that isn't."""
    return codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(sample, final=complete)


@contextmanager
def open_text(path: str, options: Options) -> Iterator[TextIO]:
    """The file as text with newlines kept as they are; an unusual encoding is noted in the options.

    Bytes that the encoding can't hold come through as U+FFFD and are told in the options' damage before they do.
    """
    if options.encoding is not None:
        _check_encoding(options.encoding)
    with open_bytes(path, options) as raw:
        buffered = io.BufferedReader(_Readable(raw), buffer_size=_SAMPLE)
        sample = buffered.peek(_SAMPLE)[:_SAMPLE]
        if other := next((said for begin, said in _NO_TEXTS.items() if sample.startswith(begin)), None):
            raise fault(path, other)
        complete = len(sample) < _SAMPLE
        used = _past_mark(options.encoding, sample) if options.encoding else detect_encoding(sample, complete)
        if used not in _USUAL:
            options.notes.append((READ_AS_ASKED if options.encoding else READ_AS).of(path, encoding=used))
        checked = io.BufferedReader(_Checked(buffered, used, options.damage or Damage()))
        try:
            yield io.TextIOWrapper(checked, encoding=used, errors="replace", newline="")
        except UnicodeError as error:
            raise fault(path, faults.ENCODING.of(encoding=used, error=str(error))) from None


def _past_mark(encoding: str, sample: bytes) -> str:
    """The encoding asked for, or its form that passes over the byte order mark with which the file begins."""
    name = codecs.lookup(encoding).name
    if name == "utf-8" and sample.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    marks = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
    return "utf-16" if name in marks and sample.startswith(marks[name]) else encoding


def read_as(path: str, lines: TextIO) -> str:
    """The path for messages about a text file's columns, with the encoding where it is an unusual one."""
    return path if lines.encoding in _USUAL else f"{path} (read as {lines.encoding})"


def _check_encoding(name: str) -> None:
    try:
        "".encode(name)
    except (LookupError, ValueError):  # "undefined" encodes nothing, a NUL is no name
        raise InputError(f"--encoding {name!r} is unknown; usual ones are utf-8, gb18030, big5, utf-16") from None


class _Readable(io.RawIOBase):
    """Lets any binary file sit under a BufferedReader, and counts what is read; Unavailable when reading fails."""

    def __init__(self, source: BinaryIO, meter: Meter | None = None, path: str = "") -> None:
        self._source, self._meter, self._path = source, meter or Meter(), path

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._source.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        return self._source.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            data = self._source.read(len(buffer))
        except OSError as error:
            if not self._path:  # a decompressor's, or one that was told already: only the lowest layer has a path
                raise
            kind = InputError if isinstance(error, PermissionError) else Unavailable
            raise kind(f"{self._path}: {error.strerror or error}") from None
        except Exception as error:  # an archive's
            if not self._path:
                raise
            raise _damaged(self._path, error) from None
        buffer[: len(data)] = data
        self._meter.read += len(data)
        return len(data)


class _Checked(_Readable):
    """Tells the damage of the text that passes, before anyone decodes it."""

    def __init__(self, source: BinaryIO, encoding: str, damage: Damage) -> None:
        super().__init__(source)
        self._decoder, self._encoding, self._damage = codecs.getincrementaldecoder(encoding)(), encoding, damage

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        size = super().readinto(buffer)
        try:
            if not self._damage.encoding:
                self._decoder.decode(bytes(buffer[:size]), final=not size)
        except UnicodeError:
            self._damage.encoding = self._encoding
        return size
