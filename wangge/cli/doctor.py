"""wangge doctor: is everything as it should be, one line each with the remedy."""

from dataclasses import asdict
from typing import Annotated

import typer

from wangge.cli.options import DATA, Config, Data, Json, one_command
from wangge.cli.output import as_json, say

app = one_command()


@app.command(epilog="Example: wangge doctor --data ./data")
def doctor(
    deep: Annotated[
        bool, typer.Option("--deep", help="Compare rows with files, too; read a sample of the footage.")
    ] = False,
    every_file: Annotated[bool, typer.Option("--every-file", help="Like --deep, and read all footage.")] = False,
    data: Data = DATA,
    config: Config = None,
    json: Json = False,
) -> None:
    """Examine configuration, store, durability, clock, disk, ports, file descriptors; exit 1 when one fails."""
    from wangge.doctor import examine

    findings = list(examine(data, config, deep=deep, every_file=every_file))
    if json:
        as_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            say(f"{finding.state:<8} {finding.check:<14} {finding.says}")
    raise typer.Exit(1 if any(finding.state == "fails" for finding in findings) else 0)
