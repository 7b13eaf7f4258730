"""`zhenyan serve` and `zhenyan keys`."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand
from zhenyan.inference.cli.pairs import read_pairs
from zhenyan.inference.errors import ConfigError, MissingExtra, need

if TYPE_CHECKING:
    from zhenyan.inference.serve.keys import KeyFile

keys = typer.Typer(help="API keys of the service: add, list, revoke.", no_args_is_help=True)
_NAME = Annotated[str, typer.Argument(help="Whose key it is, such as shop-team.")]
_FILE = Annotated[Path, typer.Option("--file", help="Key file of the service.")]


# Looked for, not imported: prometheus_client reads its folder on import, and the supervisor makes that later.
_PACKAGES = ("fastapi", "starlette", "uvicorn", "h11", "pydantic", "prometheus_client")


def _need_posix() -> None:
    """ConfigError where the system has neither forks nor locks, such as Windows."""
    try:
        import fcntl  # noqa: F401
    except ImportError:
        raise ConfigError(
            "zhenyan serve and its keys need Linux or another POSIX system (this Python has no module fcntl): on Windows run "
            "them in WSL or a container; score, classify and review run here"
        ) from None


class HelpWithSettings(TyperCommand):
    """Its help ends with every setting; they are read only then, for they need `zhenyan[serve]`."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, then every setting, or what to install to see them."""
        super().format_help(ctx, formatter)
        try:
            from zhenyan.inference.serve.settings import Settings
        except ImportError as error:
            typer.echo(f"Settings: {MissingExtra(str(error.name), 'serve')}")
            return
        typer.echo("Settings, as --set NAME=VALUE or ZHENYAN_NAME in the environment, with their defaults:\n")
        for name, field in Settings.model_fields.items():
            typer.echo(f"  {name} = {field.default!r}  {field.description}")


def serve(
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
    set_: Annotated[list[str], typer.Option("--set", help="NAME=VALUE over file and environment; repeatable.")] = [],  # noqa: B006
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 picks a free one.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; they share one copy of the model.")] = None,
    model: Annotated[Path | None, typer.Option(help="Bundle folder; the bundled model by default.")] = None,
    settings: Annotated[
        bool, typer.Option("--settings", help="Print every setting with its value and default, and exit.")
    ] = False,
) -> None:
    """Serve POST /v1/classify, /v1/stream and /v1/moderations (OpenAI's shape), GET /v1/labels, /health, /ready, /metrics, /openapi.json.

    Settings come from the environment (ZHENYAN_MAX_TEXTS=100), a TOML file or --set.

    SIGHUP loads the model again without dropping a request.

    SIGTERM finishes the requests in flight and ends.
    """
    _need_posix()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it serves there is nothing to load again
    need("serve", _PACKAGES)
    try:
        from zhenyan.inference.serve.server import Supervisor
        from zhenyan.inference.serve.settings import load_settings
    except ImportError as error:  # what those packages need
        raise MissingExtra(str(error.name), "serve") from None
    options = {"host": host, "port": port, "workers": workers, "model": model, **read_pairs(set_, "max_texts=100")}
    chosen = load_settings(config, options)
    if settings:
        for name, value in chosen.model_dump(mode="json").items():  # paths as they are written, not Python's objects
            field = type(chosen).model_fields[name]
            typer.echo(f"{name} = {value!r}  # default {field.default!r}; {field.description}")
        raise typer.Exit()
    raise typer.Exit(Supervisor(chosen).run())


def _stored(file: Path) -> KeyFile:
    _need_posix()
    from zhenyan.inference.serve.keys import KeyFile

    return KeyFile(file)


@keys.command("add")
def add(name: _NAME, file: _FILE = Path("keys.json")) -> None:
    """Make a key and print it once; the file keeps only its hash."""
    stored = _stored(file)
    key = stored.add(name)
    try:
        typer.echo(key)
    except OSError:
        stored.revoke(name)  # nobody has seen it
        raise


@keys.command("list")
def names(file: _FILE = Path("keys.json")) -> None:
    """Names and dates of the keys."""
    for name, created in _stored(file).names().items():
        typer.echo(f"{name}  {created}")


@keys.command("revoke")
def revoke(name: _NAME, file: _FILE = Path("keys.json")) -> None:
    """Remove a key; a running service sees it at once."""
    _stored(file).revoke(name)
