"""`zhenyan score`: files in, scored rows out."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from zhenyan.inference.bundle import Bundle, load_bundle
from zhenyan.inference.cli.labels import Thresholds, chosen_labels, chosen_thresholds
from zhenyan.inference.cli.table import findings_table, printable
from zhenyan.inference.doctor import saved_choice
from zhenyan.inference.errors import ConfigError
from zhenyan.inference.io.items import Options
from zhenyan.inference.runs.inputs import PART_ROWS
from zhenyan.inference.runs.job import Engine, Job, Progress, local_engine, run_job
from zhenyan.inference.runs.ray_engine import ClusterOptions, ray_engine
from zhenyan.inference.runs.scoring import RunOptions, open_classifier
from zhenyan.inference.runs.store import NOTES, REJECTS, SUMMARY, RunFolder

EXIT_REJECTS, EXIT_HITS = 3, 4
MAX_NOTES = 10  # kinds printed
MAX_LOST = 3  # files that could not be scored named
_TIME = "seconds, h:mm:ss, or date and time"

Inputs = Annotated[list[str], typer.Argument(metavar="INPUT...", help=(
    "Files, folders, globs or addresses: .jsonl .csv .tsv .parquet .xlsx .txt .docx .srt .vtt .ass and ASR .json, also .gz .zst."))]  # fmt: skip
Output = Annotated[Path, typer.Option("--output", "-o", help=(
    "Scored rows; the ending picks the format: .jsonl .csv .tsv .parquet .xlsx."))]  # fmt: skip
Report = Annotated[Path | None, typer.Option(help="Also write the reviewer's report, one HTML file.")]
Findings = Annotated[Path | None, typer.Option(help=(
    "Also write the findings as a table in Chinese, one a row: .xlsx or .csv."))]  # fmt: skip
Show = Annotated[int, typer.Option(min=0, help="Print this many findings, riskiest first.")]
Model = Annotated[Path | None, typer.Option(help="Bundle folder instead of the bundled model.")]
MinScore = Annotated[
    float | None, typer.Option(min=0, max=1, help="Raise every label's threshold to at least this probability.")
]
Labels = Annotated[
    str | None,
    typer.Option(
        help="Decide only these labels: ids, or Chinese names without commas, separated by commas; `zhenyan bundle` lists them."
    ),
]
ColumnOfText = Annotated[str | None, typer.Option(help="Column that holds the text, where it isn't found by name.")]
ColumnOfStart = Annotated[str | None, typer.Option(help=f"Column of start times: {_TIME}.")]
ColumnOfEnd = Annotated[str | None, typer.Option(help=f"Column of end times: {_TIME}.")]
ColumnOfStream = Annotated[str | None, typer.Option(help="Column that names the stream.")]
Encoding = Annotated[str | None, typer.Option(help="Encoding of text files instead of the detected one.")]
Split = Annotated[bool | None, typer.Option("--split/--no-split", show_default=False, help=(
    "Cut rows of running speech into utterances. Default: cut long lines of .txt and .docx, and long JSON rows without "
    "time codes that a recogniser wrote or that name a recording (file: ....mp4); never rows of tables."))]  # fmt: skip
FindEvidence = Annotated[bool, typer.Option(help="Find the words that carried each decision.")]
Context = Annotated[bool, typer.Option(help="Also read neighbouring lines of a stream together.")]
Restart = Annotated[
    bool,
    typer.Option(
        "--restart", help="Discard an earlier run with this output, or overwrite a file there that no run wrote."
    ),
]
Threads = Annotated[int | None, typer.Option(min=1, help=(
    "CPU threads; all the process may use by default, one for each actor with --engine ray."))]  # fmt: skip
Runtime = Annotated[
    str, typer.Option(help="onnxruntime, openvino, openvino-bf16 or auto: what `zhenyan doctor --save` chose here.")
]
FailOnHit = Annotated[bool, typer.Option("--fail-on-hit", help=f"Exit with {EXIT_HITS} when anything was hit.")]
EngineName = Annotated[Literal["local", "ray"], typer.Option("--engine", help="Score here, or on a Ray cluster.")]
RayAddress = Annotated[str | None, typer.Option(help=(
    "Ray cluster to join: auto or host:port; by default $RAY_ADDRESS, else one is started on this machine."))]  # fmt: skip
Actors = Annotated[int | None, typer.Option(min=1, help="Ray actors; by default as many as the cluster has CPUs for.")]
PartRows = Annotated[
    int, typer.Option(min=1, hidden=True, help="Rows in one part; an interrupted run repeats unfinished parts.")
]


def score(
    inputs: Inputs,
    output: Output,
    report: Report = None,
    findings: Findings = None,
    show: Show = 0,
    model: Model = None,
    min_score: MinScore = None,
    labels: Labels = None,
    threshold: Thresholds = None,
    text_column: ColumnOfText = None,
    start_column: ColumnOfStart = None,
    end_column: ColumnOfEnd = None,
    stream_column: ColumnOfStream = None,
    encoding: Encoding = None,
    split: Split = None,
    evidence: FindEvidence = True,
    context: Context = True,
    restart: Restart = False,
    threads: Threads = None,
    runtime: Runtime = "onnxruntime",
    fail_on_hit: FailOnHit = False,
    engine: EngineName = "local",
    ray_address: RayAddress = None,
    actors: Actors = None,
    part_rows: PartRows = PART_ROWS,
) -> None:
    """Score archived streams, tables or copy; repeat the command to continue a run that was cut off.

    Exit codes: 0 done, 2 the command can't be run as given,
    3 done but some files or rows could not be scored,
    4 hits were found (with --fail-on-hit), 130 stopped.
    """
    if report is not None:  # written last: what can't be is told before the scoring
        from zhenyan.inference.report import check_path

        check_path(report)
    bundle = load_bundle(model)
    chosen = None if labels is None else chosen_labels(labels, bundle)
    runtime = saved_choice(bundle) if runtime == "auto" else runtime
    options = RunOptions(min_score, chosen, evidence, context, runtime, chosen_thresholds(threshold, bundle))
    reading = Options(text_column, start_column, end_column, stream_column, encoding, split)
    job = Job(inputs, output, options, reading, restart, part_rows, report, findings)
    console = Console(stderr=True, soft_wrap=True)  # in a file a message is one line
    chosen_engine = make_engine(engine, bundle, options, threads, ray_address, actors)
    with Reporter(console, restart=restart) as reporter:
        folder = run_job(job, bundle, chosen_engine, reporter)
    say_notes(folder, console)
    if findings is not None:
        write_findings(folder, bundle, findings, console)
    finish(folder, output, report, show, bundle, console)
    summary = folder.summary
    if fail_on_hit and summary["findings"]:
        raise typer.Exit(EXIT_HITS)
    raise typer.Exit(EXIT_REJECTS if summary["rejects"] else 0)


def make_engine(
    name: str, bundle: Bundle, options: RunOptions, threads: int | None, address: str | None, actors: int | None
) -> Engine:
    """The engine that was asked for; ConfigError when an option belongs to the other one."""
    if name == "ray":
        return ray_engine(bundle, options, ClusterOptions(address, actors, threads or 1))
    if address or actors:
        raise ConfigError(f"{'--ray-address' if address else '--actors'} is for a Ray cluster; add --engine ray")
    return local_engine(open_classifier(bundle.folder, options, threads), options.context)


def finish(folder: RunFolder, output: Path, report: Path | None, show: int, bundle: Bundle, console: Console) -> None:
    """Write the report, print findings, say what was found."""
    summary = folder.summary
    if report is not None:
        from zhenyan.inference.report import write_report

        write_report(folder, bundle, report)
    if show:
        width = None if sys.stdout.isatty() else 120
        shown = Console(width=width)
        shown.print(findings_table(folder, bundle, show, styled=shown.color_system is not None))
    counts = f"{summary['rows']:,} rows, {summary['hits']:,} with a hit, {summary['findings']:,} findings"
    console.print(printable(f"{output}: {counts}"), markup=False)
    verdicts = ", ".join(f"{count:,} {name}" for name, count in summary["streams"].items() if count)
    console.print(f"streams by risk: {verdicts or 'none'}", markup=False)
    if summary["rejects"]:
        where = printable(f"{folder.path / REJECTS}")
        console.print(f"{unscored(summary)}: {where}", markup=False)
    if report is not None:
        console.print(printable(f"report: {report}"), markup=False)


def write_findings(folder: RunFolder, bundle: Bundle, path: Path, console: Console) -> None:
    """Write the table of findings, say where it is and what it couldn't hold."""
    from zhenyan.inference.report import table

    for note in table.write_findings(folder, bundle, path):
        console.print(f"note: {printable(str(note), '')}", markup=False)
    console.print(printable(f"findings: {path}"), markup=False)


