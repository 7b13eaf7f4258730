"""`zhenyan data import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from zhenyan.inference.errors import ConfigError
from zhenyan.training.extras import need_extra

if TYPE_CHECKING:
    from zhenyan.inference.io import Options
    from zhenyan.training.annotated_tasks import Imported
    from zhenyan.training.rows import Row
    from zhenyan.training.schema import Schema


def import_labelled(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="JSON or JSON_MIN export of Label Studio; with --labels-column a table that `zhenyan score` reads.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Labelled rows to write (.jsonl).")],
    labels_column: Annotated[
        str | None,
        typer.Option(help="Column of a table's labels, or the control of your own project in which labels are chosen."),
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(help="Who wrote or labelled a table, or your own project: the group that a split holds out."),
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(help="Column, or field of your own tasks, that holds the text.")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding of a table instead of the detected one.")] = None,
    schema: Annotated[Path, typer.Option(help="Label schema.")] = Path("configs/labels.yaml"),
) -> None:
    """Turn labelled lines into rows: a table, annotated tasks of `zhenyan data sample`, or (with --batch) tasks of your own project.

    Labels are ids or Chinese names, several separated by ; , 、 | / or spaces, or as a list. 合规, compliant or an empty cell
    means none. If labels are unknown, all of these are listed and nothing is written.

    Skipped tasks are left out. Where annotators of one line differ about a label, the row teaches nothing about it. For each
    two annotators, agreement is printed on the lines that just these two read.
    """
    need_extra()
    from zhenyan.inference.io import Options
    from zhenyan.training.edits import corpus_line, replace_files
    from zhenyan.training.outputs import check_lines
    from zhenyan.training.rows import row_to_json
    from zhenyan.training.schema import load_schema

    check_lines("--output", output, "rows")
    if output.exists():
        raise ConfigError(f"--output {output}: is there already and may hold labels; give another name")
    labels = load_schema(schema)
    if labels_column is not None and file.suffix.lower() != ".json":
        rows, said = _of_table(file, labels, labels_column, batch, Options(text_column, encoding=encoding, split=False))
    elif encoding is not None:
        raise ConfigError(f"--encoding {encoding}: is of tables; Label Studio's JSON is UTF-8")
    else:
        rows, said = _of_tasks(file, labels, labels_column, batch, text_column)
    replace_files({output: [corpus_line(row_to_json(row)) for row in rows]})
    typer.echo(f"{output}: {said}")


def _of_table(
    file: Path, schema: Schema, labels_column: str, batch: str | None, options: Options
) -> tuple[list[Row], str]:
    """Rows of a table, and what to say of them."""
    from zhenyan.training.labelled_tables import import_table

    done = import_table(file, schema, labels_column, batch, options)
    compliant = sum(row.compliant for row in done.rows)
    counts = (
        f"{len(done.rows):,} rows, {compliant:,} of them compliant; left out: {done.repeated:,} repeated lines, "
        f"{len(done.unread):,} that could not be read"
    )
    return done.rows, "\n".join([counts, *done.told])


def _of_tasks(
    file: Path, schema: Schema, control: str | None, batch: str | None, text_field: str | None
) -> tuple[list[Row], str]:
    """Rows of Label Studio's tasks, and what to say of them."""
    from zhenyan.training.annotated_tasks import Project, import_tasks

    if batch is None and (control or text_field):
        option = "--labels-column" if control else "--text-column"
        raise ConfigError(f"{option}: is of tables and your own projects; name who labelled the tasks with --batch")
    done = import_tasks(file, schema, Project(batch, text_field or "text", control) if batch else None)
    counts = (
        f"{len(done.rows):,} rows of {done.tasks:,} tasks; left out: {done.skipped:,} skipped, "
        f"{done.untouched:,} without labels; annotators differ on {done.differing:,}"
    )
    return done.rows, "\n".join(
        [counts, *([done.unclear.note] if done.unclear.rows else []), *_agreements(done, schema)]
    )


def _agreements(done: Imported, schema: Schema) -> list[str]:
    """Of each two annotators a table of how far they agree."""
    from zhenyan.training.agreement import agreement, agreement_table

    console, told = Console(width=120), list[str]()
    for (first, second), twice in sorted(done.twice.items()):
        with console.capture() as table:
            console.print(agreement_table(agreement(twice, schema.ids)))
        told += [f"{first} (first) and {second} (second):", table.get().rstrip()]
    return told
