"""Events make kept answers void, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from redis.asyncio import Redis
from trunk.event.v1 import envelope_pb2
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.interceptors import invalidation as module
from trunkline.interceptors.answers import Kept, KeptAnswers, Key
from trunkline.interceptors.invalidation import Invalidation
from trunkline.launcher.embedded import EmbeddedRedis
from trunkline.testing.ping import bench

from tests.trunkline.events.notes import BOUND_S, until
from tests.trunkline.interceptors.servicers import Policies

TOPIC, OTHER = "bench_changed", "bench_renamed"


def kept(**topics: str) -> KeptAnswers:
    """One answer for each tenant: its name → the topic it depends on, or nothing."""
    answers = KeptAnswers()
    for tenant, topic in topics.items():
        keep(answers, tenant, topic)
    return answers


def keep(answers: KeptAnswers, tenant: str, topic: str = TOPIC) -> None:
    """Keeps an answer of a tenant; of `unknown` it is not known whose it is."""
    depends = [topic] if topic else []
    answers.depend_on(depends)
    answers.put(key(tenant), Kept(b"", 0.0, "" if tenant == "unknown" else tenant, depends))


def key(tenant: str) -> Key:
    """What an answer of a tenant is found by."""
    return ("/a", tenant, b"")


def left(answers: KeptAnswers) -> set[str]:
    """Tenants whose answers are still kept."""
    return {tenant for tenant in ("acme", "rival", "unknown", "timeless") if answers.get(key(tenant)) is not None}


async def publish(client: Redis, topic: str = TOPIC, tenant: str = "acme") -> None:
    """What the relay publishes on the channel of a topic."""
    event = envelope_pb2.Envelope(id="e", topic=topic, tenant_id=tenant, key=f"{tenant}/1", number=1)
    assert await client.publish(topic, event.SerializeToString()) == 1


@asynccontextmanager
async def listening(url: str, *answers: KeptAnswers) -> AsyncIterator[Invalidation]:
    """Runs for the length of a block; in the end it stops by itself, and soon."""
    invalidation, stop = Invalidation(url, lambda: answers), asyncio.Event()
    task = asyncio.create_task(invalidation.run(stop))
    try:
        yield invalidation
    finally:
        stop.set()
        async with asyncio.timeout(BOUND_S):
            await task


def hears(invalidation: Invalidation, *topics: str) -> Callable[[], bool]:
    """Whether it listens to these topics, and to no other."""
    return lambda: invalidation.listening == set(topics)


async def test_an_event_voids_its_tenants_answers(client: Redis, url: str):
    """And those of which nobody knows whose they are; other tenants', and those on no topic, stay."""
    answers = KeptAnswers()
    answers.depend_on([TOPIC, OTHER])
    async with listening(url, answers) as invalidation:
        await until(hears(invalidation, TOPIC, OTHER))
        for tenant in ("acme", "rival", "unknown"):
            keep(answers, tenant)
        keep(answers, "timeless", topic="")
        await publish(client)
        await until(lambda: left(answers) == {"rival", "timeless"})
        await publish(client, OTHER, "rival")
        await publish(client, TOPIC, "rival")
        await until(lambda: left(answers) == {"timeless"})


async def test_an_event_on_another_topic_voids_nothing(client: Redis, url: str):
    """Only answers that depend on the event's topic are void."""
    answers = KeptAnswers()
    answers.depend_on([TOPIC, OTHER])
    async with listening(url, answers) as invalidation:
        await until(hears(invalidation, TOPIC, OTHER))
        keep(answers, "acme")
        keep(answers, "rival", topic=OTHER)
        await publish(client, OTHER, "acme")
        await publish(client, OTHER, "rival")
        await until(lambda: left(answers) == {"acme"})


async def test_it_is_heard_for_every_target(client: Redis, url: str):
    """A process calls several services: what is kept of each is voided."""
    first, second = kept(timeless=TOPIC), kept(timeless=TOPIC)
    async with listening(url, first, second) as invalidation:
        await until(hears(invalidation, TOPIC))
        for one in (first, second):
            keep(one, "acme")
        await publish(client)
        await until(lambda: left(first) == left(second) == set())


