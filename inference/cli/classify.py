"""`zhenyan classify`: a few texts, answered at once."""

from __future__ import annotations

import codecs
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text
from zhenyan.inference.bundle import Bundle
from zhenyan.inference.classifier import Classifier, Prediction
from zhenyan.inference.cli.labels import Thresholds, chosen_thresholds
from zhenyan.inference.cli.table import marked, printable
from zhenyan.inference.errors import InputError
from zhenyan.inference.windows import MAX_CHARS

_CONVERT = "convert it (such as iconv -f GB18030 -t UTF-8)"
_PIPE = "pipe lines in: zhenyan classify < lines.txt"


def classify(
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TEXT]...", help="Texts; without any, or with -, the lines of standard input."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line, with every label's score.")
    ] = False,
    model: Annotated[Path | None, typer.Option(help="Bundle folder instead of the bundled model.")] = None,
    threshold: Thresholds = None,
) -> None:
    """Classify the texts given, or lines of standard input as they come; for files, streams and reports: `zhenyan score`.

    Each line is answered before the next is read. Blank lines are left out.
    """
    texts = [] if texts == ["-"] else texts or []
    nobody = sys.stdin is None or sys.stdin.isatty()  # None: closed
    if any(not text.strip() for text in texts) or (not texts and nobody):
        raise InputError(f"no text given, or a blank one; name it, or {_PIPE}")
    _check_bytes(texts)
    _note_files(texts)
    loaded, console = Classifier.load(model), Console(highlight=False, soft_wrap=True)
    classifier = loaded.with_thresholds(thresholds=chosen_thresholds(threshold, loaded.bundle))
    for prediction in classifier.classify(texts or _lines(), chunk=1):
        if as_json:
            typer.echo(_json(prediction))
        else:
            console.print(_told(prediction, classifier.bundle))


def _check_bytes(texts: Iterable[str]) -> None:
    """InputError names the first text that came in bytes which aren't UTF-8; Python keeps each as a lone surrogate."""
    for number, text in enumerate(texts, 1):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            byte = ord(text[error.start]) & 0xFF
            raise InputError(f"text {number}: byte {byte:#04x} is not UTF-8; {_CONVERT}") from None


def _note_files(texts: Iterable[str]) -> None:
    """Whoever gives a file's name hardly means to have the name judged; its answer alone looks like one on the file."""
    for name in filter(os.path.isfile, texts):
        typer.echo(
            f"note: {printable(name, '')} is a file, and its name alone is classified here; its lines: "
            "zhenyan classify < FILE, or zhenyan score FILE",
            err=True,
        )


def _json(prediction: Prediction) -> str:
    """One JSON object in a line, escaped where standard output isn't UTF-8 and would lose characters."""
    as_it_is = codecs.lookup(sys.stdout.encoding).name == "utf-8"
    return json.dumps(asdict(prediction), ensure_ascii=not as_it_is)


def _lines() -> Iterator[str]:
    """Lines of standard input; InputError names the first that isn't UTF-8, and what can't be read."""
    try:
        for number, line in enumerate(sys.stdin.buffer, 1):
            if text := _decoded(line, number):
                yield text
    except OSError as error:
        raise InputError(f"standard input: cannot be read: {error.strerror}; {_PIPE}") from None


def _decoded(line: bytes, number: int) -> str:
    """The line without what is blank around it."""
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
    except UnicodeDecodeError as error:
        raise InputError(
            f"standard input, line {number}: byte {line[error.start]:#04x} is not UTF-8; "
            f"{_CONVERT}, or give the file to `zhenyan score`, which detects encodings"
        ) from None


def _told(prediction: Prediction, bundle: Bundle) -> Text:
    """The text with its deciding words marked, and under it each label with its score and articles."""
    lines = [marked(prediction.text, [asdict(span) for span in prediction.evidence])]
    for label in bundle.labels:
        if label.id in prediction.labels:
            score = prediction.scores[label.id]
            lines.append(Text(f"  {score:.2f} {label.name_zh} {label.name_en} ({label.id}), {label.citation}"))
    if not prediction.labels:
        lines.append(Text("  compliant"))
    if prediction.truncated:
        lines.append(Text(f"  read in part: longer than {MAX_CHARS:,} characters, or with marks stacked on it"))
    return Text("\n").join(lines)