def unscored(summary: Mapping[str, Any]) -> str:
    """How many files, and rows of others, are rejects, with the names of the first files."""
    lost = summary["lost"]
    counts = {"file": lost["files"], "row": summary["rejects"] - lost["files"]}
    told = " and ".join(f"{count:,} {what}{'s' * (count != 1)}" for what, count in counts.items() if count)
    names = ", ".join(one["file"] for one in lost["named"][:MAX_LOST]) + (" …" if lost["files"] > MAX_LOST else "")
    return f"{told} could not be scored" + (f" ({printable(names)})" if names else "")


def say_notes(folder: RunFolder, console: Console) -> None:
    """What readers noted of the files, by kind."""
    notes = folder.summary["notes"]
    noted = folder.summary.get("noted", len(notes))  # runs of before notes were told by kind lack it
    for note in notes[:MAX_NOTES]:
        console.print(f"note: {printable(note, '')}", markup=False)
    if noted > len(notes[:MAX_NOTES]):
        where = folder.path / (NOTES if (folder.path / NOTES).exists() else SUMMARY)
        more = f"and {len(notes) - MAX_NOTES:,} more kinds; " if len(notes) > MAX_NOTES else ""
        console.print(printable(f"note: {more}all {noted:,} notes: {where}"), markup=False)


