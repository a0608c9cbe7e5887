"""One call, one effect: whatever is repeated, by whom, and whatever dies in between."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from itertools import pairwise

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline import headers
from trunkline.errors import ServiceError
from trunkline.storage.answers import KEPT_FOR

from tests.faults.calls.calling import awaited, calling, failure, repeated, stranger
from tests.faults.calls.instance import Instance
from tests.faults.calls.servicers import HANG, KEY, ONCE
from tests.shop.waiting import until

pytestmark = pytest.mark.xdist_group("fault-calls")


async def test_fifty_at_once(server: Instance, key: str):
    """I1: fifty calls at once under one key have one effect, and all get the same bytes."""
    async with calling(server.target) as caller:
        calls = [awaited(caller.add(key, sleep_ms=100)) for _ in range(50)]
        answers = [answer.SerializeToString() for answer in await asyncio.gather(*calls)]
        assert set(answers) == set(server.stored(key))
        assert len(set(answers)) == 1
        assert (server.effects(key), server.journal.count(key, "began")) == ([5], 1)
        await caller.is_well()


async def test_a_call_that_runs_is_asked_about_less_and_less(server: Instance, key: str):
    """I1: a repeat of a call that runs for long is told to come back after waits that double; none of these counts as
    an attempt, and the last one brings the first call's answer.
    """
    async with calling(server.target) as caller:
        first = asyncio.create_task(awaited(caller.add(key, sleep_ms=1800)))
        await until(partial(server.journal.count, key, "began"), "the first call runs")
        answer = await caller.add(key, sleep_ms=1800)
        assert answer == await first
        polls = server.journal.of(key, "arrived")[1:]
        waits = [later.at - earlier.at for earlier, later in pairwise(polls)]
        assert caller.channel.peer.retry.max_attempts < len(polls) <= 12
        # Bounds of the server's push-back, which follows how long the first call has run: 50 ms to a second.
        assert all(wait >= 0.05 for wait in waits)
        assert sum(waits[-2:]) > sum(waits[:-2])
        assert server.effects(key) == [5]
        await caller.is_well()


async def test_the_wait_that_a_repeat_is_told(server: Instance, key: str):
    """I1: the push-back of a call that runs is as long as it has run so far, between 50 ms and a second."""
    async with calling(server.target) as caller, stranger(server.target) as other:
        first = asyncio.create_task(awaited(caller.add(key, sleep_ms=1700)))
        await until(partial(server.journal.count, key, "began"), "the first call runs")
        began_at = server.journal.of(key, "began")[0].at
        for running_s in (0.0, 0.5, 1.2):
            await until(partial(_is_past, began_at + running_s), "it has run for so long")
            with pytest.raises(grpc.aio.AioRpcError, match="ABORTED") as told:
                await other.add(key, sleep_ms=1700, metadata=((headers.AUTHORIZATION, "Bearer user"),))
            pushback_s = int(dict(told.value.trailing_metadata())[headers.PUSHBACK_MS]) / 1000
            assert min(1.0, max(0.05, running_s - 0.05)) <= pushback_s <= min(1.0, time.monotonic() - began_at + 0.1)
        await first
        assert server.effects(key) == [5]


async def test_a_call_that_runs_too_long(server: Instance, key: str):
    """I1: where the first call outlasts the repeat's deadline, the repeat says that it is in progress; one effect."""
    async with calling(server.target) as caller:
        first = asyncio.create_task(awaited(caller.add(key, sleep_ms=1200)))
        await until(partial(server.journal.count, key, "began"), "the first call runs")
        request = pb.AddRequest(amount=5, behaviour=pb.Behaviour(sleep_ms=1200))
        metadata = ((KEY, key), (headers.IDEMPOTENCY_KEY, key))
        failed = await failure(caller.effects.Add(request, timeout=0.5, metadata=metadata))
        assert failed.told in (("ABORTED", "IN_PROGRESS"), ("DEADLINE_EXCEEDED", "DEADLINE_EXPIRED"))
        await first
        assert server.effects(key) == [5]
        await caller.is_well()


async def test_another_payload(server: Instance, key: str):
    """I2: a key that was used with another request is refused and nothing changes; its own request is replayed."""
    async with calling(server.target) as caller:
        first = await caller.add(key, 5)
        assert (await failure(caller.add(key, 6))).told == ("INVALID_ARGUMENT", "IDEMPOTENCY_KEY_REUSED")
        assert await caller.add(key, 5) == first
        assert server.effects(key) == [5]
        await caller.is_well()


