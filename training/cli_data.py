"""`zhenyan data sample`, `audit`, `fix`, `migrate` and `hash`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from zhenyan.inference.errors import ConfigError, InputError
from zhenyan.training.cli_import import import_labelled
from zhenyan.training.extras import need_extra

if TYPE_CHECKING:
    import numpy as np
    from zhenyan.inference.io import Options
    from zhenyan.training.confidence import Cells
    from zhenyan.training.planted import Planted
    from zhenyan.training.rows import Row
    from zhenyan.training.schema import Change

_SCHEMA = Annotated[Path, typer.Option(help="Label schema.")]
_CACHE = Annotated[Path, typer.Option(help="Public lines that hashed labels are joined with.")]
_FOLDS = Annotated[int, typer.Option(min=2, help="Number of folds; authors and rooms are held out whole.")]
_SEED = Annotated[int, typer.Option(help="Same seed, same result.")]
_LABELS_YAML, _PUBLIC = Path("configs/labels.yaml"), Path("cache/public")
_ANNOTATED = [Path(f"data/{name}") for name in ("corpus", "rooms", "labels", "labels/held_out", "labels/windows")]


def register(data: typer.Typer) -> None:
    """Add the commands."""
    for command in (sample, audit, fix, migrate):
        data.command()(command)
    data.command("import")(import_labelled)
    data.command("hash")(hash_lines)


def sample(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...", help="Files, folders or globs that `zhenyan score` reads, or one finished run."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Rows to label (.jsonl), or Label Studio tasks (.json); what a person has changed isn't overwritten.",
        ),
    ],
    count: Annotated[int, typer.Option(min=1, help="Lines to choose.")],
    labels_quota: Annotated[int, typer.Option(min=0, help="At least this many lines for each label.")] = 0,
    model: Annotated[
        list[Path] | None,
        typer.Option(
            help="Bundle to ask; repeat to compare several. Where no run is given, the bundled model by default."
        ),
    ] = None,
    labelled: Annotated[
        list[str] | None,
        typer.Option(help="Rows that are labelled already, repeatable; the written corpus by default."),
    ] = None,
    cache: _CACHE = _PUBLIC,
    text_column: Annotated[str | None, typer.Option(help="Column that holds the text.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding instead of the detected one.")] = None,
    schema: _SCHEMA = _LABELS_YAML,
    seed: _SEED = 0,
) -> None:
    """Choose which lines to label next: doubted by the models, unlike each other and unlike what is labelled."""
    need_extra()
    from zhenyan.inference.classifier import Classifier
    from zhenyan.inference.io import Options
    from zhenyan.training.candidates import candidate_files, read_candidates
    from zhenyan.training.outputs import keep_inputs
    from zhenyan.training.rows import expand
    from zhenyan.training.sample_output import check_output, write_sample
    from zhenyan.training.sampling import choose
    from zhenyan.training.schema import load_schema

    labelled = labelled or ["data/corpus/*.jsonl"]
    keep_inputs("--output", output, [*candidate_files(inputs), *expand(labelled)])
    check_output(output)
    names, known = load_schema(schema), _read(labelled, cache)
    options = Options(text_column, encoding=encoding)
    candidates = read_candidates(inputs, options)
    asked: list[Path | None] = [*model] if model else [] if candidates.opinions else [None]
    candidates = candidates.ask(Classifier.load(folder, explain=False) for folder in asked).named(names)
    found = choose(candidates, known, count, labels_quota, seed)
    notes = write_sample(output, candidates, found, names)
    typer.echo(
        f"{output}: {len(found.chosen):,} of {len(candidates.records):,} lines; {found.duplicates:,} near duplicates "
        f"passed over, {candidates.rejects:,} lines could not be read"
    )
    for note in (*candidates.reasons, *_readers_notes(options), *notes):
        typer.echo(note)


def _readers_notes(options: Options) -> list[str]:
    """What readers noted of the files, with remedies that `sample` has."""
    from zhenyan.inference.io.notes import by_kind

    read = by_kind(note.within(("--text-column", "--encoding")) for note in options.notes)
    return [f"note: {one.english}" for one in read]


def audit(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATHS...", help="Labelled JSON Lines files, written or hashed.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Fix file to write (one with decisions isn't overwritten); edit `apply`, then run `data fix`.",
        ),
    ],
    limit: Annotated[int, typer.Option(min=1, help="List at most this many suspects.")] = 500,
    precision_report: Annotated[
        Path | None,
        typer.Option(help="Also plant errors in 5 percent of the rows, search for them and write which were found."),
    ] = None,
    features: Annotated[
        Path | None, typer.Option(help="Bundle whose opinion counts too, on rows that it was not trained on.")
    ] = None,
    unseen: Annotated[
        list[str] | None,
        typer.Option(help="Author batch or room, beside the held-out ones, that this bundle was not trained on."),
    ] = None,
    splits: Annotated[Path, typer.Option(help="Held-out groups.")] = Path("data/splits.yaml"),
    schema: _SCHEMA = _LABELS_YAML,
    cache: _CACHE = _PUBLIC,
    folds: _FOLDS = 5,
    seed: _SEED = 0,
) -> None:
    """Search for wrong labels: rows that models of other authors and rooms contradict, near duplicates, rows read twice."""
    need_extra()
    from zhenyan.training import audit as auditing
    from zhenyan.training.confidence import Cells, blend, out_of_fold
    from zhenyan.training.edits import corpus_line, replace_files
    from zhenyan.training.schema import load_schema

    if unseen and features is None:
        raise ConfigError(
            f"--unseen {', '.join(unseen)}: says what a bundle wasn't trained on; name it with --features"
        )
    _check_audit_outputs(paths, output, precision_report)
    labels, rows = load_schema(schema), _read(paths, cache)
    for row in rows:
        labels.check_row(row)
    console = Console(width=120)
    _show_agreement(rows, labels.ids, console)
    cells = Cells.of(rows, labels.ids)
    planted = None if precision_report is None else _plant(precision_report, cells, seed)
    # Asked first: a faulty bundle is told of before minutes of work.
    opinion = _opinion(features, rows, cells, labels.changes, splits, unseen or [], console)
    probabilities = out_of_fold(cells, folds, seed)
    if opinion is not None:
        probabilities = blend(probabilities, opinion)
    found = auditing.find_suspects(rows, cells, probabilities, limit)
    replace_files({output: map(corpus_line, auditing.fix_records(rows, cells, found))})
    console.print(auditing.suspects_table(cells, found))
    console.print(f"{output}: {len(found):,} suspects; set `apply` to true where the suggestion is right", markup=False)
    if precision_report is not None and planted is not None:
        _measure(precision_report, rows, cells, planted, folds, seed, console)


def _check_audit_outputs(paths: list[str], output: Path, precision_report: Path | None) -> None:
    """Make the outputs' folders; ConfigError where one would be written over rows, the other or decisions."""
    from zhenyan.training.outputs import check_lines, keep_inputs, keep_work, make_folder
    from zhenyan.training.rows import expand, iter_records

    keep_inputs("--output", output, expand(paths))
    make_folder("--output", output)
    check_lines("--output", output, "fixes")
    keep_work("--output", output, iter_records(output), lambda one: one.get("apply") is False and "applied" not in one)
    if precision_report is not None:
        keep_inputs("--precision-report", precision_report, [*expand(paths), output])
        make_folder("--precision-report", precision_report)
        keep_work("--precision-report", precision_report, iter_records(precision_report), lambda one: "planted" in one)


