"""Operators: accounts and tokens, by administrators."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as FromPath
from pydantic import BaseModel, Field

from console import accounts
from console.caller import needs
from console.context import console_of
from console.paging import Cursor, Limit, Page, decoded, page_of
from console.rights import Operator, Role
from core.errors import InvalidInput, NotAllowed

router = APIRouter(prefix="/operators", tags=["operators"])

Writer = Annotated[Operator, needs("operators.write")]
Name = Annotated[str, FromPath(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$")]


class NewOperator(BaseModel):
    """An account to make. Without a password it has tokens only."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$")
    role: Role
    division: str = Field("", pattern=r"^[0-9]{0,15}$")
    worker: str | None = Field(None, max_length=64)
    password: str | None = Field(None, max_length=200)


class OperatorRow(BaseModel):
    """One account."""

    name: str
    role: Role
    division: str
    worker: str | None
    created_at: datetime
    password_changed_at: datetime | None
    disabled_at: datetime | None


class NewTokenWish(BaseModel):
    """What to do with earlier tokens."""

    revoke_others: bool = False


class BearerToken(BaseModel):
    """A bearer token; shown once."""

    operator: str
    token: str


@router.get("")
async def list_operators(
    request: Request, caller: Annotated[Operator, needs("operators.read")], cursor: Cursor = None, limit: Limit = 100
) -> Page[OperatorRow]:
    """Accounts in the caller's division, by name."""
    position = decoded(cursor, str)
    after = str(position[0]) if position else ""
    async with console_of(request).store.connection() as connection:
        rows = await accounts.accounts(connection, caller.division, after, limit + 1)
    return page_of(rows, limit, _row, lambda row: (row.name,))


@router.post("", status_code=201)
async def add_operator(request: Request, caller: Writer, body: NewOperator) -> OperatorRow:
    """Makes an account within the caller's own division."""
    console = console_of(request)
    if not caller.sees(body.division):
        raise NotAllowed(f"An account of division {body.division or 'all'} is beyond your own.")
    if body.password is not None and len(body.password) < console.settings.password_length:
        raise InvalidInput(f"password: at least {console.settings.password_length} characters.")
    kept = await console.passwords.hashed(body.password) if body.password is not None else None
    async with console.store.transaction() as connection:
        made = await accounts.add(
            connection,
            caller,
            body.name,
            body.role,
            division=body.division,
            worker=body.worker,
            password_hash=kept,
        )
    return _row(made)


@router.post("/{name}/tokens", status_code=201)
async def new_token(request: Request, caller: Writer, name: Name, body: NewTokenWish) -> BearerToken:
    """A new bearer token of an account."""
    async with console_of(request).store.transaction() as connection:
        _within(caller, await accounts.account(connection, name))
        token = await accounts.new_bearer(connection, caller, name, revoke_others=body.revoke_others)
    return BearerToken(operator=name, token=token)


@router.delete("/{name}", status_code=204)
async def disable_operator(request: Request, caller: Writer, name: Name) -> None:
    """Ends an account: sessions and tokens at once; its history stays."""
    async with console_of(request).store.transaction() as connection:
        _within(caller, await accounts.account(connection, name))
        await accounts.disable(connection, caller, name)


def _within(caller: Operator, account: accounts.Account) -> None:
    if not caller.sees(account.division):
        raise NotAllowed(f"The account {account.name} is beyond your division.")


def _row(account: accounts.Account) -> OperatorRow:
    return OperatorRow(
        name=account.name,
        role=account.role,
        division=account.division,
        worker=account.worker,
        created_at=account.created_at,
        password_changed_at=account.password_changed_at,
        disabled_at=account.disabled_at,
    )
