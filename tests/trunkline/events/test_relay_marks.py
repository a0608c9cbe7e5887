"""What a relay knows of a batch that is on its way, while the log cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from redis.asyncio import Redis
from trunkline.events.publishing import relay as relaying
from trunkline.events.topics import shard_of, stream_name
from trunkline.launcher.embedded import EmbeddedRedis
from trunkline.storage.postgres import PostgresDatabase
from trunkline.testing.resp_faults import Hold, hold_reply
from trunkline.testing.resp_proxy import RespProxy

from tests.trunkline.events.notes import BOUND_S, KEY, PLATFORM, numbers, publish, relay, rows, running, until

KINDS = ("postgresql",)
STREAM = stream_name("notes", shard_of(KEY, 8))
READING = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'SELECT outbox.%'"
"""Who waits for the lock on the log, to read it."""


@contextmanager
def locked(publisher: PostgresDatabase) -> Iterator[sa.Connection]:
    """Nobody reads or writes the log meanwhile; gives another connection."""
    with publisher._engine.connect() as holder, publisher._engine.connect() as other:
        holder.execute(sa.text("LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE"))
        yield other.execution_options(isolation_level="AUTOCOMMIT")


async def test_what_was_sent_is_marked_though_the_next_read_fails(
    publisher: PostgresDatabase, client: Redis, redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
):
    """That the log cannot be read while a batch is on its way is an outage; the batch is not sent once more."""
    monkeypatch.setattr(relaying, "BATCH", 2)
    await publish(publisher, *"abcdef")
    async with RespProxy("127.0.0.1", redis_server.port) as proxy:
        first, second = Hold(), Hold()
        proxy.plan.on("XADD", hold_reply(first))
        proxy.plan.on("XADD", hold_reply(second), nth=2)
        sender = relay(publisher, f"redis://{proxy.target}/0", poll_s=BOUND_S)
        async with running(sender):
            await until(first.reached.is_set)
            with locked(publisher) as server:
                # The second batch goes out, and what comes behind it cannot be read.
                first.released.set()
                await until(second.reached.is_set)
                await until(lambda: server.execute(sa.text(f"SELECT pg_cancel_backend(pid) {READING}")).all())
                await until(lambda: not server.execute(sa.text(f"SELECT pid {READING}")).all())
            second.released.set()
            await until(lambda: sender.counts.sent == 6)
        assert proxy.plan.commands["XADD"] == 6

    assert await numbers(client, STREAM) == [1, 2, 3, 4, 5, 6]
    assert sender.outage.begun == {"STORAGE_UNAVAILABLE": 1}
    assert None not in [row["stream_id"] for row in await rows(publisher, PLATFORM.outbox)]
