"""Signing in and out, and who I am."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from console import accounts, security
from console.caller import CSRF_COOKIE, SESSION_COOKIE, needs, peer_of
from console.context import Console, console_of
from console.metrics import SIGN_INS_REFUSED
from console.problems import NotSignedIn, TooMany
from console.rights import Operator, Role
from core.errors import Conflict, InvalidInput

router = APIRouter(tags=["session"])


class SignIn(BaseModel):
    """Name and password."""

    name: str = Field(min_length=1, max_length=64)
    password: str = Field(min_length=1, max_length=200)


class Me(BaseModel):
    """The signed-in operator. csrf_token: only in the answer to a sign-in; to be sent as `X-CSRF-Token`."""

    name: str
    role: Role
    division: str
    worker: str | None = None
    kind: Literal["local", "account"] = "account"
    csrf_token: str | None = None


class NewPassword(BaseModel):
    """Both passwords; the present one is asked again."""

    present: str = Field(min_length=1, max_length=200)
    new: str = Field(min_length=1, max_length=200)


@router.post("/session", status_code=201)
async def sign_in(request: Request, response: Response, body: SignIn) -> Me:
    """Opens a session; the cookie is HttpOnly and SameSite=Strict. Guessing must wait (429), and is counted."""
    console = console_of(request)
    await check_password(console, request, body.name, body.password)
    async with console.store.transaction() as connection:
        opened = await accounts.open_session(connection, body.name, console.settings.session_hours, peer_of(request))
    set_cookies(request, response, opened)
    account = opened.account
    return Me(
        name=account.name, role=account.role, division=account.division, worker=account.worker, csrf_token=opened.csrf
    )


@router.delete("/session", status_code=204)
async def sign_out(request: Request, response: Response, caller: Annotated[Operator, needs("self")]) -> None:
    """Ends the session of the cookie."""
    token = request.cookies.get(SESSION_COOKIE)
    if token:
        async with console_of(request).store.transaction() as connection:
            await accounts.close_session(connection, caller, token)
    for name in (SESSION_COOKIE, CSRF_COOKIE):
        response.delete_cookie(name, path="/")


@router.get("/me")
async def me(caller: Annotated[Operator, needs("self")]) -> Me:
    """Who I am and what I may see."""
    return Me(
        name=caller.name,
        role=caller.role,
        division=caller.division,
        worker=caller.worker,
        kind="local" if caller.id is None else "account",
    )


@router.put("/me/password", status_code=204)
async def change_password(request: Request, body: NewPassword, caller: Annotated[Operator, needs("self")]) -> None:
    """Sets an own password; every open session of the account ends."""
    console = console_of(request)
    if caller.id is None:
        raise Conflict("The local administrator has no password.")
    if len(body.new) < console.settings.password_length:
        raise InvalidInput(f"new: a password has at least {console.settings.password_length} characters.")
    await check_password(console, request, caller.name, body.present)
    kept = await console.passwords.hashed(body.new)
    async with console.store.transaction() as connection:
        await accounts.set_password(connection, caller, caller.name, kept)


def set_cookies(request: Request, response: Response, opened: accounts.Session) -> None:
    """The session's two cookies; the page's script may read the CSRF one only."""
    seconds = round(console_of(request).settings.session_hours * 3600)
    secure = request.url.scheme == "https"
    for name, value, hidden in ((SESSION_COOKIE, opened.token, True), (CSRF_COOKIE, opened.csrf, False)):
        response.set_cookie(name, value, max_age=seconds, path="/", httponly=hidden, samesite="strict", secure=secure)


async def check_password(console: Console, request: Request, name: str, password: str) -> None:
    """Raises TooMany after too many refusals of this name or address, NotSignedIn where the password is wrong."""
    peer = peer_of(request)
    keys = (f"name:{name}", f"peer:{peer}")
    clock = asyncio.get_running_loop().time
    wait = console.attempts.wait_s(clock(), *keys)
    if wait > 0:  # not stored: what may be stored of a stranger's doing is bounded by the attempts before
        SIGN_INS_REFUSED.labels("limited").inc()
        raise TooMany(f"Too many refused sign-ins; try again in {wait:.0f} s.", retry_after_s=max(1, round(wait)))
    console.attempts.refused(clock(), *keys)  # counted first, so that many at once are not all let through
    async with console.store.connection() as connection:
        kept = await accounts.password_hash(connection, name)
    if not await console.passwords.matches(kept, password):
        SIGN_INS_REFUSED.labels("refused").inc()
        await security.refused(console.store, name, peer)
        raise NotSignedIn("Name or password is wrong.")
    console.attempts.succeeded(*keys)