def _show_agreement(rows: list[Row], labels: list[str], console: Console) -> None:
    """How far two readers agree, where rows were read twice, and how many faulty rows don't count."""
    from zhenyan.training.agreement import agreement, agreement_table
    from zhenyan.training.rows import reading_fault

    if twice := agreement(rows, labels):
        console.print(agreement_table(twice))
    if faulty := sum(bool(reading_fault(row, labels)) for row in rows):
        console.print(
            f"{faulty:,} rows are left out of what two readers agree on: `zhenyan data check` says what is wrong with their "
            "`readings`"
        )


def _read(paths: list[str], cache: Path) -> list[Row]:
    """Rows with text; says how many hashed ones have none in the cache. ConfigError when none is left."""
    from zhenyan.training.public import left_out, read_labelled

    rows, missing = read_labelled(paths, cache)
    if missing:
        typer.echo(left_out(missing, cache))
    if not rows:
        raise ConfigError(f"{', '.join(paths)}: no labelled row with a text")
    return rows


def _opinion(
    bundle: Path | None,
    rows: list[Row],
    cells: Cells,
    changes: list[Change],
    splits: Path,
    unseen: list[str],
    console: Console,
) -> np.ndarray | None:
    """What the bundle says of rows that it wasn't trained on; None without one."""
    if bundle is None:
        return None
    import numpy as np
    from zhenyan.inference.classifier import Classifier
    from zhenyan.training.audit import bundle_opinion
    from zhenyan.training.splits import load_splits

    names = {*cells.groups, *cells.authors}  # a batch's rows may name rooms, and these are their groups
    if absent := sorted(set(unseen) - names):
        raise ConfigError(
            f"--unseen {', '.join(absent)}: no row is of this batch or room; there are {', '.join(sorted(names))}"
        )
    classifier, held_out = Classifier.load(bundle, explain=False), load_splits(splits)
    fresh = np.array([row.group in unseen or row.author in unseen or held_out.of(row) != "train" for row in rows])
    console.print(
        f"{bundle}: asked on {fresh.sum():,} of {len(rows):,} rows, those that it was not trained on", markup=False
    )
    return bundle_opinion(classifier, cells, fresh, changes)


