"""`zhenyan compare`, `promote`, `rollback`, `versions`, `pull` and `sync`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from zhenyan.inference.errors import BundleError, ConfigError, OtherRelease
from zhenyan.training.extras import need_extra

if TYPE_CHECKING:
    from zhenyan.training.compare import Comparison
    from zhenyan.training.config import TrainConfig
    from zhenyan.training.evaluate import Labelled
    from zhenyan.training.export import Check
    from zhenyan.training.promote import Gates
    from zhenyan.training.registry import Version
    from zhenyan.training.schema import Schema

_CONFIG = Annotated[Path, typer.Option(help="Configuration with the label schema, rows and MLflow address.")]
_ROWS = Annotated[
    list[str] | None,
    typer.Option(help="Labelled JSON Lines files, written or hashed; the written test split by default; repeatable."),
]
_ABSOLUTE = Annotated[bool, typer.Option(
    "--absolute-gates", help="Check only the gates that need no champion: for one that only another version of zhenyan can read.")]  # fmt: skip
_NAME = Annotated[str, typer.Option(help="Registered model name.")]
_DEFAULT = Path("configs/train/default.yaml")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (compare, promote, rollback, versions, pull, sync):
        app.command()(command)


@dataclass(frozen=True)
class _Terms:
    """What a promotion holds its candidate to; `alone`: to those bounds that need no champion."""

    settings: TrainConfig
    sets: list[str] | None
    file: Path
    bounds: Gates
    alone: bool


def _rows(settings: TrainConfig, sets: list[str] | None) -> tuple[Schema, Labelled]:
    """The label schema and the labelled rows to measure on; says how many rows nobody read."""
    from zhenyan.training.dataset import load_corpus
    from zhenyan.training.evaluate import labelled
    from zhenyan.training.evaluation_run import measurable, read_sets, unread_words
    from zhenyan.training.schema import load_schema

    schema = load_schema(settings.data.label_schema)
    rows, unread = measurable(
        read_sets(sets, settings.data.public_cache, schema)
        if sets
        else load_corpus(settings.data, schema, ("test",)).test
    )
    if unread:
        typer.echo(unread_words(unread))
    return schema, labelled(rows, schema.ids)


def _measure(a: str, b: str, settings: TrainConfig, sets: list[str] | None, evasion: bool) -> Comparison:
    """The comparison of two models on the labelled rows; ConfigError when they are one."""
    from zhenyan.inference.bundle import load_bundle
    from zhenyan.training.compare import compare as measure
    from zhenyan.training.registry import resolve

    schema, data = _rows(settings, sets)
    with TemporaryDirectory(prefix="zhenyan-") as scratch:
        folders = [resolve(name, settings.tracking, Path(scratch) / side) for side, name in (("a", a), ("b", b))]
        first, second = (load_bundle(folder).id for folder in folders)
        if first == second:
            raise ConfigError(f"{a} and {b}: both are {first}; give two models")
        return measure(folders[0], folders[1], data, schema, evasion)


def compare(
    a: Annotated[
        str, typer.Argument(help="Folder of a bundle or an exported run, runs:/ID or models:/zhenyan@champion.")
    ],
    b: Annotated[str, typer.Argument(help="The other model.")],
    rows: _ROWS = None,
    config: _CONFIG = _DEFAULT,
    evasion: Annotated[bool, typer.Option(help="Also compare under every disguise (slow).")] = False,
    flips: Annotated[
        int,
        typer.Option(
            min=0, help="Show this many rows that are decided differently; 0 keeps texts out, also of --json."
        ),
    ] = 10,
    record: Annotated[Path | None, typer.Option("--json", help="JSON file with all that was measured.")] = None,
) -> None:
    """Compare two models on the same rows: per-label differences with paired bootstrap intervals, flips, slices, speed."""
    need_extra()
    from zhenyan.training.compare import comparison_view, write_comparison
    from zhenyan.training.config import load_config
    from zhenyan.training.outputs import keep_inputs, make_folder
    from zhenyan.training.rows import expand

    if record:
        keep_inputs("--json", record, expand(rows or []))
        make_folder("--json", record)
    found = _measure(a, b, load_config(config), rows, evasion)
    if record:
        write_comparison(record, found, flips)
    console = Console(width=140)
    for table in comparison_view(found):
        console.print(table)
    console.print(f"{len(found.flips)} of {found.rows} rows are decided differently", highlight=False)
    for row in found.flips[:flips]:
        console.print(
            f"  {row['origin']} true {row['true']} A {row['a']} B {row['b']}: {row['text']:.80}", markup=False
        )


def promote(
    candidate: Annotated[
        str, typer.Argument(help="Folder of a bundle or an exported run, runs:/ID or models:/zhenyan@challenger.")
    ],
    rows: _ROWS = None,
    config: _CONFIG = _DEFAULT,
    gates: Annotated[
        Path | None, typer.Option(help="Bounds the candidate must satisfy; configs/gates.yaml by default.")
    ] = None,
    challenger: Annotated[
        bool, typer.Option("--challenger", help="Only register it, under the alias challenger.")
    ] = False,
    absolute_gates: _ABSOLUTE = False,
    name: _NAME = "zhenyan",
) -> None:
    """Make a bundle the champion if it passes every gate against the present one; each failed gate is named."""
    need_extra()
    from zhenyan.inference.bundle import load_bundle
    from zhenyan.training import registry
    from zhenyan.training.config import load_config
    from zhenyan.training.promote import GATES, load_gates
    from zhenyan.training.versions import promotion_tags

    if challenger and (rows or gates or absolute_gates):
        raise ConfigError(
            "--challenger measures nothing: leave --rows, --gates and --absolute-gates to the promotion after it"
        )
    settings = load_config(config)
    file = gates or GATES
    # The gates' faults are told though there may be no champion yet.
    terms = None if challenger else _Terms(settings, rows, file, load_gates(file), absolute_gates)
    shelf = registry.Registry(settings.tracking, name)
    champion = shelf.version(registry.CHAMPION)
    chosen = shelf.registered(candidate)  # looked up once: an alias may be moved while the gates are measured
    checks: list[Check] = []
    held_to = "nothing, as the first champion"
    with TemporaryDirectory(prefix="zhenyan-") as scratch:
        folder = registry.resolve(chosen.address if chosen else candidate, settings.tracking, Path(scratch))
        measured = load_bundle(folder).id
        if champion and terms:
            if measured == champion.bundle_id:
                raise ConfigError(
                    f"{candidate} is {name} version {champion.number}, the champion already; nothing was changed"
                )
            checks, held_to = _pass_gates(candidate, folder, champion, terms)
            if shelf.version(registry.CHAMPION) != champion:
                raise ConfigError(f"{name}: another version became champion meanwhile; run promote again")
            if load_bundle(folder).id != measured:
                raise ConfigError(f"{candidate}: its files changed while they were measured; run promote again")
        version = chosen or shelf.add(folder)
    if challenger:
        shelf.point(registry.CHALLENGER, version.number)
        typer.echo(f"{name} version {version.number} ({version.bundle_id}) is challenger")
        return
    # Before the alias moves: rather a record too many than a champion without one.
    shelf.note(version, promotion_tags(checks, held_to))
    old = shelf.promote(version)
    before = f"; version {old.number} is previous" if old else ""
    typer.echo(f"{name} version {version.number} ({version.bundle_id}) is champion{before}")


def _pass_gates(candidate: str, folder: Path, champion: Version, terms: _Terms) -> tuple[list[Check], str]:
    """Print every bound with what was measured of the candidate's `folder`; returns them and, in words, what they held it to.

    ConfigError names those that fail.
    """
    from zhenyan.training.compare import compare as measure
    from zhenyan.training.export import gate_table
    from zhenyan.training.promote import checks, checks_alone

    against = f"{champion.name} version {champion.number} ({champion.bundle_id})"
    with TemporaryDirectory(prefix="zhenyan-") as scratch:
        there = _champion_folder(champion, candidate, terms, Path(scratch))
        schema, data = _rows(terms.settings, terms.sets)
        if there is None:
            results = checks_alone(folder, data, terms.bounds, schema)
            held_to = (
                f"{len(results)} checks of {terms.file} on itself alone; against {against}, which another zhenyan reads, not "
                f"checked: {', '.join(terms.bounds.relative)}"
            )
        else:
            results = checks(measure(there, folder, data, schema, terms.bounds.evasion), terms.bounds, schema)
            held_to = f"{len(results)} checks of {terms.file} against {against}"
    Console(width=140).print(gate_table(results))
    typer.echo(f"held to {held_to}")
    if failed := [check.name for check in results if not check.passed]:
        raise ConfigError(f"{candidate} stays out: {'; '.join(failed)}")
    return results, held_to


def _champion_folder(champion: Version, candidate: str, terms: _Terms, into: Path) -> Path | None:
    """The champion's files, to compare with; None where another version of zhenyan reads them and the candidate is held `alone`.

    ConfigError with the remedy where that doesn't go together, and when the champion is lost or was altered.
    """
    from zhenyan.training.registry import resolve

    try:
        found = resolve(champion.address, terms.settings.tracking, into)
    except OtherRelease as error:  # the candidate was loaded before
        if terms.alone:
            return None
        raise ConfigError(
            f"{error}. So nothing can be compared with the champion: promote with --absolute-gates holds {candidate} to the "
            f"bounds that need none, and leaves out {', '.join(terms.bounds.relative)}"
        ) from None
    except (BundleError, ConfigError) as error:
        raise ConfigError(
            f"{error}. So nothing can be compared with the champion: put its files back, or another version in its place with "
            "`zhenyan rollback --to NUMBER`; `zhenyan versions` lists them, and `zhenyan promote FOLDER --challenger` makes "
            "a bundle one, also the champion's own once more"
        ) from None
    if terms.alone:
        raise ConfigError(f"{champion.address} can be compared with: leave --absolute-gates out")
    return found


def rollback(
    to: Annotated[
        int | None, typer.Option(min=1, help="Version to put back; the previous champion by default.")
    ] = None,
    config: _CONFIG = _DEFAULT,
    name: _NAME = "zhenyan",
) -> None:
    """Put the previous champion back, or an earlier version; one that this version of zhenyan can't load is refused."""
    need_extra()
    from zhenyan.training.config import load_config
    from zhenyan.training.registry import Registry, resolve
    from zhenyan.training.versions import rollback_tags

    settings = load_config(config)
    shelf = Registry(settings.tracking, name)
    back, gone = shelf.earlier(to)
    with TemporaryDirectory(prefix="zhenyan-") as scratch:
        try:
            resolve(back.address, settings.tracking, Path(scratch))
        except (BundleError, ConfigError) as error:
            raise ConfigError(f"{error}; {name} version {gone.number} stays champion") from None
    if to and not back.promoted:
        typer.echo(f"{name} version {to} has no record of a promotion: that it passed the gates isn't known", err=True)
    shelf.note(back, rollback_tags())
    shelf.rollback(back, gone)
    typer.echo(f"{name} version {back.number} ({back.bundle_id}) is champion again; version {gone.number} is previous")


