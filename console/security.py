"""Refused sign-ins as security facts, so that rule SEC-01 and the audit see them like a device's refusals."""

from core.lane import SECURITY, Lane
from store.pool import Store


async def refused(store: Store, claimed: str, peer: str | None) -> None:
    """One refused sign-in, in a batch of its own. The partition of today was made ahead (store.upkeep)."""
    async with store.transaction() as connection:
        row = await (await connection.execute("SELECT nextval('batch_ids'), clock_timestamp()")).fetchone()
        assert row is not None
        batch, now = row
        await connection.execute(
            """INSERT INTO security_facts (at, batch_id, kind, claimed, peer, via, detail)
               VALUES (%s, %s, 'sign_in_refused', %s, %s, 'console', NULL)""",
            [now, batch, _clean(claimed), peer],
        )
        await connection.execute(
            "SELECT commit_batch(%s, %s::smallint, %s, 1, %s, %s)", [SECURITY, int(Lane.LIVE), batch, now, now]
        )


def _clean(claimed: str) -> str:
    """What the store can hold of a name that a stranger sent."""
    return claimed[:64].replace("\0", "�").encode("utf-8", "replace").decode()
