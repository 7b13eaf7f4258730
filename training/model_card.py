"""The model card of a bundle, filled from its run, its data and its manifest; and its entry in CHANGELOG.md.

The form follows Mitchell et al. 2019, "Model Cards for Model Reporting"; emissions Lacoste et al. 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from zhenyan.inference.windows import LONG
from zhenyan.training.config import CarbonConfig, TrainConfig
from zhenyan.training.dataset import Corpus, origin
from zhenyan.training.metrics import bounds, macro_words, summarised
from zhenyan.training.provenance import GPU, Journal, read_journal, rows_digest
from zhenyan.training.rows import Row
from zhenyan.training.schema import Schema

FEW = 30  # validation rows with a label, below which its scores say little


@dataclass(frozen=True)
class Footprint:
    """Estimate of a training's energy in kWh and emissions in kg of CO2 equivalent, with what went into it."""

    hours: float
    device: str
    count: int
    watts: float
    kwh: float
    kg: float


def footprint(journal: Journal, carbon: CarbonConfig) -> Footprint | None:
    """kWh = hours x devices x watts of one / 1000 x PUE; kg = kWh x the grid's. None when the time wasn't recorded."""
    if journal.seconds is None or "device" not in journal.tags:
        return None
    hours, device, count = journal.seconds / 3600, journal.tags["device"], int(journal.tags["device.count"])
    watts = carbon.watts_per_gpu if device.startswith(GPU) else carbon.watts_per_thread
    kwh = hours * count * watts / 1000 * carbon.pue
    return Footprint(hours, device, count, watts, kwh, kwh * carbon.kg_per_kwh)


def split_counts(corpus: Corpus) -> dict[str, dict[str, int]]:
    """Rows of each split: all, spoken in real streams, copy, compliant, and how many groups they are of."""
    parts = {"train": corpus.train, "validation": corpus.validation, "test": corpus.test}
    return {name: _counts(rows) for name, rows in parts.items()}


def _counts(rows: list[Row]) -> dict[str, int]:
    return {
        "rows": len(rows),
        "real": sum(origin(row) == "real" for row in rows),
        "copy": sum(row.channel == "copy" for row in rows),
        "compliant": sum(row.compliant for row in rows),
        "groups": len({row.group for row in rows}),
    }


def model_card(
    run: Path, config: TrainConfig, schema: Schema, corpus: Corpus, manifest: Mapping[str, Any],
    thresholds: Mapping[str, Any],
) -> str:  # fmt: skip
    """The card of the bundle that `manifest` and `thresholds` describe, in Markdown; `corpus` is what stands on disk today."""
    journal = read_journal(run)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["bounds"] = bounds
    digests = {name: journal.tags.get(f"data.{name}") for name in ("train", "validation")}
    today = {"train": rows_digest(corpus.train), "validation": rows_digest(corpus.validation)}
    pretrain = None if "warm_start" in journal.tags else config.pretrain  # what goes on from a model skips that step
    positives = {i: sum(i in row.labels for row in corpus.train) for i in manifest["labels"]}
    return environment.get_template("model_card.md.jinja").render(
        manifest=manifest, found=manifest["validation"], config=config, schema=schema,
        summary=summarised(manifest["validation"]), few=FEW,
        labels=[label for label in schema.labels if label.id in manifest["labels"]], positives=positives,
        thresholds=thresholds, splits=split_counts(corpus),
        digests={name: digest or today[name] for name, digest in digests.items()},
        changed=[name for name, digest in digests.items() if digest and digest != today[name]],
        journal=journal, footprint=footprint(journal, config.carbon), encoder_train=pretrain, long=LONG,
    )  # fmt: skip


def changelog_entry(manifest: Mapping[str, Any]) -> str:
    """The section of CHANGELOG.md for a released bundle: what it is and how it did on its validation rows."""
    found = manifest["validation"]
    macros = macro_words(found)
    lines = [
        f"## {manifest['bundle_id']}",
        "",
        f"Run {manifest['training_run']}, schema version {manifest['schema_version']}, {len(manifest['labels'])} labels, "
        f"precision {manifest['precision']}, training data `{manifest['data_sha256'][:12]}`, "
        f"commit `{manifest['commit'][:12]}`.",
        "",
        f"| {found['rows']:,} validation rows | precision | recall | F1 (95% interval) |",
        "|---|---|---|---|",
        *(f"| {words} | {_cells(found[key])} |" for key, words in summarised(found).items()),
        "",
        f"{macros[0].upper()}{macros[1:]}, calibration error {found['calibration_error']:.4f}.",
    ]
    return "\n".join(lines) + "\n"


def _cells(score: Mapping[str, Any]) -> str:
    return f"{score['precision']:.3f} | {score['recall']:.3f} | {score['f1']:.3f} ({bounds(score, ' to ')})"