def versions(config: _CONFIG = _DEFAULT, name: _NAME = "zhenyan") -> None:
    """List the registered versions: aliases, bundle, when and by whom each became champion, and which gates it was held to."""
    need_extra()
    from zhenyan.training.config import load_config
    from zhenyan.training.registry import Registry
    from zhenyan.training.versions import listing

    Console(width=160).print(listing(Registry(load_config(config).tracking, name)))


def pull(
    model: Annotated[str, typer.Argument(help="models:/zhenyan@champion, models:/NAME/NUMBER or runs:/ID.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Bundle folder to write; an earlier bundle there is replaced.")
    ],
    config: _CONFIG = _DEFAULT,
) -> None:
    """Fetch a registered bundle, verify it and put it into a folder whole, for `--model FOLDER`; a service loads it on SIGHUP."""
    need_extra()
    from zhenyan.inference.bundle import load_bundle
    from zhenyan.training.config import load_config
    from zhenyan.training.placing import check_output, place, tidy
    from zhenyan.training.registry import resolve

    check_output(None, output)
    tidy(output)
    with TemporaryDirectory(prefix="zhenyan-") as scratch:
        bundle = load_bundle(resolve(model, load_config(config).tracking, Path(scratch)))
        place(bundle.folder, output)
    typer.echo(f"{output}: bundle {bundle.id}; a service with this folder as its model loads it on SIGHUP")


