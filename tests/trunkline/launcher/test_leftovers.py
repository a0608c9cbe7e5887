"""What a launcher that was killed leaves behind, and who ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from trunkline.launcher.launch import launched
from trunkline.launcher.leftovers import end_leftovers, marked
from trunkline.launcher.ports import free_port
from trunkline.launcher.readiness import is_free, is_serving
from trunkline.launcher.stop import stop_system
from trunkline.launcher.supervisor import Supervisor
from trunkline.launcher.system import REDIS
from trunkline.registry.system import read_system, system_file

pytestmark = pytest.mark.system

LAUNCH = Path(__file__).with_name("launch_program.py")


@pytest.fixture
async def launcher(ping_system, tmp_path, eventually):
    """A launcher in a process of its own, whose system serves."""
    description = tmp_path / "system.json"
    programs = [asdict(program) for program in ping_system.programs]
    environment = dict(ping_system.environment)
    spec = {"var_dir": str(ping_system.var_dir), "programs": programs, "environment": environment}
    description.write_text(json.dumps({**spec, "redis_port": free_port()}))
    command = [sys.executable, str(LAUNCH), str(description)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)  # noqa: ASYNC220 - started once, nothing else waits

    async def up() -> bool:
        assert process.poll() is None
        return system_file(ping_system.var_dir).exists()

    await eventually(up)
    with process:
        yield process
        process.kill()


async def test_takes_over_from_a_killed_launcher(launcher, ping_system):
    """A launcher killed with -9 leaves a stale system.json and orphans; the next one ends them and starts afresh."""
    before = marked(ping_system.var_dir)
    launcher.kill()
    launcher.wait()
    assert system_file(ping_system.var_dir).exists()
    assert read_system(ping_system.var_dir) is None
    assert Supervisor(ping_system.var_dir).pid() in before
    async with launched(ping_system) as running:
        assert running.system.launcher_pid == os.getpid()
        assert marked(ping_system.var_dir).isdisjoint(before)
        assert await is_serving(ping_system.addresses["one"])


async def test_ends_orphans_of_a_killed_supervisord(launcher, ping_system, eventually):
    """When supervisord itself is killed, the launcher stops what it ran and ends, saying so."""
    head = Supervisor(ping_system.var_dir).pid()
    assert head is not None
    os.kill(head, signal.SIGKILL)

    async def gone() -> bool:
        return launcher.poll() is not None

    await eventually(gone)
    assert launcher.returncode == 2
    assert b"supervisord has died" in launcher.stderr.read()
    assert marked(ping_system.var_dir) == set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_ends_cleanly_when_told(launcher, ping_system, eventually, number):
    """SIGTERM, Ctrl-C and the end of the terminal stop everything without a word."""
    launcher.send_signal(number)

    async def gone() -> bool:
        return launcher.poll() is not None

    await eventually(gone)
    assert (launcher.returncode, launcher.stderr.read()) == (130, b"")
    assert marked(ping_system.var_dir) == set()
    assert not system_file(ping_system.var_dir).exists()


async def test_stops_a_system_from_outside(launcher, ping_system):
    """stop_system ends a launcher that lives, and returns when nothing is left."""
    assert stop_system(ping_system.var_dir)
    assert launcher.wait(5) == 130
    assert marked(ping_system.var_dir) == set()
    assert not stop_system(ping_system.var_dir)


async def test_stops_what_a_killed_launcher_left(launcher, ping_system):
    """stop_system ends orphans too, and takes the stale system.json away."""
    launcher.kill()
    launcher.wait()
    assert stop_system(ping_system.var_dir)
    assert marked(ping_system.var_dir) == set()
    assert not system_file(ping_system.var_dir).exists()


@pytest.mark.parametrize("who", ["stop", "next"])
async def test_finds_the_redis_of_a_killed_supervisord(launcher, ping_system, tmp_path, who):
    """With launcher and supervisord killed, `make stop` and the next `make run` end all that they ran, Redis too."""
    port = json.loads((tmp_path / "system.json").read_text())["redis_port"]
    redis = next(one.pid for one in Supervisor(ping_system.var_dir).states() if one.name == REDIS)
    head = Supervisor(ping_system.var_dir).pid()
    assert head is not None
    launcher.kill()
    launcher.wait()
    os.kill(head, signal.SIGKILL)
    assert redis in marked(ping_system.var_dir)
    assert not is_free(port)
    if who == "stop":
        assert stop_system(ping_system.var_dir)
    else:
        async with launched(ping_system):
            assert is_free(port)
    assert marked(ping_system.var_dir) == set()
    assert is_free(port)


def test_finds_nothing_in_an_empty_folder(tmp_path):
    """A folder on which nothing ever ran has nothing to end."""
    assert end_leftovers(tmp_path) == 0
    assert not stop_system(tmp_path / "var")
