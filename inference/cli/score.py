"""`zhenyan score`: files in, scored rows out."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from zhenyan.inference.classifier import Classifier
from zhenyan.inference.cli.table import findings_table
from zhenyan.inference.io.items import Options
from zhenyan.inference.runs.job import Job, Progress, RunOptions, run_job
from zhenyan.inference.runs.store import REJECTS, RunFolder

EXIT_REJECTS, EXIT_HITS = 3, 4


def score(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders, globs or addresses: .jsonl .csv .tsv .parquet .xlsx .txt .srt .vtt .ass and ASR .json, also .gz .zst.",
            metavar="INPUT...",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Scored rows; the ending picks the format: .jsonl .csv .tsv .parquet .xlsx."
        ),
    ],
    report: Annotated[Path | None, typer.Option(help="Also write the reviewer's report, one HTML file.")] = None,
    show: Annotated[int, typer.Option(min=0, help="Print this many findings, riskiest first.")] = 0,
    model: Annotated[Path | None, typer.Option(help="Bundle folder instead of the bundled model.")] = None,
    min_score: Annotated[
        float | None, typer.Option(min=0, max=1, help="Decide only on at least this probability.")
    ] = None,
    labels: Annotated[str | None, typer.Option(help="Decide only these labels, separated by commas.")] = None,
    text_column: Annotated[
        str | None, typer.Option(help="Column that holds the text, where it isn't found by name.")
    ] = None,
    start_column: Annotated[str | None, typer.Option(help="Column of start times.")] = None,
    end_column: Annotated[str | None, typer.Option(help="Column of end times.")] = None,
    stream_column: Annotated[str | None, typer.Option(help="Column that names the stream.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding of text files instead of the detected one.")] = None,
    evidence: Annotated[bool, typer.Option(help="Find the words that carried each decision.")] = True,
    context: Annotated[bool, typer.Option(help="Also read neighbouring lines of a stream together.")] = True,
    restart: Annotated[bool, typer.Option("--restart", help="Forget an earlier run with this output.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all the process may use by default.")] = None,
    runtime: Annotated[str, typer.Option(help="onnxruntime or openvino.")] = "onnxruntime",
    fail_on_hit: Annotated[
        bool, typer.Option("--fail-on-hit", help=f"Exit with {EXIT_HITS} when anything was hit.")
    ] = False,
) -> None:
    """Score archived streams, tables or copy; the same command, repeated, goes on where it was cut off.

    Exit codes: 0 done, 2 the command can't be done as given, 3 done but some rows could not be scored.
    """
    chosen = tuple(name.strip() for name in labels.split(",") if name.strip()) if labels else None
    options = RunOptions(min_score, chosen, evidence, context, runtime)
    reading = Options(text_column, start_column, end_column, stream_column, encoding)
    classifier = Classifier.load(model, runtime=runtime, threads=threads, explain=evidence)
    classifier.with_thresholds(min_score=min_score, labels=chosen)
    console = Console(stderr=True)
    with Reporter(console) as reporter:
        folder = run_job(Job(inputs, output, options, reading, restart), classifier, say=reporter)
    for note in dict.fromkeys(reading.notes):
        console.print(f"note: {note}", markup=False)
    finish(folder, output, report, show, classifier, console)
    summary = folder.summary
    if fail_on_hit and summary["hits"]:
        raise typer.Exit(EXIT_HITS)
    raise typer.Exit(EXIT_REJECTS if summary["rejects"] else 0)


def finish(
    folder: RunFolder, output: Path, report: Path | None, show: int, classifier: Classifier, console: Console
) -> None:
    """Say what was found, print findings, write the report."""
    summary = folder.summary
    if show:
        width = None if sys.stdout.isatty() else 120
        Console(width=width).print(findings_table(folder, classifier.bundle, show))
    console.print(
        f"{output}: {summary['rows']:,} rows, {summary['hits']:,} with a hit, {summary['findings']:,} findings",
        markup=False,
    )
    if summary["rejects"]:
        console.print(f"{summary['rejects']:,} rows could not be scored: {folder.path / REJECTS}", markup=False)
    if report is not None:
        from zhenyan.inference.report import write_report

        write_report(folder, classifier.bundle, report)
        console.print(f"report: {report}", markup=False)


class Reporter:
    """Rows, speed and hits so far: a live line on a terminal, else a line now and then."""

    def __init__(self, console: Console, every: float = 15.0) -> None:
        self.console, self.every = console, every
        self.started = self.said = time.monotonic()
        self.base = 0
        self.bar = Bar(
            TextColumn("{task.description}"), BarColumn(pulse_style="cyan"), TimeElapsedColumn(), console=console
        )
        self.task = self.bar.add_task("reading", total=None)

    def __enter__(self) -> Reporter:
        if self.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def __call__(self, progress: Progress) -> None:
        if progress.part == progress.resumed_parts:
            self.base = progress.rows
            if progress.rows:
                self.console.print(f"going on after {progress.rows:,} rows that are scored already", markup=False)
        now = time.monotonic()
        pace = (progress.rows - self.base) / max(now - self.started, 1e-9)
        words = f"{progress.rows:,} rows, {pace:,.0f} rows/s, {progress.hits:,} hits, {progress.rejects:,} rejects"
        if self.console.is_terminal:
            self.bar.update(self.task, description=words)
        elif now - self.said >= self.every:
            self.said = now
            self.console.print(words, markup=False)
