"""`zhenyan classify`: a few texts, answered at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text
from zhenyan.inference.bundle import Bundle
from zhenyan.inference.classifier import Classifier, Prediction
from zhenyan.inference.cli.table import marked
from zhenyan.inference.errors import InputError
from zhenyan.inference.windows import MAX_CHARS


def classify(
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts; without any, the lines of standard input.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, every label's score in it.")] = False,
    model: Annotated[Path | None, typer.Option(help="Bundle folder instead of the bundled model.")] = None,
) -> None:
    """Classify texts given here, or lines as they come on standard input; files, streams and reports: `zhenyan score`.

    A line that comes is answered before the next is read. Blank lines are left out.
    """
    if any(not text.strip() for text in texts or ()) or (not texts and sys.stdin.isatty()):
        raise InputError("no text given, or a blank one; name it, or pipe lines in: zhenyan classify < lines.txt")
    classifier, console = Classifier.load(model), Console(highlight=False, soft_wrap=True)
    for prediction in classifier.classify(texts or _lines(), chunk=1):
        if as_json:
            typer.echo(json.dumps(asdict(prediction), ensure_ascii=False))
        else:
            console.print(_told(prediction, classifier.bundle))


def _lines() -> Iterator[str]:
    """Lines of standard input; InputError names the first that isn't UTF-8."""
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            raise InputError(
                f"standard input, line {number}: byte {line[error.start]:#04x} is not UTF-8; "
                "convert it (such as iconv -f GB18030 -t UTF-8), or give the file to `zhenyan score`, which detects encodings"
            ) from None
        if text:
            yield text


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
