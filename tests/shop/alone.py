"""Single services of a shop that nobody supervises: to be started in any order, with or without what they need."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trunkline.launcher.system import Program, SystemSpec
from trunkline.registry.system import RunningSystem, write_system
from trunkline.settings import PlatformSettings

from deploy.local.migrations import migrate_all
from deploy.local.system import local_system
from tests.shop.health import Statuses, statuses
from tests.shop.running import clean_environment
from tests.shop.waiting import until


class Alone:
    """Services on one folder, each started when a test says so."""

    def __init__(self, spec: SystemSpec) -> None:
        self.var_dir = spec.var_dir
        """Folder of everything they write."""
        self.system = RunningSystem(services=spec.addresses, redis_url=spec.url_of_redis, launcher_pid=os.getpid())
        """Where they will be."""
        self.settings = PlatformSettings(profile="development", var_dir=spec.var_dir, redis_url="")
        """Settings of callers."""
        self._spec = spec
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    async def start(self, name: str) -> Statuses:
        """Starts a service and waits until it is SERVING; gives what it says of itself."""
        program = next(one for one in self._spec.programs if one.name == name)
        self._processes[name] = self._spawn(program)
        told: Statuses = {}

        async def serving() -> bool:
            assert self._processes[name].poll() is None, self.log(name)
            told.update(await statuses(self.system.services[name]))
            return told.get("", False)

        await until(serving, f"{name} is SERVING")
        return told

    def log(self, name: str) -> str:
        """What a service has said."""
        return self._log(name).read_text()

    def stop(self) -> dict[str, int]:
        """Ends all of them; gives how each ended."""
        for process in self._processes.values():
            process.terminate()
        return {name: process.wait(timeout=30) for name, process in self._processes.items()}

    def kill(self) -> None:
        """Ends what has not ended."""
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()

    def _log(self, name: str) -> Path:
        return self.var_dir.parent / f"{name}.log"

    def _spawn(self, program: Program) -> subprocess.Popen[bytes]:
        variables = {**self._spec.environment, **program.environment, "REDIS_URL": self._spec.url_of_redis}
        with self._log(program.name).open("ab") as log:
            return subprocess.Popen(
                program.command,
                cwd=self._spec.directory,
                env=clean_environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


@contextmanager
def alone(var_dir: Path, base_port: int, redis_port: int) -> Iterator[Alone]:
    """Migrated databases and nothing that runs; what a test has started is ended. Nobody listens where Redis would."""
    migrate_all(var_dir)
    services = Alone(local_system(var_dir, base_port=base_port, redis_port=redis_port))
    # Callers look there for who makes tokens.
    write_system(var_dir, services.system)
    try:
        yield services
    finally:
        services.kill()