async def test_what_is_no_event_is_passed_over(client: Redis, url: str):
    """Junk on the channel voids nothing and stops nothing."""
    answers = kept(timeless=TOPIC)
    async with listening(url, answers) as invalidation:
        await until(hears(invalidation, TOPIC))
        keep(answers, "acme")
        keep(answers, "rival")
        await client.publish(TOPIC, b"\xff\xff")
        await publish(client, tenant="rival")
        await until(lambda: left(answers) == {"acme"})


async def test_when_listening_begins_all_that_depends_on_it_is_void(url: str):
    """Before it, anything may have been missed; what depends on no topic stays."""
    answers = kept(acme=TOPIC, rival=OTHER, unknown=TOPIC, timeless="")
    async with listening(url, answers) as invalidation:
        await until(hears(invalidation, TOPIC, OTHER))
        assert left(answers) == {"timeless"}


async def test_a_topic_that_is_known_later_is_listened_to(client: Redis, url: str):
    """Topics are known when a read is first called: from then on its events count, and those of the others still do."""
    answers = KeptAnswers()
    async with listening(url, answers) as invalidation:
        await asyncio.sleep(0)
        assert invalidation.listening == frozenset()
        answers.depend_on([TOPIC])
        await until(hears(invalidation, TOPIC))
        answers.depend_on([OTHER])
        await until(hears(invalidation, TOPIC, OTHER))
        keep(answers, "acme")
        keep(answers, "rival", topic=OTHER)
        await publish(client, TOPIC, "acme")
        await publish(client, OTHER, "rival")
        await until(lambda: left(answers) == set())


async def test_an_outage_voids_what_was_kept_meanwhile(own_server: EmbeddedRedis):
    """When Redis is back, what depends on a topic is forgotten; events count again."""
    answers = kept(timeless="")
    answers.depend_on([TOPIC])
    async with listening(own_server.url, answers) as invalidation:
        await until(hears(invalidation, TOPIC))
        await own_server.stop()
        for tenant in ("acme", "rival"):
            keep(answers, tenant)
        await own_server.start()
        await until(lambda: left(answers) == {"timeless"})
        keep(answers, "acme")
        async with Redis.from_url(own_server.url, protocol=2) as client:
            await publish(client)
        await until(lambda: left(answers) == {"timeless"})


async def test_without_redis_it_waits(own_server: EmbeddedRedis):
    """It fails nobody, keeps trying, and stops at once when it is told to."""
    await own_server.stop()
    answers = kept(acme=TOPIC)
    async with listening(own_server.url, answers) as invalidation:
        await asyncio.sleep(0)
        assert invalidation.listening == frozenset()
    assert left(answers) == {"acme"}
    async with listening(own_server.url, answers) as invalidation:
        await own_server.start()
        await until(hears(invalidation, TOPIC))
        assert left(answers) == set()


async def test_without_topics_nobody_is_asked():
    """A process that keeps no answers on topics opens no connection: nothing listens at this address."""
    answers = kept(timeless="")
    async with listening("redis://127.0.0.1:1/0", answers):
        await asyncio.sleep(0)
    assert left(answers) == {"timeless"}


@pytest.mark.parametrize("tenant", ["acme", ""])
async def test_the_next_read_asks_the_server(client: Redis, url: str, tenant: str):
    """From the event to the wire: the answer that was kept is not given any more."""
    async with bench(servicers=[Policies()]) as on:
        stub: Any = pb_grpc.PolicyServiceStub(on.channel)

        async def serial() -> int:
            return int((await stub.Cached(pb.CachedRequest(value="a"))).serial)

        assert [await serial(), await serial()] == [1, 1]
        async with listening(url, on.channel.peer.answers) as invalidation:
            await until(hears(invalidation, TOPIC))
            assert [await serial(), await serial()] == [2, 2]
            await publish(client, tenant=tenant)
            await until(lambda: len(on.channel.peer.answers) == 0)
            assert [await serial(), await serial()] == [3, 3]


async def test_topics_change_at_any_moment(monkeypatch: pytest.MonkeyPatch):
    """New topics are listened to though the client of Redis swallows the cancellation that ends the old listening."""

    async def deaf(*_: object, listening: Callable[[], None], **__: object) -> AsyncIterator[Any]:
        listening()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()
        yield None

    monkeypatch.setattr(module, "tail", deaf)
    answers = kept(acme=TOPIC)
    async with listening("redis://127.0.0.1:1", answers) as invalidation:
        await until(hears(invalidation, TOPIC))
        answers.depend_on([OTHER])
        await until(hears(invalidation, TOPIC, OTHER))
