"""wangge.cli: the command line, one module a command group, each imported only when its command is used.

Exit status: 0 done, 1 failed, 2 wrong usage or configuration. Data goes to stdout (`--json`: one JSON document), errors
are one sentence on stderr, progress is shown on a terminal only.

Which way a command goes: `events`, `simulate` and `status` ask the running service over HTTP (its rules and audit must
see them); `devices`, `operators`, `demo-city`, `tracks`, `audit`, `backup`, `restore` and `store` go to the store
itself, so that they work whether or not the service runs. `--url` is for the first kind, `--data DIR` for both.
"""

import importlib
import os
import sys
from io import TextIOWrapper
from typing import Any

import typer
from typer.core import TyperGroup

from core.errors import ConfigurationError, WanggeError
from core.log import configure as configure_log

COMMANDS: dict[str, str] = {
    "up": "up",
    "serve": "serve",
    "status": "status",
    "doctor": "doctor",
    "config": "config",
    "demo-city": "demo_city",
    "devices": "devices",
    "operators": "operators",
    "simulate": "simulate",
    "events": "events",
    "tracks": "tracks",
    "clips": "clips",
    "backup": "backup",
    "restore": "restore",
    "store": "store",
    "audit": "audit",
    "destroy": "destroy",
    "bench": "bench",
}
"""Command → module of this package; its `app` is the command or group."""


class LazyGroup(TyperGroup):
    """The root: knows the names, imports a module when its command is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, or None for an unknown name."""
        del ctx
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        app: typer.Typer = importlib.import_module(f"wangge.cli.{module}").app
        command = typer.main.get_command(app)
        command.name = cmd_name
        return command


root = typer.Typer(
    name="wangge",
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Wangge 网格: takes in what a city's grid hardware sends and turns what is wrong into grid events.",
    epilog="Example: wangge up --demo",
)


@root.callback()
def _root() -> None:
    """Wangge 网格."""


def main() -> None:
    """Entry point of `wangge`."""
    configure_log(level="warning")  # `up` and `serve` set it up anew, as configured
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show 网格 is no reason to fail
    try:
        root()
    except ConfigurationError as error:
        _fail(str(error), 2)
    except WanggeError as error:
        _fail(str(error), 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader went away: nothing more to say
        sys.exit(1)
    except OSError as error:  # of a file or folder that was named; what a room can explain better, it has explained
        named = isinstance(error.filename, str | os.PathLike)
        _fail(f"{os.fspath(error.filename)} cannot be used: {error.strerror}." if named else f"{error}.", 1)


def _fail(sentence: str, status: int) -> None:
    sys.stderr.write(" ".join(sentence.split()) + "\n")
    sys.exit(status)
