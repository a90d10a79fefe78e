"""Options that many commands share."""

import os
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from wangge.settings import Settings

Data = Annotated[Path, typer.Option("--data", metavar="DIR", envvar="WANGGE_DATA", help="The service's data folder.")]
Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Configuration file (TOML).")]
Url = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="Address of the service; its token from $WANGGE_TOKEN.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DATA = Path("data")
Result = TypeVar("Result")


def settings_of(data: Path, config: Path | None) -> "Settings":
    """The effective settings of a command. Raises ConfigurationError (status 2)."""
    from wangge import configuration

    return configuration.load(configuration.file_for(config, data, os.environ), os.environ)


def commands(about: str) -> typer.Typer:
    """A group of commands, or one command by itself."""
    return typer.Typer(
        help=about, no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
    )


def one_command() -> typer.Typer:
    """A module that is one command."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs async work of a command."""
    import uvloop

    return uvloop.run(work)
