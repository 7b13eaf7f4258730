"""Which lines to label: what lines chosen as `zhenyan data sample` chooses them teach, against as many random ones.

The written corpus, and where they have been fetched lines of real rooms that were drawn at random and read (stratum
"random" of data/labels), are taken as if nobody had labelled them. Authors or rooms are dealt into folds: in turn one fold
is the test, the next gives calibration and thresholds, and of the others a few give the lines that are labelled already;
the remaining ones are the pool. Round by round lines are chosen or drawn, their labels looked up, and the same cheap learner
(TF-IDF and logistic regression) is fitted anew. Writes labelling.json and labelling.svg, prints a table.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.metrics import average_precision_score
from zhenyan.training.baselines import TfidfBaseline
from zhenyan.training.calibration import Scaling, fit_scaling
from zhenyan.training.candidates import Candidates, Opinion
from zhenyan.training.confidence import group_folds, logit
from zhenyan.training.config import ThresholdConfig
from zhenyan.training.evaluate import labelled as with_truth
from zhenyan.training.metrics import f1_score
from zhenyan.training.public import read_labelled
from zhenyan.training.rows import Row, read_rows
from zhenyan.training.sampling import choose
from zhenyan.training.schema import load_schema
from zhenyan.training.thresholds import choose_all

HERE = Path(__file__).parent
WAYS = ("chosen", "random")
MEASURES = {
    "any_ap": "any violation, average precision",
    "any_f1": "any violation, F1",
    "micro_f1": "all labels pooled, F1",
}


@dataclass(frozen=True)
class Parts:
    """Rows of one fold's split; no group stands in two of seed, validation and test, or in one of them and the pool."""

    seed: list[Row]
    pool: list[Row]
    validation: list[Row]
    test: list[Row]


@dataclass(frozen=True)
class Learner:
    """TF-IDF, calibrated and with thresholds from validation rows as a model is; arrays are (rows, labels)."""

    model: TfidfBaseline
    scaling: Scaling
    thresholds: np.ndarray

    @property
    def learnt(self) -> list[int]:
        """Columns of labels that it has seen a row of: of the others it has no opinion."""
        return [column for column, one in enumerate(self.model.models) if one is not None]

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """Calibrated probabilities; 0 for labels that it hasn't learnt."""
        return _calibrated(self.model, self.scaling, texts)

    def decide(self, scores: np.ndarray) -> np.ndarray:
        """Decisions; never a label that it hasn't learnt, whose threshold means nothing."""
        decided = np.zeros(scores.shape, dtype=bool)
        decided[:, self.learnt] = scores[:, self.learnt] >= self.thresholds[self.learnt]
        return decided


def _calibrated(model: TfidfBaseline, scaling: Scaling, texts: Sequence[str]) -> np.ndarray:
    known = np.array([one is not None for one in model.models])
    return expit(logit(model.score(texts)) * scaling.slope + scaling.offset) * known


Take = Callable[[Learner, list[Row], list[Row], int], list[int]]  # learner, pool, labelled, count -> places in pool


def read(cache: Path) -> dict[str, list[Row]]:
    """Sets of labelled rows by name; lines of real rooms only where their texts are in the cache.

    Of those the ones drawn at random: others were chosen once already, and lines of no room can't be held out with their
    neighbours.
    """
    public, _ = read_labelled(["data/labels/*.jsonl"], cache)
    drawn = [row for row in public if row.meta.get("stratum") == "random" and row.meta.get("room")]
    sets = {"written corpus": read_rows("data/corpus"), "real rooms": drawn}
    return {name: rows for name, rows in sets.items() if rows}


def split(rows: Sequence[Row], fold: int, folds: int, seed_lines: int) -> Parts:
    """Fold `fold` is the test, the next one validation; the seed is `seed_lines` lines of a few of the other groups.

    What the seed's groups hold beyond that is left out.
    """
    groups = [row.group for row in rows]
    place = dict(zip(groups, group_folds(groups, folds, 0).tolist(), strict=True))
    test, validation = ([row for row in rows if place[row.group] == n % folds] for n in (fold, fold + 1))
    rng = np.random.default_rng(fold)
    free = sorted(group for group, n in place.items() if n not in (fold % folds, (fold + 1) % folds))
    early: list[Row] = []
    taken: set[str] = set()
    for group in rng.permutation(free).tolist():
        if len(early) >= seed_lines:
            break
        early += [row for row in rows if row.group == group]
        taken.add(group)
    seed = [early[i] for i in sorted(rng.permutation(len(early))[:seed_lines])]
    out = taken | {row.group for row in [*test, *validation]}
    return Parts(seed, [row for row in rows if row.group not in out], validation, test)


