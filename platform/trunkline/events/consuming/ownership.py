"""Which shards this process owns: one owner for each, by a lease that is checked in the transaction of every effect."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from trunkline.events.consuming.sharing import share
from trunkline.events.shard import Shard
from trunkline.events.topics import shard_of
from trunkline.storage.leases import Leases


def lease_name(group: str, shard: Shard) -> str:
    """Name of the lease of a group on a shard."""
    return f"consumer/{group}/{shard.topic}/{shard.number}"


class Ownership:
    """The shards of some topics, as far as they are this process's."""

    def __init__(self, leases: Leases, group: str, shards: dict[str, int]) -> None:
        self.owned: frozenset[Shard] = frozenset()
        """What it may read and apply."""
        self._leases = leases
        self._group = group
        self._counts = shards
        self._lost = False

    @property
    def all(self) -> list[Shard]:
        """All shards of all topics, in an order that spreads each topic: one has more events than another."""
        return sorted(
            (Shard(topic, number) for topic, count in self._counts.items() for number in range(count)),
            key=lambda shard: (shard.number, shard.topic),
        )

    def resize(self, shards: dict[str, int]) -> None:
        """Notes how many shards each topic has."""
        self._counts = shards

    def lease(self, shard: Shard) -> str:
        """Name of the lease on a shard."""
        return lease_name(self._group, shard)

    async def update(self) -> set[Shard]:
        """Gives up what is too much, forgets what is lost, and takes what is free; gives what was taken.

        To be called while nothing of any shard is in hand.

        Raises:
            ServiceError: the database is away.
        """
        leases, by_name = self._leases, {self.lease(shard): shard for shard in self.all}
        if not leases.worker_id or self._lost:
            await leases.beat()
            self._lost = False
        before = self.owned
        decided = share(list(by_name), leases.holders.leases, leases.holders.workers, leases.worker_id)
        if decided.give:
            await leases.give_back(decided.give)
        if decided.take:
            await leases.take(*decided.take)
        self.owned = frozenset(shard for name, shard in by_name.items() if leases.has(name))
        return set(self.owned - before)

    async def give_up(self) -> None:
        """Gives up everything, for others to take at once.

        Raises:
            ServiceError: the database is away.
        """
        owned, self.owned = self.owned, frozenset()
        if owned:
            await self._leases.give_back([self.lease(shard) for shard in owned])

    def forget(self) -> None:
        """Owns nothing until the next update, which looks anew: what it has was taken from it."""
        self.owned, self._lost = frozenset(), True

    def owns_key(self, topic: str, key: str) -> bool:
        """Whether the events of a key are this process's."""
        return topic in self._counts and self.shard_of(topic, key) in self.owned

    def shard_of(self, topic: str, key: str) -> Shard:
        """The shard that carries a key."""
        return Shard(topic, shard_of(key, self._counts[topic]))

    def require(self, connection: sa.Connection, shards: Iterable[Shard]) -> None:
        """Lets a transaction go on only if these are this process's until it ends.

        Raises:
            LeaseLost: they are not.
        """
        self._leases.require(connection, {self.lease(shard) for shard in shards})
