"""wangge operators: accounts of people and bearer tokens of programs. Goes to the store itself."""

from typing import Annotated

import typer

from wangge.cli.options import DATA, Config, Data, Json, commands, run, settings_of
from wangge.cli.output import as_json, say, table, tell

app = commands("Operators: add, list, tokens, passwords.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the operator.")]


@app.command(epilog="Example: wangge operators add zhang.wei --role dispatcher --division 431102")
def add(
    name: Name,
    role: Annotated[
        str,
        typer.Option(
            "--role", metavar="R", help="viewer, operator, dispatcher, supervisor, administrator, auditor, worker."
        ),
    ],
    division: Annotated[str, typer.Option("--division", metavar="CODE", help="Scope; all without it.")] = "",
    worker: Annotated[str | None, typer.Option("--worker", metavar="ID", help="Of role worker: whose account.")] = None,
    password: Annotated[bool, typer.Option(help="With a random password, printed once; else tokens only.")] = True,
    data: Data = DATA,
    config: Config = None,
    json: Json = False,
) -> None:
    """Make an account."""
    from wangge.cli import registry_work

    settings = settings_of(data, config)
    made = run(
        registry_work.operator_added(data, settings, name, role, division=division, worker=worker, password=password)
    )
    if json:
        as_json(made)
    else:
        say(f"{name} ({role}{', ' + division if division else ''}) may sign in.")
        if made["password"]:
            say(f"password: {made['password']}")


@app.command("list", epilog="Example: wangge operators list --json")
def list_operators(data: Data = DATA, config: Config = None, json: Json = False) -> None:
    """Print the accounts."""
    from wangge.cli import registry_work

    rows = run(registry_work.operators(data, settings_of(data, config)))
    if json:
        as_json(rows)
    else:
        titles = ("name", "role", "division", "worker", "disabled_at")
        table(titles, ([row[title] for title in titles] for row in rows))


@app.command(epilog="Example: wangge operators token zhang.wei --json")
def token(
    name: Name,
    revoke_others: Annotated[bool, typer.Option("--revoke-others", help="End the earlier tokens.")] = False,
    data: Data = DATA,
    config: Config = None,
    json: Json = False,
) -> None:
    """Make a bearer token for the API and print it once."""
    from wangge.cli import registry_work

    made = run(registry_work.operator_token(data, settings_of(data, config), name, revoke_others=revoke_others))
    if json:
        as_json(made)
    else:
        say(made["token"])
        tell(f"A bearer token of {name}; it is shown only here.")


@app.command(epilog="Example: wangge operators password zhang.wei")
def password(name: Name, data: Data = DATA, config: Config = None, json: Json = False) -> None:
    """Give an operator a new random password; open sessions end."""
    from wangge.cli import registry_work

    made = run(registry_work.new_operator_password(data, settings_of(data, config), name))
    if json:
        as_json(made)
    else:
        say(made["password"])
