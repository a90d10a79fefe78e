"""Who is calling: from the bearer token or the session cookie to an `Operator`, and the right that a route asks for.

    async def route(caller: Annotated[Operator, needs("events.read")]): ...

A session cookie counts for a changing method only with the CSRF token in `X-CSRF-Token`; a bearer token needs none,
since no browser sends it by itself.
"""

from typing import Any

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from console import accounts
from console.context import Console, console_of
from console.problems import NotSignedIn
from console.rights import Operator, require
from core.errors import NotAllowed
from core.ids import same_digest, token_sha256

SESSION_COOKIE = "wangge_session"
CSRF_COOKIE = "wangge_csrf"
CSRF_HEADER = "X-CSRF-Token"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Needs:
    """The dependency of one route: finds the caller and requires a right."""

    def __init__(self, right: str) -> None:
        self.right = right

    async def __call__(self, request: Request) -> Operator:
        """The caller. Raises NotSignedIn, NotAllowed."""
        found = await caller_of(request)
        if found is None:
            raise NotSignedIn("Sign in first, or send a bearer token.")
        return require(found, self.right)


def needs(right: str) -> Any:
    """`Depends` on a caller who holds `right`."""
    return Depends(Needs(right))


async def caller_of(request: HTTPConnection) -> Operator | None:
    """The caller, or None where nothing was sent. Raises NotSignedIn for a token that is not valid (any more)."""
    console = console_of(request)
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind:
        if kind.lower() != "bearer" or not token.strip():
            raise NotSignedIn("Send `Authorization: Bearer <token>`.")
        return await _by_bearer(console, token.strip(), peer_of(request))
    session = request.cookies.get(SESSION_COOKIE)
    if not session:
        return None
    async with console.store.connection() as connection:
        found = await accounts.by_token(connection, session, "session")
    if found is None:
        raise NotSignedIn("The session is over; sign in again.")
    account, csrf = found
    if request.scope.get("method", "GET") not in _READING and not _same(request.headers.get(CSRF_HEADER, ""), csrf):
        raise NotAllowed(f"The header {CSRF_HEADER} is missing or wrong; reload the page.")
    return account.operator(peer_of(request))


async def _by_bearer(console: Console, token: str, peer: str | None) -> Operator:
    if console.local_token is not None and same_digest(token_sha256(token), console.local_token):
        return Operator("local", "administrator", peer=peer)
    async with console.store.connection() as connection:
        found = await accounts.by_token(connection, token, "bearer")
    if found is None:
        raise NotSignedIn("This token is not valid, or not any more; make a new one.")
    return found[0].operator(peer)


def peer_of(request: HTTPConnection) -> str | None:
    """The caller's address."""
    return request.client.host if request.client else None


def _same(token: str, kept: bytes | None) -> bool:
    return kept is not None and same_digest(token_sha256(token), kept)


async def maybe_caller(request: HTTPConnection) -> Operator | None:
    """The caller where there is a valid one; nobody otherwise (the status page)."""
    try:
        return await caller_of(request)
    except (NotSignedIn, NotAllowed):
        return None
