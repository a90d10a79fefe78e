"""The reference documents, made from the code: `python -m wangge.documents` writes them, a test compares them."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
from prometheus_client import REGISTRY, CollectorRegistry

import alerts.metrics
import console.metrics
import store.metrics
from alerts.settings import AlertsSettings
from console.app import API
from console.pages import routes as pages
from console.service_routes import router as service_router
from core.event import CATALOGUE
from ingest.metrics import IngestMetrics
from streams.metrics import StreamsCollector
from wangge.cli import COMMANDS, root
from wangge.mqtt_metrics import MqttCollector
from wangge.reference import reference

_HTTP_HEAD = """\
# HTTP

The whole description, with parameters and objects: `/api/docs` (a page), `/api/openapi.json`. People sign in with a
session cookie (changes need the header `X-CSRF-Token`), programs with `Authorization: Bearer`. Errors are RFC 9457
problem details with a machine-readable `kind`. Lists are paged: `{"items", "next"}`, `next` is the cursor.
"""
FOLDER = Path(__file__).parent.parent / "docs"
MADE = "This page is made by `python -m wangge.documents`; a test compares it with the code.\n"


def commands() -> Iterator[tuple[str, Any]]:
    """(words, command) of every command that does something."""
    group: Any = typer.main.get_command(root)

    def walk(words: tuple[str, ...], command: Any) -> Iterator[tuple[str, Any]]:
        if hasattr(command, "list_commands"):
            for name in command.list_commands(None):
                yield from walk((*words, name), command.get_command(None, name))
        else:
            yield " ".join(words), command

    for name in COMMANDS:
        yield from walk((name,), group.get_command(None, name))


def commands_page() -> str:
    """docs/commands.md."""
    parts = [
        f"# Commands\n\n`wangge COMMAND --help` says the same. Exit status: 0 done, 1 failed, 2 wrong usage.\n\n{MADE}"
    ]
    for words, command in commands():
        example = command.epilog.removeprefix("Example: ")
        rows = [f"| {_option(one)} | {(one.help or '').replace('|', chr(92) + '|')} |" for one in command.params]
        table = "\n| option | what it is |\n|---|---|\n" + "\n".join(rows) + "\n" if rows else ""
        parts.append(f"## `wangge {words}`\n\n{command.help}\n\n    {example}\n{table}")
    return "\n".join(parts)


def _option(parameter: Any) -> str:
    if getattr(parameter, "param_type_name", "") == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`"
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    return f"{names} {parameter.metavar or ''}".strip()


def metrics() -> list[tuple[str, str, str, tuple[str, ...]]]:
    """(name, type, what it is, labels) of every metric of ours, by name."""
    assert alerts.metrics
    assert console.metrics
    assert store.metrics
    own = CollectorRegistry()
    IngestMetrics(own)
    found: dict[str, tuple[str, str, str, tuple[str, ...]]] = {}
    for registry in (REGISTRY, own):
        for collector in list(registry._collector_to_names):
            name = getattr(collector, "_name", "")
            if name.startswith("wangge_"):
                shown = name + ("_total" if collector._type == "counter" else "")  # type: ignore[attr-defined]
                labels = tuple(collector._labelnames)  # type: ignore[attr-defined]
                found[shown] = (shown, collector._type, collector._documentation, labels)  # type: ignore[attr-defined]
    for family in (*MqttCollector(lambda: None, lambda: None).collect(), *StreamsCollector(None).collect()):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = tuple(getattr(family, "_labelnames", ()))
        found[name] = (name, family.type, family.documentation, labels)
    return sorted(found.values())


def metrics_page() -> str:
    """docs/metrics.md."""
    rows = "\n".join(
        f"| `{name}` | {kind} | {', '.join(labels) or '–'} | {about} |" for name, kind, about, labels in metrics()
    )
    head = "| metric | type | labels | what it is |\n|---|---|---|---|"
    return f"# Metrics\n\nAt `/metrics`, Prometheus text format.\n\n{MADE}\n{head}\n{rows}\n"


def routes() -> list[tuple[str, str, str, str]]:
    """(method, path, who, what it does) of every HTTP route, devices' ones too."""
    from fastapi import APIRouter
    from fastapi.routing import APIRoute, APIWebSocketRoute

    from console.api import live_socket

    def of(router: APIRouter, prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
        for route in router.routes:
            if isinstance(route, APIRoute):
                right = next(
                    (d.call.right for d in route.dependant.dependencies if hasattr(d.call, "right")),  # type: ignore[union-attr]
                    "–",
                )
                about = (route.description or route.summary or "").strip().split("\n\n")[0]
                for method in sorted(set(route.methods or ()) - {"HEAD"}):
                    yield method, prefix + route.path, right, " ".join(about.split())

    sockets = [
        ("WebSocket", f"/api{route.path}", "footage.read", " ".join((route.endpoint.__doc__ or "").split()))
        for route in live_socket.router.routes
        if isinstance(route, APIWebSocketRoute)
    ]
    found = [*sockets, *of(service_router), *of(pages.router)]
    for module in API:
        found += of(module.router, "/api")
    return sorted([*found, *_device_routes(of)], key=lambda row: (row[1], row[0]))


def _device_routes(of: Callable[..., Iterator[tuple[str, str, str, str]]]) -> list[tuple[str, str, str, str]]:
    from core.clock import SystemClock
    from ingest.http import device_routes
    from ingest.settings import HttpSettings

    nobody: Any = None
    router = device_routes(nobody, HttpSettings(), SystemClock(), Path())
    return [(method, path, "a device's token", about) for method, path, _, about in of(router)]


def api_page() -> str:
    """docs/api.md."""
    from console.rights import RIGHTS

    rows = "\n".join(f"| `{method}` | `{path}` | {who} | {about} |" for method, path, who, about in routes())
    rights = "\n".join(f"| `{right}` | {', '.join(sorted(roles))} |" for right, roles in RIGHTS.items())
    return (
        f"{_HTTP_HEAD}\n{MADE}\n## Routes\n\n| method | path | right | what it does |\n|---|---|---|---|\n{rows}\n\n"
        f"## Rights and roles\n\n| right | roles |\n|---|---|\n{rights}\n"
    )


_CAMERA_EVENTS = """\
## Cameras

What a camera's picture is like is measured every few seconds (design 007) and judged by the rules; several samples
open an event and several end it. A sample has one cause, the first that fits of: frozen, covered, too dark at night,
view moved, unclear. While one is in force only an earlier one of these replaces it, so that a covered camera is one
event and not four; the event that is replaced ends with `became` in its causes. `causes.kind` says in which way:

- CAM-02: `flat` (the background's edges are gone and nothing is in their place), `veiled` (all contrast is gone while
  there is light), `black` (dark by day)
- CAM-03: `blurred`, `noise`, `over_exposed`, `cast`: faults of a picture that have no code of their own are clarity
- CAM-04: `dark`, by night only
- CAM-05: `frozen`
- CAM-06: `shifted`, `elsewhere` (turned so far that nothing overlaps)

In twilight nothing is too dark. The figures of the sample that opened it are in the causes, the picture in the
evidence. The thresholds of one camera: `wangge devices thresholds`. CAM-01 is about the main stream; several cameras
of a district that go within two minutes are one DQ-01. The footage that is missing for a lost signal is noted with
CAM-01 at its end; REC-01 is for footage that is missing although the camera was sending, or because nobody was there
to record. The subject of REC-02 and REC-03 is a media root (`storage`). Facts of cameras that are retired open nothing.
"""


def events_page() -> str:
    """docs/events.md."""
    units = {"min": "min", "h": "h", "wh": "working h", "wd": "working days"}
    rows = "\n".join(
        f"| {one.code} | {one.name} | {one.name_en} | {one.severity} | {one.level} "
        f"| {one.limit[0]} {units[one.limit[1]]} | {_rule_section(one.code)} |"
        for one in CATALOGUE.values()
    )
    return (
        f"# Event codes\n\nSeverity 1 is the gravest. Thresholds are settings (docs/configuration.md).\n\n{MADE}\n"
        f"| code | 名称 | name | severity | level | limit | settings |\n|---|---|---|---|---|---|---|\n{rows}\n\n"
        f"{_CAMERA_EVENTS}"
    )


def _rule_section(code: str) -> str:
    name = code.lower().replace("-", "_")
    return f"`[alerts.rules.{name}]`" if name in type(AlertsSettings().rules).model_fields else "–"


PAGES: dict[str, Callable[[], str]] = {
    "configuration.md": reference,
    "commands.md": commands_page,
    "metrics.md": metrics_page,
    "api.md": api_page,
    "events.md": events_page,
}


def main() -> None:
    """Writes every page that differs."""
    for name, make in PAGES.items():
        path, text = FOLDER / name, make()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{path} written\n")


if __name__ == "__main__":
    main()
