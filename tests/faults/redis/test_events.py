"""What Redis does to events: it is full, it refuses to write, it loses those who listen. Outboxes hold, and go on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from trunkline.events import RedisUnavailable
from trunkline.launcher.embedded import EmbeddedRedis, embedded_redis
from trunkline.storage import Database

from tests.shop.running import clean_environment
from tests.trunkline.events.notes import (
    OTHER_KEY,
    PLATFORM,
    consumer,
    opened,
    publish,
    relay,
    rows,
    running,
    until,
    until_seen,
)

SMALL = 4 << 20


@pytest.fixture
async def publisher(tmp_path: Path) -> AsyncIterator[Database]:
    """Database of the notebook."""
    async with opened(tmp_path / "publisher.db") as database:
        yield database


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncIterator[Database]:
    """Database of the reader."""
    async with opened(tmp_path / "reader.db") as database:
        yield database


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    """A server of the test's own."""
    async with embedded_redis(tmp_path / "redis") as one:
        yield one


async def test_memory_is_used_up(publisher: Database, reader: Database, server: EmbeddedRedis):
    """F6: XADD is refused with OOM: the outbox holds, health says why; with more memory everything comes, in order."""
    sender, receiver = relay(publisher, server.url), consumer(reader, server.url)
    async with Redis.from_url(server.url) as client, running(sender, receiver):
        await publish(publisher, "first")
        sender.wake()
        await until_seen(reader, [1])
        await client.config_set("maxmemory", 1)
        await publish(publisher, "second", "third")
        sender.wake()
        await until(lambda: sender.outage.error is not None)
        with pytest.raises(RedisUnavailable, match=r"OOM|memory"):
            await sender.check()
        unsent = [row["number"] for row in await rows(publisher, PLATFORM.outbox) if row["stream_id"] is None]
        assert unsent == [2, 3]
        await client.config_set("maxmemory", 512 << 20)
        await until_seen(reader, [1, 2, 3])
        await until(lambda: sender.outage.error is None)  # what was sent is applied before the relay has noted it
        await sender.check()


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted, which only root may")
async def test_the_disk_of_its_log_is_full(publisher: Database, reader: Database, tmp_path: Path):
    """F18: Redis cannot write its append-only file and refuses writes (MISCONF): the outbox holds; then all comes."""
    with _small_disk(tmp_path / "disk") as disk:
        async with embedded_redis(disk / "redis", persistent=True) as server, Redis.from_url(server.url) as client:
            sender, receiver = relay(publisher, server.url), consumer(reader, server.url)
            async with running(sender, receiver):
                await publish(publisher, "first")
                sender.wake()
                await until_seen(reader, [1])
                ballast = disk / "ballast"
                ballast.write_bytes(b"\1" * _free(disk))
                await until(lambda: _refuses(client))
                await publish(publisher, "second", key=OTHER_KEY)
                sender.wake()
                await until(lambda: sender.outage.error is not None)
                (held,) = [row for row in await rows(publisher, PLATFORM.outbox) if row["stream_id"] is None]
                assert held["key"] == OTHER_KEY
                ballast.unlink()
                await until_seen(reader, [1], key=OTHER_KEY)
                await until(lambda: sender.outage.error is None)
                await sender.check()


async def test_who_listens_is_cut_off(publisher: Database, reader: Database, server: EmbeddedRedis):
    """E20: announcements are hints: with every subscriber killed, again and again, events come all the same."""
    sender, receiver = relay(publisher, server.url), consumer(reader, server.url)
    async with Redis.from_url(server.url) as found, running(sender, receiver):
        client: Any = found
        for number in range(1, 21):
            await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            await publish(publisher, str(number))
            await until_seen(reader, list(range(1, number + 1)))


async def test_a_server_that_may_drop_streams(tmp_path: Path, server: EmbeddedRedis):
    """F7: a service that publishes or consumes does not start on it: it ends with 2, and says what to do."""
    async with Redis.from_url(server.url) as client:
        await client.config_set("maxmemory-policy", "allkeys-lru")
    peers = dict.fromkeys(("ACCOUNT", "CART", "TERMINAL", "REPORT"), "dns:///127.0.0.1:1")
    environment = clean_environment(
        TRUNKLINE_PROFILE="production", TRUNKLINE_VAR_DIR=tmp_path, REDIS_URL=server.url,
        **{f"{name}_SERVICE_TARGET": target for name, target in peers.items()},
    )  # fmt: skip
    command: Any = [sys.executable, "-m", "services.journal"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)  # noqa: ASYNC221
    assert ended.returncode == 2
    assert "CONFIG SET maxmemory-policy noeviction" in ended.stderr


async def _refuses(client: Redis) -> bool:
    try:
        await client.set("probe", b"\1" * 65536)
    except ResponseError as error:
        return "MISCONF" in str(error)
    return False


def _free(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
