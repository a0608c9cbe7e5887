"""Reads that a client answers from memory: for how long, for whom, and one call for all who ask at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.call import InboundCall, serving
from trunkline.errors import ServiceError, not_found, unavailable
from trunkline.interceptors.answers import KeptAnswers
from trunkline.telemetry.metrics import CACHE_RESULTS, METRICS
from trunkline.testing.clock import FakeClock
from trunkline.testing.ping import Bench, bench

from tests.trunkline.interceptors.people import EVERYBODY
from tests.trunkline.interceptors.servicers import Policies, until

METHOD = "/trunk.testing.v1.PolicyService/Cached"
TTL_S = 5.0
TOPIC = "bench_changed"


class Shop:
    """A bench whose answers are kept, and its clock."""

    def __init__(self, on: Bench, servicer: Policies, clock: FakeClock) -> None:
        self.on = on
        self.servicer = servicer
        self.clock = clock
        self.stub: Any = pb_grpc.PolicyServiceStub(on.channel)
        self.waiting: list[asyncio.Task[Any]] = []

    @property
    def answers(self) -> KeptAnswers:
        """What the channel keeps."""
        return self.on.channel.peer.answers

    def call(self, value: str = "a", inbound: InboundCall | None = None, **options: Any) -> Any:
        """One call, inside a served one if that is given."""
        with serving(inbound) if inbound else nullcontext():
            return self.stub.Cached(pb.CachedRequest(value=value), **options)

    async def ask(self, value: str = "a", inbound: InboundCall | None = None, **options: Any) -> int:
        """Which call to the server the answer is of."""
        answer = await self.call(value, inbound, **options)
        assert answer.value == value
        return int(answer.serial)

    async def ask_aside(self, callers: int = 1, **options: Any) -> list[asyncio.Task[int]]:
        """Tasks that ask, and have got as far as they come."""
        tasks = [asyncio.create_task(self.ask(**options)) for _ in range(callers)]
        self.waiting += tasks
        for _ in range(3):
            await asyncio.sleep(0)
        return tasks


@pytest.fixture
async def shop(clock: FakeClock) -> AsyncIterator[Shop]:
    """A shop whose clock stands still."""
    servicer = Policies()
    async with bench(servicers=[servicer], clock=clock) as on:
        shop = Shop(on, servicer, clock)
        yield shop
        for task in shop.waiting:
            task.cancel()


class Held:
    """Calls wait inside the handler until they are let go."""

    def __init__(self, shop: Shop, failure: ServiceError | None = None) -> None:
        self.failure = failure
        self.open = asyncio.Event()
        shop.servicer.inside = self

    async def __call__(self, _: int) -> None:
        """Waits, and fails if it is to."""
        await self.open.wait()
        if self.failure is not None:
            raise self.failure


async def test_an_answer_is_kept_for_its_time(shop):
    """Five seconds stand in the contract: until then the server is not asked again, afterwards it is."""
    assert [await shop.ask(), await shop.ask(), await shop.ask("b")] == [1, 1, 2]
    shop.clock.advance(TTL_S - 0.001)
    assert await shop.ask() == 1
    shop.clock.advance(0.001)
    assert [await shop.ask(), await shop.ask()] == [3, 3]


async def test_an_answer_from_memory_is_a_call_that_went_well(shop):
    """It has code OK, no metadata, and is no stale answer; it can be awaited again."""
    await shop.ask()
    call = shop.call()
    assert (await call).serial == (await call).serial == 1
    assert (await call.code(), await call.details(), call.stale_age_s) == (grpc.StatusCode.OK, "", None)
    assert (list(await call.initial_metadata()), list(await call.trailing_metadata())) == ([], [])
    assert (call.done(), call.cancelled(), call.time_remaining()) == (True, False, None)


async def test_all_who_ask_at_once_share_one_call(shop):
    """Fifty callers, one call at the server, one answer; whoever asks afterwards has it from memory."""
    held = Held(shop)
    tasks = await shop.ask_aside(50)
    await until(lambda: shop.servicer.calls == 1)
    held.open.set()
    assert await asyncio.gather(*tasks) == [1] * 50
    assert await shop.ask() == 1
    assert not shop.answers.flights


async def test_what_the_cache_did_is_counted(shop):
    """A miss, two that share it, and a hit."""
    told = METRICS.client("ping", METHOD)
    before = [told.cache[one] for one in CACHE_RESULTS]
    held = Held(shop)
    tasks = await shop.ask_aside(3)
    held.open.set()
    await asyncio.gather(*tasks)
    await shop.ask()
    counted = {one: told.cache[one] - count for one, count in zip(CACHE_RESULTS, before, strict=True)}
    assert counted == {"miss": 1, "shared": 2, "hit": 1, "stale": 0}


async def test_who_asked_first_may_leave(shop):
    """The call that others wait for goes on without whoever began it, and without any other of them."""
    held = Held(shop)
    first, second, third = await shop.ask_aside(3)
    await until(lambda: shop.servicer.calls == 1)
    first.cancel()
    third.cancel()
    await asyncio.wait({first, third})
    held.open.set()
    assert await second == 1
    assert (shop.servicer.calls, shop.servicer.cancelled) == (1, 0)


async def test_when_all_leave_the_call_is_cancelled(shop):
    """Nobody waits any more: the handler stops, and the next who asks begins a call of his own."""
    held = Held(shop)
    tasks = await shop.ask_aside(3)
    await until(lambda: shop.servicer.calls == 1)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert not shop.answers.flights
    await until(lambda: shop.servicer.cancelled == 1)
    held.open.set()
    assert await shop.ask() == 2


async def test_the_short_time_of_the_first_is_its_own(shop):
    """Those with more time are not told of it: one of them asks again, for all."""

    async def inside(number: int) -> None:
        if number == 1:
            await asyncio.Event().wait()

    shop.servicer.inside = inside
    (hasty,) = await shop.ask_aside(timeout=0.15)
    patient = await shop.ask_aside(20, timeout=4)
    with pytest.raises(ServiceError, match="DEADLINE_EXPIRED"):
        await hasty
    assert await asyncio.gather(*patient) == [2] * 20
    assert shop.servicer.calls == 2


async def test_whose_time_is_over_waits_no_longer(shop):
    """A follower with less time than the first leaves at his own deadline, and the others do not notice."""
    held = Held(shop)
    (first,) = await shop.ask_aside()
    await until(lambda: shop.servicer.calls == 1)
    (hasty,) = await shop.ask_aside(timeout=0.05)
    with pytest.raises(ServiceError) as late:
        await hasty
    assert (late.value.code, late.value.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXPIRED")
    (third,) = await shop.ask_aside()
    held.open.set()
    assert [await first, await third] == [1, 1]
    assert (shop.servicer.calls, shop.servicer.cancelled) == (1, 0)


async def test_a_follower_that_is_cancelled_hears_of_it(shop):
    """His task is cancelled and nothing else: `cancel()` on the call object leaves the task's count as it was."""
    held = Held(shop)
    (first,) = await shop.ask_aside()
    cancelling: list[int] = []
    calls: list[Any] = []

    async def follow() -> None:
        calls.append(shop.call())
        try:
            await calls[0]
        except asyncio.CancelledError:
            task = asyncio.current_task()
            assert task is not None
            cancelling.append(task.cancelling())

    follower = asyncio.create_task(follow())
    await until(lambda: bool(calls))
    calls[0].cancel()
    await follower
    assert (cancelling, await calls[0].code()) == ([0], grpc.StatusCode.CANCELLED)
    held.open.set()
    assert await first == 1


