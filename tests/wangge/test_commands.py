"""The command line: help with an example everywhere, exit statuses, what goes where."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.wangge.conftest import ENVIRONMENT, wangge
from wangge.cli import COMMANDS, root


def every_command() -> list[tuple[str, Any]]:
    """(words, command) of every command that does something."""
    group = typer.main.get_command(root)
    found: list[tuple[str, Any]] = []

    def walk(words: tuple[str, ...], command: Any) -> None:
        if hasattr(command, "list_commands"):
            for name in command.list_commands(None):
                walk((*words, name), command.get_command(None, name))
        else:
            found.append((" ".join(words), command))

    for name in COMMANDS:
        walk((name,), group.get_command(None, name))  # type: ignore[attr-defined, arg-type]
    return found


@pytest.mark.parametrize(("words", "command"), every_command())
def test_every_command_has_help_with_an_example(words: str, command: Any) -> None:
    assert command.help, words
    assert command.epilog, words
    assert command.epilog.startswith(f"Example: wangge {words}"), words
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{words} {parameter.name}"


def test_root_help_names_every_command() -> None:
    done = wangge("--help")
    assert done.returncode == 0
    for name in COMMANDS:
        assert name in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("nope",), 2),
        (("events", "list", "--nope"), 2),
        (("events", "list", "--since", "yesterday", "--data", "/nowhere"), 2),
        (("events", "list", "--data", "/nowhere"), 1),
        (("events", "list", "--url", "http://127.0.0.1:1"), 1),
        (("events", "show", "../operators", "--url", "http://127.0.0.1:1"), 2),
        (("up", "--port", "0", "--for", "1", "--data", "/dev/null"), 1),
        (("up", "--port", "0", "--for", "1", "--data", "/proc/nope"), 1),
        (("config", "reference", "--out", "/nowhere/x.md"), 1),
        (("config", "check", "--config", "/"), 2),
        (("devices", "import", "/nowhere.csv", "--data", "/dev/null"), 1),
        (("config", "check", "--config", "/nowhere.toml"), 2),
        (("tracks", "export", "--device", "x", "--from", "a", "--to", "b"), 2),
        (("bench", "nope"), 2),
        (("simulate", "handsets", "--protocol", "pigeon", "--data", "/nowhere"), 1),
    ],
)
def test_exit_status_and_one_sentence(arguments: tuple[str, ...], status: int) -> None:
    done = wangge(*arguments)
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    if status == 1:
        assert len(done.stderr.strip().splitlines()) == 1


def test_config_show_masks_secrets(tmp_path: Path) -> None:
    file = tmp_path / "city.toml"
    file.write_text('[store]\ndsn = "postgresql://u:verysecret@db/x"\n')
    for option in ((), ("--json",)):
        done = wangge("config", "show", "--config", str(file), *option)
        assert done.returncode == 0
        assert "verysecret" not in done.stdout
        assert "******" in done.stdout
    check = wangge("config", "check", "--config", str(file))
    assert "store.dsn" in check.stdout
    assert json.loads(wangge("config", "show", "--json").stdout)["http"]["port"] == 8080


def test_doctor_on_an_empty_folder(service_folder: Path) -> None:
    done = wangge("doctor", "--json", "--data", str(service_folder))
    findings = json.loads(done.stdout)
    assert {finding["check"] for finding in findings} >= {
        "configuration",
        "store",
        "durability",
        "disk",
        "ports",
        "files",
    }


def test_a_terminal_without_chinese(service_folder: Path) -> None:
    done = wangge("config", "show", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "\\u7f51\\u683c" in done.stdout


def test_an_export_that_fails_leaves_the_old_file(service_folder: Path) -> None:
    out = service_folder / "day.gpx"
    out.write_text("of yesterday")
    period = ("--from", "2026-11-24T08:00:00Z", "--to", "2026-11-24T09:00:00Z")
    done = wangge("tracks", "export", "--device", "nobody", *period, "--out", str(out), "--data", str(service_folder))
    assert done.returncode == 1, done.stderr
    assert "nobody" in done.stderr
    assert out.read_text() == "of yesterday"
    assert not list(service_folder.glob(".*.partial"))
    pipe = ("--out", "/dev/null", "--data", str(service_folder))
    assert wangge("tracks", "export", "--device", "nobody", *period, *pipe).returncode == 1
    assert not Path("/dev/null").is_file()


def test_a_reader_that_goes_away() -> None:
    command = [sys.executable, "-m", "wangge", "config", "reference"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as writing:
        assert writing.stdout is not None
        assert writing.stderr is not None
        writing.stdout.close()
        assert b"Traceback" not in writing.stderr.read()
