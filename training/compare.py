"""Two bundles on the same rows: differences with paired bootstrap intervals, flips, slices, speed, size."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from zhenyan.inference.classifier import Classifier
from zhenyan.inference.io.jsonlines import write_atomic
from zhenyan.inference.runs.store import object_bytes
from zhenyan.training.evaluate import SLICES, Labelled, decider, evasion_table, judged
from zhenyan.training.metrics import calibration, f1_samples, f1_score, interval, label_errors, resamples
from zhenyan.training.schema import Schema

PASSES = 3  # over all texts, of which the best counts


@dataclass(frozen=True)
class Difference:
    """F1 of A and B and the 95 percent interval of B - A, rows resampled in pairs; None where F1 is undefined in all samples."""

    a: float
    b: float
    low: float | None
    high: float | None
    positives: int

    @property
    def verdict(self) -> str:
        """better, worse, or no clear difference."""
        if self.low is None or self.high is None:
            return "no clear difference"
        return "better" if self.low > 0 else "worse" if self.high < 0 else "no clear difference"

    @property
    def bounds(self) -> str:
        """The interval as it is printed."""
        return "-" if self.low is None else f"{self.low:+.3f} to {self.high:+.3f}"


@dataclass
class Comparison:
    """Everything `zhenyan compare` reports, and under `label_errors` each bundle's calibration error of each label that is there."""

    a: str
    b: str
    rows: int
    scores: dict[str, Difference]
    slices: dict[str, Difference]
    flips: list[dict[str, Any]]
    facts: dict[str, dict[str, float]]
    label_errors: dict[str, dict[str, float]] = field(default_factory=dict)


def difference(truth: np.ndarray, a: np.ndarray, b: np.ndarray, groups: np.ndarray | None, seed: int = 0) -> Difference:
    """Paired bootstrap (Efron & Tibshirani 1993) of the F1 difference; arrays are (rows, labels) or (rows,)."""
    if not len(truth):
        return Difference(0.0, 0.0, None, None, 0)
    truth, a, b = (np.asarray(x, dtype=bool).reshape(len(truth), -1) for x in (truth, a, b))
    weights = resamples(groups, len(truth), seed)
    positives = truth.sum(1)

    def samples(decided: np.ndarray) -> np.ndarray:
        return f1_samples(weights @ (truth & decided).sum(1), weights @ decided.sum(1), weights @ positives)

    low, high = interval(samples(b) - samples(a))
    return Difference(f1_score(truth, a), f1_score(truth, b), low, high, int(positives.sum()))


def compare(a: Path, b: Path, data: Labelled, schema: Schema, evasion: bool = True) -> Comparison:
    """Measure both bundles on `data`."""
    pair = [Classifier.load(folder, explain=False) for folder in (a, b)]
    scores, found = zip(*(judged(c, c.score(data.texts), schema.ids, schema.changes) for c in pair), strict=True)
    decided = [each & data.seen for each in found]
    core = [schema.ids.index(label) for label in schema.core]
    parts = {"core labels, micro": (data.truth[:, core], decided[0][:, core], decided[1][:, core])} if core else {}
    for i, label in enumerate(schema.ids):
        if data.truth[:, i].any():
            parts[label] = (data.truth[:, i], decided[0][:, i], decided[1][:, i])
    return Comparison(
        pair[0].bundle.id, pair[1].bundle.id, len(data.rows),
        {"any violation": any_difference(data, decided[0], decided[1], data.told)}
        | {name: difference(*arrays, data.groups) for name, arrays in parts.items()},
        slice_differences(data, *decided), flips(data, decided[0], decided[1], schema),
        {
            c.bundle.id: facts(c, data, score, schema, evasion) | speed
            for c, score, speed in zip(pair, scores, speeds(pair, data.texts[:512]), strict=True)
        },
        {
            c.bundle.id: {schema.ids[i]: error for i, error in label_errors(data.truth, score, data.rated(score), 1).items()}
            for c, score in zip(pair, scores, strict=True)
        },
    )  # fmt: skip


def any_difference(data: Labelled, a: np.ndarray, b: np.ndarray, rows: np.ndarray) -> Difference:
    """The difference in any violation over the rows chosen, bool (rows,)."""
    return difference(data.truth[rows].any(1), a[rows].any(1), b[rows].any(1), data.groups[rows])


