"""The whole shop, each of its services with a way to Redis of its own that can be broken."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from trunkline.launcher.embedded import EmbeddedRedis, embedded_redis
from trunkline.launcher.launch import Launched, launched
from trunkline.launcher.ports import free_port, free_range
from trunkline.launcher.system import Program
from trunkline.registry.system import RunningSystem
from trunkline.settings import PlatformSettings
from trunkline.testing.fault_proxy import FaultProxy

from deploy.local.migrations import migrate_all
from deploy.local.settings import ROOT
from deploy.local.shop import open_shop
from deploy.local.system import SERVICES, local_system
from tests.shop.running import like


@dataclass(frozen=True, slots=True)
class ChaosShop:
    """A shop that runs, to be broken."""

    var_dir: Path
    """Folder of everything it writes."""
    redis: EmbeddedRedis
    """The server."""
    redis_dir: Path
    """Its folder."""
    ways: Mapping[str, FaultProxy]
    """Service and how it comes to Redis."""
    settings: PlatformSettings
    """Settings of callers."""
    launched: Launched
    """What runs."""

    @property
    def system(self) -> RunningSystem:
        """Where everything is."""
        return self.launched.system

    def pid(self, name: str) -> int:
        """Process of a service; 0 while it does not run."""
        return next(one.pid for one in self.launched.supervisor.states() if one.name == name)

    def database(self, name: str) -> Path:
        """File of a service's database."""
        return self.var_dir / name / f"{name}.db"

    def send(self, pid: int, number: signal.Signals) -> None:
        """Sends a signal to a process that was one of the shop's, if it is there."""
        with suppress(ProcessLookupError):
            os.kill(pid, number)

    def join(self, name: str) -> subprocess.Popen[bytes]:
        """Starts another process of a service that runs, on the same database and a port of its own."""
        command, variables = like(self.pid(name))
        variables |= {f"POS_{name.upper()}_PORT": str(free_port()), "TRUNKLINE_METRICS_PORT": ""}
        with (self.var_dir / "log" / f"second-{name}.log").open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, env=variables, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


@asynccontextmanager
async def chaos_shop(folder: Path) -> AsyncIterator[ChaosShop]:
    """Runs a shop in a folder, for the length of a block."""
    var_dir, redis_dir = folder / "var", folder / "redis"
    settings = PlatformSettings(profile="development", var_dir=var_dir, redis_url="")
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(embedded_redis(redis_dir, persistent=True))
        ways = {name: await _way(stack, redis) for name in SERVICES}
        spec = local_system(var_dir, base_port=free_range(len(SERVICES)), redis_url=redis.url)
        spec = replace(spec, programs=[_by(program, ways[program.name]) for program in spec.programs])
        running = await stack.enter_async_context(launched(spec, lambda: migrate_all(var_dir)))
        await open_shop(running.system, settings)
        yield ChaosShop(var_dir, redis, redis_dir, ways, settings, running)


async def _way(stack: AsyncExitStack, redis: EmbeddedRedis) -> FaultProxy:
    return await stack.enter_async_context(FaultProxy("127.0.0.1", redis.port))


def _by(program: Program, way: FaultProxy) -> Program:
    url = f"redis://{way.target}/0"
    return replace(program, environment={**program.environment, "REDIS_URL": url, "TRUNKLINE_REGISTRY_URL": url})
