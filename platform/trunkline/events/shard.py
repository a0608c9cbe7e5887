"""What Redis holds: the streams of topics, their entries, and how far each group has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from trunkline.events.stream_id import FIRST, StreamId
from trunkline.events.topics import stream_name


class Shard(NamedTuple):
    """One stream of a topic."""

    topic: str
    """The topic."""
    number: int
    """From 0."""

    @property
    def stream(self) -> str:
        """Name of the stream."""
        return stream_name(self.topic, self.number)


@dataclass(slots=True)
class Entry:
    """An entry of a stream."""

    shard: Shard
    """The stream it is in."""
    id: bytes
    """Its id there, as Redis writes it."""
    data: bytes | None
    """The envelope's bytes; None where the entry was trimmed before it was read."""


@dataclass(frozen=True, slots=True)
class ShardState:
    """What Redis holds of a stream."""

    first: StreamId | None = None
    """Oldest entry; None if there is none."""
    last: StreamId = FIRST
    """Youngest entry that was ever added."""
    confirmed: Mapping[str, StreamId] = field(default_factory=dict)
    """Group → id up to which it has confirmed all entries."""
