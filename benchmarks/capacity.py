"""What a platform needs: cores and core-hours from stream-hours per core-hour, as a Markdown table.

The speed is read from results.json where `make bench` has written it, or given as tokens a second of one core. With
--archive the extra work of evidence and context is measured on files of one's own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from run import TOKENS_PER_STREAM_HOUR
from systems import OURS

RESULTS = Path(__file__).with_name("results.json")
SPEEDS = (1_000, 2_500, 5_000, 10_000, 20_000)  # tokens a second of one core, where nothing was measured


@dataclass(frozen=True)
class Demand:
    """A day of a platform. `work`: tokens scored for one that was said (1 without evidence and context)."""

    rooms: int = 100_000
    hours: float = 4.0  # a room streams on a day
    work: float = 1.0
    price: float = 0.05  # of a core-hour, in any currency

    @property
    def stream_hours(self) -> float:
        """Hours of speech in a day."""
        return self.rooms * self.hours


def stream_hours_per_core_hour(tokens_per_s: float) -> float:
    """Hours of speech that one core scores in an hour, when each token is scored once."""
    return 3600 * tokens_per_s / TOKENS_PER_STREAM_HOUR


def speeds(results: Path = RESULTS) -> list[tuple[str, float]]:
    """(name, stream-hours per core-hour): measured where there are results, else a range."""
    if not results.exists():
        return [(f"{speed:,} tokens/s", stream_hours_per_core_hour(speed)) for speed in SPEEDS]
    rows = json.loads(results.read_text(encoding="utf-8"))["rows"]
    ours = [row for row in rows if row["name"] in OURS and "error" not in row]
    return [(row["name"], row["stream_hours_per_core_hour"]) for row in ours]


def table(named: list[tuple[str, float]], demand: Demand) -> str:
    """One row for each speed."""
    lines = ["| one core | stream-hours per core-hour | core-hours a day | cores, day and night | cores, 8 hours a night | cost a day |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for name, speed in named:
        rate = speed / demand.work
        need = demand.stream_hours / rate
        lines.append(
            f"| {name} | {rate:,.0f} | {need:,.0f} | {need / 24:,.1f} | {need / 8:,.1f} | {need * demand.price:,.0f} |"
        )
    return "\n".join(lines)


class Counting:
    """A session that counts the tokens it is given, without padding."""

    def __init__(self, session: Any) -> None:
        self.session, self.tokens = session, 0

    def __call__(self, ids: Any, mask: Any) -> Any:
        """Logits of the session behind it."""
        self.tokens += int(mask.sum())
        return self.session(ids, mask)


def measured_work(inputs: list[str]) -> float:
    """Tokens scored for one that was said, with evidence and context; repeats in a part are scored once.

    InputError when there are no such files, or nothing is said in them.
    """
    from zhenyan.inference import Classifier, InputError
    from zhenyan.inference.io import Options, resolve_inputs
    from zhenyan.inference.io.items import Item
    from zhenyan.inference.runs.inputs import work_units
    from zhenyan.inference.runs.scoring import score_part

    classifier, said = Classifier.load(), 0
    classifier.session = counting = Counting(classifier.session)
    for part in work_units(resolve_inputs(inputs), Options()):
        texts = [placed.item.text for placed in part.items if isinstance(placed.item, Item)]
        said += sum(len(encoding.ids) for encoding in classifier.tokenizer.encode_batch(texts))
        score_part(classifier, part, context=True)
    if not said:
        raise InputError(f"{', '.join(inputs)}: nothing is said in it; name files whose text `zhenyan score` finds")
    return counting.tokens / said


def _positive(value: str, kind: type[Any] = float) -> Any:
    """A number over 0 for an option; what is none argparse refuses by the option's name."""
    with contextlib.suppress(ValueError):
        if 0 < (number := kind(value)) < math.inf:
            return number
    raise argparse.ArgumentTypeError(f"must be a {'whole ' if kind is int else ''}number over 0, given {value}")


def _asked() -> argparse.Namespace:
    """The options; ends the program with usage and reason where one is no number over 0, or no work can be measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rooms", type=lambda value: _positive(value, int), default=Demand.rooms)
    parser.add_argument("--hours", type=_positive, default=Demand.hours, help="a room streams on a day")
    parser.add_argument("--price", type=float, default=Demand.price, help="of a core-hour")
    parser.add_argument("--work", type=_positive, default=Demand.work, help="tokens scored for one that was said")
    parser.add_argument("--archive", nargs="+", help="files to measure --work on, instead of giving it")
    parser.add_argument("--tokens-per-s", type=_positive, nargs="+", help="of one core, instead of results.json")
    given = parser.parse_args()
    if given.archive:
        from zhenyan.inference import ZhenyanError

        try:
            given.work = measured_work(given.archive)
        except ZhenyanError as error:
            parser.error(f"argument --archive: {error}")
    return given


def main() -> None:
    """Print the table for the given demand."""
    given = _asked()
    named = [(f"{s:,.0f} tokens/s", stream_hours_per_core_hour(s)) for s in given.tokens_per_s or ()] or speeds()
    work = given.work
    print(f"{given.rooms:,} rooms, {given.hours:g} hours each, {work:.2f} tokens scored for one that was said\n")
    print(table(named, Demand(given.rooms, given.hours, work, given.price)))


if __name__ == "__main__":
    main()