async def test_the_same_payload_in_other_bytes(server: Instance, key: str):
    """I2: the same request with its fields in another order, or one of them twice, is the same: the last one counts.

    No request of this platform has a map, whose order would be the common case; the canonical form is the same for it.
    """
    request = pb.AddRequest(amount=5, behaviour=pb.Behaviour(attempt_key="a", sleep_ms=1))
    amount, behaviour = pb.AddRequest(amount=5), pb.AddRequest(behaviour=request.behaviour)
    forms = [
        request.SerializeToString(),
        behaviour.SerializeToString() + amount.SerializeToString(),
        pb.AddRequest(amount=7).SerializeToString() + behaviour.SerializeToString() + amount.SerializeToString(),
    ]
    assert len(set(forms)) == 3
    metadata = ((KEY, key), (headers.IDEMPOTENCY_KEY, key), (headers.AUTHORIZATION, "Bearer user"))
    async with stranger(server.target) as caller:
        send = caller.channel.unary_unary("/trunk.testing.v1.EffectService/Add")
        answers = [await send(form, metadata=metadata) for form in forms]
    assert len(set(answers)) == 1
    assert server.effects(key) == [5]


async def test_killed_between_commit_and_answer(victim: Instance, key: str):
    """I3: kill -9 after the commit and before the answer; repeated, the call gets what was stored, byte for byte."""
    async with calling(victim.target, breaker_open_s=0.5) as caller:
        first = asyncio.create_task(awaited(caller.add(key, metadata=((HANG, "1"),))))
        await until(partial(victim.journal.count, key, "committed"), "the effect is committed")
        victim.kill()
        with pytest.raises(ServiceError, match="UNAVAILABLE"):
            await first
        (stored,) = victim.stored(key)
        await asyncio.to_thread(victim.start)
        await caller.is_well()
        repeat = caller.add(key)
        assert (await repeat).SerializeToString() == stored
        assert dict(await repeat.trailing_metadata())[headers.REPLAYED] == "1"
        assert (victim.effects(key), victim.journal.count(key, "began")) == ([5], 1)
        await caller.is_well()


async def test_killed_before_the_commit(victim: Instance, key: str):
    """I3: kill -9 before the commit leaves nothing; repeated under the same key, the call is done, once."""
    async with calling(victim.target, breaker_open_s=0.5) as caller:
        first = asyncio.create_task(awaited(caller.add(key, sleep_ms=20_000)))
        await until(partial(victim.journal.count, key, "began"), "the handler has begun")
        victim.kill()
        with pytest.raises(ServiceError, match="UNAVAILABLE"):
            await first
        assert (victim.effects(key), victim.stored(key)) == ([], [])
        await asyncio.to_thread(victim.start)
        await caller.is_well()
        metadata = ((KEY, key), (headers.IDEMPOTENCY_KEY, key))
        answer = await caller.effects.Add(pb.AddRequest(amount=5), metadata=metadata)
        assert victim.stored(key) == [answer.SerializeToString()]
        assert victim.effects(key) == [5]


@pytest.mark.parametrize("why", ["by the contract", "by a rule"])
async def test_refused_and_corrected(server: Instance, key: str, why: str):
    """I4: a key whose call was refused, by its contract or by a rule of the handler, is free for the corrected one."""
    async with calling(server.target) as caller:
        if why == "by the contract":
            told = (await failure(caller.add(key, sleep_ms=-1))).told
            assert told == ("INVALID_ARGUMENT", "REQUEST_INVALID")
        else:
            refused = repeated(grpc.StatusCode.FAILED_PRECONDITION)
            told = (await failure(caller.add(key, attempt_key=key, fail_with=refused))).told
            assert told == ("FAILED_PRECONDITION", "AS_ASKED")
        assert (server.effects(key), server.stored(key)) == ([], [])
        await caller.add(key, 6)
        assert server.effects(key) == [6]
        await caller.is_well()


async def test_a_key_that_is_forgotten(tmp_path, key: str):
    """I5: a day before its seven are over a key still replays; a day after, it is forgotten, and what keeps the effect
    single then is the business key, such as a receipt's number.
    """
    days = KEPT_FOR.days
    assert days >= 7
    with Instance(tmp_path / "later") as later:
        async with calling(later.target, breaker_open_s=0.5) as caller:
            first = await caller.add(key, metadata=((ONCE, "1"),))
            later.end()
            later.settings = {"days_ahead": days - 1}
            await asyncio.to_thread(later.start)
            await caller.is_well()
            assert await caller.add(key, metadata=((ONCE, "1"),)) == first
            later.end()
            later.settings = {"days_ahead": days + 1}
            await asyncio.to_thread(later.start)
            await caller.is_well()
            await until(lambda: later.stored(key) == [], "the key is forgotten")
            failed = await failure(caller.add(key, metadata=((ONCE, "1"),)))
            assert failed.told == ("ALREADY_EXISTS", "AS_ASKED")
            assert later.effects(key) == [5]


def _is_past(instant: float) -> bool:
    return time.monotonic() >= instant
