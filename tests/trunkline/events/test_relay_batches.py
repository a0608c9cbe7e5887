"""How much a relay reads and sends at once: by count where events are short, by bytes where they are long."""

from __future__ import annotations

from redis.asyncio import Redis
from trunkline.events.publishing.outbox import UNSENT_BYTES, OutboxRows
from trunkline.events.topics import shard_of, stream_name
from trunkline.launcher.embedded import EmbeddedRedis
from trunkline.storage import Database
from trunkline.testing.resp_faults import Hold, hold_reply
from trunkline.testing.resp_proxy import RespProxy

from tests.trunkline.events.notes import (
    BOUND_S,
    KEY,
    PLATFORM,
    TOPICS,
    numbers,
    publish,
    relay,
    running,
    until,
)
from tests.trunkline.storage.kinds import BOTH

KINDS = BOTH
STREAM = stream_name("notes", shard_of(KEY, 8))
MIB = 1024 * 1024
LONG = "x" * (MIB // 2)
"""The text of an event of a MiB: its subject has it, too."""


async def test_long_events_are_sent_in_several_turns(publisher: Database, client: Redis, redis_server: EmbeddedRedis):
    """Of ten events of a MiB four are marked as sent while the answer to the fifth is waited for: they went before."""
    await publish(publisher, *[LONG] * 10)
    async with RespProxy("127.0.0.1", redis_server.port) as proxy:
        hold = Hold()
        proxy.plan.on("XADD", hold_reply(hold), nth=5)
        sender = relay(publisher, f"redis://{proxy.target}/0", poll_s=BOUND_S)
        async with running(sender):
            await until(hold.reached.is_set)
            await until(lambda: sender.counts.sent == 4)
            hold.released.set()
            await until(lambda: sender.counts.sent == 10)
        assert proxy.plan.commands["XADD"] == 10

    assert await numbers(client, STREAM) == list(range(1, 11))


async def test_a_batch_ends_where_it_is_long_enough(publisher: Database):
    """Rows are read up to the one that makes it 4 MiB, in their order; short ones by their count."""
    texts = ["short"] * 3 + [LONG] * 6 + ["short"] * 3
    await publish(publisher, *texts)
    outbox = OutboxRows(PLATFORM, [topic.name for topic in TOPICS])

    first = await publisher.read(lambda connection: outbox.unsent(connection, 256))
    held = [row.id for row in first]
    second = await publisher.read(lambda connection: outbox.unsent(connection, 256, held))
    few = await publisher.read(lambda connection: outbox.unsent(connection, 2))

    assert [len(batch) for batch in (first, second, few)] == [7, 5, 2]
    assert UNSENT_BYTES <= sum(len(row.data) for row in first) < UNSENT_BYTES + 2 * MIB
    assert held == sorted(held)
    assert held[-1] < second[0].id
