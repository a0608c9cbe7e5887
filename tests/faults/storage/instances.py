"""Processes of one service of the shop on one database, with Redis and nobody else."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from trunkline.launcher.ports import free_port

from deploy.local.settings import ROOT
from deploy.local.system import local_system
from tests.shop.health import statuses
from tests.shop.running import clean_environment
from tests.shop.waiting import until

STOP_S = 20


class Instance:
    """One process of a service."""

    def __init__(self, service: str, folder: Path, redis_url: str, place: Path | str) -> None:
        """Starts it; `served` waits for it.

        Args:
            service: Its name.
            folder: Where it keeps the rest and its log; its own.
            redis_url: Where Redis is.
            place: Its database: a file, or an address.
        """
        self.port = free_port()
        """Where it serves."""
        folder.mkdir()
        self._log = folder / "log"
        kind = "DATABASE_URL" if isinstance(place, str) else "DATABASE"
        own = {
            f"POS_{service.upper()}_PORT": self.port,
            f"POS_{service.upper()}_{kind}": place,
            "REDIS_URL": redis_url,
            "TRUNKLINE_CREDENTIAL_FILE": folder / "credential",
        }
        # Peers have an address, and nobody listens there.
        variables = local_system(folder / "var", base_port=free_port()).environment
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"services.{service}"],
                cwd=ROOT, env=clean_environment(**variables, **own), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    async def served(self) -> None:
        """Waits until it serves, and has Redis."""
        await until(self._serves, "the instance serves")

    async def ended(self) -> int:
        """Waits for its end; gives the exit status."""
        return await asyncio.to_thread(self._process.wait, STOP_S)

    async def stop(self) -> None:
        """Ends it, as a rolling restart does."""
        if self._process.poll() is None:
            self._process.terminate()
        assert await self.ended() == 0, self.log

    @property
    def log(self) -> str:
        """What it has said."""
        return self._log.read_text()

    async def _serves(self) -> bool:
        assert self._process.poll() is None, self.log
        told = await statuses(f"127.0.0.1:{self.port}")
        return told.get("", False) and told.get("dep.redis", False)


@asynccontextmanager
async def instances(
    service: str, folder: Path, redis_url: str, place: Path | str, count: int = 2
) -> AsyncIterator[list[Instance]]:
    """Some processes of a service, for the length of a block."""
    started = [Instance(service, folder / f"{service}-{number}", redis_url, place) for number in range(count)]
    try:
        await asyncio.gather(*(one.served() for one in started))
        yield started
    finally:
        await asyncio.gather(*(one.stop() for one in started))
