"""What happens to a PostgreSQL: it stands still, is restarted as by a crash, and its connections are cut."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from trunkline.storage.postgres_engine import open_engine
from trunkline.testing.postgres import PostgresServer

STILL_S = 10.0 if os.environ.get("TRUNKLINE_FAULTS_FULL") else 2.5
"""How long it stands still; with TRUNKLINE_FAULTS_FULL=1 longer."""


@contextmanager
def standing_still(server: PostgresServer) -> Iterator[None]:
    """A server that stands still within the block."""
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


CUTS, CUT_S = 8, 0.25
"""How often connections are cut, and seconds between two times."""


async def restarted(server: PostgresServer) -> None:
    """Ends it without grace, and starts it again."""
    await asyncio.to_thread(server.restart)


async def cut(server: PostgresServer) -> None:
    """Ends all connections, again and again."""
    engine = open_engine(server.url)
    kill = sa.text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    ended = 0
    for _ in range(CUTS):
        with engine.connect() as connection:
            ended += len(connection.execute(kill).all())
        await asyncio.sleep(CUT_S)
    engine.dispose()
    assert ended >= CUTS, "there was hardly a connection to cut"
