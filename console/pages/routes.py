"""Routes of the plain pages: `/`, `/sign-in`, `/sign-out`, `/api/docs`."""

from datetime import UTC, datetime
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from psycopg.rows import class_row

from console import accounts, event_reading
from console.api.session import SignIn, check_password, set_cookies
from console.caller import CSRF_COOKIE, SESSION_COOKIE, maybe_caller, peer_of
from console.context import Console, console_of
from console.pages.cameras import POLICY, cameras_page, script
from console.pages.description import description_page
from console.pages.status import Counts, EventLine, Status, sign_in_page, status_page
from console.problems import NotSignedIn, TooMany
from console.rights import RIGHTS, Operator, require
from core.errors import NotAllowed, StoreUnavailable
from core.ids import same_digest, token_sha256

router = APIRouter(include_in_schema=False)

NEWEST = 20
HEARD_WITHIN_S = 300


@router.get("/", response_class=HTMLResponse)
async def status(request: Request) -> HTMLResponse:
    """The status page; what is in the events only for those who may see them."""
    console = console_of(request)
    caller, counts, events = None, None, None
    try:
        caller = await maybe_caller(request)
        counts = await console.counts.get(lambda: _counts(console))
        events = await _newest(console, caller)
    except StoreUnavailable:
        pass  # the page says so, and shows which part is down
    shown = Status(
        title=console.settings.title,
        now=datetime.now(UTC),
        zone=console.zone,
        ready=console.is_ready(),
        parts=[{"part": line.part, "state": line.state, "why": line.why} for line in console.board.parts()],
        rates=console.rates(),
        counts=counts,
        events=events,
        caller=caller,
        csrf=request.cookies.get(CSRF_COOKIE, ""),
    )
    return HTMLResponse(status_page(shown))


async def _counts(console: Console) -> Counts:
    async with console.store.connection() as connection:
        row = await (
            await connection.execute(
                """SELECT count(*) FILTER (WHERE d.kind = 'handset'), count(*) FILTER (WHERE d.kind = 'terminal'),
                          count(*) FILTER (WHERE p.online OR p.received_at > now() - make_interval(secs => %s))
                   FROM devices d LEFT JOIN presence p ON p.device = d.key WHERE d.retired_at IS NULL""",
                [HEARD_WITHIN_S],
            )
        ).fetchone()
        by_severity = await (
            await connection.execute(
                """SELECT severity, count(*) FROM grid_events
                   WHERE step NOT IN ('archived', 'rejected', 'merged', 'self_ended') GROUP BY severity"""
            )
        ).fetchall()
        today = await (
            await connection.execute("SELECT count(*) FROM grid_events WHERE detected_at > now() - interval '1 day'")
        ).fetchone()
        assert row is not None
        assert today is not None
        return Counts(row[0], row[1], row[2], dict(by_severity), today[0])


async def _newest(console: Console, caller: Operator | None) -> list[EventLine] | None:
    if caller is None or caller.role not in RIGHTS["events.read"]:
        return None
    where = event_reading.seen_by(caller)
    async with (
        console.store.connection() as connection,
        connection.cursor(row_factory=class_row(EventLine)) as cursor,
    ):
        await cursor.execute(
            f"""SELECT e.id, e.code, e.severity, e.subject, e.grid, e.step, e.detected_at FROM grid_events e
                WHERE {where.sql} ORDER BY e.detected_at DESC, e.id DESC LIMIT %s""",  # noqa: S608
            [*where.values, NEWEST],
        )
        return await cursor.fetchall()


@router.get("/sign-in", response_class=HTMLResponse)
async def sign_in_form(request: Request) -> HTMLResponse:
    """The form."""
    return HTMLResponse(sign_in_page(console_of(request).settings.title))


@router.post("/sign-in", response_class=HTMLResponse)
async def sign_in(request: Request) -> Response:
    """Signs in by the form; wrong ones see it again with the reason."""
    console = console_of(request)
    if request.headers.get("Sec-Fetch-Site", "same-origin") in ("cross-site", "same-site"):
        raise NotAllowed("Sign in on our own page; this form was sent by another site.")
    fields = await _form(request)
    try:
        wanted = SignIn(name=fields.get("name", "")[:64] or "?", password=fields.get("password", "")[:200] or "?")
        await check_password(console, request, wanted.name, wanted.password)
    except (NotSignedIn, TooMany) as error:
        status_code = 429 if isinstance(error, TooMany) else 401
        return HTMLResponse(sign_in_page(console.settings.title, str(error)), status_code)
    async with console.store.transaction() as connection:
        hours = console.settings.session_hours
        opened = await accounts.open_session(connection, wanted.name, hours, peer_of(request))
    answer = RedirectResponse("/", 303)
    set_cookies(request, answer, opened)
    return answer


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """Ends the session; the form carries the CSRF token."""
    console = console_of(request)
    token, csrf = request.cookies.get(SESSION_COOKIE), (await _form(request)).get("csrf", "")
    async with console.store.transaction() as connection:
        found = await accounts.by_token(connection, token, "session") if token else None
        if token and found and found[1] and same_digest(token_sha256(csrf), found[1]):
            await accounts.close_session(connection, found[0].operator(peer_of(request)), token)
    answer = RedirectResponse("/", 303)
    for name in (SESSION_COOKIE, CSRF_COOKIE):
        answer.delete_cookie(name, path="/")
    return answer


@router.get("/cameras", response_class=HTMLResponse)
async def cameras(request: Request) -> Response:
    """The cameras page, for those who may see footage; others sign in first."""
    console = console_of(request)
    caller = await maybe_caller(request)
    if caller is None:
        return RedirectResponse("/sign-in", 303)
    require(caller, "footage.read")
    shown = cameras_page(console.settings.title, console.zone.key, request.cookies.get(CSRF_COOKIE, ""))
    return HTMLResponse(shown, headers={"Content-Security-Policy": POLICY})


@router.get("/cameras.js")
async def cameras_script() -> Response:
    """Its script; holds nothing secret."""
    return Response(script(), media_type="text/javascript")


@router.get("/api/docs", response_class=HTMLResponse)
async def description(request: Request) -> HTMLResponse:
    """The API's description; needs nothing from elsewhere."""
    state = request.app.state
    if not hasattr(state, "description"):
        state.description = description_page(console_of(request).settings.title, request.app.openapi())
    return HTMLResponse(state.description)


async def _form(request: Request) -> dict[str, str]:
    text = (await request.body()).decode("utf-8", "replace")
    return {name: values[0] for name, values in parse_qs(text, max_num_fields=20).items()}