@pytest.mark.parametrize("error", [not_found("GONE", "gone"), unavailable("LATER", "not now")], ids=str)
async def test_a_failure_is_shared_but_not_kept(shop, error):
    """All who wait for the call are told; whoever asks next asks the server."""
    shop.on.channel.peer.retry = type(shop.on.channel.peer.retry)(max_attempts=1)
    held = Held(shop, error)
    tasks = await shop.ask_aside(5)
    await until(lambda: shop.servicer.calls == 1)
    held.open.set()
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert [getattr(one, "reason", one) for one in told] == [error.reason] * 5
    shop.servicer.inside = None
    assert await shop.ask() == 2


async def test_answers_are_kept_for_each_caller(shop):
    """Another tenant, caller or credential asks for himself, also while the other's call runs."""
    callers = [
        None,
        InboundCall("/a", tenant_id="acme"),
        InboundCall("/a", tenant_id="acme", caller=EVERYBODY["user"]),
        InboundCall("/a", tenant_id="rival", caller=EVERYBODY["rival"]),
    ]
    held = Held(shop)
    tasks = [task for one in callers for task in await shop.ask_aside(2, inbound=one)]
    await until(lambda: shop.servicer.calls == len(callers))
    held.open.set()
    serials = await asyncio.gather(*tasks)
    assert serials[::2] == serials[1::2]
    assert len(set(serials)) == len(callers)
    assert [await shop.ask(inbound=one) for one in callers] == serials[::2]


async def test_an_event_voids_what_depends_on_its_topic(shop):
    """Answers of the event's tenant and of no known tenant go; of another tenant, or on another topic, they stay."""
    acme, rival = InboundCall("/a", tenant_id="acme"), InboundCall("/a", tenant_id="rival")
    assert [await shop.ask(), await shop.ask(inbound=acme), await shop.ask(inbound=rival)] == [1, 2, 3]
    assert shop.answers.forget("another_topic", "acme") == 0
    assert shop.answers.forget(TOPIC, "acme") == 2
    assert [await shop.ask(inbound=rival), await shop.ask(inbound=acme), await shop.ask()] == [3, 4, 5]
    assert shop.answers.forget(TOPIC) == 3
    assert len(shop.answers) == 0
    await shop.ask()
    assert shop.answers.forget() == 1


class Gates:
    """Calls wait inside the handler until they are let go by number."""

    def __init__(self, shop: Shop) -> None:
        self.open = [asyncio.Event() for _ in range(4)]
        shop.servicer.inside = self

    async def __call__(self, number: int) -> None:
        """Waits."""
        await self.open[number].wait()


async def test_an_answer_asked_for_before_an_event_is_not_kept(shop):
    """Who waits gets it; who asks after the event gets one of now, though the older call still runs."""
    gates = Gates(shop)
    (before,) = await shop.ask_aside()
    await until(lambda: shop.servicer.calls == 1)
    shop.answers.forget(TOPIC, "acme")
    (after,) = await shop.ask_aside()
    await until(lambda: shop.servicer.calls == 2)
    gates.open[1].set()
    await before
    (joined,) = await shop.ask_aside()
    gates.open[2].set()
    assert [await after, await joined, await shop.ask()] == [2, 2, 2]
    assert shop.servicer.calls == 2


async def test_an_answer_of_before_does_not_replace_one_of_after(shop):
    """The older call is answered last: what it brings is given to who waits, and not kept."""
    gates = Gates(shop)
    (before,) = await shop.ask_aside()
    await until(lambda: shop.servicer.calls == 1)
    shop.answers.forget(TOPIC)
    (after,) = await shop.ask_aside()
    gates.open[2].set()
    assert await after == 2
    gates.open[1].set()
    assert await before == 1
    assert await shop.ask() == 2
