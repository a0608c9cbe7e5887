"""Revoked credentials in the database. Every function runs inside the caller's transaction."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from trunkline.auth.tokens import MAX_LIFETIME_S
from trunkline.auth.verifier import LEEWAY_S

from services.account.storage.tables import REVOCATION

SIGNING_S = 60
"""Most that a token may be signed after its credential was looked up: no call runs longer here, in seconds."""
LISTED = timedelta(seconds=MAX_LIFETIME_S + 2 * LEEWAY_S + SIGNING_S)
"""How long a revocation is listed. Its last token has expired by then, also by a clock that is late by the leeway,
for a verifier who allows the leeway on top."""


def add(connection: sa.Connection, tenant_id: str, credential_id: str, now: datetime) -> None:
    """Makes the tokens of a credential void, and forgets the revocations that need not be listed any more."""
    connection.execute(sa.delete(REVOCATION).where(REVOCATION.c.revoke_time <= now - LISTED))
    row = {"tenant_id": tenant_id, "credential_id": credential_id, "revoke_time": now}
    connection.execute(sa.insert(REVOCATION).values(row))


def listed(connection: sa.Connection, now: datetime) -> list[tuple[str, datetime]]:
    """Every credential whose tokens are void and may be about still, and when it was revoked."""
    query = sa.select(REVOCATION.c.credential_id, REVOCATION.c.revoke_time)
    rows = connection.execute(query.where(REVOCATION.c.revoke_time > now - LISTED))
    return [(row.credential_id, row.revoke_time) for row in rows]