class Reporter:
    """Rows, speed and hits so far: a live line on a terminal, else a line now and then."""

    def __init__(self, console: Console, every: float = 15.0, restart: bool = False) -> None:
        self.console, self.every, self.restart = console, every, restart
        self.started = self.said = time.monotonic()
        self.base = self.rows = 0
        self.bar = Bar(
            TextColumn("{task.description}"), BarColumn(pulse_style="cyan"), TimeElapsedColumn(), console=console
        )
        self.task = self.bar.add_task("reading", total=None)

    def __enter__(self) -> Reporter:
        if self.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.console.is_terminal:
            self.bar.stop()
        if kind is KeyboardInterrupt:
            again = "the command without --restart" if self.restart else "the same command"
            self.console.print(f"stopped after {self.rows:,} rows; {again} goes on from there", markup=False)

    def __call__(self, progress: Progress) -> None:
        if progress.resumed:
            self.base = progress.rows
            if progress.rows:
                self.console.print(f"going on after {progress.rows:,} rows that are scored already", markup=False)
        self.rows, now = progress.rows, time.monotonic()
        pace = (progress.rows - self.base) / max(now - self.started, 1e-9)
        words = f"{progress.rows:,} rows, {pace:,.0f} rows/s, {progress.hits:,} hits, {progress.rejects:,} rejects"
        # The share of the bytes that was read tells how many rows there will be, until reading, which is ahead, ends.
        read = progress.read if progress.read and progress.read < 1 else None
        if read and pace > 0:
            left = progress.rows * (1 / read - 1) / pace
            words += f", {timedelta(seconds=round(left))} left"
        if self.console.is_terminal:
            self.bar.update(self.task, description=words, completed=read or 0, total=read and 1)
        elif now - self.said >= self.every:
            self.said = now
            self.console.print(words, markup=False)
