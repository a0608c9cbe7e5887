"""What a registry is: RedisRegistry is the one that runs; the one in memory is `trunkline.testing.registry`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from trunkline.registry.instance import Instance


class RegistryUnavailable(Exception):
    """The registry does not answer: what was known last still holds."""


class Registry(Protocol):
    """Who serves what. Every method raises RegistryUnavailable."""

    async def renew(self, instance: Instance, lease_s: float) -> None:
        """Says that an instance is there, and for how long, in seconds, that may be believed."""
        ...

    async def remove(self, instance: Instance) -> None:
        """Says that an instance is gone."""
        ...

    async def read(self, services: Sequence[str]) -> dict[str, list[Instance]]:
        """The instances of some services whose lease runs, oldest first."""
        ...

    async def services(self) -> list[str]:
        """Names of all services that ever had an instance."""
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...