def sync(
    run: Annotated[Path, typer.Argument(help="Run or sweep folder whose MLflow server was unreachable.")],
) -> None:
    """Send to MLflow what a run, or a sweep with all its trials, could not send while it ran.

    Exit codes: 0 MLflow has everything; 1 it has everything but files that no longer exist, which are named; 2 it can't be
    reached, or what a run keeps is damaged. Other runs are sent all the same.
    """
    need_extra()
    from zhenyan.training.tracking import JOURNAL

    folders = sorted(journal.parent for journal in run.rglob(JOURNAL))
    if not folders:
        raise ConfigError(
            f"{run}: no run folder ({JOURNAL} is missing); give one, such as runs/NAME, or a folder of them"
        )
    lacking, unsent = False, []
    for folder in folders:
        try:
            lacking |= _send(folder)
        except ConfigError as error:  # another's server may be there, and its files whole
            unsent.append(str(error))
    if unsent:
        raise ConfigError("\n".join(unsent))
    if lacking:
        raise typer.Exit(1)


def _send(folder: Path) -> bool:
    """Send what one run has; returns whether files of it are gone. ConfigError when it can't be sent, or is damaged."""
    from zhenyan.training.config import CONFIG, load_config
    from zhenyan.training.tracking import Tracker, check_kept, shown_uri

    config = load_config(folder / CONFIG).tracking
    check_kept(folder)
    tracker = Tracker(folder, config, folder.name)
    if not tracker.flush(patient=True):
        raise ConfigError(
            f"{folder}: MLflow at {shown_uri(config)}: {tracker.problem}; nothing is lost, try again later"
        )
    if tracker.run_id is None:
        typer.echo(f"{folder}: its journal is empty, there is nothing to send")
        return False
    gone = ", ".join(map(str, tracker.gone()))
    but = f", but for what is gone: {gone}; put it back and sync again to send it, too" if gone else ""
    typer.echo(f"MLflow at {shown_uri(config)} has everything of {folder} (run {tracker.run_id}){but}")
    return bool(gone)
