"""The registry in memory: what the one in Redis has to do, for tests and for processes that share one loop."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.registry.instance import Instance
from trunkline.registry.registry import RegistryUnavailable


class MemoryRegistry:
    """Who serves what."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._leases: dict[tuple[str, str], tuple[float, Instance]] = {}
        self._names: set[str] = set()
        self.away = False
        """It does not answer."""

    async def renew(self, instance: Instance, lease_s: float) -> None:
        """As RedisRegistry.renew."""
        self._answer()
        ends = self._clock.monotonic() + lease_s
        self._leases[(instance.service, instance.instance_id)] = (ends, instance)
        self._names.add(instance.service)

    async def remove(self, instance: Instance) -> None:
        """As RedisRegistry.remove."""
        self._answer()
        self._leases.pop((instance.service, instance.instance_id), None)

    async def read(self, services: Sequence[str]) -> dict[str, list[Instance]]:
        """As RedisRegistry.read."""
        self._answer()
        now = self._clock.monotonic()
        alive = sorted(
            (one for ends, one in self._leases.values() if ends > now),
            key=lambda one: (one.start_time, one.instance_id),
        )
        return {service: [one for one in alive if one.service == service] for service in services}

    async def services(self) -> list[str]:
        """As RedisRegistry.services."""
        self._answer()
        return sorted(self._names)

    async def close(self) -> None:
        """Closes nothing."""

    def _answer(self) -> None:
        if self.away:
            raise RegistryUnavailable("away")