def slice_differences(data: Labelled, a: np.ndarray, b: np.ndarray, least: int = 30) -> dict[str, Difference]:
    """Any-violation difference in every slice with enough rows; its groups are resampled as those of all rows are."""
    found = {}
    for name, of in SLICES.items():
        keys = np.array([of(row) for row in data.rows])
        for key in sorted(set(keys)):
            where = (keys == key) & data.told
            if key and where.sum() >= least and len(set(keys)) > 1:
                found[f"{name}: {key}"] = any_difference(data, a, b, where)
    return found


def flips(data: Labelled, a: np.ndarray, b: np.ndarray, schema: Schema) -> list[dict[str, Any]]:
    """Rows decided differently, those that B gets wrong first."""
    ids = np.array(schema.ids)
    rows = [
        {"text": data.rows[i].text, "true": ids[data.truth[i]].tolist(), "a": ids[a[i]].tolist(), "b": ids[b[i]].tolist(),
         "b_right": bool((b[i] == data.truth[i]).all()), "origin": data.rows[i].origin}
        for i in np.flatnonzero((a != b).any(1))
    ]  # fmt: skip
    return sorted(rows, key=lambda row: row["b_right"])


def facts(
    classifier: Classifier, data: Labelled, scores: np.ndarray, schema: Schema, evasion: bool
) -> dict[str, float]:
    """Size, calibration and evasion of one bundle."""
    found = {
        "size_mib": sum(p.stat().st_size for p in classifier.bundle.folder.iterdir()) / 2**20,
        **calibration(data.truth, scores, data.rated(scores)),
    }
    if evasion:
        table = evasion_table(data, decider(classifier, schema.ids, schema.changes))
        found |= {"evasion_mean_fall": table["mean_fall"], "evasion_worst_fall": table["worst_fall"]}
    return found


def speeds(pair: Sequence[Classifier], texts: list[str], alone: int = 100) -> list[dict[str, float]]:
    """Lines a second, the best of PASSES over all texts, and median latency of one line for each bundle.

    They are asked in turns: a machine that is busy for a minute slows both, not the one that happens to be measured.
    """
    taken: list[list[float]] = [[_seconds(classifier, [text]) for classifier in pair] for text in texts[:alone]]
    together = [[_seconds(classifier, texts) for classifier in pair] for _ in range(PASSES)]
    return [
        {"lines_per_second": len(texts) / float(best), "latency_ms": 1000 * float(latency)}
        for best, latency in zip(np.min(together, axis=0), np.median(taken, axis=0), strict=True)
    ]


def write_comparison(path: Path, found: Comparison, flips: int) -> None:
    """Write all that was measured as JSON, with verdicts, but of the rows decided differently only the first `flips`."""
    verdicts = {name: d.verdict for name, d in (found.scores | found.slices).items()}
    record = asdict(found) | {"verdicts": verdicts, "flipped": len(found.flips), "flips": found.flips[:flips]}
    write_atomic(path, [object_bytes(record)])


def _seconds(classifier: Classifier, texts: list[str]) -> float:
    classifier.clear_cache()
    started = time.perf_counter()
    classifier.score(texts)
    return time.perf_counter() - started


def comparison_view(found: Comparison) -> list[Table]:
    """The comparison as tables."""
    scores = Table(
        "", "rows with it", "A", "B", "B - A (95%)", "", title=f"A {found.a}   B {found.b}   {found.rows:,} rows"
    )
    for name, d in found.scores.items():
        scores.add_row(name, str(d.positives), f"{d.a:.3f}", f"{d.b:.3f}", d.bounds, d.verdict)
    worse = Table("slice that got worse", "A", "B", "B - A (95%)")
    for name, d in found.slices.items():
        if d.verdict == "worse":
            worse.add_row(name, f"{d.a:.3f}", f"{d.b:.3f}", d.bounds)
    facts_table = Table("", *found.facts)
    for name in dict.fromkeys(name for values in found.facts.values() for name in values):
        shown = "calibration_error, pooled" if name == "calibration_error" else name
        # A bundle that lacks labels may have no mean over them.
        facts_table.add_row(
            shown, *(f"{values[name]:.3f}" if name in values else "-" for values in found.facts.values())
        )
    return [scores, *([worse] if worse.row_count else []), facts_table]
