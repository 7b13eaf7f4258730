"""What `zhenyan sweep` searches: YAML validated by pydantic; every fault names the key, the value and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator
from zhenyan.inference.errors import ConfigError
from zhenyan.training.config import Count, Seed, Strict, TrainConfig, load_config
from zhenyan.training.schema import load_as


class Range(Strict):
    """Anything from `low` to `high`; whole numbers when both are."""

    low: int | float
    high: int | float
    log: bool = False  # as likely between 1 and 10 as between 10 and 100
    step: Annotated[int | float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must lie below high ({self.high})")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs a low above 0 and no step")
        if self.whole and isinstance(self.step, float):
            raise ValueError(f"between whole numbers the step must be one, too, not {self.step}")
        return self

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are drawn."""
        return isinstance(self.low, int) and isinstance(self.high, int)


def _single(value: Any) -> Any:
    if isinstance(value, list | dict):
        raise ValueError(f"a choice is one value, not {value}; a list can't be searched, set it in the configuration")
    return value


Choice = Annotated[str | bool | int | float | None, BeforeValidator(_single)]
Choices = Annotated[list[Choice], Field(min_length=1)]
Values = Annotated[
    Annotated[Choices, Tag("choices")] | Annotated[Range, Tag("range")],
    Discriminator(lambda value: "choices" if isinstance(value, list) else "range"),
]


class Pruning(Strict):
    """Trials below the median of earlier ones at the same evaluation are ended (optuna's MedianPruner)."""

    startup_trials: Annotated[int, Field(ge=0)] = 4  # never pruned
    warmup_evaluations: Annotated[int, Field(ge=0)] = 1  # of every trial, never pruned at


class SweepConfig(Strict):
    """A search over values of a training configuration."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    config: Path
    trials: Count = 20
    seed: Seed = 7
    pruning: Pruning | None = Pruning()
    space: Annotated[dict[str, Values], Field(min_length=1)]


def load_sweep(path: Path, fixed: dict[str, Any]) -> tuple[SweepConfig, TrainConfig]:
    """The search and the training configuration it starts from, with `fixed` (dotted keys) over it.

    ConfigError lists every fault, also values of the space that training would refuse.
    """
    sweep = load_as(SweepConfig, path)
    sweep = sweep.model_copy(update={"config": path.parent / sweep.config})
    base = load_config(sweep.config, fixed)
    if both := sorted(set(sweep.space) & set(fixed)):
        raise ConfigError(f"{path}: space: {', '.join(both)} can't be searched and set at once")
    if own := sorted({"name", "runs"} & set(sweep.space)):
        raise ConfigError(f"{path}: space: {', '.join(own)} can't be searched: a sweep names its trials itself")
    for key, values in sweep.space.items():
        for value in values if isinstance(values, list) else (values.low, values.high):
            try:
                load_config(sweep.config, fixed | {key: value})
            except ConfigError as error:
                raise ConfigError(f"{path}: space.{key}: training refuses {value!r}: {error}") from None
    return sweep, base
