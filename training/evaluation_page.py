"""The page of `zhenyan evaluate --report`: one HTML file that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from zhenyan.inference.io.jsonlines import write_atomic
from zhenyan.inference.report import marked
from zhenyan.training.metrics import bounds, calibration_words, summarised
from zhenyan.training.schema import Schema

SIDE = 200  # of a drawing, in its own units


def polyline(xs: Sequence[float], ys: Sequence[float]) -> str:
    """Points of an SVG line through shares in [0, 1]; the origin is at the bottom left."""
    return " ".join(f"{SIDE * x:.1f},{SIDE * (1 - y):.1f}" for x, y in zip(xs, ys, strict=True))


def shade(count: int, most: int) -> float:
    """How dark a count of a confusion table stands, in [0, 0.8]: by its square root, so that rare ones are seen."""
    return round(0.8 * (count / most) ** 0.5, 3) if most else 0.0


def write_page(path: Path, measured: dict[str, Any], schema: Schema) -> None:
    """Write what `evaluate_bundle` measured as a page, atomically."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters |= {"marked": marked, "bounds": bounds, "calibration": calibration_words}
    bundle = measured["models"][measured["bundle"]]
    table = bundle["confusion"]["table"]
    wrong = [count for i, row in enumerate(table) for j, count in enumerate(row) if i != j]
    page = environment.get_template("evaluation.html.jinja").stream(
        measured=measured, bundle=bundle, summary=summarised(bundle), side=SIDE, polyline=polyline, shade=shade,
        labels={label.id: label for label in schema.labels}, most_wrong=max(wrong, default=0),
        errors=bundle.get("errors", []), evasion=bundle.get("evasion"),
    )  # fmt: skip
    write_atomic(path, (chunk.encode("utf-8", "replace") for chunk in page))
