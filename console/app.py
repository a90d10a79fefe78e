"""The HTTP application: the service's own routes, the operators' API, the plain pages, and the devices' router.

`create_app(console, device_routers)` gives an ASGI application; the server around it is `wangge`'s.
"""

from collections.abc import Iterable

from fastapi import APIRouter, FastAPI

from console import problems, service_routes
from console.api import (
    cameras,
    devices,
    event_steps,
    events,
    importing,
    live_socket,
    operators,
    places,
    protections,
    records,
    session,
    simulation,
    stream,
    tracks,
)
from console.context import Console
from console.limits import Guards
from console.measured import Measured
from console.pages import routes as pages

API = (
    session,
    events,
    event_steps,
    stream,
    devices,
    tracks,
    cameras,
    live_socket,
    protections,
    places,
    importing,
    operators,
    records,
    simulation,
)
PUBLIC = frozenset(
    {
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("POST", "/api/session"),
        ("GET", "/"),
        ("GET", "/sign-in"),
        ("POST", "/sign-in"),
        ("POST", "/sign-out"),
        ("GET", "/cameras"),
        ("GET", "/cameras.js"),
        ("GET", "/api/docs"),
        ("GET", "/api/openapi.json"),
    }
)
"""Routes that need nobody signed in; every other one names a right."""


def create_app(
    console: Console, device_routers: Iterable[APIRouter] = (), *, api: bool = True, version: str = "0"
) -> FastAPI:
    """The application. device_routers: what `ingest` answers to devices, with its own authentication and limits.

    api: whether people are served too (role console).
    """
    app = FastAPI(
        title="Wangge 网格",
        version=version,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
    )
    app.state.console = console
    problems.install(app)
    app.include_router(service_routes.router, responses=problems.DOCUMENTED)
    if api:
        for module in API:
            app.include_router(module.router, prefix="/api", responses=problems.DOCUMENTED)
        app.include_router(pages.router)
    for router in device_routers:
        app.include_router(router)
    app.add_middleware(
        Guards,
        limit=console.http.body_limit,
        larger={"/api/registry/import": console.http.import_limit},
        wait_s=console.http.body_wait_s,
    )
    app.add_middleware(Measured)
    return app
