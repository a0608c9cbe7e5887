"""A trading day on the whole system, with parts of it killed in the middle: the figures agree to the yen."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from trunkline.launcher.stop import stop_system
from trunkline.launcher.supervisor import Supervisor
from trunkline.testing.ports import free_ports

from deploy.local.commands import free_range
from deploy.local.system import SERVICES, TERMINALS, credentials_dir

pytestmark = [pytest.mark.system, pytest.mark.timeout(400), pytest.mark.xdist_group("whole system")]


@dataclass(frozen=True, slots=True)
class Shop:
    """A system that runs, its shop open."""

    environment: dict[str, str]
    """For commands that shall find it."""
    var_dir: Path
    """Its folder."""

    @property
    def supervisor(self) -> Supervisor:
        """Control of its programs."""
        return Supervisor(self.var_dir)

    def kill(self, name: str) -> None:
        """Kills a program with -9."""
        pid = next(state.pid for state in self.supervisor.states() if state.name == name)
        os.kill(pid, signal.SIGKILL)

    async def trade(self, sales: int) -> asyncio.subprocess.Process:
        """Begins a day of `make day`."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploy.local", "day", "--sales", str(sales), "--seed", "1", "--json"),
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Iterator[Shop]:
    """A system on free ports, as `make run` starts it."""
    var_dir = tmp_path_factory.mktemp("shop") / "var"
    ports = {"POS_BASE_PORT": str(free_range(len(SERVICES))), "POS_REDIS_PORT": str(free_ports(1)[0])}
    environment = {**os.environ, "TRUNKLINE_VAR_DIR": str(var_dir), "REDIS_URL": "", **ports}
    with _running(environment):
        yield Shop(environment, var_dir)
    stop_system(var_dir)


@contextmanager
def _running(environment: dict[str, str]) -> Iterator[None]:
    command = [sys.executable, "-m", "deploy.local", "run", "--sales", "3"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = []
        for line in process.stdout:
            printed.append(line)
            if "stays up" in line:
                break
        else:
            pytest.fail(f"`run` ended: {''.join(printed)}")
        assert any("to the yen" in line for line in printed)
        yield
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


async def finish(day: asyncio.subprocess.Process, sales: int) -> None:
    """Waits for the end of a day; everybody must agree."""
    out, err = await asyncio.wait_for(day.communicate(), 300)
    assert (day.returncode, err.decode()) == (0, ""), out
    result = json.loads(out)
    assert result["equal"]
    assert result["sales"] == sales


async def until_sold(shop: Shop, day: asyncio.subprocess.Process, sales: int) -> None:
    """Returns when the last terminal has begun so many sales more."""
    path = shop.var_dir / "run" / f"cart-{TERMINALS}.key"
    seen: set[str] = set()
    async with asyncio.timeout(60):
        while len(seen) < sales:
            assert day.returncode is None, await day.communicate()
            await asyncio.sleep(0.01)
            if path.exists():
                seen.add(path.read_text())


async def test_two_days_in_one_shop(shop):
    """A second day finds the same shop, sells in it, and everybody agrees again."""
    before = {path.name: path.read_bytes() for path in credentials_dir(shop.var_dir).iterdir()}
    await finish(await shop.trade(20), 20)
    assert {path.name: path.read_bytes() for path in credentials_dir(shop.var_dir).iterdir()} == before


async def test_report_and_cart_killed_in_the_middle(shop):
    """Report and then cart are killed with -9 while sales are made; nothing is lost and nothing counted twice."""
    day = await shop.trade(120)
    await until_sold(shop, day, 4)
    shop.kill("report")
    await until_sold(shop, day, 4)
    shop.kill("cart")
    await finish(day, 120)


async def test_redis_stopped_in_the_middle(shop):
    """A sale needs no Redis: with it stopped the tills go on, and when it is back everything arrives."""
    day = await shop.trade(60)
    await until_sold(shop, day, 3)
    await asyncio.to_thread(shop.supervisor.stop, "redis")
    await until_sold(shop, day, 4)
    await asyncio.to_thread(shop.supervisor.start, "redis")
    await finish(day, 60)


async def test_a_day_that_was_killed_is_closed_by_the_next(shop):
    """Tills that a killed day left open, with carts in the middle, are closed and opened again by the next day."""
    day = await shop.trade(200)
    await until_sold(shop, day, 4)
    day.kill()
    await day.communicate()
    await finish(await shop.trade(10), 10)
