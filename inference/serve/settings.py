"""Settings of the service: environment variables ZHENYAN_*, a TOML file, or options; one place for defaults."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from zhenyan.inference.errors import ConfigError


class Settings(BaseSettings):
    """Every setting with its default; the environment name is ZHENYAN_ and the upper-cased field."""

    model_config = SettingsConfigDict(env_prefix="ZHENYAN_", extra="forbid", frozen=True, protected_namespaces=())

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
    max_texts: int = Field(default=256, ge=1, description="texts in one request")
    max_chars: int = Field(default=20_000, ge=1, description="characters of one text; over 100 000 it is read in part")
    token_budget: int = Field(
        default=4_096, ge=256, description="characters scored in one batch (about as many tokens)"
    )
    max_delay_ms: float = Field(default=3.0, ge=0, description="how long a batch waits for company")
    deadline_ms: float = Field(
        default=2_000.0, ge=50, description="a request that would take longer is refused with 429"
    )
    body_seconds: float = Field(default=30.0, gt=0, description="how long a request's body may take to arrive")
    idle_seconds: float = Field(default=30.0, gt=0, description="a connection without a request is closed after this")
    stop_seconds: float = Field(default=30.0, ge=1, description="how long a stop waits for what is in flight")
    log_texts: bool = Field(default=False, description="write the texts into the log (off: only their lengths)")


def load_settings(file: Path | None, options: dict[str, Any]) -> Settings:
    """Options win over the environment, the environment over the file; ConfigError names key, value, what is allowed."""
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise ConfigError(f"{file}: not TOML: {error}") from None
    try:
        from_environment = Settings().model_dump(exclude_unset=True)
        return Settings(**(values | from_environment | {k: v for k, v in options.items() if v is not None}))
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, e['loc']))}: {e['msg'].lower()}, found {e['input']!r:.60}" for e in error.errors()
        ]
        raise ConfigError("settings: " + "; ".join(lines)) from None