def fit(rows: Sequence[Row], validation: Sequence[Row], labels: list[str]) -> Learner:
    """The learner of some rows; validation rows calibrate it and give its thresholds."""
    known, judged = with_truth(list(rows), labels), with_truth(list(validation), labels)
    model, config = TfidfBaseline(labels).fit(known.texts, known.truth, known.seen), ThresholdConfig()
    raw = logit(model.score(judged.texts))
    scaling = fit_scaling(judged.truth, raw, config.min_positives, judged.seen)
    scores = _calibrated(model, scaling, judged.texts)
    chosen = choose_all(judged.truth, scores, labels, config, judged.seen)
    return Learner(model, scaling, np.array([chosen[label]["threshold"] for label in labels]))


def measure(learner: Learner, test: Sequence[Row]) -> dict[str, float]:
    """MEASURES on held-out rows."""
    data = with_truth(list(test), learner.model.labels)
    scores = learner.score(data.texts)
    decided = learner.decide(scores) & data.seen
    return {
        "any_ap": float(average_precision_score(data.truth.any(1), (scores * data.seen).max(1))),
        "any_f1": f1_score(data.truth.any(1), decided.any(1)),
        "micro_f1": f1_score(data.truth, decided),
    }


def by_choice(quota: int) -> Take:
    """Lines as `zhenyan data sample` chooses them, with the learner as the model that is asked."""

    def take(learner: Learner, pool: list[Row], known: list[Row], count: int) -> list[int]:
        texts = [row.text for row in pool]
        labels = tuple(learner.model.labels[column] for column in learner.learnt)
        scores = learner.score(texts)[:, learner.learnt]
        opinion = Opinion("learner", labels, scores, learner.thresholds[learner.learnt])
        candidates = Candidates([{"text": text} for text in texts], [opinion])
        return [one.row for one in choose(candidates, known, count, quota, seed=0).chosen]

    return take


def by_chance(seed: int) -> Take:
    """Lines drawn at random."""
    rng = np.random.default_rng(seed)
    return lambda learner, pool, known, count: rng.permutation(len(pool))[:count].tolist()


def curve(parts: Parts, take: Take, labels: list[str], rounds: int, count: int) -> list[dict[str, float]]:
    """One point before the first round and one after each: lines labelled, share of violating ones taken, MEASURES."""
    known, pool = list(parts.seed), list(parts.pool)
    learner = fit(known, parts.validation, labels)
    points = [{"labelled": len(known), "violating": 0.0, **measure(learner, parts.test)}]
    for _ in range(rounds):
        places = take(learner, pool, known, count)
        new = [pool[i] for i in places]
        known, pool = known + new, [row for i, row in enumerate(pool) if i not in set(places)]
        learner = fit(known, parts.validation, labels)
        share = sum(bool(row.labels) for row in new) / max(len(new), 1)
        points.append({"labelled": len(known), "violating": share, **measure(learner, parts.test)})
    return points


def summary(curves: dict[str, list[list[list[dict[str, float]]]]]) -> list[dict[str, Any]]:
    """Per round: mean and range of each measure for both ways, and in how many folds chosen beats the mean of random.

    `curves` is {way: [fold][draw][round]}.
    """
    found = []
    for turn in range(len(curves["chosen"][0][0])):
        at = {way: [[draw[turn] for draw in fold] for fold in curves[way]] for way in WAYS}
        point: dict[str, Any] = {"labelled": round(_mean(p["labelled"] for fold in at["chosen"] for p in fold))}
        for way in WAYS:
            flat = [draw for fold in at[way] for draw in fold]
            point[way] = {"violating": round(_mean(draw["violating"] for draw in flat), 3)}
            for name in MEASURES:
                values = [draw[name] for draw in flat]
                point[way][name] = [round(value, 4) for value in (_mean(values), min(values), max(values))]
        point["gain"] = {name: _gain(at, name) for name in MEASURES}
        found.append(point)
    return found


