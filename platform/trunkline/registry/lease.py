"""How a server stands in the registry: a lease, renewed while it lives, and taken back when it drains."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from trunkline.registry.instance import Instance, State
from trunkline.registry.registry import Registry, RegistryUnavailable

RENEWALS = 3
"""How often a lease is renewed in its time: two may be lost."""
_log = structlog.get_logger("trunkline.registry")


class Leases:
    """The leases of one server: one for each service it serves."""

    def __init__(
        self, registry: Registry, instances: Sequence[Instance], serving: Callable[[], bool], *, lease_s: float
    ) -> None:
        """Registers nothing yet.

        Args:
            registry: where.
            instances: as they shall stand there; their states are set here.
            serving: whether calls may be sent here now.
            lease_s: how long after the last renewal they are believed to live, in seconds.
        """
        self._registry = registry
        self._instances = instances
        self._serving = serving
        self._lease_s = lease_s
        self._draining = False
        self._away = False
        self._told: State = "not_serving"
        self._changed = asyncio.Event()

    def look(self) -> None:
        """Has it renewed now where its state is another: health changes and drains are told at once."""
        if self._state() != self._told:
            self._changed.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Renews until stop is set, and goes on trying while the registry is away."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                self._changed.clear()
                await self._renew()
                changed = asyncio.create_task(self._changed.wait())
                pause_s = self._lease_s / RENEWALS
                await asyncio.wait((changed, stopping), timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
        finally:
            stopping.cancel()

    async def drain(self) -> None:
        """Says that no more calls shall come. Does not raise: the lease ends by itself."""
        self._draining = True
        await self._renew()

    async def close(self) -> None:
        """Takes the leases back."""
        try:
            for instance in self._instances:
                await self._registry.remove(instance)
            await self._registry.close()
        except RegistryUnavailable:
            _log.warning("not taken out of the registry; the lease will end", lease_s=self._lease_s)

    def _state(self) -> State:
        if self._draining:
            return "draining"
        return "serving" if self._serving() else "not_serving"

    async def _renew(self) -> None:
        state = self._state()
        try:
            for instance in self._instances:
                await self._registry.renew(instance.in_state(state), self._lease_s)
        except RegistryUnavailable as error:
            if not self._away:
                _log.warning("the registry does not answer; callers go on with what they knew", error=str(error))
            self._away = True
            return
        if self._away or state != self._told:
            _log.info("registered", state=state)
        self._away, self._told = False, state
