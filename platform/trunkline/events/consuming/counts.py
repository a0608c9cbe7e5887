"""What a consumer has done, for metrics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from trunkline.events.event import Arrival
from trunkline.telemetry.metrics import METRICS


@dataclass(slots=True)
class ConsumerCounts:
    """What a consumer has done since it started."""

    applied: int = 0
    """Events that had their effect."""
    filled: int = 0
    """Of these, those that were passed over before."""
    duplicates: int = 0
    """Events that had had it before."""
    parked: int = 0
    """Times an event was parked: before its turn, or after a failed attempt."""
    dead: int = 0
    """Events that became dead letters."""
    holes: int = 0
    """Numbers that were passed over."""
    redelivered: int = 0
    """Entries that had been given to this group before, and were not acknowledged."""
    gone: int = 0
    """Entries that were taken out of their stream before they were applied."""


def tell_times(applied: Iterable[Arrival], at_s: float) -> None:
    """Counts how long events took from their commit to that of their effect.

    Args:
        applied: The events.
        at_s: When that was, in seconds since the epoch.
    """
    for topic, arrivals in groupby(applied, key=attrgetter("topic")):
        times = [arrival.envelope.time for arrival in arrivals if arrival.envelope is not None]
        # Clocks of two machines differ: nothing has its effect before it was.
        METRICS.events.effect(topic).add_all([max(0.0, at_s - time.seconds - time.nanos / 1e9) for time in times])
