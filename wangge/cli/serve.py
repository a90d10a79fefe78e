"""wangge serve: some roles only, against store.dsn."""

from pathlib import Path
from typing import Annotated

import typer

from core.errors import ConfigurationError
from wangge.cli.options import one_command, settings_of

app = one_command()


@app.command(epilog="Example: wangge serve --roles ingest,console --config city.toml")
def serve(
    roles: Annotated[str, typer.Option("--roles", metavar="A,B", help="ingest, alerts, console.")],
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Configuration file (TOML).")] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, metavar="N", help="HTTP port.")] = None,
    seconds: Annotated[float | None, typer.Option("--for", min=0, metavar="SECONDS", help="Stop by itself.")] = None,
) -> None:
    """Run some roles of the service against the PostgreSQL of store.dsn; several processes share the work."""
    settings = settings_of(Path("data"), config)
    from wangge.stores import configured_dsn
    from wangge.up import Wish, main, roles_of

    wanted = roles_of(roles)
    if configured_dsn(settings.store) is None:
        raise ConfigurationError(
            "store.dsn is not set: `wangge serve` needs a PostgreSQL of yours (or store.dsn_file)."
        )
    main(Wish(settings, wanted, None, port, seconds))
