"""Settings of the service: environment variables ZHENYAN_*, a TOML file, or options; one place for defaults."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from zhenyan.inference.errors import ConfigError

_PREFIX = "ZHENYAN_"
_NOT_OURS = {"database", "start_model"}  # read by `zhenyan review` and a notebook


class Settings(BaseModel):
    """Every setting with its default; the environment name is ZHENYAN_ and the upper-cased field."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False, validate_default=True
    )

    model: Path | None = Field(default=None, description="bundle folder; the bundled model by default")
    runtime: str = Field(
        default="onnxruntime",
        description="onnxruntime, openvino, openvino-bf16 or auto: what zhenyan doctor --save chose",
    )
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8000, ge=0, le=65535, description="port to listen on; 0 picks a free one")
    workers: int = Field(default=1, ge=1, le=256, description="processes; several share one copy of the model's memory")
    threads: int | None = Field(
        default=None, ge=1, description="CPU threads of a single worker; all it may use by default"
    )
    keys: Path | None = Field(
        default=None, description="file of hashed API keys (zhenyan keys); none: no key is asked for"
    )
    max_body: int = Field(default=2_000_000, ge=1_000, description="bytes of a request body")
    max_arriving: int = Field(
        default=64_000_000,
        ge=1_000,
        description="bytes of bodies that a worker holds while they arrive; at least max_body",
    )
    max_texts: int = Field(default=256, ge=1, description="texts in one request")
    max_chars: int = Field(
        default=20_000, ge=1, description="characters of one text, after normalisation; over 100 000 it is read in part"
    )
    token_budget: int = Field(
        default=4_096,
        ge=256,
        description="characters scored in one batch (about as many tokens); an eighth, but at least 256, with evidence",
    )
    deadline_ms: float = Field(
        default=2_000.0,
        ge=50,
        le=600_000,
        description="a request is answered within this, with 429 where others make it wait too long; "
        "one that takes longer by itself is taken when nothing waits",
    )
    max_delay_ms: float = Field(
        default=3.0, ge=0, description="how long a batch waits for company; at most a quarter of deadline_ms"
    )
    body_seconds: float = Field(
        default=30.0,
        gt=0,
        le=3_600,
        description="how long a request's body may take to arrive, and a client may read nothing of its answer",
    )
    idle_seconds: float = Field(
        default=30.0, gt=0, le=3_600, description="a connection without a request is closed after this"
    )
    stop_seconds: float = Field(
        default=30.0,
        ge=1,
        le=3_600,
        description="how long a stop or reload waits for what is in flight; what takes longer gets 503",
    )
    log_texts: bool = Field(default=False, description="write the texts into the log (off: only their lengths)")

    @field_validator("*", mode="before")
    @classmethod
    def _not_empty(cls, value: Any, info: ValidationInfo) -> Any:
        """An empty host would mean all interfaces, an empty path the current folder, and TOML's true the number 1."""
        if value == "":
            raise ValueError("must not be empty; leave it out for the default")
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("is no switch")
        return value

    @field_validator("max_arriving")
    @classmethod
    def _holds_a_body(cls, value: int, info: ValidationInfo) -> int:
        """Less, and a body that may be sent could never arrive."""
        if value < (least := info.data.get("max_body", 0)):
            raise ValueError(f"must be at least max_body, {least}")
        return value

    @field_validator("max_delay_ms")
    @classmethod
    def _within_deadline(cls, value: float, info: ValidationInfo) -> float:
        """Longer, and every request would have waited too long to be scored."""
        if "deadline_ms" in info.data and value > (most := info.data["deadline_ms"] / 4):
            raise ValueError(f"must be at most a quarter of deadline_ms, {most:g}")
        return value


def load_settings(file: Path | None, options: dict[str, Any]) -> Settings:
    """Options win over the environment, the environment over the file; an empty variable counts as unset, but for keys.

    ConfigError names key, value, where it stands and what is allowed, also for an unknown ZHENYAN_ variable.
    """
    found: dict[str, tuple[Any, str]] = {name: (value, str(file)) for name, value in _read(file).items()}
    for variable, value in os.environ.items():
        name = variable.upper().removeprefix(_PREFIX).lower()
        # Empty keys are refused: who sets them wants keys asked for, and unset means that none are.
        if variable.upper().startswith(_PREFIX) and (value or name == "keys") and name not in _NOT_OURS:
            found[name] = value, variable
    found |= {name: (value, "the options") for name, value in options.items() if value is not None}
    try:
        return Settings.model_validate({name: value for name, (value, _) in found.items()})
    except ValidationError as error:
        raise ConfigError(f"settings: {_told(error, {n: place for n, (_, place) in found.items()})}") from None


def _read(file: Path | None) -> dict[str, Any]:
    try:
        # Windows PowerShell writes a byte order mark, which TOML doesn't allow.
        return tomllib.loads(file.read_text(encoding="utf-8-sig")) if file else {}
    except OSError as error:
        raise ConfigError(
            f"{file}: cannot be read: {error.strerror}; give a TOML file of settings (`zhenyan serve --settings` lists them)"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: not TOML: {error}") from None


def _told(refused: ValidationError, places: dict[str, str]) -> str:
    """What is wrong, with each value and where it stands; the known names where one is unknown."""
    parts = []
    for error in refused.errors():
        name = str(error["loc"][0])
        what = "no such setting" if name not in Settings.model_fields else error["msg"].removeprefix("Value error, ")
        place = places.get(name, "the defaults")
        parts.append(f"{name or repr(name)}: {what[:1].lower() + what[1:]}, found {error['input']!r:.60} in {place}")
    known = "" if set(places) <= set(Settings.model_fields) else f"; there are {', '.join(Settings.model_fields)}"
    return "; ".join(parts) + known
