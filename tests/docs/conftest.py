"""The whole system, running once for all documents that tell a reader to look into it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from trunkline.registry.system import RunningSystem
from trunkline.settings import PlatformSettings
from trunkline.testing.ports import free_ports

from deploy.local.commands import free_range
from deploy.local.settings import LocalSettings
from deploy.local.start import started
from deploy.local.system import SERVICES
from tests.docs.programs import clean_environment


@dataclass(frozen=True, slots=True)
class Shop:
    """What `make run` would have started."""

    system: RunningSystem
    """Where everything is."""
    var_dir: Path
    """Its folder."""
    base_port: int
    """Port of account; the others follow."""

    @property
    def environment(self) -> dict[str, str]:
        """A reader's environment, looking at this system instead of the one in var/."""
        return clean_environment(TRUNKLINE_VAR_DIR=self.var_dir)

    def here(self, command: str) -> str:
        """A command as it is printed, with the ports and the folder of this system."""
        for index in range(len(SERVICES) + 1):
            command = command.replace(f"127.0.0.1:{50050 + index}", f"127.0.0.1:{self.base_port + index}")
        return command.replace("=var/", f"={self.var_dir}/")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    """The running system, its shop open and a port free beside it."""
    var_dir = tmp_path_factory.mktemp("shop") / "var"
    settings = PlatformSettings(profile="development", var_dir=var_dir)
    base_port = free_range(len(SERVICES) + 1)
    local = LocalSettings(base_port=base_port, redis_port=free_ports(1)[0], redis_persistent=False)
    async with started(settings, local) as running:
        yield Shop(running.system, var_dir, base_port)