def _plant(report: Path, cells: Cells, seed: int) -> Planted:
    """Rows with planted errors, made before minutes of work: InputError when they are too few for one."""
    from zhenyan.training.planted import plant

    try:
        return plant(cells, seed=seed)
    except InputError as error:
        raise InputError(f"--precision-report {report}: {error}") from None


def _measure(
    path: Path, rows: list[Row], cells: Cells, planted: Planted, folds: int, seed: int, console: Console
) -> None:
    from zhenyan.training.edits import corpus_line, replace_files
    from zhenyan.training.planted import planted_records, planted_table, search

    found = search(planted, folds, seed)
    replace_files({path: map(corpus_line, planted_records(rows, cells, found))})
    console.print(planted_table(found))


def fix(
    fixes: Annotated[Path, typer.Argument(help="Fix file of `zhenyan data audit`, decided on.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    schema: _SCHEMA = _LABELS_YAML,
) -> None:
    """Apply decided fixes to the corpus files, all or none; a row that has changed since the audit stops it."""
    need_extra()
    from zhenyan.training.fixes import apply_fixes
    from zhenyan.training.schema import load_schema

    done = apply_fixes(fixes, load_schema(schema), dry_run)
    typer.echo(
        f"{'would change' if dry_run else 'changed'} {done.labels:,} labels of {done.rows:,} rows in {done.files:,} files; "
        f"{done.already:,} rows were so already, {done.left:,} entries are not to be applied"
    )


def migrate(
    migration: Annotated[Path, typer.Argument(metavar="MIGRATION", help="YAML file with `changes`.")],
    apply: Annotated[bool, typer.Option("--apply", help="Write; without it, only say what would change.")] = False,
    schema: _SCHEMA = _LABELS_YAML,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="Annotated files or folders; corpus, rooms and labels (also held out and windows) under data/ by default."
        ),
    ] = None,
    records: Annotated[Path, typer.Option(help="Folder for the migrations' records.")] = Path("data/migrations"),
) -> None:
    """Rename, merge, split, retire or add labels: in the schema and in every annotated row."""
    need_extra()
    from zhenyan.training import migrate as migrating

    default = [path for path in _ANNOTATED if any(path.glob("*.jsonl"))]
    plan = migrating.plan_migration(migration, schema, data or default, records)
    Console(width=120).print(migrating.plan_table(plan))
    for mention in plan.mentions:
        typer.echo(f"change by hand: {mention}")
    if plan.relabel:
        typer.echo(f"{len(plan.relabel):,} rows need a person to choose among the labels of a split")
    if plan.bared:
        named = ", ".join(plan.bared[:5]) + (", ..." if len(plan.bared) > 5 else "")
        typer.echo(f"{len(plan.bared):,} rows lose their last label and become compliant: {named}")
    typer.echo(
        f"written; recorded in {migrating.apply_migration(plan, records)}" if apply else "dry run; --apply writes"
    )


def hash_lines(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATHS...", help="Labelled rows (.jsonl) whose text, or `base`, is a public line."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Label file to write, or to add to.")],
    schema: _SCHEMA = _LABELS_YAML,
    cache: _CACHE = _PUBLIC,
) -> None:
    """Turn labelled public lines, as they are or rewritten, into records to commit: hashes and edits, never the text.

    Other fields of a row are kept, but not what a model said of it and not what holds text of the line or its neighbours.
    """
    need_extra()
    from zhenyan.training.corpus_check import contradictions
    from zhenyan.training.edits import corpus_line, replace_files
    from zhenyan.training.hashing import PublicText, existing, hash_rows
    from zhenyan.training.rows import read_rows
    from zhenyan.training.schema import load_schema

    labels, rows = load_schema(schema), read_rows(paths)
    for row in rows:
        labels.check_row(row)
    if faults := [f"{row.origin}: {fault}" for row in rows for fault in contradictions(row, labels)]:
        raise InputError("\n".join(faults))
    held, ids = existing(output)
    records = [corpus_line(record) for record in hash_rows(rows, PublicText(cache), ids)]
    replace_files({output: [held, *records]})
    typer.echo(f"{output}: {len(records):,} records added, {len(ids):,} stood there before")
