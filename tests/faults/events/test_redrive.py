"""Many dead letters sent again at once, and once more: each has its effect once, and nobody else's are touched."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from trunk.event.v1 import consumer_service_pb2 as pb
from trunk.event.v1 import consumer_service_pb2_grpc as pb_grpc
from trunk.event.v1 import envelope_pb2
from trunkline.events.consuming.service import ConsumerServicer
from trunkline.events.topics import shard_of, stream_name
from trunkline.launcher.embedded import embedded_redis
from trunkline.storage import Database
from trunkline.testing.clock import FakeClock
from trunkline.testing.local import LocalSystem

from tests.services.callers import service
from tests.trunkline.events.notes import (
    GROUP,
    PLATFORM,
    SEEN,
    SOURCE,
    Note,
    consumer,
    keep,
    opened,
    rows,
    running,
    until,
)

TENANTS, KEYS, EACH = ("t", "u"), 5, 100
"""1,000 events: of two tenants with five keys each."""
SICK = range(3, EACH, 10)
"""Numbers that cannot be applied at first, of every key."""


def event(key: str, number: int) -> bytes:
    """An event of a key."""
    payload = Note(text="sick" if number in SICK else "well").SerializeToString()
    return envelope_pb2.Envelope(
        id=f"{key}#{number}", source=SOURCE, type="events.bench.Note", tenant_id=key[0], topic="notes", key=key,
        number=number, payload=payload,
    ).SerializeToString()  # fmt: skip


async def effects(database: Database) -> dict[str, list[int]]:
    """Numbers of each key, in the order of their effects."""
    found: dict[str, list[int]] = defaultdict(list)
    for row in await rows(database, SEEN):
        found[row["key"]].append(row["number"])
    return found


async def open_letters(stub: pb_grpc.ConsumerServiceAsyncStub, tenant: str) -> int:
    """Dead letters of a tenant."""
    filter_ = pb.DeadLetterFilter(tenant_id=tenant)
    return len((await stub.ListDeadLetters(pb.ListDeadLettersRequest(filter=filter_, page_size=500))).letters)


async def test_many_letters_are_sent_again_twice(tmp_path: Path):
    """E18: Of 1,000 events of two tenants 100 are dead letters; one tenant's are sent again twice, together."""
    clock, well = FakeClock(), asyncio.Event()

    def apply(transaction: Any, one: Any) -> None:
        if one.message.text == "sick" and not (well.is_set() and one.envelope.tenant_id == "t"):
            raise ValueError("cannot be applied")
        keep(transaction, one)

    keys = [f"{tenant}/s/{number}" for tenant in TENANTS for number in range(KEYS)]
    async with (
        embedded_redis(tmp_path / "redis") as server,
        Redis.from_url(server.url, protocol=2) as client,
        opened(tmp_path / "reader.db") as database,
        LocalSystem(tmp_path / "system") as system,
    ):
        worker = consumer(database, server.url, {Note: apply}, clock=clock)
        servicer = ConsumerServicer(database, PLATFORM, GROUP, consumers={"notes": worker}, logs={}, clock=clock)
        await system.stand_in(GROUP, servicer)
        stub: Any = pb_grpc.ConsumerServiceStub(service(system, "cart").channel(GROUP))
        async with client.pipeline(transaction=False) as pipeline:
            for number in range(1, EACH + 1):
                for key in keys:
                    pipeline.xadd(stream_name("notes", shard_of(key, 8)), {"e": event(key, number)})
            await pipeline.execute()
        async with running(worker):
            first = [number for number in range(1, EACH + 1) if number not in SICK]

            async def all_settled() -> bool:
                clock.advance(1)
                letters = [await open_letters(stub, tenant) for tenant in TENANTS]
                return letters == [KEYS * len(SICK)] * 2 and await effects(database) == dict.fromkeys(keys, first)

            await until(all_settled, 60)
            well.set()
            request = pb.RedriveDeadLettersRequest(filter=pb.DeadLetterFilter(tenant_id="t"))
            answers = await asyncio.gather(*(stub.RedriveDeadLetters(request) for _ in range(2)))
            assert sum(len(one.letters) for one in answers) == KEYS * len(SICK)

            async def all_closed() -> bool:
                return await open_letters(stub, "t") == 0

            await until(all_closed, 60)
            assert not (await stub.RedriveDeadLetters(request)).letters
        after = await effects(database)
        for key in keys:
            assert after[key][: len(first)] == first
            assert after[key][len(first) :] == (list(SICK) if key.startswith("t/") else [])
        assert await open_letters(stub, "u") == KEYS * len(SICK)
