"""What publishing and consuming are told by: counts that the event loop writes, and figures that are looked up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from trunkline.telemetry.durations import Histogram


class Metric(NamedTuple):
    """What Prometheus is told of one thing."""

    name: str
    """With its unit, and `_total` where it only rises."""
    kind: str
    """`counter` or `gauge`."""
    about: str
    """In one sentence."""


SENT = Metric("trunkline_relay_sent_total", "counter", "Events added to a stream and published; again counts again.")
CONFIRMED = Metric("trunkline_relay_confirmed_total", "counter", "Events that every group has confirmed.")
LOST = Metric("trunkline_relay_lost_total", "counter", "Events that Redis had lost, and that are sent again.")
TRIMMED = Metric("trunkline_relay_trimmed_total", "counter", "Entries dropped from streams after all had them.")
APPLIED = Metric("trunkline_consumer_applied_total", "counter", "Events that had their effect.")
DUPLICATES = Metric("trunkline_consumer_duplicates_total", "counter", "Redeliveries: events that had had it before.")
PARKED_TIMES = Metric("trunkline_consumer_parkings_total", "counter", "Times an event was parked.")
BURIED = Metric("trunkline_consumer_dead_letters_total", "counter", "Events that became dead letters.")
PASSED_OVER = Metric("trunkline_consumer_holes_total", "counter", "Numbers that were passed over.")
FILLED = Metric("trunkline_consumer_filled_total", "counter", "Numbers that were passed over, and came after all.")
PUBLISHED = Metric("trunkline_outbox_published", "gauge", "Events ever published: beside _settled it is the lag.")
UNSENT = Metric("trunkline_outbox_unsent", "gauge", "Events that are not in their stream.")
UNCONFIRMED = Metric("trunkline_outbox_unconfirmed", "gauge", "Events that a group has yet to confirm.")
PENDING_S = Metric("trunkline_outbox_oldest_pending_seconds", "gauge", "Age of the oldest of both; 0 without any.")
SETTLED = Metric("trunkline_consumer_settled", "gauge", "Events that are applied, or recorded as holes.")
PARKED = Metric("trunkline_consumer_parked", "gauge", "Events that are parked.")
PARKED_S = Metric("trunkline_consumer_oldest_parked_seconds", "gauge", "Age of the oldest of them; 0 without any.")
HOLES = Metric("trunkline_consumer_open_holes", "gauge", "Numbers that were passed over and have not come since.")
LETTERS = Metric("trunkline_consumer_open_dead_letters", "gauge", "Dead letters that were not applied since.")
REPEATS = Metric("trunkline_storage_repeats_total", "counter", "Transactions run again: others kept them from passing.")
RELAYS = Metric("trunkline_relay_holds_lease", "gauge", "1 in the process that relays for its service, 0 in others.")
OUTAGES = Metric("trunkline_event_outages_total", "counter", "Times Redis or the database was away, by reason.")
OUTAGE_S = Metric("trunkline_event_outage_seconds", "gauge", "Since when it is away, in seconds; 0 while it is not.")
LOG_BYTES = Metric("trunkline_storage_log_bytes", "gauge", "Length of the write-ahead log beside the database file.")
OWNED = Metric("trunkline_consumer_owned_shards", "gauge", "Shards that this process owns.")

COMMIT_TO_EFFECT = Metric(
    "trunkline_consumer_commit_to_effect_seconds", "histogram", "From the commit of an event to that of its effect."
)

Labels = tuple[tuple[str, str], ...]
"""Names and values."""


@dataclass(slots=True)
class EventMetrics:
    """What one process tells of events. Written by the event loop, read by a scrape in another thread."""

    values: dict[Metric, dict[Labels, float]] = field(default_factory=dict)
    """Metric → labels → value."""
    to_effect: dict[str, Histogram] = field(default_factory=dict)
    """Topic → seconds from commits to effects."""

    def tell(self, metric: Metric, value: float, **labels: str) -> None:
        """Tells the value of something from now on."""
        self.values.setdefault(metric, {})[tuple(labels.items())] = value

    def effect(self, topic: str) -> Histogram:
        """What the time from commit to effect is added to; always the same object. To be kept by who consumes."""
        found = self.to_effect.get(topic)
        return found if found is not None else self.to_effect.setdefault(topic, Histogram())

    def told(self) -> Mapping[Metric, Mapping[Labels, float]]:
        """All values, as of now."""
        return {metric: dict(values) for metric, values in self.values.copy().items()}
