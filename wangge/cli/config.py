"""wangge config: the effective configuration, its validation, its reference."""

from pathlib import Path
from typing import Annotated

import typer

from wangge.cli.options import DATA, Config, Data, Json, commands, settings_of
from wangge.cli.output import as_json, say

app = commands("The configuration: show it, check it.")


@app.command(epilog="Example: wangge config show --config city.toml")
def show(data: Data = DATA, config: Config = None, json: Json = False) -> None:
    """Print the effective configuration, secrets masked."""
    from wangge.configuration import shown

    values = shown(settings_of(data, config))
    if json:
        as_json(values)
    else:
        say("\n".join(_toml(values)).strip())


@app.command(epilog="Example: wangge config check --config city.toml")
def check(data: Data = DATA, config: Config = None) -> None:
    """Tell whether the configuration is right: exit 0, or 2 with the key that is wrong."""
    import os

    from wangge.configuration import file_for, secrets_in_the_open

    settings_of(data, config)
    for warning in secrets_in_the_open(file_for(config, data, os.environ)):
        say(f"warning: {warning}")
    say("The configuration is right.")


@app.command(epilog="Example: wangge config reference --out docs/configuration.md")
def reference(
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write there instead of stdout.")] = None,
) -> None:
    """Print the reference of every key (Markdown); docs/configuration.md is made with it."""
    from wangge.reference import reference as text

    if out is None:
        say(text().rstrip())
    else:
        out.write_text(text(), encoding="utf-8")


def _toml(values: dict[str, object], path: str = "") -> list[str]:
    """Nested values as TOML lines; keys without a value as comments."""
    from json import dumps

    lines, below = [], []
    for name, value in values.items():
        if isinstance(value, dict) and _is_section(f"{path}{name}"):
            below += ["", f"[{path}{name}]", *_toml(value, f"{path}{name}.")]
        elif isinstance(value, dict):
            inner = ", ".join(f"{dumps(key)} = {dumps(one, ensure_ascii=False)}" for key, one in value.items())
            lines.append(f"{name} = {{{inner}}}")
        elif value is None:
            lines.append(f"# {name} is not set")
        else:
            lines.append(f"{name} = {dumps(value, ensure_ascii=False)}")
    return lines + below


def _is_section(path: str) -> bool:
    from wangge.configuration import sections

    return tuple(path.split(".")) in {parts for parts, _ in sections()}
