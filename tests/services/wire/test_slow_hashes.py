"""How secrets that people choose are kept and checked."""

from __future__ import annotations

import asyncio

import grpc
from trunkline.errors import ServiceError

from services.wire.slow_hashes import MOST_WAITING, SlowHashes


async def test_only_the_right_secret_matches():
    """A hash matches its own secret and no other."""
    hashes = SlowHashes("test")
    kept = await hashes.hash("1234")
    assert await hashes.matches(kept, "1234")
    assert not await hashes.matches(kept, "12345")


async def test_nobodys_secret_matches_nothing():
    """Without a hash no secret is right; it is hashed all the same, so that it takes as long."""
    hashes = SlowHashes("test")
    assert not await hashes.matches(None, "1234")
    assert hashes.done == 1


async def test_calls_go_on_while_it_hashes():
    """Hashing keeps a thread busy and not the event loop."""
    hashing = asyncio.create_task(SlowHashes("test").hash("1234"))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10


async def test_turns_away_what_would_wait_too_long():
    """Beyond what may wait nothing is hashed: it is told to come back, and what waits is done."""
    hashes = SlowHashes("test")
    outcomes = await asyncio.gather(*(hashes.hash("1234") for _ in range(MOST_WAITING + 3)), return_exceptions=True)
    refused = [one for one in outcomes if isinstance(one, ServiceError)]
    assert len(refused) == 3
    assert {(one.code, one.reason) for one in refused} == {(grpc.StatusCode.RESOURCE_EXHAUSTED, "CONCURRENCY_LIMIT")}
    assert all(one.retry_after_s for one in refused)
    assert hashes.done == MOST_WAITING
    assert await hashes.hash("1234")
