"""A launched system: its start, its end, and what happens when a part of it dies."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from dataclasses import replace

import pytest
from redis.asyncio import Redis
from trunkline.launcher.embedded import embedded_redis
from trunkline.launcher.launch import launched
from trunkline.launcher.leftovers import marked
from trunkline.launcher.ports import free_port
from trunkline.launcher.readiness import is_serving, wait_redis
from trunkline.launcher.supervisor import last_words
from trunkline.launcher.system import LaunchError, Places, SystemSpec
from trunkline.registry.system import read_system, system_file
from trunkline.testing.certificates import Authority, write

pytestmark = pytest.mark.system


async def test_serves_and_says_where(ping_system):
    """Inside the block every program is SERVING and system.json says where; after it nothing is left of either."""
    async with launched(ping_system) as running:
        assert running.system.services == ping_system.addresses
        assert read_system(ping_system.var_dir) == running.system
        assert [await is_serving(address) for address in ping_system.addresses.values()] == [True, True]
        assert (ping_system.var_dir / "log" / "one.log").stat().st_size > 0
        assert {state.state for state in running.supervisor.states()} <= {"STARTING", "RUNNING"}
        mode = (ping_system.var_dir / "run" / "supervisord.conf").stat().st_mode
        assert mode & 0o077 == 0
    assert not system_file(ping_system.var_dir).exists()
    assert marked(ping_system.var_dir) == set()


async def test_restarts_what_was_killed(ping_system, eventually):
    """A program killed with -9 comes back under another process id and serves again."""
    async with launched(ping_system) as running:
        before = {one.name: one.pid for one in running.supervisor.states()}
        os.kill(before["one"], signal.SIGKILL)

        async def back() -> bool:
            now = {one.name: one.pid for one in running.supervisor.states()}
            return now["one"] not in {0, before["one"]} and await is_serving(ping_system.addresses["one"])

        await eventually(back)
        assert next(one.pid for one in running.supervisor.states() if one.name == "two") == before["two"]


async def test_stops_and_starts_one_program(ping_system, eventually):
    """One program can be stopped and started from outside; the others do not notice."""
    async with launched(ping_system) as running:
        running.supervisor.stop("one")
        assert not await is_serving(ping_system.addresses["one"])
        assert await is_serving(ping_system.addresses["two"])
        running.supervisor.start("one")
        await eventually(lambda: is_serving(ping_system.addresses["one"]))
        running.supervisor.restart("one")
        await eventually(lambda: is_serving(ping_system.addresses["one"]))


async def test_names_an_unknown_program(ping_system):
    """Controlling a program that is not there is refused with the names of those that are."""
    async with launched(ping_system) as running:
        with pytest.raises(LaunchError, match=r"no program three .* one, two"):
            running.supervisor.stop("three")


async def test_refuses_a_port_in_use(ping_system):
    """A port that somebody else listens on is named before anything is started."""
    port = ping_system.ports["two"]
    refused = pytest.raises(LaunchError, match=rf"port {port} \(two\) in use")
    with socket.create_server(("127.0.0.1", port)), refused:
        async with launched(ping_system):
            pass
    assert marked(ping_system.var_dir) == set()


async def test_refuses_a_port_of_metrics_in_use(ping_system, ping_program):
    """The ports of metrics are looked at as all others are."""
    port = free_port()
    program = replace(ping_program("three", free_port()), metrics_port=port)
    spec = replace(ping_system, programs=[*ping_system.programs, program])
    refused = pytest.raises(LaunchError, match=rf"port {port} \(metrics of three\) in use")
    with socket.create_server(("127.0.0.1", port)), refused:
        async with launched(spec):
            pass
    assert marked(spec.var_dir) == set()


async def test_refuses_a_certificate_that_serves_nobody(ping_system, tmp_path):
    """With a certificate that is of no use for a service nothing starts, and the text says what it lacks."""
    with pytest.raises(LaunchError, match="lack two"):
        async with launched(replace(ping_system, tls=write(tmp_path, "one", Authority()))):
            pass
    assert marked(ping_system.var_dir) == set()


async def test_refuses_a_folder_that_cannot_be_written(ping_system, tmp_path):
    """A folder that cannot be made or written is told of with why, and with the setting that names another."""
    (tmp_path / "file").touch()
    with pytest.raises(LaunchError, match=r"cannot be written: Not a directory; .*TRUNKLINE_VAR_DIR"):
        async with launched(replace(ping_system, var_dir=tmp_path / "file")):
            pass
    Places.of(ping_system.var_dir).launcher_lock.with_suffix(".lock").mkdir(parents=True)
    with pytest.raises(LaunchError, match=r"launcher.lock cannot be written: "):
        async with launched(ping_system):
            pass


def test_the_last_words_are_what_was_amiss():
    """Of a log that is told of as one line: the last warning, in words; without one the last line."""
    log = 'not JSON\n[1]\n{"event": "serving", "level": "info"}\n\n'
    assert last_words(log) == '{"event": "serving", "level": "info"}'
    log += '{"path": "/x", "event": "it is late", "level": "warning", "service": "one", "timestamp": "1"}\n'
    log += '{"event": "registered", "level": "info"}\n'
    assert last_words(log) == "it is late, path=/x"
    assert last_words("") == "its log is empty"


async def test_refuses_a_second_system(ping_system):
    """Two systems never run on one folder: the second launcher is refused and the first one does not notice."""
    async with launched(ping_system) as running:
        with pytest.raises(LaunchError, match=r"runs on .* already"):
            async with launched(ping_system):
                pass
        assert read_system(ping_system.var_dir) == running.system


async def test_tells_why_a_program_refuses(tmp_path, ping_program):
    """A program that says it cannot start ends the launch at once, with its own words."""
    program = ping_program("bad", free_port(), PING_REFUSE="PING_COLOUR is no colour")
    spec = SystemSpec(var_dir=tmp_path / "var", programs=[program], environment={"TRUNKLINE_PROFILE": "test"})
    with pytest.raises(LaunchError, match="bad does not start: PING_COLOUR is no colour"):
        async with launched(spec):
            pass
    assert marked(spec.var_dir) == set()


async def test_names_what_does_not_serve_in_time(ping_system):
    """When the bound has passed, the programs that are not SERVING are named and everything is stopped."""
    spec = SystemSpec(
        var_dir=ping_system.var_dir,
        programs=ping_system.programs,
        environment=ping_system.environment,
        serving_bound_s=0.01,
    )
    with pytest.raises(LaunchError, match=r"not ready after .*: one \(.*\), two \(.*\)"):
        async with launched(spec):
            pass
    assert marked(spec.var_dir) == set()


async def test_a_redis_that_is_not_there_is_named(ping_system):
    """A Redis of one's own that does not answer is told with its place, without its password."""
    url = f"redis://:secret@127.0.0.1:{free_port()}/0"
    with pytest.raises(LaunchError, match=r"redis \(nothing answers at 127.0.0.1:\d+: ") as told:
        async with launched(replace(ping_system, redis_url=url, serving_bound_s=0.5)):
            pass
    assert "secret" not in str(told.value)


async def test_a_redis_that_refuses_the_password_is_told_at_once(tmp_path):
    """Waiting for a Redis that asks for another password ends with what it says, not with the bound."""
    async with embedded_redis(tmp_path) as server:
        async with Redis.from_url(server.url, protocol=2) as client:
            await client.config_set("requirepass", "right")
        wrong = server.url.replace("redis://", "redis://:wrong@")
        with pytest.raises(LaunchError, match="refuses what REDIS_URL says") as told:
            await asyncio.wait_for(wait_redis(wrong), 20)
        assert "wrong@" not in str(told.value)


async def test_brings_redis(ping_system, eventually):
    """With a port for it, the embedded server runs beside the services and all of them are told its address."""
    port = free_port()
    spec = SystemSpec(
        var_dir=ping_system.var_dir,
        programs=ping_system.programs,
        environment=ping_system.environment,
        redis_port=port,
        redis_persistent=False,
    )
    async with launched(spec) as running:
        assert running.system.redis_url == f"redis://127.0.0.1:{port}/0"
        assert {one.name for one in running.supervisor.states()} == {"one", "two", "redis"}
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"PING\r\n")
            assert connection.recv(16).startswith(b"+PONG")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
