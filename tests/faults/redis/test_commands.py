"""Redis 6.2 up to 8 and Valkey: nothing is sent that the oldest of them does not know."""

from __future__ import annotations

import ast
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from trunkline.cli.examination import redis_facts
from trunkline.clock import SYSTEM_CLOCK
from trunkline.errors import ServiceError
from trunkline.events import Relay, tail
from trunkline.events.streams import outage
from trunkline.events.streams.server_check import verdict_on
from trunkline.events.topics import shard_of, stream_name
from trunkline.launcher.embedded import EmbeddedRedis, embedded_redis
from trunkline.launcher.readiness import wait_redis
from trunkline.policies.rate import Ask, RateLimit
from trunkline.redis_master import master_url
from trunkline.registry.instance import Instance
from trunkline.registry.redis import RedisRegistry
from trunkline.state.redis_rates import RedisRates
from trunkline.state.redis_store import RedisStore
from trunkline.storage.leases import Leases
from trunkline.testing.resp_faults import ReplyFault, refuse
from trunkline.testing.resp_frames import Command
from trunkline.testing.resp_proxy import RespProxy

from tests.faults.redis.commands import COMMANDS, OLDEST, Recorder, is_old
from tests.trunkline.events.notes import (
    GROUP,
    KEY,
    PLATFORM,
    SOURCE,
    TOPICS,
    add,
    consumer,
    envelope,
    opened,
    publish,
    running,
    until,
)

PLATFORM_CODE = Path(__file__).parents[3] / "platform" / "trunkline"
ANSWERS = {*outage.SAID, outage.UNREACHABLE, outage.REFUSED, "BUSYGROUP", "ERR"}
"""Words in capitals that Redis says, or that are said of it."""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    """A server with a password."""
    async with embedded_redis(tmp_path / "redis") as found:
        yield found


@pytest.fixture
async def proxy(server: EmbeddedRedis) -> AsyncIterator[RespProxy]:
    """Before it, writing down what is sent."""
    async with RespProxy("127.0.0.1", server.port, plan=Recorder()) as found:
        yield found


def unknown(proxy: RespProxy) -> list[str]:
    """What was sent that the oldest server does not know."""
    assert isinstance(proxy.plan, Recorder)
    return proxy.plan.unknown


async def events(url: str, server: EmbeddedRedis, folder: Path) -> None:
    """Two relays, a consumer that finds another's entries, somebody who watches; all is trimmed."""
    async with opened(folder / "publisher.db") as publisher, opened(folder / "reader.db") as reader:
        leases = [Leases(publisher, PLATFORM) for _ in range(2)]
        senders = [
            Relay(publisher, PLATFORM, url, source=SOURCE, topics=TOPICS, leases=one, poll_s=0.05, window_s=0.0)
            for one in leases
        ]
        await _held_by_another(server)
        receiver = consumer(reader, url)
        async with aclosing(tail(url, "notes")) as watched, running(*senders, receiver):
            first = aiter(watched)
            await publish(publisher, *(str(number) for number in range(2, 300)))
            for one in senders:
                one.wake()
            await until(lambda: receiver.counts.applied == 298)
            await until(lambda: any(one.counts.confirmed for one in senders))
            for one in senders:
                await one._hints.tell()
            await publish(publisher, "300")
            assert (await anext(first)).topic == "notes"
            await until(lambda: sum(one.counts.trimmed for one in senders) > 0)


async def _held_by_another(server: EmbeddedRedis) -> None:
    """An entry was given to a consumer of another name."""
    async with Redis.from_url(server.url, protocol=2) as client:
        stream = stream_name("notes", shard_of(KEY, 8))
        await client.config_set("stream-node-max-entries", 4)
        await client.xgroup_create(stream, GROUP, "0", mkstream=True)
        await add(client, envelope(1))
        await client.xreadgroup(GROUP, "another", {stream: ">"})


