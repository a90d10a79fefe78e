"""What deploy/ says is what the program takes: settings, options, environment, ports, rooms in the image."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml  # type: ignore[import-untyped]

from tests.support.service import wangge
from wangge import configuration
from wangge.cli import root

PROJECT = Path(__file__).parents[2]
DEPLOY = PROJECT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text(encoding="utf-8"))
SETTINGS = DEPLOY / "wangge.toml"


def environment_of(text: str) -> dict[str, str]:
    """Variables of `Environment=` lines, or of an environment file."""
    return dict(re.findall(r"^(?:Environment=)?(WANGGE_\w+)=(.*)$", text, re.MULTILINE))


def run_line(words: list[str]) -> None:
    """Parses a command line of `wangge` without running it. Raises click's usage error."""
    group: Any = typer.main.get_command(root)
    command = group.get_command(None, words[0])
    command.make_context(words[0], words[1:])


def test_the_configuration_is_right() -> None:
    done = wangge("config", "check", "--config", str(SETTINGS))
    assert (done.returncode, done.stdout) == (0, "The configuration is right.\n"), done.stderr
    text = SETTINGS.read_text(encoding="utf-8")
    wished = re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE)
    assert wished != text
    configuration.validated(tomllib.loads(wished))


def test_a_process_with_these_settings_has_all_its_folders() -> None:
    settings = configuration.load(SETTINGS, {})
    assert settings.console.seal_folder is not None
    assert settings.ingest.http.attachments_folder is not None


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_start_what_there_is(unit: Path) -> None:
    text = unit.read_text(encoding="utf-8")
    (start,) = re.findall(r"^ExecStart=\S+/wangge (.*)$", text, re.MULTILINE)
    for role in ("ingest", "alerts", "console") if "%i" in start else ("",):
        run_line(shlex.split(start.replace("%i", role)))
    configuration.load(SETTINGS, environment_of(text))
    settings = configuration.load(SETTINGS, {})
    written = {settings.console.seal_folder, settings.ingest.http.attachments_folder}
    (state,) = re.findall(r"^StateDirectory=(\S+)$", text, re.MULTILINE)
    assert {folder.parent for folder in written if folder} == {Path("/var/lib") / state}


def test_each_role_has_a_port_of_its_own() -> None:
    files = {file.stem: file for file in (DEPLOY / "systemd" / "ports").glob("*.env")}
    assert set(files) == {"ingest", "alerts", "console"}
    loaded = [configuration.load(SETTINGS, environment_of(file.read_text())) for file in files.values()]
    ports = {settings.http.port for settings in loaded} | {loaded[0].ingest.mqtt.port}
    assert len(ports) == 4


def test_compose_gives_what_the_service_takes() -> None:
    service = COMPOSE["services"]["wangge"]
    settings = configuration.load(SETTINGS, {name: str(value) for name, value in service["environment"].items()})
    assert str(settings.store.dsn_file) == "/run/secrets/store-dsn"
    assert {"store-dsn"} <= set(service["secrets"]) <= set(COMPOSE["secrets"])
    assert f"127.0.0.1:8080:{settings.http.port}" in service["ports"]
    assert f"1883:{settings.ingest.mqtt.port}" in service["ports"]
    mounted = {volume.split(":")[1] for volume in service["volumes"]}
    assert "/var/lib/wangge" in mounted
    assert "/etc/wangge/wangge.toml" in mounted
    store = COMPOSE["services"]["store"]["command"]
    assert {"fsync=on", "full_page_writes=on", "synchronous_commit=on"} <= set(store)


def test_the_image_holds_every_room_and_starts_what_there_is() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copied = set(re.findall(r"^COPY (\w+) \1$", text, re.MULTILINE))
    rooms = {file.parent.name for file in PROJECT.glob("*/__init__.py")} - {"tests"}
    assert rooms <= copied
    (command,) = re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)
    run_line(list(yaml.safe_load(command)))