def _gain(at: dict[str, list[list[dict[str, float]]]], name: str) -> dict[str, Any]:
    """Chosen less random, each averaged in its fold: mean, range, and the number of folds where it is positive."""
    apart = [
        _mean(draw[name] for draw in chosen) - _mean(draw[name] for draw in chance)
        for chosen, chance in zip(at["chosen"], at["random"], strict=True)
    ]
    return {
        "mean": round(_mean(apart), 4), "low": round(min(apart), 4), "high": round(max(apart), 4),
        "folds_ahead": sum(value > 1e-9 for value in apart), "folds": len(apart),
    }  # fmt: skip


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def table(results: dict[str, Any]) -> str:
    """Means of both ways by round, as Markdown, one table a set."""
    parts = []
    for name, found in results["sets"].items():
        head = " | ".join(f"{words}, chosen / random (folds ahead)" for words in MEASURES.values())
        lines = [
            f"{name}, {found['rows']:,} rows",
            "",
            f"| lines labelled | violating among the new, chosen / random | {head} |",
        ]
        lines.append("|---" * (2 + len(MEASURES)) + "|")
        parts.append("\n".join(lines + [_line(point) for point in found["rounds"]]))
    return "\n\n".join(parts)


def _line(point: dict[str, Any]) -> str:
    cells = [
        f"{point['chosen'][name][0]:.3f} / {point['random'][name][0]:.3f} "
        f"({point['gain'][name]['folds_ahead']} of {point['gain'][name]['folds']})"
        for name in MEASURES
    ]
    taken = f"{point['chosen']['violating']:.0%} / {point['random']['violating']:.0%}"
    return f"| {point['labelled']:,} | {taken} | {' | '.join(cells)} |"


def plot(results: dict[str, Any], path: Path) -> None:
    """Means and ranges over lines labelled, a row of panels a set; written as SVG with its text as text."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "zhenyan"}
    import matplotlib.pyplot as plt

    sets, size = results["sets"], (4.2 * len(MEASURES), 3.6 * len(results["sets"]))
    figure, panels = plt.subplots(len(sets), len(MEASURES), figsize=size, squeeze=False)
    for (name, found), row in zip(sets.items(), panels, strict=True):
        for axes, (key, words) in zip(row, MEASURES.items(), strict=True):
            _draw(axes, found["rounds"], key)
            axes.set(title=f"{name}: {words}", xlabel="lines labelled")
            axes.legend(loc="lower right", frameon=False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _draw(axes: Any, rounds: list[dict[str, Any]], name: str) -> None:
    labelled = [point["labelled"] for point in rounds]
    for way, colour in zip(WAYS, ("#0b5cad", "#9aa7b4"), strict=True):
        mean, low, high = zip(*(point[way][name] for point in rounds), strict=True)
        axes.plot(labelled, mean, marker="o", color=colour, label=way)
        axes.fill_between(labelled, low, high, color=colour, alpha=0.15, linewidth=0)


def run(rows: Sequence[Row], options: argparse.Namespace) -> dict[str, Any]:
    """Every fold of one set, chosen once and drawn `draws` times."""
    labels = load_schema().ids
    curves: dict[str, list[list[list[dict[str, float]]]]] = {way: [] for way in WAYS}
    sizes = []
    for fold in range(options.splits):
        parts = split(rows, fold, options.folds, options.seed_lines)
        sizes.append({name: len(getattr(parts, name)) for name in ("seed", "pool", "validation", "test")})
        sizes[-1]["violating_in_test"] = sum(bool(row.labels) for row in parts.test)
        ways = {"chosen": [by_choice(options.quota)], "random": [by_chance(n) for n in range(options.draws)]}
        for way in WAYS:
            curves[way].append([curve(parts, take, labels, options.rounds, options.count) for take in ways[way]])
        print(f"fold {fold + 1} of {options.splits}: {sizes[-1]}", flush=True)
    return {"rows": len(rows), "folds": sizes, "rounds": summary(curves)}


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path("cache/public"), help="the fetched public lines")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--count", type=int, default=300, help="lines a round")
    parser.add_argument("--seed-lines", type=int, default=300, help="lines labelled before the first round")
    parser.add_argument("--quota", type=int, default=0, help="as --labels-quota of `zhenyan data sample`")
    parser.add_argument("--draws", type=int, default=3, help="random draws in each fold")
    parser.add_argument("--folds", type=int, default=5, help="parts that rooms are dealt into")
    parser.add_argument("--splits", type=int, default=5, help="how many of them are the test in turn")
    parser.add_argument("--output", type=Path, default=HERE, help="folder to write labelling.json and .svg into")
    options = parser.parse_args()
    settings = {key: getattr(options, key) for key in ("rounds", "count", "draws", "quota")}
    results = settings | {"sets": {name: run(rows, options) for name, rows in read(options.cache).items()}}
    options.output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, ensure_ascii=False, indent=1)
    (options.output / "labelling.json").write_text(text + "\n", encoding="utf-8")
    plot(results, options.output / "labelling.svg")
    print(table(results))


if __name__ == "__main__":
    main()