async def state(url: str, proxy: RespProxy) -> None:
    """A store, with an outage and as in a cluster."""
    store = RedisStore(url, database=1, prefix="state:")
    version = await store.put("a", b"one", ttl_s=60)
    await store.create("b", b"two", ttl_s=60)
    await store.replace("a", b"three", version=version, ttl_s=60)
    assert set(await store.get_many(["a", "b"])) == {"a", "b"}
    await store.delete("b")
    proxy.plan.on("ASKING", ReplyFault("as a node", runs=False, answer=b"+OK\r\n"))
    proxy.plan.on("GET", refuse(f"ASK 1 127.0.0.1:{proxy.port}"))
    assert await store.get("a") is not None
    await proxy.reset_connections()
    with pytest.raises(ServiceError):
        await store.get("a")
    await until(lambda: not store.away)
    await store.close()


async def others(url: str) -> None:
    """The registry, rates, and what is asked of a server and of Sentinels."""
    registry, there = RedisRegistry(url), Instance(
        service="item", instance_id="i", address="127.0.0.1:1", state="serving", start_time=1.0
    )  # fmt: skip
    await registry.renew(there, 60)
    assert await registry.read(await registry.services()) == {"item": [there]}
    await registry.remove(there)
    await registry.close()
    rates = RedisRates(url, SYSTEM_CLOCK)
    answer: Any = rates.ask([Ask("acme", RateLimit(1.0, 5), 1)])
    await answer
    await rates.close()
    await verdict_on(url)
    await redis_facts(url.replace("redis://", "redis://default:secret@"))
    await wait_redis(url)
    with pytest.raises(RedisConnectionError):
        await master_url(url.replace("redis://", "redis+sentinel://").replace("/0", "/mymaster/0"))


async def test_everything_we_send_is_known_to_the_oldest_server(
    server: EmbeddedRedis, proxy: RespProxy, tmp_path: Path
):
    """Every command, every option, and what scripts do; and nothing in the table of them is left from earlier days."""
    url = f"redis://{proxy.target}/0"
    await events(url, server, tmp_path)
    await state(url, proxy)
    await others(url)
    assert unknown(proxy) == []
    assert isinstance(proxy.plan, Recorder)
    sent = proxy.plan.sent
    assert COMMANDS.keys() - sent.keys() == set()
    assert [name for name, known in COMMANDS.items() if known.options.keys() - sent[name]] == []


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("XAUTOCLAIM", (b"s",)),
        ("SET", (b"k", b"v", b"KEEPTTL")),
        ("CLIENT SETINFO", (b"LIB-NAME", b"x")),
        ("EVAL", (b"return redis.call('EXPIRETIME', KEYS[1])", b"1", b"k")),
        ("EVAL", (b"return redis.call('SET', KEYS[1], 'x', 'EXAT', 5)", b"1", b"k")),
        ("XINFO STREAM", (b"s", b"FULL")),
    ],
)
def test_what_is_not_in_the_table_is_noticed(name: str, arguments: tuple[bytes, ...]):
    """A command, an option, and both inside a script."""
    recorder = Recorder()
    recorder.fault_of(Command(name, arguments))
    assert recorder.unknown != []


def test_the_table_has_nothing_younger_than_the_oldest_server():
    """6.2, as the embedded one and the documentation say."""
    assert OLDEST == (6, 2, 0)
    assert [name for name, known in COMMANDS.items() if not is_old(known.since)] == []
    assert [name for name, known in COMMANDS.items() if not all(map(is_old, known.options.values()))] == []
    assert not is_old("7.0.0")


def test_no_command_stands_in_our_code_that_is_never_sent_here():
    """Words in capitals in whatever speaks to Redis are commands of the table, their options, or what Redis says."""
    known = {word for name, one in COMMANDS.items() for word in (*name.split(), *one.options)} | ANSWERS
    found = {word for path in _speakers() for word in _words(path)}
    assert found - known == set()


def _speakers() -> list[Path]:
    paths = [path for path in PLATFORM_CODE.rglob("*.py") if not {"testing", "cli"} & set(path.parts)]
    return [path for path in paths if "\nfrom redis" in path.read_text() or "streams.link" in path.read_text()]


def _words(path: Path) -> set[str]:
    texts = (one.value for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, ast.Constant))
    plain = [one.decode() if isinstance(one, bytes) else one for one in texts if isinstance(one, str | bytes)]
    return {word for text in plain if text == text.upper() for word in text.split() if word.isalpha() and len(word) > 1}
