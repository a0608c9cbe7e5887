"""Answers that a client may give again, and calls that are under way for several askers at once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

ENTRIES = 1024
"""Answers kept per target; the least recently used leaves."""
Key = tuple[str, str, bytes]
"""Path, for whom, canonical request."""


@dataclass(slots=True)
class Kept:
    """One answer. Bytes: a message could be changed by who gets it."""

    answer: bytes
    """The serialized message."""
    received_at: float
    """Instant (monotonic) at which it came."""
    tenant_id: str
    """Whose data it shows; empty where that is not known."""
    topics: Collection[str]
    """Events of these topics make it void."""


@dataclass(slots=True)
class Flight:
    """A call under way, and how many wait for it."""

    task: asyncio.Task[Any]
    """Gives the message."""
    deadline: float
    """Instant (monotonic) at which it ends: that of the call which began it."""
    waiting: int = 0
    """Askers; the last one that leaves cancels it."""


@dataclass(slots=True)
class KeptAnswers:
    """What one target has answered."""

    flights: dict[Key, Flight] = field(default_factory=dict)
    """Calls under way that others may join."""
    topics: set[str] = field(default_factory=set)
    """Events of these make some answers void."""
    topics_changed: asyncio.Event | None = None
    """Set when there are more topics: whoever listens to them waits for it."""
    generation: int = 0
    """Grows with every event that makes answers void: an answer asked for before it is not kept."""
    _kept: OrderedDict[Key, Kept] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Key) -> Kept | None:
        """The answer to a request, however old."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: Key, kept: Kept) -> None:
        """Keeps an answer."""
        self._kept[key] = kept
        self._kept.move_to_end(key)
        if len(self._kept) > ENTRIES:
            self._kept.popitem(last=False)

    def depend_on(self, topics: Collection[str]) -> None:
        """From now on some answers depend on these topics."""
        if not self.topics.issuperset(topics):
            self.topics.update(topics)
            if self.topics_changed is not None:
                self.topics_changed.set()

    def forget(self, topic: str | None = None, tenant_id: str = "") -> int:
        """Forgets what an event makes void; gives how many answers that were.

        Args:
            topic: of the event; None forgets everything.
            tenant_id: of the event; answers of an unknown tenant go too. Empty means every tenant.
        """
        void = [
            key
            for key, kept in self._kept.items()
            if topic is None or (topic in kept.topics and (not tenant_id or kept.tenant_id in ("", tenant_id)))
        ]
        for key in void:
            del self._kept[key]
        if topic is not None and topic not in self.topics:
            return len(void)
        self.generation += 1
        # Who asks from now on must not get what a call under way was answered before the event.
        self.flights.clear()
        return len(void)
